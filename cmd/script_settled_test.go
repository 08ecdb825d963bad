package cmd_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/blnkctl/blnkctl/internal/blnktest"
	"github.com/blnkctl/blnkctl/state"
)

// withEndCmds adds what the scripts about interrupted rotations have besides:
//
//	settled old|new DIR       the rotation of DIR/blnk.json has come to its end:
//	                          one key is in the file, in the server and in the
//	                          worker, the old one or a new one as DIR.key tells
//	                          (which follows); the other one is dead; there is no
//	                          journal, no copy of a file and no temporary file with a key
//	settled old|new DIR open  the same, but for the journal, which must be there
//	target VAR DIR            set VAR to the folder of DIR/blnk.json in the state
//	                          folder, where its journal stands
//
// and those of script_held_linux_test.go and script_mount_linux_test.go.
func withEndCmds(cmds map[string]scriptCmd) map[string]scriptCmd {
	cmds["target"] = cmdTarget
	maps.Copy(cmds, heldCmds())
	maps.Copy(cmds, mountCmds())
	cmds["settled"] = cmdSettled
	return cmds
}

func cmdSettled(ts *testscript.TestScript, neg bool, args []string) {
	open := len(args) == 3 && args[2] == "open"
	need(ts, !neg && (len(args) == 2 || open) && (args[0] == "old" || args[0] == "new"), "settled old|new DIR [open]")
	dir := ts.MkAbs(args[1])
	file, keyFile := filepath.Join(dir, "blnk.json"), dir+".key"
	key, before := masterKey(ts, file), strings.TrimSuffix(ts.ReadFile(keyFile), "\n")
	if (key == before) != (args[0] == "old") {
		ts.Fatalf("%s does not hold the %s key", file, args[0])
	}
	url := standinURL(ts, dir)
	if key != before {
		cmdOracle(ts, false, []string{url, keyFile, "401"})
		ts.Check(os.WriteFile(keyFile, []byte(key+"\n"), 0o600))
	}
	cmdOracle(ts, false, []string{url, keyFile, "200"})
	signs := blnktest.Signs
	if ts.Getenv("STANDIN_STATE") != "" {
		signs = func(string) error { return ts.Exec("blnk-standin", "signs", "--dir", dir) }
	}
	if err := signs(dir); err != nil {
		ts.Fatalf("the worker signs with another key than %s has: %v", file, err)
	}
	found := leftovers(ts, file)
	if open {
		at := slices.IndexFunc(found, func(path string) bool { return filepath.Base(path) == "journal" })
		if at < 0 {
			ts.Fatalf("there is no journal")
		}
		found = slices.Delete(found, at, at+1)
	}
	if len(found) > 0 {
		ts.Fatalf("left over: %s", strings.Join(found, " "))
	}
}

// leftovers are the journal of the rotation of file, and all copies and
// temporary files in $WORK.
func leftovers(ts *testscript.TestScript, file string) []string {
	var found []string
	ts.Check(filepath.WalkDir(ts.Getenv("WORK"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // somebody is at work
		}
		if err != nil || d.IsDir() {
			return err
		}
		switch name := d.Name(); {
		case name == "journal":
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if strings.Contains(string(data), `"blnkjson:`+file+`#`) {
				found = append(found, path)
			}
		case name == ".facts.blnkctl.tmp", name == ".audit.head.blnkctl.tmp": // there is no key in them
		case strings.HasSuffix(name, ".blnkctl.tmp"), strings.HasSuffix(name, ".copy"):
			found = append(found, path)
		}
		return nil
	}))
	return found
}

func cmdTarget(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "target VAR DIR")
	folder, err := state.Open(ts.Getenv("BLNKCTL_STATE_DIR"))
	ts.Check(err)
	file := filepath.Join(ts.MkAbs(args[1]), "blnk.json")
	ts.Setenv(args[0], folder.Target("blnkjson:"+file+"#server.secret_key").Path())
}
