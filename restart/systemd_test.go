package restart

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/dotenv"
)

func TestSystemdReferences(t *testing.T) {
	for place, want := range map[string]string{
		"blnk":                              "systemd:blnk.service",
		"blnk.service,blnk-worker":          "systemd:blnk.service,blnk-worker.service",
		"blnk@eu,blnk-worker@1.service":     "systemd:blnk@eu.service,blnk-worker@1.service",
		"blnk.v2":                           "systemd:blnk.v2.service",
		`srv-a\x20b@x:y_z`:                  `systemd:srv-a\x20b@x:y_z.service`,
		"blnk?user=true":                    "systemd:blnk.service?user=true",
		"blnk?user=false":                   "systemd:blnk.service",
		"blnk.service?":                     "systemd:blnk.service",
		strings.Repeat("a", 247):            "systemd:" + strings.Repeat("a", 247) + ".service",
		"":                                  "!no unit behind it",
		"?user=true":                        "!no unit behind it",
		"blnk,":                             `!"" cannot be`,
		"-H,blnk":                           `!"-H" cannot be`,
		"--now":                             `!"--now" cannot be`,
		"blnk*":                             `!"blnk*" cannot be`,
		"blnk[ab]":                          "!cannot be",
		"blnk, worker":                      `!" worker" cannot be`,
		"blnk;reboot":                       "!cannot be",
		"/etc/systemd/system/blnk.service":  "!cannot be",
		"blnk\n":                            "!cannot be",
		"bl\u00e4nk":                        "!cannot be",
		".service":                          "!cannot be",
		"@x":                                "!cannot be",
		"blnk@":                             "!is a template",
		"blnk@.service":                     "!is a template",
		"blnk.target":                       "!is no service",
		"blnk.socket":                       "!is no service",
		"blnk,blnk.service":                 "!named twice",
		"blnk?user=maybe":                   "!want true or false",
		"blnk?host=other":                   `!unknown option "host"`,
		"blnk?user=%":                       "!options: ",
		strings.Repeat("a", 248):            "!cannot be",
		"blnk?user=true&user=false&shell=1": "!unknown option",
	} {
		d, err := Systemd().Open(place, Options{Dir: "/"})
		reason, refused := strings.CutPrefix(want, "!")
		switch {
		case refused && (err == nil || !strings.Contains(err.Error(), reason)):
			t.Errorf("%q: error %v, want one with %q", place, err, reason)
		case !refused && err != nil:
			t.Errorf("%q: %v", place, err)
		case !refused && d.String() != want:
			t.Errorf("%q: %s, want %s", place, d, want)
		}
	}
}

// What `systemctl show` of systemd 252 said of units that had these variables.
func TestWords(t *testing.T) {
	const list = `PLAIN=v "SPACE=a b" "TICK=it\"s" "DQ=a'b" "BACK=a\\b" "NL=a\nb" "DOLLAR=\$x" PCT=100% EMPTY= Q= UTF=é "TAB=a\tb" ` +
		`"BANG=a!b" "SEMI=a;b" "STAR=*" NUM=#x "BQ=` + "\\`x\\`" + `" "ESC=\033" HASH=a#b TILDE=~ DROP=in $'POSIX=a\'b\x41'`
	want := map[string]string{
		"PLAIN": "v", "SPACE": "a b", "TICK": `it"s`, "DQ": "a'b", "BACK": `a\b`, "NL": "a\nb", "DOLLAR": "$x", "PCT": "100%",
		"EMPTY": "", "Q": "", "UTF": "é", "TAB": "a\tb", "BANG": "a!b", "SEMI": "a;b", "STAR": "*", "NUM": "#x", "BQ": "`x`",
		"ESC": "\x1b", "HASH": "a#b", "TILDE": "~", "DROP": "in", "POSIX": "a'bA",
	}
	got := map[string]string{}
	if err := assign(got, list); err != nil || !maps.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{`"A=b`, `"A=b"C`, `"A=\q"`, `"A=\`, `"A=\x1"`, `"A=\777"`} {
		if all, err := words(bad); !errors.Is(err, errQuotes) {
			t.Errorf("%s: %q, %v", bad, all, err)
		}
	}
}

// testdata/systemd-envfiles.json holds env files, and what a service of systemd
// 252 (Debian 12) that has them as its EnvironmentFile= was seen to get; null
// is one that it did not start with.
func TestEnvFilesAsSystemdReadsThem(t *testing.T) {
	data, err := os.ReadFile("testdata/systemd-envfiles.json")
	if err != nil {
		t.Fatal(err)
	}
	var seen []struct {
		File []byte
		Env  map[string][]byte
	}
	if err := json.Unmarshal(data, &seen); err != nil {
		t.Fatal(err)
	}
	for _, c := range seen {
		want := map[string]string{}
		for name, value := range c.Env {
			want[name] = string(value)
		}
		got, err := parseEnvFile(string(c.File), 252)
		if (err != nil) != (c.Env == nil) || err == nil && !maps.Equal(got, want) {
			t.Errorf("%q: got %q, %v; systemd %q", c.File, got, err, want)
		}
	}
	if len(seen) < 300 {
		t.Errorf("only %d files", len(seen))
	}
}

// systemd 254 changed where a comment ends (its NEWS).
func TestCommentsThatGoOn(t *testing.T) {
	const text = "# a\\\nA=1\n"
	for version, want := range map[int]int{252: 0, 253: 0, 254: 1, 257: 1, 0: 1} {
		if got, err := parseEnvFile(text, version); err != nil || len(got) != want {
			t.Errorf("%d: %q, %v", version, got, err)
		}
	}
}

// What a dotenv: store writes is what systemd reads: the formats of keys that
// blnkctl makes need no quotes, and an entry that has some keeps none.
func TestStoredKeysAsSystemdReadsThem(t *testing.T) {
	dir := t.TempDir()
	for i, format := range []keygen.Format{keygen.Prefixed, keygen.Base62, keygen.Base64URL, keygen.Hex} {
		for j, before := range []string{
			"", "# c\nOTHER=1\n", "BLNK_SERVER_SECRET_KEY=old\n", "A=1\nBLNK_SERVER_SECRET_KEY=\"old key\"\nB=2\n",
			"BLNK_SERVER_SECRET_KEY='old'\n", "BLNK_SERVER_SECRET_KEY=\n", "A=\"two\nlines\"\nBLNK_SERVER_SECRET_KEY=old",
		} {
			path := filepath.Join(dir, string(rune('a'+i))+string(rune('a'+j)))
			if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
			key, err := keygen.ForUse(keygen.SecretKey, format, keygen.DefaultBits)
			if err != nil {
				t.Fatal(err)
			}
			put(t, path, key)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := parseEnvFile(string(data), 252)
			if err != nil || got["BLNK_SERVER_SECRET_KEY"] != key.Reveal() {
				t.Errorf("%s in %q: systemd would read another key, %v", format, before, err)
			}
		}
	}
}

func put(t *testing.T, path string, key secret.Key) {
	t.Helper()
	s, err := dotenv.New(store.Ref{Scheme: "dotenv", Place: path}, store.Options{Dir: "/", SpareDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	_, version, err := s.Get(t.Context())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), key, version); err != nil {
		t.Fatal(err)
	}
}

func TestUnitEnvironment(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.env": "A=file a\nB=file a\n", "b.env": "B=file b\nG=x\n", ".c.env": "B=hidden\n", "bad.conf": "X=\xff\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := manager{vars: map[string]string{"LANG": "C", "A": "manager"}, own: map[string]string{"P": "pid 1", "Q": "pid 1"}, version: 252}
	show := func(lines ...string) unitState {
		st, err := parseState("Id=x.service\nLoadState=loaded\nActiveState=active\n" + strings.ReplaceAll(strings.Join(lines, "\n"), "DIR", dir))
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	env, _, err := show("Environment=A=unit C=unit G=g H=h", "PassEnvironment=P NONE", "UnsetEnvironment=C G=g H=h",
		"EnvironmentFiles=DIR/*.env (ignore_errors=no)", "EnvironmentFiles=DIR/gone (ignore_errors=yes)", "EnvironmentFiles=DIR/bad.conf (ignore_errors=yes)").environment(m)
	want := map[string]string{"LANG": "C", "P": "pid 1", "A": "file a", "B": "file b", "G": "x"}
	if err != nil || !maps.Equal(env.Vars, want) {
		t.Errorf("got %q, %v, want %q", env.Vars, err, want)
	}
	sources := map[string]Source{
		"A": {File: dir + "/a.env", Name: "A"}, "B": {File: dir + "/b.env", Name: "B"}, "G": {File: dir + "/b.env", Name: "G"},
		"LANG": {Fixed: true}, "P": {Fixed: true},
	}
	if !maps.Equal(env.Sources, sources) || env.Process != "x.service" {
		t.Errorf("%s: set in %v, want %v", env.Process, env.Sources, sources)
	}
	for _, line := range []string{"EnvironmentFiles=DIR/gone (ignore_errors=no)", "EnvironmentFiles=DIR/*.none (ignore_errors=no)", "EnvironmentFiles=DIR/bad.conf (ignore_errors=no)", `Environment="A`} {
		if _, _, err := show(line).environment(m); err == nil {
			t.Errorf("%s: no error", line)
		}
	}
}

func TestShorter(t *testing.T) {
	for text, want := range map[string]bool{
		"1min 30s": true, "1min 35s": false, "2min": false, "infinity": false, "": false, "500ms": true, "1h": false, "94.999s": true, "1month": false,
	} {
		if shorter(text, workerStops) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

// A unit is up only when the same process has run for a while, and was started
// later than the one before.
func TestWatch(t *testing.T) {
	running := func(pid int, started int64, restarts int) unitState {
		return unitState{Id: "x", ActiveState: "active", SubState: "running", MainPID: pid, Started: started, NRestarts: restarts}
	}
	again := func(n int) unitState {
		return unitState{Id: "x", ActiveState: "activating", SubState: "auto-restart", Result: "exit-code", ExitCode: 1, ExitStatus: 1, NRestarts: n}
	}
	now := time.Unix(1_000_000, 0)
	for name, c := range map[string]struct {
		looks []unitState // one second from another
		want  string
	}{
		"up":                   {[]unitState{running(2, 20, 0), running(2, 20, 0), running(2, 20, 0)}, "...up"},
		"told of late":         {[]unitState{running(1, 10, 0), running(2, 20, 0), running(2, 20, 0), running(2, 20, 0)}, "....up"},
		"never restarted":      {slices.Repeat([]unitState{running(1, 10, 0)}, 7), ".......was not restarted"},
		"starts slowly":        {[]unitState{{ActiveState: "activating"}, running(2, 20, 0), running(2, 20, 0), running(2, 20, 0)}, "....up"},
		"one crash":            {[]unitState{running(2, 20, 0), again(1), running(3, 30, 1), running(3, 30, 1), running(3, 30, 1)}, ".....up"},
		"a crash between":      {[]unitState{running(2, 20, 0), running(3, 30, 1), running(3, 30, 1), running(3, 30, 1)}, "....up"},
		"crashes on and on":    {[]unitState{running(2, 20, 0), again(1), again(2), again(3)}, "....does not stay up"},
		"crashed before":       {[]unitState{running(2, 20, 9), running(2, 20, 9), running(2, 20, 9)}, "...up"},
		"ends":                 {[]unitState{running(2, 20, 0), {ActiveState: "inactive", Result: "success"}}, "..did not come back: it is inactive"},
		"fails":                {[]unitState{{ActiveState: "failed", Result: "signal", ExitStatus: 9}}, ".did not come back: it is failed: ended by signal 9"},
		"without main process": {slices.Repeat([]unitState{running(0, 20, 0)}, 7), ".......was not restarted"},
	} {
		w := watch{before: running(1, 10, 9)}
		got := ""
		for i, st := range c.looks {
			up, fault := w.look(st, now.Add(time.Duration(i)*time.Second))
			got += "."
			if up {
				got += "up"
				break
			}
			if fault != nil {
				got += fault.reason
				break
			}
		}
		if !strings.HasPrefix(got, c.want) || c.want[len(c.want)-1] == '.' {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestShowThatTellsNothing(t *testing.T) {
	for _, block := range []string{"", "Id=x", "Id=x\nLoadState=loaded\nActiveState=active\nMainPID=many"} {
		if st, err := parseState(block); err == nil {
			t.Errorf("%q: %+v", block, st)
		}
	}
}
