package audit_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/audit"
)

// TestListing pins the text of a full record, and that none is wider than 80
// columns, whatever is in it.
func TestListing(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 5e8, time.FixedZone("", 3600))
	list := func(r audit.Record, open string) (text string) {
		l := audit.Listing{Print: func(more string) error { text += more; return nil }}
		if l.Add(r, open) != nil || l.End() != nil {
			t.Error("not printed")
		}
		return text
	}
	got := list(audit.Record{
		Time: at, Event: "rotate", Outcome: "stuck", Old: "sha256:0123456789ab", Compromised: true, Stores: []string{"blnkjson:/etc/blnk.json", "dotenv:/etc/.env"},
		Actor:  audit.Actor{Host: "ledger-1", User: "root", SudoUser: "alice"},
		Reason: "a laptop was stolen\x1b[31m", Error: strings.Repeat("one two ", 10), Repeated: 2, Last: at.Add(time.Hour),
	}, "open")
	want := `TIME                    OUTCOME      OLD                  NEW
2026-03-01 11:00 UTC    stuck        sha256:0123456789ab  -
  rotate of blnkjson:/etc/blnk.json, dotenv:/etc/.env by root (sudo by alice) on
    ledger-1
  the old key was compromised
  reason: a laptop was stolen\x1b[31m
  error: one two one two one two one two one two one two one two one two one two
    one two
  and 2 more like it, the last at 2026-03-01 12:00 UTC
  this rotation is open
`
	if got != want {
		t.Errorf("it is\n%s\nwant\n%s", got, want)
	}
	forged := strings.Repeat("f", 500)
	for _, long := range []string{strings.Repeat("x", 500), strings.Repeat("a b", 200), strings.Repeat("安", 200), strings.Repeat(strings.Repeat("y", 74)+" ", 5)} {
		text := list(audit.Record{Time: at, Event: long, Outcome: forged, Old: forged, New: forged, Stores: []string{long}, Actor: audit.Actor{Host: long, User: long}, Reason: long, Error: long}, "open")
		for line := range strings.SplitSeq(text, "\n") {
			if n := len([]rune(line)) + strings.Count(line, "安"); n > 80 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
		kept := strings.NewReplacer(" ", "", "\n", "").Replace(text)
		if strings.Count(kept, strings.ReplaceAll(long, " ", "")) < 5 {
			t.Errorf("something of %.10s is lost in\n%s", long, text)
		}
	}
}

// The last attempt is of an event that changes keys, and of a store wherever it is named.
func TestLastAttempt(t *testing.T) {
	log := audit.Open(filepath.Join(t.TempDir(), "state"), time.Now)
	if r, err := log.LastAttempt("a"); err != nil || r.Seq != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, r := range []audit.Record{
		{Event: "rotate", Outcome: "stuck", Stores: []string{"b", "a"}}, {Event: "rotate", Outcome: "rotated", Stores: []string{"b"}},
		{Event: "schedule", Outcome: "installed", Stores: []string{"a"}}, {Event: "rollback", Outcome: audit.Refused, Stores: []string{"a"}},
	} {
		if err := log.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := log.LastAttempt("a"); err != nil || r.Seq != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}
