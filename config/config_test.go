package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), Name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	path := write(t, `# a comment
stores:
  - vault:secret/blnk
  - blnkjson:./blnk.json
restart: sh:systemctl restart blnk blnk-worker
servers: [http://127.0.0.1:5001, https://ledger.example]
state_dir: state
baseline:
  - id: BLNK-0.1
    place: http://127.0.0.1:5001
    reason: a test server
    until: 2027-01-31
commands:
  github:
    write: [gh, secret, set, KEY]
  deploy:
    run: [./deploy.sh, --now]
`)
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	want := File{
		Path: path, Dir: dir,
		Target: Target{
			Stores:  []string{"vault:secret/blnk", "blnkjson:./blnk.json"},
			Restart: []string{"sh:systemctl restart blnk blnk-worker"},
			Servers: []string{"http://127.0.0.1:5001", "https://ledger.example"},
		},
		StateDir: filepath.Join(dir, "state"),
		Baseline: []Exception{{"BLNK-0.1", "http://127.0.0.1:5001", "a test server", time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)}},
		Commands: map[string]Command{
			"github": {Write: []string{"gh", "secret", "set", "KEY"}},
			"deploy": {Run: []string{"./deploy.sh", "--now"}},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestLoadNothing(t *testing.T) {
	for _, text := range []string{"", "# only a comment\n", "---\n"} {
		f, err := Load(write(t, text))
		if strings.HasPrefix(text, "---") { // a null document is no mapping
			if err == nil {
				t.Errorf("%q was taken", text)
			}
			continue
		}
		if err != nil || f.Stores != nil {
			t.Errorf("%q: %+v, %v", text, f, err)
		}
	}
}

func TestInvalid(t *testing.T) {
	for text, want := range map[string]string{
		"policy: {max_age: 1d, min_interval: 2d}\n":                                         "policy: min_interval 2d is longer than max_age 24h, so that each key would be overdue",
		"policy: {max_age: 90d}\ntargets:\n  a: {stores: b, policy: {min_interval: 91d}}\n": "a: min_interval 91d is longer than max_age 90d",
		"storez:\n  - a\n":                                           `line 1: unknown name "storez" (did you mean "stores"?)`,
		"stores: [a]\nserver: b\n":                                   `line 2: unknown name "server" (did you mean "servers"?)`,
		"xyz: 1\n":                                                   `line 1: unknown name "xyz" (known: audit, baseline, commands, notify, owners, policy, restart, servers, state_dir, stores, targets)`,
		"stores: [a]\nstores: [b]\n":                                 "", // yaml itself may tell
		"stores:\n  - {a: b}\n":                                      "line 2: stores: want a text",
		"stores: [a, ~]\n":                                           "line 1: stores: want a text",
		"commands: [a]\n":                                            "line 1: commands: want names with their programs",
		"commands:\n  x:\n    writ: [a]\n":                           `line 3: unknown name "writ" (did you mean "write"?)`,
		"- a\n- b\n":                                                 "line 1: want names with values",
		"stores: [a\n":                                               "line ",
		"state_dir: [a, b]\n":                                        "line 1: state_dir: want a text",
		"state_dir: a\nstores:\n":                                    "line 2: stores: want a text",
		"stores: [a]\n---\nstores: [b]\n":                            "line 2: a second document begins: want one",
		"stores: [a]\n\n---\n":                                       "line 3: a second document begins: want one",
		"stores: [a]\n---\nstores: [b\n":                             "line ",
		"commands:\n  x:\n    write: gh secret set\n":                "line 3: write: want a list of words: [PROGRAM, ARGUMENT]",
		"commands:\n  x:\n    run: |\n      ./deploy\n":              "line 3: run: want a list of words",
		"commands:\n  x: {write: []}\n":                              "line 2: write: want a list of words",
		"commands:\n  x: {write: [a, ~]}\n":                          "line 2: write: want a text",
		"commands:\n  x: {read: ~}\n":                                "line 2: read: want a text",
		"commands:\n  y: {read: a}\n  nothing: {}\n":                 `line 3: commands: "nothing" does nothing: want read, write, exists or run`,
		"commands:\n  x:\n":                                          "line 2: x: want names with values",
		"baseline: {id: a}\n":                                        "line 1: baseline: want a list",
		"baseline:\n  - {id: a, place: b, until: 2027-01-31}\n":      "line 2: baseline: want id, place, reason and until",
		"baseline:\n  - {id: a, place: b, reason: c}\n":              "line 2: baseline: want id, place, reason and until",
		"baseline:\n  - {id: a, place: b, reason: c, until: soon}\n": "line 2: baseline: until: want a day such as 2027-01-31",
		"baseline:\n  - {id: a, place: b, reason: c, untill: 2027-01-31}\n": `line 2: unknown name "untill" (did you mean "until"?)`,
		"a: &x\n  b: *x\nstores: !!binary aGk=":                             "",
	} {
		_, err := Load(write(t, text))
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestUnsafe(t *testing.T) {
	path := write(t, "stores: [a]\n")
	for _, mode := range []os.FileMode{0o620, 0o602, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); !errors.Is(err, ErrUnsafe) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err != nil {
		t.Errorf("mode 644: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("giving the file to another user needs root")
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); !errors.Is(err, ErrUnsafe) {
		t.Errorf("somebody else's: %v", err)
	}
}

// A program without arguments needs no list, and a word may hold white space.
func TestWords(t *testing.T) {
	f, err := Load(write(t, "commands:\n  x:\n    read: ./read\n    write: [./write, two words]\n...\n"))
	want := Command{Read: []string{"./read"}, Write: []string{"./write", "two words"}}
	if err != nil || !reflect.DeepEqual(f.Commands["x"], want) {
		t.Errorf("%+v, %v", f.Commands, err)
	}
}

// Who owns a link chooses what is read, wherever it stands on the way.
func TestLinks(t *testing.T) {
	path := write(t, "stores: [a]\n")
	dir := filepath.Dir(path)
	for name, target := range map[string]string{"one": Name, "two": filepath.Join(dir, "one"), "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	two := filepath.Join(dir, "two")
	if f, err := Load(two); err != nil || f.Path != two || len(f.Stores) != 1 {
		t.Errorf("our own links: %+v, %v", f, err)
	}
	if _, err := Load(filepath.Join(dir, "loop")); err == nil || errors.Is(err, ErrUnsafe) {
		t.Errorf("a link to itself: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("giving a link to another user needs root")
	}
	for _, name := range []string{"one", "two"} {
		link := filepath.Join(dir, name)
		if err := os.Lchown(link, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(two); !errors.Is(err, ErrUnsafe) || !strings.Contains(err.Error(), "the link "+link+" belongs to user 65534") {
			t.Errorf("somebody else's link %s: %v", name, err)
		}
		if err := os.Lchown(link, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	here := func() (string, error) { return dir, nil }
	if f, err := Find("", here); err != nil || (f.Path != "" && f.Path != SystemFile) {
		t.Errorf("nothing there: %q, %v", f.Path, err)
	}
	path := filepath.Join(dir, Name)
	if err := os.WriteFile(path, []byte("state_dir: private\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, explicit := range []string{"", Name, path} {
		if f, err := Find(explicit, here); err != nil || f.Path != path || f.StateDir != filepath.Join(dir, "private") {
			t.Errorf("%q: %+v, %v", explicit, f, err)
		}
	}
	if _, err := Find("elsewhere.yaml", here); !errors.Is(err, ErrUnread) {
		t.Errorf("missing: %v", err)
	}
}

func TestSettings(t *testing.T) {
	f := File{Path: "/x.yaml", Target: Target{Stores: []string{"a", "b"}}, Commands: map[string]Command{"x": {Run: []string{"y"}}}}
	if got := f.Setting(f.Target, "store"); len(got) != 2 {
		t.Errorf("store: %q", got)
	}
	for _, flag := range []string{"restart", "state-dir", "yes"} {
		if got := f.Setting(f.Target, flag); got != nil {
			t.Errorf("%s: %q", flag, got)
		}
	}
	if c, err := f.Command("x"); err != nil || len(c.Run) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, none := range []File{f, {}} {
		if _, err := none.Command("z"); err == nil {
			t.Errorf("%q has a command z", none.Path)
		}
	}
}

// A target begins with the policy and the notices of the file, wherever those stand, and
// what it says takes their place, nothing too.
func TestTargetSaysNothing(t *testing.T) {
	f, err := parse([]byte("targets: {a: {stores: x:y, policy: {min_interval: 0, splay: 0}}, b: {stores: x:z, policy: {window: Mon 01:00-02:00 UTC}}}\n"+
		"policy: {max_age: 90d, min_interval: 30d, splay: 1h, window: [Sat 01:00-02:00 UTC, Sun 01:00-02:00 UTC]}\nnotify: command:c\ncommands: {c: {run: [x]}}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if p := f.Targets["a"].Policy; p.MinInterval != 0 || p.Splay != 0 || p.MaxAge != f.Policy.MaxAge || len(p.Windows) != 2 {
		t.Errorf("%+v", p)
	}
	if b := f.Targets["b"]; b.Policy.MinInterval != f.Policy.MinInterval || len(b.Policy.Windows) != 1 || b.Policy.Windows[0].Text != "Mon 01:00-02:00 UTC" || len(b.Notify) != 1 {
		t.Errorf("%+v", b)
	}
	if f.Policy.Windows[0].Text != "Sat 01:00-02:00 UTC" {
		t.Errorf("%+v", f.Policy)
	}
}
