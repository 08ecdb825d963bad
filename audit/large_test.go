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
func large(t *testing.T, n int) *place {
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

// TestRepeats: the same refusal again is counted, not recorded again.
func TestRepeats(t *testing.T) {
	p := filled(t, 1)
	refused := audit.Record{Event: "rotate", Outcome: "refused", Host: "h", Error: "no such file"}
	other := refused
	other.Error = "connection refused"
	for _, r := range []audit.Record{refused, refused, refused, other, refused, other, other} {
		if err := p.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	want := "r1:0 no such file:2 connection refused:0 no such file:0 connection refused:1 "
	show := func() (text string) {
		records, err := p.records(0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			text += fmt.Sprintf("%s%s:%d ", r.Rotation, r.Error, r.Repeated)
			if r.Last.IsZero() != (r.Repeated == 0) || r.Repeated > 0 && !r.Last.After(r.Time) || r.PrevRepeated != 0 {
				t.Errorf("%+v", r)
			}
		}
		return text
	}
	if got := show(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	p.expect("repeated", "", 5)
	if last, err := p.records(2); err != nil || len(last) != 2 || last[1].Repeated != 1 {
		t.Errorf("the last two: %+v, %v", last, err)
	}
	p.add(2)
	if got := show(); got != want+"r2:0 " {
		t.Errorf("%s", got)
	}
	p.expect("and on", "", 6)
	// What was counted is part of the chain.
	p.write(p.Path(), strings.Replace(p.read(p.Path()), `"prev_repeated":2`, `"prev_repeated":0`, 1))
	p.expect("count changed", "changed record 3", 2)
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
