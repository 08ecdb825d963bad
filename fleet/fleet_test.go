package fleet

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blnkctl/blnkctl/internal/screen"
)

// One that hangs and others that fail stop nobody; never more run at once than wanted;
// the results are in the order of the names, and the worst exit status is theirs.
func TestRun(t *testing.T) {
	for _, parallel := range []int{0, 1, 4, 100} {
		synctest.Test(t, func(t *testing.T) {
			var names, said []string
			for i := range 20 {
				names = append(names, fmt.Sprint("t", i))
			}
			var mu sync.Mutex
			at, most := 0, 0
			f := Fleet{Names: names, Parallel: parallel, Say: func(line string) { said = append(said, line) }}
			f.Do = func(_ context.Context, name string, out, talk io.Writer) int {
				mu.Lock()
				at++
				most = max(most, at)
				mu.Unlock()
				defer func() { mu.Lock(); at--; mu.Unlock() }()
				fmt.Fprint(talk, "begin\nwork\n")
				switch name {
				case "t3":
					<-time.After(time.Hour)
					fmt.Fprintln(talk, "error: a person is needed")
					return 4
				}
				<-time.After(time.Minute)
				if name == "t7" {
					return 1
				}
				fmt.Fprint(out, `{"result": "rotated", "old": "sha256:a", "new": "sha256:b"}`)
				return 0
			}
			began := time.Now()
			r := f.Run(t.Context())
			if most != min(max(parallel, 1), 20) {
				t.Errorf("%d at once, want %d", most, parallel)
			}
			if took, want := time.Since(began), time.Hour+19*time.Minute; took > want || parallel > 1 && took > time.Hour+20*time.Minute/time.Duration(parallel) {
				t.Errorf("it took %s", took)
			}
			exit, who := r.Worst()
			if exit != 4 || strings.Join(who, " ") != "t3 (4) t7 (1)" || r[3].Note != "a person is needed" || r[7].Result != "failed" || r[19].Target != "t19" {
				t.Errorf("%d %q %+v", exit, who, r)
			}
			if len(said) != 2*20+1 || !slices.Contains(said, "t3: error: a person is needed") || !slices.Contains(said, "t7: work") {
				t.Errorf("%q", said)
			}
			if text := strings.Split(strings.TrimSpace(r.Text(screen.Look{})), "\n"); len(text) != 21 || !strings.HasPrefix(text[19], "t3 ") || !strings.HasPrefix(text[20], "t7 ") {
				t.Errorf("%q", text)
			}
		})
	}
}

// After a signal those that run end as they do, and no other begins.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := Fleet{Names: []string{"a", "b", ""}, Say: func(string) {}, Do: func(context.Context, string, io.Writer, io.Writer) int {
		cancel()
		return 3
	}}
	r := f.Run(ctx)
	if exit, who := r.Worst(); exit != 3 || len(who) != 3 || r[1].Exit != 130 || r[2].Target != Unnamed {
		t.Errorf("%d %q %+v", exit, who, r)
	}
}

// A terminal of 80 columns has a line for each target, and the notes of those that did
// not end well below.
func TestTextOnATerminal(t *testing.T) {
	old, next := "sha256:7ae1b29d50e3", "sha256:b0e8c40e2a55"
	r := Results{
		{Target: "a", Exit: 3, Result: "rolled_back", Old: old, New: next, Note: strings.Repeat("word ", 30) + "end"},
		{Target: "b", Result: "rotated", Old: old, New: next}, {Target: "c", Result: "not_due", Old: old, Note: "it was rotated 3 days ago"},
	}
	text := r.Text(screen.Look{Columns: func() int { return 80 }})
	lines := strings.Split(text, "\n")
	if !strings.HasPrefix(lines[1], "b  ") || !strings.HasSuffix(lines[1], old+" -> "+next) || !strings.HasSuffix(lines[3], "rolled_back  "+old) || !strings.HasPrefix(lines[4], "a: word") {
		t.Error(text)
	}
	for _, line := range lines {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}
