package policy

import (
	"testing"
	"time"
)

func TestParseAge(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"90d": 90 * day, "12w": 84 * day, "36h": 36 * time.Hour, "1h30m": 90 * time.Minute, "36500d": 36500 * day,
		"": 0, "d": 0, "90": 0, "0d": 0, "-1d": 0, "1.5d": 0, "dd": 0, "9dw": 0, "36501d": 0, "99999999999999999999w": 0, "-3h": 0,
	} {
		if got, err := ParseAge(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// A run waits up to the splay, and never past the end of the window that it is in.
func TestPause(t *testing.T) {
	w, err := ParseWindow("Sun 02:00-05:00 UTC")
	if err != nil {
		t.Fatal(err)
	}
	most := func(d time.Duration) time.Duration { return d }
	open := time.Date(2026, 11, 29, 4, 50, 0, 0, time.UTC)
	for _, c := range []struct {
		splay   time.Duration
		windows []Window
		at      time.Time
		want    time.Duration
	}{
		{time.Hour, nil, open, time.Hour},
		{time.Hour, []Window{w}, open, 10 * time.Minute},
		{time.Hour, []Window{w}, open.Add(-2 * time.Hour), time.Hour},
		{time.Hour, []Window{w}, open.Add(10 * time.Minute), 0},
		{0, nil, open, 0},
	} {
		if got := (Policy{Splay: c.splay, Windows: c.windows}).Pause(c.at, most); got != c.want {
			t.Errorf("%v: %s, want %s", c, got, c.want)
		}
	}
}

func TestWindow(t *testing.T) {
	for _, c := range []struct{ window, at, want string }{
		{"Sun 02:00-05:00 UTC", "2026-11-28 12:00", "2026-11-29 02:00"},
		{"Sun 02:00-05:00 UTC", "2026-11-29 03:30", "2026-11-29 03:30"},
		{"Sun 02:00-05:00 UTC", "2026-11-29 05:00", "2026-12-06 02:00"},
		{"Fri-Sat 22:00-02:00 UTC", "2026-11-29 01:59", "2026-11-29 01:59"},
		{"Fri-Sat 22:00-02:00 UTC", "2026-11-29 02:00", "2026-12-04 22:00"},
		{"daily 01:00-02:00 Asia/Tokyo", "2026-11-28 12:00", "2026-11-28 16:00"},
		{"Sat-Mon 02:00-03:00 UTC", "2026-11-30 02:30", "2026-11-30 02:30"},
		{"saturday,SUN 22:00-24:00 UTC", "2026-11-28 23:59", "2026-11-28 23:59"},
		{"Sunday 00:00-24:00 UTC", "2026-11-30 00:00", "2026-12-06 00:00"},
		{"Sun 02:15-02:45 Europe/Berlin", "2027-03-28 00:00", "2027-03-28 01:15"}, // the hour that does not exist
	} {
		w, err := ParseWindow(c.window)
		at, _ := time.Parse("2006-01-02 15:04", c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := (Policy{Windows: []Window{w}}).Opens(at).UTC().Format("2006-01-02 15:04"); got != c.want {
			t.Errorf("%s at %s opens %s, want %s", c.window, c.at, got, c.want)
		}
	}
	for _, text := range []string{"", "Sun", "Sun 02:00-05:00", "Son 02:00-05:00 UTC", "Sun 02:00 UTC", "Sun 02:00-25:00 UTC", "Sun 24:00-02:00 UTC", "Sund 02:00-03:00 UTC", "Sun 02:00-24:01 UTC",
		"Sun 02:00-02:00 UTC", "Sun 02:00-05:00 Local", "Sun 02:00-05:00 Berlin", "Sun, 02:00-05:00 UTC", "Sun 2-5 UTC"} {
		if w, err := ParseWindow(text); err == nil {
			t.Errorf("%q was taken: %+v", text, w)
		}
	}
}

// When a window opens it is open, nothing is open before, and it is never far: at every
// quarter of an hour of a year with its two odd days, on both sides of the world.
func TestOpensIsOpen(t *testing.T) {
	for _, text := range []string{
		"Sun 02:30-03:00 Europe/Berlin", // an hour that is missing in March, and there twice in October
		"Sun 02:00-03:00 America/New_York", "Sat 23:30-02:30 Europe/Berlin", "Sat-Sun 02:59-02:58 Australia/Lord_Howe",
		"daily 00:00-00:01 America/Sao_Paulo", "daily 00:00-24:00 Europe/Berlin", "Mon-Fri 22:00-02:00 UTC", "daily 23:59-00:00 Asia/Kathmandu",
	} {
		w, err := ParseWindow(text)
		if err != nil {
			t.Fatal(err)
		}
		p, before := Policy{Windows: []Window{w}}, time.Time{}
		for at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() == 2027; at = at.Add(15 * time.Minute) {
			opens := p.Opens(at)
			switch {
			case opens.Before(at), opens.Before(before):
				t.Fatalf("%s at %s: opened %s, and %s before", text, at, opens, before)
			case !p.Opens(opens).Equal(opens):
				t.Fatalf("%s at %s: said to open %s, and then %s", text, at, opens, p.Opens(opens))
			case opens.Sub(at) > 8*24*time.Hour:
				t.Fatalf("%s at %s: not before %s", text, at, opens)
			}
			before = opens
		}
	}
}

// An age is written as it can be read again.
func TestAge(t *testing.T) {
	for _, text := range []string{"90d", "24h", "36h", "1h30m", "1m30s", "10m", "1ms", "2d"} {
		age, err := ParseAge(text)
		if got := Age(age); got != text || err != nil {
			t.Errorf("%s became %s, %v", text, got, err)
		}
	}
	if got := Age(0); got != "0s" {
		t.Error(got)
	}
}
