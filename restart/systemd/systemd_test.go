package systemd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/restart"
)

func TestReferences(t *testing.T) {
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
		d, err := Scheme().Open(place, restart.Options{Dir: "/"})
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
	of := func(format string, args ...any) unitState {
		st, err := parseState("Id=x\nLoadState=loaded\n" + strings.ReplaceAll(fmt.Sprintf(format, args...), " ", "\n"))
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	running := func(pid, started, restarts int) unitState {
		return of("ActiveState=active SubState=running MainPID=%d ExecMainStartTimestampMonotonic=%d NRestarts=%d", pid, started, restarts)
	}
	again := func(n int) unitState {
		return of("ActiveState=activating SubState=auto-restart Result=exit-code ExecMainCode=1 ExecMainStatus=1 NRestarts=%d", n)
	}
	now := time.Unix(1_000_000, 0)
	for name, c := range map[string]struct {
		looks []unitState // one second from another
		want  string
	}{
		"up":                   {[]unitState{running(2, 20, 0), running(2, 20, 0), running(2, 20, 0)}, "...up"},
		"told of late":         {[]unitState{running(1, 10, 0), running(2, 20, 0), running(2, 20, 0), running(2, 20, 0)}, "....up"},
		"never restarted":      {slices.Repeat([]unitState{running(1, 10, 0)}, 7), ".......was not restarted"},
		"starts slowly":        {[]unitState{of("ActiveState=activating"), running(2, 20, 0), running(2, 20, 0), running(2, 20, 0)}, "....up"},
		"one crash":            {[]unitState{running(2, 20, 0), again(1), running(3, 30, 1), running(3, 30, 1), running(3, 30, 1)}, ".....up"},
		"a crash between":      {[]unitState{running(2, 20, 0), running(3, 30, 1), running(3, 30, 1), running(3, 30, 1)}, "....up"},
		"crashes on and on":    {[]unitState{running(2, 20, 0), again(1), again(2), again(3)}, "....does not stay up"},
		"crashed before":       {[]unitState{running(2, 20, 9), running(2, 20, 9), running(2, 20, 9)}, "...up"},
		"ends":                 {[]unitState{running(2, 20, 0), of("ActiveState=inactive Result=success")}, "..did not come back: it is inactive"},
		"fails":                {[]unitState{of("ActiveState=failed Result=signal ExecMainStatus=9")}, ".did not come back: it is failed: ended by signal 9"},
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
			if fault != "" {
				got += fault
				break
			}
		}
		if !strings.HasPrefix(got, c.want) || c.want[len(c.want)-1] == '.' {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestShowThatTellsNothing(t *testing.T) {
	for _, block := range []string{"", "Id=x"} {
		if st, err := parseState(block); err == nil {
			t.Errorf("%q: %+v", block, st)
		}
	}
}

// EnvironmentFile= as `systemctl show` names it: patterns stand for what is there,
// and one that must be there and is not keeps the unit from starting again. A
// unit that has none says so with a list that is empty, not unknown.
func TestEnvFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.env", "b.env", "two words.env"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		lines []string
		want  []string // nil: an error
	}{
		{nil, []string{}},
		{[]string{"a.env (ignore_errors=no)"}, []string{"a.env"}},
		{[]string{"b.env (ignore_errors=no)", "a.env (ignore_errors=yes)"}, []string{"b.env", "a.env"}},
		{[]string{"?.env (ignore_errors=no)"}, []string{"a.env", "b.env"}},
		{[]string{"two words.env (ignore_errors=no)"}, []string{"two words.env"}},
		{[]string{"gone (ignore_errors=yes)"}, []string{}},
		{[]string{"a.env (ignore_errors=no)", "gone (ignore_errors=no)"}, nil},
		{[]string{"*.gone (ignore_errors=no)"}, nil},
	} {
		block := "Id=x.service\nLoadState=loaded\nActiveState=active\n"
		for _, line := range c.lines {
			block += "EnvironmentFiles=" + dir + "/" + line + "\n"
		}
		st, err := parseState(block)
		if err != nil {
			t.Fatal(err)
		}
		got, err := st.envFiles()
		for i := range got {
			got[i] = filepath.Base(got[i])
		}
		if (err != nil) != (c.want == nil) || err == nil && (got == nil || !slices.Equal(got, c.want)) {
			t.Errorf("%q: %q, %v; want %q", c.lines, got, err, c.want)
		}
	}
}
