package cmd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
)

const (
	keyVariable = "BLNK_SERVER_SECRET_KEY"
	aKey        = "some-key-that-a-process-has-0123456789"
)

// What a restart would bring to a process: nothing to say, a caution, or a
// refusal with the store to add.
func TestReach(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{
		"blnk.json": `{"server":{"secret_key":"` + aKey + `"}}`, "other/blnk.json": `{"server":{"secret_key":"` + aKey + `"}}`,
		"bare/blnk.json": `{"server":{}}`, ".env": keyVariable + "=" + aKey, "other.env": keyVariable + "=" + aKey,
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path(name)), 0o700), os.WriteFile(path(name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(path("blnk.json"), path("link.json")); err != nil {
		t.Fatal(err)
	}
	set := map[string]string{keyVariable: aKey}
	from := func(file, name string) map[string]restart.Source {
		return map[string]restart.Source{keyVariable: {File: file, Name: name, Fixed: file == ""}}
	}
	file := road{file: []byte(`{}`), files: []string{path("blnk.json")}}
	env := road{variables: []restart.Source{{File: path(".env"), Name: keyVariable}}}
	both := road{file: file.file, files: file.files, variables: env.variables}
	more := func(r road) road { r.more = true; return r }
	known := func(r road) road { r.keys = []secret.Key{secret.New(aKey)}; return r }
	loose := func(r road) road { r.loose = true; return r }
	for _, c := range []struct {
		what string
		road road
		env  restart.Environment
		// want is "" for nothing to say, or a part of the caution or refusal.
		want string
		fail error
	}{
		{"reads the store", file, restart.Environment{Server: true, Config: path("blnk.json")}, "", nil},
		{"reads it by another path", file, restart.Environment{Server: true, Config: path("link.json")}, "", nil},
		{"reads another", file, restart.Environment{Workers: true, Config: path("other/blnk.json")}, "other/blnk.json, which is none", errUnreached},
		{"reads none", file, restart.Environment{Workers: true, Config: path("gone/blnk.json")}, "gone/blnk.json, which is none", errUnreached},
		{"reads another, and more stores", more(file), restart.Environment{Workers: true, Config: path("other/blnk.json")}, "unless something else brings it", nil},
		{"reads another, and a command may bring it", loose(file), restart.Environment{Server: true, Config: path("other/blnk.json")}, "unless something else brings it", nil},
		{"is no Blnk", file, restart.Environment{Config: path("other/blnk.json")}, "", nil},
		{"is under exec", file, restart.Environment{Server: true, Execs: true, Config: path("other/blnk.json")}, "", nil},
		{"reads what is not known", file, restart.Environment{Server: true}, "", nil},
		{"sees nothing", file, restart.Environment{Server: true, Isolated: true}, "does not see " + path("blnk.json"), errUnreached},
		{"sees other things", file, restart.Environment{Server: true, Isolated: true, Mounts: []string{path("other")}}, "does not see", errUnreached},
		{"sees the file elsewhere", file, restart.Environment{Server: true, Isolated: true, Mounts: []string{path("link.json")}}, "", nil},
		{"sees the file that a link leads to", road{files: []string{path("link.json")}}, restart.Environment{Server: true, Isolated: true, Mounts: []string{path("blnk.json")}}, "", nil},
		{"sees its folder elsewhere", file, restart.Environment{Server: true, Isolated: true, Mounts: []string{dir}}, "", nil},

		{"shadowed", file, restart.Environment{Server: true, Vars: set}, keyVariable, errShadowed},
		{"set by the env file", both, restart.Environment{Server: true, Vars: set, Sources: from(path(".env"), keyVariable), Config: path("other/blnk.json")}, "", nil},
		{"set by another env file", both, restart.Environment{Server: true, Vars: set, Sources: from(path("other.env"), keyVariable)}, keyVariable, errShadowed},
		{"set by another name", both, restart.Environment{Server: true, Vars: set, Sources: from(path(".env"), "MASTER")}, keyVariable, errShadowed},
		{"set by no env file", both, restart.Environment{Server: true, Vars: set, Sources: from("", "")}, "no env file that a restart reads sets it", errShadowed},
		{"set by what is not known", both, restart.Environment{Server: true, Vars: set}, "", nil},
		{"set by what is not known, at a worker", both, restart.Environment{Workers: true, Vars: set}, "is not known", nil},
		{"under exec, which sets it anew", file, restart.Environment{Server: true, Execs: true, Vars: set}, "", nil},
		{"set, but empty", file, restart.Environment{Server: true, Vars: map[string]string{keyVariable: ""}}, keyVariable, errShadowed},

		{"made anew with a store's key, from a place that is not known", known(env), restart.Environment{Workers: true, Renewed: true, Vars: set}, "and everything is put back", nil},
		{"made anew with another key, from a place that is not known", known(env), restart.Environment{Server: true, Renewed: true, Vars: map[string]string{keyVariable: "your_strong_secret_key"}}, "with another key than the stores have", errForeign},
		{"made anew with an empty key", known(env), restart.Environment{Workers: true, Renewed: true, Vars: map[string]string{keyVariable: ""}}, "with another key than the stores have", errForeign},
		{"made anew with another key, and a command may bring it", loose(known(env)), restart.Environment{Server: true, Renewed: true, Vars: map[string]string{keyVariable: ""}}, "", nil},
		{"made anew without a key", env, restart.Environment{Server: true, Renewed: true}, "without any key", errUnreached},
		{"made anew without a key, and a command may bring it", loose(env), restart.Environment{Server: true, Renewed: true}, "has no key in its environment", nil},

		{"has no variable", env, restart.Environment{Workers: true}, "has no key in its environment", nil},
		{"has a file without a key", env, restart.Environment{Workers: true, Config: path("bare/blnk.json")}, "has no key in its environment", nil},
		{"has its key from a file", env, restart.Environment{Workers: true, Config: path("other/blnk.json")}, "has its key from " + path("other/blnk.json"), errUnreached},
		{"has its key from a file, and a command may bring it", loose(env), restart.Environment{Workers: true, Config: path("other/blnk.json")}, "unless something else", nil},
		{"has its key from a file, and more stores", more(env), restart.Environment{Workers: true, Config: path("other/blnk.json")}, "", nil},
	} {
		c.env.Process = "service it"
		caution, err := c.road.judge(c.env)
		if !errors.Is(err, c.fail) || (err == nil) != (c.fail == nil) {
			t.Errorf("%s: %v, want %v", c.what, err, c.fail)
		}
		said := caution
		if err != nil {
			said = err.Error()
			if _, hint := judge(err); hint == "" {
				t.Errorf("%s: no hint", c.what)
			}
		}
		if (said == "") != (c.want == "") || !strings.Contains(said, c.want) || strings.Contains(said, aKey) {
			t.Errorf("%s: %q, want %q", c.what, said, c.want)
		}
	}
}

// Every kind of fault has a hint with its command.
func TestRestartHint(t *testing.T) {
	for _, kind := range []error{
		restart.ErrStopped, restart.ErrPaused, restart.ErrAbsent, restart.ErrEnded, restart.ErrUnhealthy, restart.ErrDiffers, restart.ErrHalf, restart.ErrNoEngine, restart.ErrFiles,
	} {
		fault := &restart.Fault{Kind: kind, Text: "it", Command: []string{"docker", "x", "a b", "it's", ""}}
		code, hint := judge(errors.Join(errors.New("restart"), fault))
		if code != exitFailed || !strings.Contains(hint, `docker x 'a b' 'it'\''s' ''`) {
			t.Errorf("%v: %d, %q", kind, code, hint)
		}
	}
	for _, kind := range []error{restart.ErrFixed, restart.ErrUnpublished, restart.ErrNoTool} {
		if hint := restartHint(&restart.Fault{Kind: kind}); hint == "" {
			t.Errorf("%v: no hint", kind)
		}
	}
	if hint := restartHint(&restart.Fault{Kind: restart.ErrNoBlnk, Instead: "compose:?project=p"}); hint != "--restart 'compose:?project=p'" {
		t.Error(hint)
	}
}

// A Blnk that runs with the same key and is not restarted is told of, once.
func TestLeft(t *testing.T) {
	config := filepath.Join(t.TempDir(), "blnk.json")
	if err := os.WriteFile(config, []byte(`{"server":{"secret_key":"`+aKey+`"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	list := []restart.Environment{
		{Process: "service worker", Aliases: []string{"container p-worker-1"}, Workers: true, Config: config},
		{Process: "container p-worker-1", Left: true, Workers: true, Config: config},
		{Process: "container by its file", Left: true, Workers: true, Config: config},
		{Process: "container by its file", Left: true, Workers: true, Config: config},
		{Process: "container by a variable", Left: true, Server: true, Vars: map[string]string{keyVariable: aKey}},
		{Process: "container with another key", Left: true, Server: true, Config: config, Vars: map[string]string{keyVariable: "other"}},
		{Process: "container of which nothing is known", Left: true, Server: true},
	}
	for _, all := range []bool{true, false} {
		var found rotate.Findings
		environments{list, all}.left(secret.New(aKey), &found)
		said := map[bool][]string{true: found.Cautions, false: found.Remarks}[all]
		if len(said) != 2 || len(found.Cautions)+len(found.Remarks) != 2 || !strings.Contains(said[0], "by its file runs") || !strings.Contains(said[1], "by a variable runs") {
			t.Errorf("all %v: %+v", all, found)
		}
	}
	var found rotate.Findings
	environments{list, true}.left(secret.Key{}, &found)
	if len(found.Cautions) != 0 {
		t.Errorf("no key is known: %q", found.Cautions)
	}
}
