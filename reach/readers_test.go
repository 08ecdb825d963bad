package reach

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/blnkctl/blnkctl/exposure"
	"github.com/blnkctl/blnkctl/restart"
)

// What does not run reads its blnk.json at its next start, as the user that its unit or
// container names: a mode that keeps that user out would keep it from starting.
func TestReadersThatAreStopped(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "blnk.json")
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		p    restart.Process
		uid  int
		gid  int // one of its groups; 0: none is asked for
		none bool
	}{
		"a unit":                   {restart.Process{User: "4241:4242", Dir: dir}, 4241, 4242, false},
		"a unit of root":           {restart.Process{User: "0:", Dir: dir}, 0, 0, false},
		"a unit in another folder": {restart.Process{User: "4241:", Dir: "/"}, 0, 0, true},
		"nobody says where":        {restart.Process{User: "4241:"}, 0, 0, true},
		"a container":              {restart.Process{User: "4241:4242", Isolated: true, Mounts: []string{path}}, 4241, 4242, false},
		"a name of its image":      {restart.Process{User: "root", Isolated: true, Mounts: []string{path}}, exposure.Unknown, 0, false},
		"as whom is not known":     {restart.Process{Dir: dir}, 0, 0, true},
	} {
		c.p.Name, c.p.Server = name, true
		certain, maybe := Readers([]restart.Process{c.p}, path)
		if len(maybe) > 0 || (len(certain) == 0) != c.none {
			t.Errorf("%s: %+v, %+v", name, certain, maybe)
			continue
		}
		if !c.none && (len(certain) != 1 || certain[0].UID != c.uid || c.gid != 0 && !certain[0].In(c.gid) || certain[0].ReadsAll != (c.uid == 0)) {
			t.Errorf("%s: %+v", name, certain)
		}
	}
}

// A reader of whom nothing is known keeps the mode as it is.
func TestModeOfUnknownReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "blnk.json")
	if err := os.WriteFile(path, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	certain, _ := Readers([]restart.Process{{Name: "container blnk", Server: true, User: "app", Isolated: true, Mounts: []string{path}}}, path)
	edit, note, err := exposure.Mode(path, certain)
	const want = ": the mode 0644 stays: container blnk reads it as a user that is not known here, and has no group in common with the others that do"
	if err != nil || edit != nil || note != path+want {
		t.Errorf("%v, %q, %v", edit, note, err)
	}
}
