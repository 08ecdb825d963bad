package notify

import (
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // in which texts for people are compared
	os.Exit(m.Run())
}

// The first sentence is what a phone shows: it says what is so now, of whatever ran.
func TestSubject(t *testing.T) {
	for _, c := range []struct {
		want string
		e    Event
	}{
		{"rollback failed: everything was put back as it was", Event{Kind: Failure, Command: "rollback", Outcome: "rolled_back", ExitCode: 3}},
		{"init failed: nothing was changed", Event{Kind: Failure, Command: "init", Outcome: "refused", ExitCode: 1}},
		{"rotate failed: it waits for its next try", Event{Kind: Failure, Command: "rotate", Outcome: "not_due", ExitCode: 6}},
		{"rotate failed: exit status 1", Event{Kind: Failure, Command: "rotate", ExitCode: 1}},
		{"the previous key is back in force", Event{Kind: Success, Command: "rollback", Outcome: "restored"}},
		{"secure mode is on", Event{Kind: Success, Command: "init", Outcome: "secured"}},
		{"rotated, and something around it failed", Event{Kind: Success, Command: "rotate", Outcome: "rotated", ExitCode: Incomplete}},
		{"recovered: rotated", Event{Kind: Recovered, Command: "rotate", Outcome: "rotated"}},
		{"recovered: what was told is over", Event{Kind: Recovered, Command: "rotate", Outcome: "not_due"}},
		{"recovered: what was told is over", Event{Kind: Recovered, Command: "status"}},
	} {
		c.e.Target, c.e.Host = "prod", "h1"
		c.e.Old, c.e.New = "sha256:a", "sha256:b"
		if text := c.e.Text(); text != mrkdwn(text) {
			t.Errorf("chats other than Slack show what is escaped for it as it is:\n%s", text)
		}
		if got := c.e.Subject(); got != "blnkctl on h1: prod: "+c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// The fields of the JSON are a contract: docs/notices.md has them.
func TestDocument(t *testing.T) {
	e := failed
	e.Host, e.User, e.Time, e.Rotation = "h1", "root", time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC), "20260301T020000Z-abcd"
	e.Old, e.New, e.Help, e.Audit, e.Since = "sha256:aaaaaaaaaaaa", "sha256:bbbbbbbbbbbb", "blnkctl rotate prod", &Head{7, "ff"}, e.Time.Add(-24*time.Hour)
	data, err := e.Document()
	const want = `{"version":1,"event":"failure","command":"rotate","target":"prod","host":"h1","user":"root","time":"2026-03-01T02:00:00Z","outcome":"rolled_back","exit_code":3,` +
		`"rotation":"20260301T020000Z-abcd","old":"sha256:aaaaaaaaaaaa","new":"sha256:bbbbbbbbbbbb","error":"run ./restart: exit status 7","since":"2026-02-28T02:00:00Z",` +
		`"help":"blnkctl rotate prod","audit":{"seq":7,"hash":"ff"},"text":"blnkctl on h1: prod: rotate failed: everything was put back as it was\nrun ./restart: exit status 7\n` +
		`key sha256:aaaaaaaaaaaa, not sha256:bbbbbbbbbbbb\nfirst told 2026-02-28 02:00 UTC\nhint: blnkctl rotate prod\nrotate on h1, 2026-03-01 02:00 UTC, exit status 3\n` +
		`rotation 20260301T020000Z-abcd\naudit log: record 7, ff\n"}`
	if err != nil || string(data) != want {
		t.Errorf("%s, %v\nwant %s", data, err, want)
	}
}
