package cmd_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// rotateCmds are the commands that the scripts about rotate have besides
// scriptCmds:
//
//	keyof BLNKJSON FILE      write the master key in BLNKJSON to FILE: what is
//	                         not in a variable cannot leak out of one
//	onlykey BEFORE AFTER     the files hold different keys, and are the same byte
//	                         for byte but for them
//	refused CODE ARG...      `blnkctl rotate ARG...` must end with CODE and change
//	                         nothing but its own records; and before that, with
//	                         --dry-run, end with the same error, word for word,
//	                         and change nothing at all
//	interface VAR            set VAR to an IPv4 address of this machine that is not
//	                         loopback ([network] says whether there is one)
//	reseal OLD NEW           replace a text of the journal, of which there must be
//	                         one, as a blnkctl that writes it so would
func rotateCmds() map[string]scriptCmd {
	return map[string]scriptCmd{
		"keyof":     cmdKeyof,
		"onlykey":   cmdOnlykey,
		"refused":   cmdRefused,
		"reseal":    cmdReseal,
		"interface": cmdInterface,
	}
}

func withRotateCmds(cmds map[string]scriptCmd) map[string]scriptCmd {
	maps.Copy(cmds, rotateCmds())
	maps.Copy(cmds, doctorCmds())
	return cmds
}

func cmdInterface(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "interface VAR")
	ts.Setenv(args[0], otherAddress())
}

// otherAddress is an IPv4 address of this machine that is not loopback; "" where
// there is none.
func otherAddress() string {
	addrs, _ := net.InterfaceAddrs() // without them there is none
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return ""
}

func cmdReseal(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "reseal OLD NEW")
	journals, err := filepath.Glob(filepath.Join(ts.Getenv("WORK"), "state", "targets", "*", "journal"))
	ts.Check(err)
	if len(journals) != 1 {
		ts.Fatalf("%d journals, want one", len(journals))
	}
	line, body, _ := strings.Cut(ts.ReadFile(journals[0]), "\n")
	if !strings.Contains(body, args[0]) {
		ts.Fatalf("the journal has no %s", args[0])
	}
	body = strings.ReplaceAll(body, args[0], args[1])
	at := strings.Index(line, "sha256:")
	sealed := fmt.Sprintf("%ssha256:%x\n%s", line[:at], sha256.Sum256([]byte(body)), body)
	ts.Check(os.WriteFile(journals[0], []byte(sealed), 0o600))
}

func masterKey(ts *testscript.TestScript, file string) string {
	var config struct {
		Server struct {
			Key string `json:"secret_key"`
		}
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &config))
	if config.Server.Key == "" {
		ts.Fatalf("%s: no key", file)
	}
	return config.Server.Key
}

func cmdKeyof(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "keyof BLNKJSON FILE")
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(masterKey(ts, args[0])+"\n"), 0o600))
}

func cmdOnlykey(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "onlykey BEFORE AFTER")
	before, after := masterKey(ts, args[0]), masterKey(ts, args[1])
	if before == after {
		ts.Fatalf("%s and %s hold the same key", args[0], args[1])
	}
	want := bytes.ReplaceAll([]byte(ts.ReadFile(args[0])), []byte(before), []byte(after))
	if got := ts.ReadFile(args[1]); got != string(want) {
		ts.Fatalf("more than the key has changed: got\n%q\nwant\n%q", got, want)
	}
}

func cmdRefused(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 0, "refused CODE ARG...")
	work := ts.Getenv("WORK")
	entries, err := os.ReadDir(work)
	ts.Check(err)
	// What the script itself runs meanwhile writes into run; .tmp is TMPDIR.
	mine := []string{filepath.Join(work, "state", "targets")}
	all := []string{filepath.Join(work, "state")}
	for _, e := range entries {
		if !slices.Contains([]string{"run", "state", ".tmp"}, e.Name()) {
			mine = append(mine, filepath.Join(work, e.Name()))
			all = append(all, filepath.Join(work, e.Name()))
		}
	}
	asDryRun := slices.Concat([]string{args[0], "blnkctl", "rotate", "--dry-run"}, args[1:])
	inEarnest := slices.Concat([]string{args[0], "blnkctl", "rotate"}, args[1:])

	cmdTreesum(ts, false, append([]string{"refused"}, all...))
	cmdExits(ts, false, asDryRun)
	said := complaint(ts)
	cmdTreesame(ts, false, []string{"refused"})

	cmdTreesum(ts, false, append([]string{"refused"}, mine...))
	cmdExits(ts, false, inEarnest)
	if now := complaint(ts); now != said {
		ts.Fatalf("the dry run said\n%s\nand the real one\n%s", said, now)
	}
	unchanged(ts, "refused")
}

// complaint is the last error, with its details and its hint.
func complaint(ts *testscript.TestScript) string {
	text := ts.ReadFile("stderr")
	at := strings.Index("\n"+text, "\nerror: ")
	if at < 0 {
		ts.Fatalf("no error on stderr:\n%s", text)
	}
	return text[at:]
}

// unchanged is treesame for a run that took the locks, which are files in
// folders too.
func unchanged(ts *testscript.TestScript, name string) {
	before := ts.Value(sumsKey{}).(map[string]treeSum)[name]
	now, err := sumTrees(before.paths)
	ts.Check(err)
	state := filepath.Join(ts.Getenv("WORK"), "state")
	for _, lines := range []map[string]entry{before.lines, now} {
		maps.DeleteFunc(lines, func(path string, e entry) bool {
			return strings.HasPrefix(path, state) && (strings.HasPrefix(e.content, "d") || filepath.Base(path) == "lock")
		})
	}
	if changes := compareTrees(before.lines, now, false); len(changes) > 0 {
		ts.Fatalf("changed:\n%s", strings.Join(changes, "\n"))
	}
}
