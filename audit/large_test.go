package audit_test

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/audit"
)

// large makes a log of n records, as Append would, only faster.
func large(t testing.TB, n int) *place {
	t.Helper()
	p := filled(t, 1)
	pattern := strings.TrimSuffix(p.read(p.Path()), "\n")
	file, err := os.Create(p.Path())
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewWriter(file)
	prev := ""
	for i := 1; i <= n; i++ {
		content := strings.Replace(pattern[:strings.Index(pattern, `,"hash":`)], `"seq":1`, fmt.Sprintf(`"seq":%d`, i), 1)
		content = strings.Replace(content, `"reason":"test"`, `"reason":"`+strings.Repeat("r", 200)+`"`, 1)
		if prev != "" {
			content += `,"prev":"` + prev + `"`
		}
		prev = fmt.Sprintf("%x", sha256.Sum256([]byte(content+"}")))
		fmt.Fprintf(out, "%s,\"hash\":\"%s\"}\n", content, prev)
	}
	if err := errors.Join(out.Flush(), file.Close()); err != nil {
		t.Fatal(err)
	}
	p.write(p.head(), fmt.Sprintf(`{"seq":%d,"hash":"%s"}`, n, prev))
	return p
}

// held is what a function allocates in all, and how long it takes.
func held(f func()) (bytes uint64, took time.Duration) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	begin := time.Now()
	f()
	took = time.Since(begin)
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, took
}

// TestLargeLog: to append reads the end only, to show the last records holds no
// others, and to verify takes about as long as the hashes.
func TestLargeLog(t *testing.T) {
	const n = 50_000
	p := large(t, n)
	bytes, took := held(func() { p.add(n + 1) })
	t.Logf("append: %d KiB, %v", bytes>>10, took)
	if bytes > 4<<20 {
		t.Errorf("to append took %d KiB", bytes>>10)
	}
	var all time.Duration
	bytes, all = held(func() { p.expect("large", "", n+1) })
	file, err := os.Open(p.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, sum := held(func() { _, _ = io.Copy(sha256.New(), file) })
	t.Logf("verify: %d KiB in all, %v; its SHA-256 %v", bytes>>10, all, sum)

	bytes, took = held(func() {
		if last, err := p.records(10); err != nil || len(last) != 10 || last[9].Seq != n+1 {
			t.Errorf("%d records, %v", len(last), err)
		}
	})
	t.Logf("last ten: %d KiB, %v", bytes>>10, took)
	if bytes > 8<<20 {
		t.Errorf("to show ten took %d KiB", bytes>>10)
	}
	stop := errors.New("enough")
	if err := p.Records(0, func(audit.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the walk went on: %v", err)
	}
}

// TestRepeats: the same attempt again is counted, not recorded again, also where
// others come in between; an end begins anew.
func TestRepeats(t *testing.T) {
	p := filled(t, 1)
	attempt := func(text string) {
		r := audit.Record{Event: "rotate", Outcome: "refused", Actor: audit.Actor{Host: "h"}, Error: text}
		if rotation, open := strings.CutPrefix(text, "stuck "); open {
			r.Outcome, r.Rotation = "stuck", rotation
		}
		if err := p.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{"A", "A", "A", "B", "A", "B", "B", "stuck r7", "A", "stuck r7"} {
		attempt(text)
	}
	want := "r1:0 A:4 B:2 r7stuck r7:1 "
	show := func() (text string) {
		records, err := p.records(0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			text += fmt.Sprintf("%s%s:%d ", r.Rotation, r.Error, r.Repeated)
			if r.Last.IsZero() != (r.Repeated == 0) || r.Repeated > 0 && !r.Last.After(r.Time) || r.Repeats != nil {
				t.Errorf("%+v", r)
			}
		}
		return text
	}
	if got := show(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	p.expect("repeated", "", 4)
	anchor := p.read(p.head())
	p.write(p.head(), strings.Replace(anchor, `"count":1`, `"count":3`, 1))
	p.expect("count changed before a record has it", "no anchor 0", 4)
	p.write(p.head(), anchor)
	if last, err := p.records(2); err != nil || len(last) != 2 || last[0].Repeated != 2 {
		t.Errorf("the last two: %+v, %v", last, err)
	}
	// A request is no end.
	if err := p.Append(t.Context(), audit.Record{Event: "api", Outcome: audit.Requested}); err != nil {
		t.Fatal(err)
	}
	attempt("B")
	want = "r1:0 A:4 B:3 r7stuck r7:1 :0 "
	if got := show(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	p.add(2)
	attempt("A")
	if got := show(); got != want+"r2:0 A:0 " {
		t.Errorf("%s", got)
	}
	p.expect("and on", "", 7)
	// What was counted is part of the chain.
	p.write(p.Path(), strings.Replace(p.read(p.Path()), `"count":2`, `"count":0`, 1))
	p.expect("count changed", "changed record 3", 2)
}

// TestRepeatsInTurn: more targets that are refused in turn than are looked at grow
// the log, and lose no count.
func TestRepeatsInTurn(t *testing.T) {
	for _, kinds := range []int{16, 17} {
		p := newPlace(t)
		for i := range kinds * 5 {
			if err := p.Append(t.Context(), audit.Record{Outcome: "refused", Error: fmt.Sprint(i % kinds)}); err != nil {
				t.Fatal(err)
			}
		}
		records, err := p.records(0)
		all := 0
		for _, r := range records {
			all += 1 + r.Repeated
		}
		if err != nil || all != kinds*5 || kinds == 16 && len(records) != kinds {
			t.Errorf("%d in turn: %d records of %d attempts, %v", kinds, len(records), all, err)
		}
		p.expect("in turn", "", len(records))
	}
}

// TestKeyInARecord: a key that got into a text is not kept for ever.
func TestKeyInARecord(t *testing.T) {
	const key = "blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH"
	p := newPlace(t)
	err := p.Append(t.Context(), audit.Record{Event: "rotate", Stores: []string{"blnkjson:" + key}, Servers: []string{"http://h/?k=" + key}, Error: key + "?"})
	if err != nil {
		t.Fatal(err)
	}
	if text := p.read(p.Path()); strings.Contains(text, key) || strings.Count(text, "[redacted]") != 3 {
		t.Error(text)
	}
	p.expect("masked", "", 1)
}

// BenchmarkVerify is also a ratio: to a SHA-256 of the same bytes, which is what
// checking a log takes at least.
func BenchmarkVerify(b *testing.B) {
	const n = 100_000
	p := large(b, n)
	var verify, sum time.Duration
	for b.Loop() {
		begin := time.Now()
		p.expect("large", "", n)
		verified := time.Now()
		file, err := os.Open(p.Path())
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(sha256.New(), file)
		_ = file.Close()
		verify, sum = verify+verified.Sub(begin), sum+time.Since(verified)
	}
	b.ReportMetric(float64(verify)/float64(sum), "x-sha256")
}

// TestVeryLong: what is too long for a record keeps nobody from reading the log.
func TestVeryLong(t *testing.T) {
	p := filled(t, 1)
	for _, r := range []audit.Record{{Reason: strings.Repeat("\x1b", 300_000)}, {Reason: strings.Repeat("r", 100_000)}} {
		r.Event, r.Outcome = "rotate", "refused"
		if err := p.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	p.add(2)
	p.expect("very long", "", 4)
	if all, err := p.records(0); err != nil || len(all) != 4 || all[1].Reason != "" || len(all[2].Reason) != 100_000 {
		t.Errorf("%d records, %v", len(all), err)
	}
}
