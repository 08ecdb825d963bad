package reach

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/store/command"
	"github.com/blnkctl/blnkctl/store/dotenv"
)

const (
	name   = "BLNK_SERVER_SECRET_KEY"
	aKey   = "some-key-that-a-process-has-0123456789"
	newKey = "the-next-key-that-is-rotated-to-9876543"
)

// folder holds the files of the tests, by their paths in it.
func folder(t *testing.T) func(string) string {
	t.Helper()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for file, text := range map[string]string{
		"blnk.json": `{"server":{"secret_key":"` + aKey + `"}}`, "other/blnk.json": `{"server":{"secret_key":"` + aKey + `"}}`,
		"bare/blnk.json": `{"server":{}}`, ".env": name + "=" + aKey, "other.env": "export " + name + "=" + aKey, "plain.env": "A=" + name + "=1",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path(file)), 0o700), os.WriteFile(path(file), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(path("blnk.json"), path("link.json")); err != nil {
		t.Fatal(err)
	}
	return path
}

// of opens stores.
func of(t *testing.T, refs ...string) Stores {
	t.Helper()
	var all []store.Store
	others := false
	for _, text := range refs {
		ref, err := ref.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		opt := store.Options{Dir: "/", CopyDir: t.TempDir()}
		var st store.Store
		switch ref.Scheme {
		case blnkjson.Scheme:
			st, err = blnkjson.New(ref, opt)
		case dotenv.Scheme:
			st, err = dotenv.New(ref, opt)
		case command.Scheme:
			others = true
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, st)
	}
	return Of(t.Context(), all, others)
}

// What is known of a process before a restart: nothing to say, a doubt, or a
// refusal with what helps.
func TestBefore(t *testing.T) {
	path := folder(t)
	set := func(key string) map[string]string { return map[string]string{name: key} }
	none := map[string]string{}
	here, other, bare := path("blnk.json"), path("other/blnk.json"), path("bare/blnk.json")
	const remark, refusal = "remark: ", "refusal: "
	type process = restart.Process
	file, link := of(t, "blnkjson:"+here), of(t, "blnkjson:"+path("link.json"))
	env, both, more := of(t, "dotenv:"+path(".env")), of(t, "blnkjson:"+here, "dotenv:"+path(".env")), of(t, "blnkjson:"+here, "command:it")
	for _, c := range []struct {
		what   string
		stores Stores
		p      process
		loose  bool   // a restart command may bring something by itself
		want   string // "" for nothing to say
	}{
		{"reads the store", file, process{Server: true, Env: none, Config: here}, false, ""},
		{"reads it by another path", file, process{Server: true, Env: none, Config: path("link.json")}, false, ""},
		{"reads another", file, process{Workers: true, Env: none, Config: other}, false, refusal + "other/blnk.json, which is none of the stores"},
		{"reads none", file, process{Workers: true, Env: none, Config: path("gone/blnk.json")}, false, refusal + "gone/blnk.json, which is none of the stores"},
		{"reads another, and more stores", more, process{Workers: true, Env: none, Config: other}, false, remark + "other/blnk.json, which is none"},
		{"reads another, after a script", file, process{Workers: true, Env: none, Config: other, Scripted: true}, false, remark + "other/blnk.json, which is none"},
		{"reads another, and a command may bring it", file, process{Server: true, Env: none, Config: other}, true, remark + "other/blnk.json, which is none"},
		{"is no Blnk", file, process{Env: none}, false, remark + "service it does not run Blnk, as far as can be seen, and is restarted all the same"},
		{"is under exec", file, process{Server: true, ExecStore: true, Env: none, Config: bare}, false, ""},
		{"reads what is not known", file, process{Server: true, Env: none}, false, ""},
		{"of which nothing may be seen", file, process{Server: true}, false, ""},
		{"sees nothing", file, process{Server: true, Env: none, Isolated: true}, false, refusal + "does not see " + here},
		{"sees other things", file, process{Server: true, Env: none, Isolated: true, Mounts: []string{path("other")}}, false, refusal + "does not see"},
		{"sees the file elsewhere", file, process{Server: true, Env: none, Isolated: true, Mounts: []string{path("link.json")}}, false, ""},
		{"sees the file that a link leads to", link, process{Server: true, Env: none, Isolated: true, Mounts: []string{here}}, false, ""},
		{"sees its folder elsewhere", file, process{Server: true, Env: none, Isolated: true, Mounts: []string{filepath.Dir(here)}}, false, ""},

		{"shadowed", file, process{Server: true, Env: set(aKey)}, false, refusal + name + " is set in the environment of service it"},
		{"shadowed, and a command restarts it", file, process{Server: true, Env: set(aKey)}, true, refusal + name},
		{"shadowed, by an env file", file, process{Server: true, Env: set(aKey), EnvFiles: []string{path("plain.env"), path("other.env")}}, false, refusal + name},
		{"set by the env file of the stores", both, process{Server: true, Env: set(aKey), EnvFiles: []string{path(".env")}, Config: other}, false, remark + other + " holds the key, too, and keeps the old one; --store 'blnkjson:" + other},
		{"set by another env file", both, process{Server: true, Env: set(aKey), EnvFiles: []string{path("other.env")}}, false, refusal + name},
		{"set by no env file", both, process{Server: true, Env: set(aKey), EnvFiles: []string{}}, false, refusal + "no env file that a restart reads sets it"},
		{"set by what is not known", both, process{Server: true, Env: set(aKey)}, false, ""},
		{"set by a script, perhaps", file, process{Workers: true, Env: set(aKey), Scripted: true}, false, remark + "looked at"},
		{"set by another store, perhaps", more, process{Workers: true, Env: set(aKey)}, false, remark + "looked at"},
		{"under exec, which sets it anew", file, process{Server: true, Env: map[string]string{name: aKey, restart.ExecMark: name + "=vault:x"}}, false, ""},
		{"set, but empty", file, process{Server: true, Env: set("")}, false, refusal + name},

		{"recreated with a store's key", env, process{Workers: true, Next: set(aKey)}, false, ""},
		{"recreated with another key", env, process{Server: true, Env: set(aKey), Next: set("your_strong_secret_key")}, false, refusal + "another key than the stores have"},
		{"recreated with an empty key", env, process{Workers: true, Next: set("")}, false, refusal + "another key than the stores have"},
		{"recreated with another key, and a command may bring it", env, process{Server: true, Next: set("")}, true, ""},
		{"recreated without a key", env, process{Server: true, Next: none}, false, refusal + "without any key"},
		{"recreated without a key, and a command may bring it", env, process{Server: true, Next: none}, true, remark + "has no key in its environment"},
		{"recreated with a store's key, whatever it has", env, process{Server: true, Env: set("old"), Next: set(aKey)}, false, ""},

		{"has no variable", env, process{Workers: true, Env: none}, false, remark + "has no key in its environment"},
		{"has a file without a key", env, process{Workers: true, Env: none, Config: bare}, false, remark + "has no key in its environment"},
		{"has its key from a file", env, process{Workers: true, Env: none, Config: other}, false, refusal + "has its key from " + other},
		{"has its key from a file, and a command may bring it", env, process{Workers: true, Env: none, Config: other}, true, remark},
		{"is recreated with its key from a file", env, process{Workers: true, Next: none, Config: other}, false, refusal + "has its key from " + other},
	} {
		c.p.Name, c.p.Restarts = "service it", true
		list := []restart.Process{c.p, {Name: "the worker", Restarts: true, Workers: true, ExecStore: true}}
		found, err := c.stores.Before(View{Processes: list, Complete: !c.loose}, secret.New(aKey))
		said := ""
		switch {
		case err != nil:
			said = refusal + err.Error()
			if hint.Of(err) == "" {
				t.Errorf("%s: no hint", c.what)
			}
		case len(found.Remarks) > 0:
			said = remark + strings.Join(found.Remarks, "; ")
		}
		kind, part, _ := strings.Cut(c.want, ": ")
		if (said == "") != (c.want == "") || !strings.HasPrefix(said, kind) || !strings.Contains(said, part) || len(found.Cautions) > 0 {
			t.Errorf("%s: %q, %q; want %q", c.what, said, found.Cautions, c.want)
		}
		if strings.Contains(said+hint.Of(err), aKey) {
			t.Errorf("%s: a key shows", c.what)
		}
	}
}

// The hint names the env file that sets the variable, where one is seen to.
func TestHintNamesTheEnvFile(t *testing.T) {
	path := folder(t)
	file := of(t, "blnkjson:"+path("blnk.json"))
	p := restart.Process{Name: "it", Restarts: true, Server: true, Env: map[string]string{name: aKey}}
	for _, c := range []struct {
		files []string
		want  string
	}{
		{[]string{path("plain.env"), path("other.env")}, "--store 'dotenv:" + path("other.env") + "#" + name + "'"},
		{[]string{path("gone.env"), path("other")}, "let an env file set " + name},
		{nil, "if an env file sets it, rotate that too"},
	} {
		p.EnvFiles = c.files
		_, err := file.Before(View{Processes: []restart.Process{p}, Complete: true}, secret.New(aKey))
		if got := hint.Of(err); !strings.Contains(got, c.want) {
			t.Errorf("%q: %q, want %q", c.files, got, c.want)
		}
	}
}

// A Blnk that runs with the same key and is not restarted is told of, once.
func TestBeside(t *testing.T) {
	path := folder(t)
	config, none := path("other/blnk.json"), map[string]string{}
	file := of(t, "blnkjson:"+path("blnk.json"))
	list := []restart.Process{
		{Name: "service worker", Aliases: []string{"container p-worker-1"}, Restarts: true, Workers: true, Env: none, Config: path("blnk.json")},
		{Name: "container p-worker-1", Workers: true, Env: none, Config: config, Cautions: []string{"of one that another driver restarts"}},
		{Name: "container by its file", Workers: true, Env: none, Config: config},
		{Name: "container by its file", Workers: true, Env: none, Config: config},
		{Name: "container by a variable", Env: map[string]string{name: aKey}},
		{Name: "container with another key", Server: true, Config: config, Env: map[string]string{name: "other"}},
		{Name: "container of which nothing is known", Server: true},
	}
	want := []string{
		"container by its file runs Blnk with the same key, is not named, and goes on with it",
		"container by a variable has the same key in BLNK_SERVER_SECRET_KEY, is not named, and goes on with it",
	}
	for _, complete := range []bool{true, false} {
		found, err := file.Before(View{Processes: list, Complete: complete}, secret.New(aKey))
		if err != nil {
			t.Fatal(err)
		}
		said := found.Cautions
		if !complete {
			said = found.Remarks
		}
		said = slices.DeleteFunc(slices.Clone(said), func(s string) bool { return strings.Contains(s, "nothing is known") })
		if !slices.Equal(said, want) || complete == (len(found.Cautions) == 0) {
			t.Errorf("complete %v: %+v", complete, found)
		}
	}
	found, err := file.Before(View{Processes: list, Complete: true}, secret.Key{})
	if err != nil || len(found.Cautions) != 0 {
		t.Errorf("no key is known: %q, %v", found.Cautions, err)
	}
}

func TestWithoutWorkers(t *testing.T) {
	server := restart.Process{Name: "s", Restarts: true, Server: true}
	for what, c := range map[string]struct {
		more              []restart.Process
		caution, mentions bool
	}{
		"named":            {[]restart.Process{{Name: "w", Restarts: true, Workers: true}}, false, false},
		"not there":        {nil, true, true},
		"one not clear":    {[]restart.Process{{Name: "x", Restarts: true}}, false, true},
		"seen beside, new": {[]restart.Process{{Name: "w", Workers: true, Cautions: []string{"w goes on"}}}, true, false},
	} {
		list := append([]restart.Process{server}, c.more...)
		found, err := Stores{}.Before(View{Processes: list, Complete: true}, secret.New(aKey))
		all := strings.Join(append(found.Remarks, found.Cautions...), "\n")
		if err != nil || strings.Contains(all, `runs "blnk workers"`) != c.mentions || (len(found.Cautions) > 0) != c.caution {
			t.Errorf("%s: %+v, %v", what, found, err)
		}
	}
	if found, _ := (Stores{}).Before(View{Processes: []restart.Process{server}}, secret.New(aKey)); len(found.Cautions)+len(found.Remarks) != 0 {
		t.Errorf("a command may restart them: %+v", found)
	}
}

// After a restart: a process with another key than the stores, or that is the
// same as before, fails it.
func TestAfter(t *testing.T) {
	path := folder(t)
	write := func(file, key string) {
		if err := os.WriteFile(path(file), []byte(`{"server":{"secret_key":"`+key+`"}}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("blnk.json", newKey)
	file, env := of(t, "blnkjson:"+path("blnk.json")), of(t, "dotenv:"+path(".env"))
	set := func(key string) map[string]string { return map[string]string{name: key} }
	none := map[string]string{}
	type process = restart.Process
	before := View{Complete: true, Processes: []process{{Name: "it", Restarts: true, Start: "1"}, {Name: "beside", Start: "1"}}}
	for _, c := range []struct {
		what   string
		stores Stores
		p      process
		want   string
	}{
		{"has the new key", env, process{Start: "2", Env: set(newKey)}, ""},
		{"reads the new key", file, process{Start: "2", Env: none, Config: path("blnk.json")}, ""},
		{"is the same", file, process{Start: "1", Env: none, Config: path("blnk.json")}, "was not started anew"},
		{"whose start is not known", env, process{Env: set(newKey)}, ""},
		{"has the old key", env, process{Start: "2", Workers: true, Env: set(aKey)}, "another key than the stores"},
		{"has an empty key", file, process{Start: "2", Workers: true, Env: set(""), Config: path("blnk.json")}, "another key than the stores"},
		{"reads the old key elsewhere", file, process{Start: "2", Workers: true, Env: none, Config: path("other/blnk.json")}, path("other/blnk.json")},
		{"cannot be seen", file, process{Start: "2", Workers: true}, ""},
		{"gives no file", file, process{Start: "2", Workers: true, Env: none, Isolated: true}, ""},
		{"is under exec", env, process{Start: "2", ExecStore: true, Env: set(aKey)}, ""},
		{"exec started", env, process{Start: "2", Env: map[string]string{name: aKey, restart.ExecMark: name + "=vault:x"}}, ""},
	} {
		c.p.Name, c.p.Restarts = "it", true
		beside := process{Name: "beside", Start: "1", Workers: true, Env: set(aKey)}
		err := c.stores.After(before, View{Complete: true, Processes: []process{beside, c.p}}, secret.New(newKey), nil)
		switch {
		case (err == nil) != (c.want == ""), err != nil && !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		case err != nil && (strings.Contains(err.Error()+hint.Of(err), aKey) || strings.Contains(err.Error(), newKey)):
			t.Errorf("%s: a key shows", c.what)
		}
	}
}

// What listens at a port is asked; what cannot be is said, once.
func TestListening(t *testing.T) {
	var servers []*probe.Server
	for _, url := range []string{"https://blnk.example", "https://blnk.example", "http://127.0.0.1:1"} {
		server, err := probe.New(url, probe.Options{})
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, server)
	}
	var v View
	v.Listening(servers)
	if len(v.Processes) != 0 || len(v.Unknown) != 2 || !strings.Contains(v.Unknown[0], "not on this host") || !strings.Contains(v.Unknown[1], "behind its port") {
		t.Errorf("%q", v.Unknown)
	}
	found, err := Stores{}.Before(v, secret.New(aKey))
	if err != nil || len(found.Remarks) != 0 {
		t.Errorf("nobody knows what brings the key there, so nothing is to say: %+v, %v", found, err)
	}
}

// What a process has the key in besides, and which of that a store sets.
func TestCarried(t *testing.T) {
	path := folder(t)
	const keeps = ", which none of the stores sets: it goes on with the old one"
	const unknown = ", and Compose does not say from which file: see that one of the stores sets it"
	set := map[string]string{"CLIENT": aKey, "URL": "http://x:" + aKey + "@y", "OTHER": "other"}
	stores := of(t, "dotenv:"+path(".env"))
	conf := path("conf.txt")
	if err := os.WriteFile(conf, []byte("key: "+aKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	client := path("client.env")
	if err := os.WriteFile(client, []byte("CLIENT=\""+aKey+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		p    restart.Process
		want []string
	}{
		"nothing says where from": {restart.Process{Env: set}, []string{"CLIENT" + keeps, "URL" + keeps}},
		"an env file that is no store": {restart.Process{Env: set, EnvFiles: []string{client}},
			[]string{"CLIENT" + keeps + "; --store 'dotenv:" + client + "#CLIENT' rotates it", "URL" + keeps}},
		"recreated, with the store's file":       {restart.Process{Env: set, Next: set, EnvFiles: []string{path(".env")}}, nil},
		"recreated, with what stands there":      {restart.Process{Env: set, Next: set, EnvFiles: []string{path(".env")}, Fixed: func(string) error { return os.ErrInvalid }}, []string{"CLIENT" + keeps, "URL" + keeps}},
		"recreated, with files that nobody told": {restart.Process{Env: set, Next: set}, []string{"CLIENT" + unknown, "URL" + unknown}},
		"a text, a file":                         {restart.Process{Env: map[string]string{}, Texts: map[string]string{"its command": "x " + aKey}, Mounts: []string{conf, path(".env")}}, []string{"its command" + keeps, conf + keeps}},
	} {
		c.p.Name, c.p.Restarts = "it", true
		var found Findings
		stores.carried(c.p, secret.New(aKey), &found)
		for i := range c.want {
			c.want[i] = "it has the key in " + c.want[i]
		}
		if !slices.Equal(found.Cautions, c.want) {
			t.Errorf("%s:\n%q, want\n%q", what, found.Cautions, c.want)
		}
	}
	// After a restart, what a store sets must have another one.
	p := restart.Process{Name: "it", Restarts: true, Env: set, Next: set, EnvFiles: []string{path(".env")}, Start: "1"}
	now := p
	now.Start = "2"
	err := stores.After(View{Processes: []restart.Process{p}}, View{Processes: []restart.Process{now}}, secret.New(newKey), []secret.Key{secret.New(aKey), secret.New(newKey)})
	if err == nil || !strings.Contains(err.Error(), "it still has another key of the rotation in CLIENT") {
		t.Error(err)
	}
}

// TestIsBlnk is no test: with its variable set it is a process, until stdin ends.
func TestIsBlnk(*testing.T) {
	if os.Getenv("IS_BLNK") != "" {
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
}

// A blnk of this host that no driver knows has the key from its environment, or from
// a store's blnk.json; others are not told of.
func TestHolders(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, elsewhere := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, elsewhere} {
		if err := os.WriteFile(filepath.Join(d, "blnk.json"), []byte(`{"server":{"secret_key":"old"}}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := Stores{files: []string{filepath.Join(dir, "blnk.json")}, config: []byte(`{}`)}
	want, folders := map[int]bool{}, map[int]string{}
	for _, c := range []struct {
		dir, variable string
		has           bool
	}{
		{dir, "A=1", true}, {elsewhere, "A=1", false}, {elsewhere, "BLNK_SERVER_SECRET_KEY=old", true}, {dir, "BLNK_SERVER_SECRET_KEY=other", false},
		{elsewhere, "BLNK_SERVER_SECRET_KEY=", false},
	} {
		cmd := &exec.Cmd{Path: self, Args: []string{"blnk", "-test.run=^TestIsBlnk$"}, Dir: c.dir, Env: []string{c.variable, "IS_BLNK=1"}}
		in, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
		want[cmd.Process.Pid], folders[cmd.Process.Pid] = c.has, c.dir
	}
	marks := s.holders(View{}, secret.New("old"))
	for pid, has := range want {
		i := slices.IndexFunc(marks, func(m listener.Mark) bool { return m.PID == pid })
		if (i >= 0) != has || has && !marks[i].Runs() {
			t.Errorf("PID %d: %v, want %v", pid, i >= 0, has)
		}
	}
	file, err := blnkjson.New(ref.Ref{Place: s.files[0]}, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	running := Running(store.Set{file})
	for pid, in := range folders {
		if named := strings.Contains(running, fmt.Sprintf("PID %d ", pid)); named != (in == dir) {
			t.Errorf("PID %d in %s: %v, among those that read the file: %s", pid, in, named, running)
		}
	}
}
