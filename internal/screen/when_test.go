package screen

import (
	"testing"
	"time"
)

// TestSpan: a length is rounded as people do.
func TestSpan(t *testing.T) {
	for length, want := range map[time.Duration]string{
		0: "less than a minute", 29 * time.Second: "less than a minute", 30 * time.Second: "1 minute", 89 * time.Second: "1 minute", 90 * time.Second: "2 minutes",
		89 * time.Minute: "89 minutes", 90 * time.Minute: "2 hours", 35 * time.Hour: "35 hours", 36 * time.Hour: "2 days",
		90*24*time.Hour - time.Second: "90 days",
	} {
		if got := Span(length); got != want {
			t.Errorf("%s: %q, want %q", length, got, want)
		}
	}
}

// TestWhen: a time says its zone and how far away it is, whatever zone it came in.
func TestWhen(t *testing.T) {
	defer func(before *time.Location) { time.Local = before }(time.Local)
	time.Local = time.FixedZone("CET", 3600)
	now := time.Date(2026, 11, 29, 23, 30, 40, 0, time.UTC)
	for away, want := range map[time.Duration]string{
		-time.Second: "2026-11-30 00:30 CET (just now)", 29 * time.Second: "2026-11-30 00:31 CET (just now)",
		-time.Hour: "2026-11-29 23:30 CET (60 minutes ago)", 72 * time.Hour: "2026-12-03 00:30 CET (in 3 days)",
	} {
		if got := When(now.Add(away), now); got != want {
			t.Errorf("%s: %q, want %q", away, got, want)
		}
	}
}
