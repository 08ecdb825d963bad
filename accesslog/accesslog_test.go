package accesslog

import (
	"cmp"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/restart"
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
	a := Log{Clients: map[string]*Client{}, since: now.Add(-time.Hour)}
	a.read(strings.NewReader(line("1.1.1.1", "/"+strings.Repeat("a", 1<<20)) + line("2.2.2.2", "/"+strings.Repeat("a", 3<<20)) + line("3.3.3.3", "/x")))
	if a.Requests != 2 || a.Clients["1.1.1.1"] == nil || a.Clients["3.3.3.3"] == nil {
		t.Errorf("%d requests of %v", a.Requests, a.Clients)
	}
}

// Addresses that a client makes up do not fill the memory.
func TestManyClients(t *testing.T) {
	now := time.Now()
	a := Log{Clients: map[string]*Client{}, since: now.Add(-time.Hour)}
	for n := range mostClients + 5 {
		a.count(now, request{string(rune('a' + n)), "/ledgers", "401"})
	}
	if len(a.Clients) != mostClients || a.uncounted != 5 {
		t.Errorf("%d clients, %d uncounted", len(a.Clients), a.uncounted)
	}
}

// That some are not counted is said.
func TestTooManyClients(t *testing.T) {
	bin := t.TempDir()
	now := time.Now().UTC().Format(time.RFC3339)
	script := `#!/bin/sh
awk 'BEGIN { for (i = 0; i <= ` + strconv.Itoa(mostClients) + `; i++) printf "time=\"` + now + `\" level=info msg=\"http request\" client_ip=c%d path=/ledgers status=200\n", i }'
`
	if err := os.WriteFile(filepath.Join(bin, "docker"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/bin:/usr/bin")
	log, err := Read(t.Context(), Look{Processes: []restart.Process{{Name: "container blnk", Server: true}}, Now: time.Now(), Env: os.Environ()})
	if err == nil || !strings.Contains(err.Error(), "1 requests of others are not counted") || len(log.Clients) != mostClients {
		t.Errorf("%v, %d clients", err, len(log.Clients))
	}
}

// Who was let in until a rotation, and is refused since, still uses the old key; who has
// the new one by now does not; who was never let in may be anybody.
func TestStillOld(t *testing.T) {
	now := time.Now()
	proved := now.Add(-time.Hour)
	for name, c := range map[string]struct {
		before, after []string // statuses, in their order
		hooks         bool
		earlier       bool // somebody was here before the rotation
		want          int
		sure          bool
		shared        bool
	}{
		"old key":                {[]string{"200"}, []string{"401", "401"}, false, true, 2, true, false},
		"new key by now":         {[]string{"200"}, []string{"401", "200"}, false, true, 0, false, false},
		"stranger":               {nil, []string{"401"}, false, true, 0, false, false},
		"log begins later":       {nil, []string{"401"}, false, false, 1, false, false},
		"another one passes":     {[]string{"200"}, []string{"401", "200 /balances"}, false, true, 1, true, false},
		"asks hooks as we do":    {[]string{"200"}, []string{"401"}, true, true, 0, false, false},
		"both keys, of several":  {[]string{"200"}, []string{"401", "200", "401", "200", "401"}, false, true, 2, false, true},
		"a stranger, of several": {nil, []string{"200", "401"}, false, true, 0, false, false},
		"limited is not let in":  {[]string{"200"}, []string{"401", "429"}, false, true, 1, true, false},
		"refused before alone":   {[]string{"200", "401"}, nil, false, true, 0, false, false},
	} {
		l := Log{Clients: map[string]*Client{}, since: now.Add(-aDay), Proved: proved}
		path := map[bool]string{true: "/hooks", false: "/ledgers"}[c.hooks]
		l.count(now.Add(-aDay-time.Minute), request{"127.0.0.1", path, "200"}) // which is too long ago
		if c.earlier {
			l.count(proved.Add(-2*time.Minute), request{"10.1.1.1", "/ledgers", "200"})
		}
		for _, status := range c.before {
			l.count(proved.Add(-time.Minute), request{"127.0.0.1", path, status})
		}
		for _, status := range c.after {
			status, other, _ := strings.Cut(status, " ")
			l.count(proved.Add(time.Minute), request{"127.0.0.1", cmp.Or(other, path), status})
		}
		got := l.StillOld()
		if n := len(got); n > 1 || (n == 1) != (c.want > 0) || n == 1 && (got[0].Refused != c.want || got[0].Sure != c.sure || got[0].Shared != c.shared || got[0].Address != "127.0.0.1") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// Behind a gateway of Docker, blnkctl's own questions come from the address of its clients.
func TestStillOldBehindGateway(t *testing.T) {
	now := time.Now()
	l := Log{Clients: map[string]*Client{}, since: now.Add(-aDay), Proved: now.Add(-time.Hour)}
	const gateway = "172.29.0.1"
	l.count(now.Add(-2*time.Hour), request{gateway, "/ledgers", "200"})
	for _, r := range []request{{gateway, "/hooks", "401"}, {gateway, "/hooks", "200"}, {gateway, "/ledgers", "401"}, {gateway, "/balances", "200"}} {
		l.count(now, r)
	}
	if got := l.StillOld(); len(got) != 1 || got[0].Refused != 1 || got[0].Shared {
		t.Errorf("%+v", got)
	}
}
