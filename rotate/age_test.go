package rotate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/target"
)

const day = 24 * time.Hour

func window(t *testing.T, text string) []policy.Window {
	t.Helper()
	w, err := policy.ParseWindow(text)
	if err != nil {
		t.Fatal(err)
	}
	return []policy.Window{w}
}

// Each thing that a policy says, and what becomes of it: yes, no, wait or adopt, since
// when, when it is due by its age, and when a rotation may run.
func TestAsk(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) // a Friday
	sunday := window(t, "Sun 02:00-05:00 UTC")
	fp, spec := oldKey.Fingerprint(), target.Spec{Stores: []string{"cell:0"}}
	proved := func(ago time.Duration) state.History { return state.History{Key: fp, ProvedAt: now.Add(-ago)} }
	failed := func(ago time.Duration) state.History {
		h := proved(91 * day)
		h.Failures, h.FailedAt, h.FailedRefs = 1, now.Add(-ago), digest(spec)
		return h
	}
	at := func(text string) time.Time {
		at, err := time.Parse(time.DateTime, text)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	for name, c := range map[string]struct {
		history  state.History
		policy   policy.Policy
		weak     string
		want     string // yes, no, waits, adopts
		due, may time.Time
		why      string
	}{
		"young":                {history: proved(89 * day), policy: policy.Policy{MaxAge: 90 * day}, want: "no", due: now.Add(day), may: now, why: "was rotated 89 days ago"},
		"old":                  {history: proved(91 * day), policy: policy.Policy{MaxAge: 90 * day}, want: "yes", due: now.Add(-day), may: now},
		"no age is said":       {history: proved(910 * day), want: "no", may: now},
		"old, window closed":   {history: proved(91 * day), policy: policy.Policy{MaxAge: 90 * day, Windows: sunday}, want: "no", due: at("2026-05-03 02:00:00"), may: at("2026-05-03 02:00:00"), why: "from 2026-05-03 02:00 UTC on"},
		"overdue, closed":      {history: proved(99 * day), policy: policy.Policy{MaxAge: 90 * day, Windows: sunday}, want: "no", due: at("2026-04-26 02:00:00"), may: at("2026-05-03 02:00:00")},
		"inside the interval":  {history: proved(2 * day), policy: policy.Policy{MaxAge: day, MinInterval: 3 * day}, want: "no", due: now.Add(-day), may: now.Add(day), why: "from 2026-05-02 12:00 UTC on"},
		"weak":                 {history: proved(day), policy: policy.Policy{MaxAge: 90 * day}, weak: "a placeholder", want: "yes", due: now.Add(89 * day), may: now, why: "a placeholder"},
		"weak, window closed":  {policy: policy.Policy{MaxAge: 90 * day, Windows: sunday}, weak: "a placeholder", want: "no", may: at("2026-05-03 02:00:00"), why: "a placeholder"},
		"from the future":      {history: proved(-day), policy: policy.Policy{MaxAge: 90 * day, MinInterval: day}, want: "yes", may: now, why: "a clock was wrong"},
		"never seen":           {policy: policy.Policy{MaxAge: 90 * day}, want: "adopts", may: now},
		"failed just now":      {history: failed(time.Minute), policy: policy.Policy{MaxAge: 90 * day}, want: "waits", due: now.Add(-day), may: now.Add(59 * time.Minute)},
		"failed, then closed":  {history: failed(5 * day), policy: policy.Policy{MaxAge: 90 * day, Windows: sunday}, want: "waits", due: at("2026-05-03 02:00:00"), may: at("2026-05-03 02:00:00"), why: "next try is due at 2026-05-03 02:00 UTC"},
		"failed an hour ago":   {history: failed(time.Hour), policy: policy.Policy{MaxAge: 90 * day}, want: "yes", due: now.Add(-day), may: now},
		"failed in the future": {history: failed(-time.Hour), policy: policy.Policy{MaxAge: 90 * day}, want: "yes", due: now.Add(-day), may: now},
	} {
		t.Run(name, func(t *testing.T) {
			in := Intent{Policy: c.policy, IfUnknown: AdoptUnknown, Weak: func(secret.Key) string { return c.weak }}
			d, err := Clock{History: c.history, Key: oldKey, Target: spec, Now: now}.Ask(in)
			got := map[bool]string{d.Yes: "yes", d.Waiting: "waits", d.Adopt: "adopts"}[true]
			if got == "" {
				got = "no"
			}
			if err != nil || got != c.want || !d.At.Equal(c.due) || !d.Next.Equal(c.may) || !strings.Contains(d.Why, c.why) {
				t.Errorf("%s, due %s, may %s: %q, %v; want %s, %s, %s", got, d.At, d.Next, d.Why, err, c.want, c.due, c.may)
			}
			if d.Yes && (d.Waiting || d.Adopt || d.Next.After(now)) {
				t.Errorf("it contradicts itself: %+v", d)
			}
		})
	}
}

// Who asks for a rotation by hand is refused what the policy forbids, unless it is
// forced or the key is compromised; nothing is written.
func TestPolicyRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		policy policy.Policy
		proved time.Duration // ago
		in     Intent
		want   string // "": it rotates
	}{
		"in the interval": {policy: policy.Policy{MinInterval: 2 * day}, proved: day, want: "24 hours ago, and min_interval is 2d"},
		"after it":        {policy: policy.Policy{MinInterval: 2 * day}, proved: 2 * day},
		"outside":         {policy: policy.Policy{Windows: window(t, "Sun 02:00-05:00 UTC")}, want: "its window opens 2000-01-02 02:00 UTC"},
		"inside":          {policy: policy.Policy{Windows: window(t, "Sat 00:00-05:00 UTC")}},
		"forced":          {policy: policy.Policy{MinInterval: 2 * day, Windows: window(t, "Sun 02:00-05:00 UTC")}, proved: day, in: Intent{Force: true}},
		"compromised":     {policy: policy.Policy{MinInterval: 2 * day, Windows: window(t, "Sun 02:00-05:00 UTC")}, proved: day, in: Intent{Compromised: true}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *world, _ *process) { // a bubble begins on a Saturday at midnight
				c.in.Policy = c.policy
				r := w.process(c.in)
				if c.proved > 0 {
					w.history = state.History{Key: oldKey.Fingerprint(), ProvedAt: time.Now().Add(-c.proved)}
				}
				r.Now = func() time.Time { return time.Now().UTC() }
				_, err := r.Run(t.Context())
				if c.want == "" && err != nil {
					t.Error(err)
				}
				if c.want != "" && (!errors.Is(err, ErrNotNow) || !strings.Contains(err.Error(), c.want) || !w.keys[0].Equal(oldKey)) {
					t.Errorf("%v; want %s", err, c.want)
				}
			})
		})
	}
}
