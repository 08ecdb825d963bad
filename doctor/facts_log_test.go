package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/target"
)

// A line of the access log is read by its fields, whatever stands in a path. The lines
// are those of Blnk 0.15.2.
func TestParse(t *testing.T) {
	const head, tail = `time="2026-11-28T12:36:36Z" level=info msg="http request" client_ip=9.9.9.9 error_count=0 latency_ms=2 method=GET path=`, ` response_len=249 status=401`
	for name, c := range map[string]struct {
		line string
		want request
	}{
		"usual":            {head + "/ledgers" + tail, request{"9.9.9.9", "/ledgers", "401"}},
		"IPv6":             {strings.Replace(head, "9.9.9.9", `"2001:db8::1"`, 1) + "/" + tail, request{"2001:db8::1", "/", "401"}},
		"says a status":    {head + `"/a status=200 client_ip=1.1.1.1"` + tail, request{"9.9.9.9", "/a status=200 client_ip=1.1.1.1", "401"}},
		"ends the quotes":  {head + `"/a\" status=200 x=\""` + tail, request{"9.9.9.9", `/a" status=200 x="`, "401"}},
		"line end, escape": {head + `"/led \"gers\nx\x1b[31m"` + tail, request{"9.9.9.9", "/led \"gers\nx\x1b[31m", "401"}},
		"says it is one":   {`time="2026-11-28T12:36:36Z" level=info msg="msg=\"http request\" client_ip=1.1.1.1 status=401"`, request{}},
		"asynq":            {"asynq: pid=4639 2026/11/28 12:35:25.108530 INFO: Starting processing", request{}},
		"cut":              {head, request{}},
		"no time":          {strings.Replace(head, "2026", "x", 1) + "/" + tail, request{}},
		"a quote too many": {head + `"/a` + tail, request{"9.9.9.9", `"/a`, "401"}},
		"only white space": {"   ", request{}},
		"carriage return":  {head + "/x" + tail + "\r\n", request{"9.9.9.9", "/x", "401"}},
		"behind a prefix":  {"server-1  | " + head + "/x" + tail, request{"9.9.9.9", "/x", "401"}},
	} {
		at, got, ok := parse([]byte(c.line))
		if ok && got != c.want || ok != (c.want != request{}) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
		if ok && at.Format(time.RFC3339) != "2026-11-28T12:36:36Z" {
			t.Errorf("%s: at %v", name, at)
		}
	}
}

// A very long line hides neither itself nor the next one.
func TestLongLine(t *testing.T) {
	now := time.Now()
	line := func(client, path string) string {
		return `time="` + now.Format(time.RFC3339) + `" level=info msg="http request" client_ip=` + client + " path=" + path + " status=401\n"
	}
	a := Access{Clients: map[string]*Client{}, since: now.Add(-time.Hour)}
	a.read(strings.NewReader(line("1.1.1.1", "/"+strings.Repeat("a", 1<<20)) + line("2.2.2.2", "/"+strings.Repeat("a", 3<<20)) + line("3.3.3.3", "/x")))
	if a.Requests != 2 || a.Clients["1.1.1.1"] == nil || a.Clients["3.3.3.3"] == nil {
		t.Errorf("%d requests of %v", a.Requests, a.Clients)
	}
}

// Addresses that a client makes up do not fill the memory.
func TestManyClients(t *testing.T) {
	now := time.Now()
	a := Access{Clients: map[string]*Client{}, since: now.Add(-time.Hour)}
	for n := range mostClients + 5 {
		a.count(now, request{string(rune('a' + n)), "/ledgers", "401"})
	}
	if len(a.Clients) != mostClients || a.Uncounted != 5 {
		t.Errorf("%d clients, %d uncounted", len(a.Clients), a.Uncounted)
	}
}

// seeded are facts that are known already.
func seeded(now time.Time, stores []Store, running []Running, history state.History) *Facts {
	f := &Facts{Sources: Sources{Now: func() time.Time { return now }}}
	_, _ = f.stores.get(func() ([]Store, error) { return stores, nil })
	_, _ = f.running.get(func() ([]Running, error) { return running, nil })
	_, _ = f.history.get(func() (state.History, error) { return history, nil })
	_, _ = f.target.get(func() (*target.Target, error) { return &target.Target{}, nil })
	_, _ = f.view.get(func() (reach.View, error) { return reach.View{}, nil })
	_, _ = f.live.get(func() (proof.Result, error) { return proof.Result{}, nil })
	return f
}

// A worker that was started before the key of its file was put there signs with the
// one of then; of one that was started since another change, nobody knows that.
func TestWorkerFromBefore(t *testing.T) {
	config := filepath.Join(t.TempDir(), blnk.FileName)
	text := []byte(`{"server":{"secret_key":"k"}}`)
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	start := listener.Started(os.Getpid())
	if start.IsZero() || time.Since(start) > time.Hour || time.Until(start) > time.Minute {
		t.Fatalf("this process was started at %v", start)
	}
	effective, err := blnk.Resolve(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	now := start.Add(2 * time.Hour)
	for name, c := range map[string]struct {
		proved, changed time.Time
		found           int
		unsure          bool
	}{
		"before":          {start.Add(time.Hour), start.Add(time.Hour), 1, false},
		"in the rotation": {start.Add(time.Minute), start.Add(time.Hour), 0, true},
		"after":           {start.Add(-time.Hour), start.Add(time.Hour), 0, true},
		"file unchanged":  {start.Add(time.Hour), start.Add(-time.Hour), 0, false},
		"from the future": {start.Add(3 * time.Hour), start.Add(time.Hour), 0, true},
		"none proved":     {time.Time{}, start.Add(time.Hour), 0, true},
	} {
		if err := os.Chtimes(config, c.changed, c.changed); err != nil {
			t.Fatal(err)
		}
		worker := Running{Place: "unit w", Process: &restart.Process{PID: os.Getpid(), Workers: true}, Path: config, Text: text, Effective: effective}
		f := seeded(now, []Store{{Ref: "s", Key: secret.New("k")}}, []Running{worker}, state.History{ProvedAt: c.proved})
		found, err := sameKey(context.Background(), f)
		if err != nil != c.unsure || len(found) != c.found {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

// A file that never ends is not read, whatever names it.
func TestScheduleNamesDevice(t *testing.T) {
	for _, path := range []string{"/proc/kmsg", "/dev/zero", "/dev/kmsg"} {
		if runsBlnkctl("* * * * * root cat " + path + " | grep blnk") {
			t.Errorf("%s runs blnkctl", path)
		}
	}
}
