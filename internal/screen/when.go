package screen

import (
	"fmt"
	"time"
)

// A time and an age have one form each for people, which is here. What programs read
// (JSON, audit records, metrics) has RFC 3339 and seconds, in UTC.

// At is a time on the clock of this host, with its zone: 2026-11-29 17:20 CET.
func At(t time.Time) string { return t.Local().Format("2006-01-02 15:04 MST") }

// When is a time, and how far away it is from now.
func When(t, now time.Time) string { return At(t) + " (" + Ago(t, now) + ")" }

// Ago is how far away a time is: 3 days ago, just now, in 2 hours.
func Ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case d.Abs() < moment:
		return "just now"
	case d < 0:
		return "in " + Span(-d)
	}
	return Span(d) + " ago"
}

// moment is too short to be told apart from nothing.
const moment = 30 * time.Second

// Span is a length of time as people say it, rounded.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	unit, name := time.Minute, "minute"
	switch {
	case d < moment:
		return "less than a minute"
	case d >= day+day/2:
		unit, name = day, "day"
	case d >= 90*time.Minute:
		unit, name = time.Hour, "hour"
	}
	n := d.Round(unit) / unit
	if n != 1 {
		name += "s"
	}
	return fmt.Sprintf("%d %s", n, name)
}

// Times is how often something was.
func Times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
