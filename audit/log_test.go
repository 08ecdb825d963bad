package audit_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/state"
)

func TestNothingThereYet(t *testing.T) {
	p := newPlace(t)
	if err := p.Check(); err != nil {
		t.Error(err)
	}
	p.expect("no log", "", 0)
	if records, err := p.records(0); records != nil || err != nil {
		t.Errorf("Records = %v, %v", records, err)
	}
	if _, err := os.Lstat(p.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking made something: %v", err)
	}
}

// TestLineFormat pins the format, and computes the hashes once more.
func TestLineFormat(t *testing.T) {
	p := newPlace(t)
	full := audit.Record{
		Event: "rotate", Rotation: "r1", Outcome: "rotated", Old: "sha256:aa", New: "sha256:bb",
		Stores: []string{"blnkjson:/etc/blnk.json#server.secret_key"}, Servers: []string{"http://127.0.0.1:5001"},
		Restart: []string{"sh:systemctl restart blnk && true"}, Actor: audit.Actor{Host: "h", User: "root"}, Reason: "a\nb \x1b[31m <c>", Error: "e", Warnings: []string{"w"},
	}
	if err := errors.Join(p.Append(t.Context(), full), p.Append(t.Context(), audit.Record{Event: "rotate"})); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(p.read(p.Path()), "\n")
	hash := func(content string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(content))) }
	first := `{"seq":1,"time":"2026-03-01T11:01:00Z","event":"rotate","rotation":"r1","outcome":"rotated","old":"sha256:aa","new":"sha256:bb",` +
		`"stores":["blnkjson:/etc/blnk.json#server.secret_key"],"servers":["http://127.0.0.1:5001"],` +
		`"restart":["sh:systemctl restart blnk && true"],"host":"h","user":"root","reason":"a\nb \u001b[31m <c>","error":"e","warnings":["w"]}`
	second := `{"seq":2,"time":"2026-03-01T11:02:00Z","event":"rotate","prev":"` + hash(first) + `"}`
	for i, want := range []string{first, second} {
		want = want[:len(want)-1] + `,"hash":"` + hash(want) + "\"}\n"
		if lines[i] != want {
			t.Errorf("line %d is\n%swant\n%s", i+1, lines[i], want)
		}
	}
	if got, want := p.read(p.head()), `{"seq":2,"hash":"`+hash(second)+"\"}\n"; got != want {
		t.Errorf("the anchor is %s, want %s", got, want)
	}
	p.expect("just written", "", 2)
	records, err := p.records(0)
	if err != nil || len(records) != 2 {
		t.Fatalf("Records = %v, %v", records, err)
	}
	full.Seq, full.Time, full.Hash = 1, time.Date(2026, 3, 1, 11, 1, 0, 0, time.UTC), hash(first)
	if !reflect.DeepEqual(records[0], full) {
		t.Errorf("Records = %+v\nwant %+v", records[0], full)
	}
	for _, path := range []string{p.Path(), p.head()} {
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", path, info.Mode(), err)
		}
	}
}

// TestLaterFields: a line of a later version, with a field that this one does
// not know, counts.
func TestLaterFields(t *testing.T) {
	p := filled(t, 1)
	content := `{"seq":1,"time":"2026-03-01T11:01:00Z","event":"sync","colour":{"a":[1]}}`
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	p.write(p.Path(), content[:len(content)-1]+`,"hash":"`+hash+"\"}\n")
	p.write(p.head(), `{"seq":1,"hash":"`+hash+`"}`)
	p.expect("later version", "", 1)
	p.add(2)
	p.expect("and on", "", 2)
}

func TestAppendOncePerOutcome(t *testing.T) {
	p := filled(t, 3)
	before := p.read(p.Path())
	p.add(1)
	p.add(3)
	if p.read(p.Path()) != before {
		t.Error("a record that is there was appended again")
	}
	for _, more := range []audit.Record{
		{Event: "rotate", Rotation: "r3", Outcome: "rolled_back"},                    // another outcome
		{Event: "rotate", Rotation: "r", Outcome: "rotated"},                         // the beginning of another ID
		{Event: "keygen", Outcome: "created"}, {Event: "keygen", Outcome: "created"}, // no rotation
		{Event: "rotate", Rotation: "r3", Outcome: "stuck"},
		{Event: "rotate", Rotation: "r3", Outcome: "stuck", Error: "another"}, {Event: "rotate", Rotation: "r3", Outcome: "rotated"},
	} {
		if err := p.Append(t.Context(), more); err != nil {
			t.Fatal(err)
		}
	}
	p.expect("after all", "", 9)
}

// TestTornAppend cuts the last line at every third place, as a crash would while the
// anchor still names the record before.
// TestLongTail: what is longer than any append, and has no end, is nothing that an
// append left. It stays, and hides no record.
func TestLongTail(t *testing.T) {
	p := filled(t, 2)
	p.write(p.Path(), p.read(p.Path())+strings.Repeat("x", 3<<20))
	p.add(3)
	if records, err := p.records(0); err != nil || len(records) != 3 {
		t.Errorf("%d records, %v", len(records), err)
	}
	p.expect("appended", "not a record 3", 2)
}

func TestTornAppend(t *testing.T) {
	p := filled(t, 2)
	two, head := p.read(p.Path()), p.read(p.head())
	p.add(3)
	three := p.read(p.Path())
	for cut := len(two); cut < len(three); cut += 3 {
		p.write(p.Path(), three[:cut])
		p.write(p.head(), head)
		what := fmt.Sprintf("cut at %d of %d", cut, len(three))
		if cut == len(two) {
			p.expect(what, "", 2)
		} else {
			p.expect(what, "incomplete last line 3", 2)
		}
		if records, err := p.records(0); err != nil || len(records) < 2 {
			t.Errorf("%s: Records = %d, %v", what, len(records), err)
		}
		p.add(3)
		p.expect(what+", appended", "", 3)
		p.add(4)
		p.expect(what+", appended once more", "", 4)
	}
}

// TestLineEndTakenOff: an editor that takes off the last line end takes no
// record with it.
func TestLineEndTakenOff(t *testing.T) {
	p := filled(t, 3)
	text := p.read(p.Path())
	p.write(p.Path(), strings.TrimSuffix(text, "\n"))
	p.expect("without", "incomplete last line 3", 2)
	p.add(3)
	if p.read(p.Path()) != text {
		t.Error("it was not put back")
	}
	p.expect("with", "", 3)
}

// TestAnchorBehind: a crash between the record and the anchor.
func TestAnchorBehind(t *testing.T) {
	p := filled(t, 1)
	if err := os.Remove(p.head()); err != nil {
		t.Fatal(err)
	}
	p.expect("first record, no anchor yet", "", 1)
	p.add(2)
	head := p.read(p.head())
	p.add(3)
	p.write(p.head(), head)
	p.expect("one behind", "", 3)
	p.add(3)
	if p.read(p.head()) == head {
		t.Error("appending the same record again left the anchor behind")
	}
	p.expect("appended again", "", 3)
}

// TestAnchorFollowsFirst: while the anchor cannot catch up with the log, nothing
// is appended, so that it never is two records behind.
func TestAnchorFollowsFirst(t *testing.T) {
	p := filled(t, 1)
	if err := os.Remove(p.head()); err != nil {
		t.Fatal(err)
	}
	blocked := atomicfile.TempName(p.head())
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := p.Append(t.Context(), audit.Record{Event: "rotate"}); err == nil {
			t.Error("appended without an anchor")
		}
	}
	p.expect("blocked", "", 1)
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	p.add(2)
	p.expect("free again", "", 2)
}

func TestAppendGivesUpWithTheContext(t *testing.T) {
	p := filled(t, 1)
	unlock, err := flock.Lock(t.Context(), p.Path(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Append(ctx, audit.Record{Event: "rotate"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Append: %v, want the context's error", err)
	}
	p.expect("afterwards", "", 1)
}

// TestProcessesAppendAtOnce: many writers, one chain.
func TestProcessesAppendAtOnce(t *testing.T) {
	p := newPlace(t)
	const writers, each = 6, 25
	done := make(chan error, writers)
	for i := range writers {
		cmd := child(t, "append", p.dir, fmt.Sprintf("%d-%c", each, 'a'+i))
		go func() {
			out, err := cmd.CombinedOutput()
			if err == nil && bytes.Count(out, []byte("appended")) != each {
				err = fmt.Errorf("it says %s", out)
			}
			done <- err
		}()
	}
	for running := writers; running > 0; {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			running--
		default:
			// A reader beside the writers never sees anything wrong.
			if report, err := p.Verify(); err != nil || report.Problem != nil {
				t.Fatalf("while they write: %+v, %v", report.Problem, err)
			}
		}
	}
	p.expect("in the end", "", writers*each)
	records, err := p.records(0)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, r := range records {
		if r.Seq != i+1 || seen[r.Rotation] {
			t.Errorf("record %d: %+v", i+1, r)
		}
		seen[r.Rotation] = true
	}
}

// TestKillWhileAppending: whatever a killed writer leaves is at worst an
// incomplete last line, and what it reported is there.
func TestKillWhileAppending(t *testing.T) {
	p := newPlace(t)
	reported := 0
	for round := range 15 {
		cmd, lines := start(t, "append", p.dir, fmt.Sprintf("1000000-%d", round))
		for range round + 1 {
			if !lines.Scan() {
				t.Fatalf("the child ended: %q", lines.Text())
			}
			reported++
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it said before it died
			reported++
		}
		_ = cmd.Wait()
		report, err := p.Verify()
		if err != nil || report.Problem != nil && report.Problem.Kind != "incomplete last line" {
			t.Fatalf("round %d: %+v, %v", round, report.Problem, err)
		}
		// Each kill may leave one record that was not reported.
		if report.Records < reported || report.Records > reported+1 {
			t.Fatalf("round %d: %d records, %d were reported", round, report.Records, reported)
		}
		reported = report.Records
	}
	p.add(1)
	p.expect("the next one", "", reported+1)
}

func TestUnsafeFolder(t *testing.T) {
	p := filled(t, 1)
	if err := os.Chmod(p.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	_, verify := p.Verify()
	_, records := p.records(0)
	for what, err := range map[string]error{
		"Append": p.Append(t.Context(), audit.Record{Event: "rotate"}), "Check": p.Check(), "Verify": verify, "Records": records,
	} {
		if !errors.Is(err, state.ErrUnsafe) {
			t.Errorf("%s: %v, want ErrUnsafe", what, err)
		}
	}
}

// TestLogThatIsALink: somebody's other file is not written to.
func TestLogThatIsALink(t *testing.T) {
	p := filled(t, 1)
	other := filepath.Join(t.TempDir(), "other")
	p.write(other, "other\n")
	if err := errors.Join(os.Remove(p.Path()), os.Symlink(other, p.Path())); err != nil {
		t.Fatal(err)
	}
	if p.Check() == nil || p.Append(t.Context(), audit.Record{Event: "rotate"}) == nil {
		t.Error("a link was taken for the log")
	}
	if got := p.read(other); got != "other\n" {
		t.Errorf("it says now %q", got)
	}
}
