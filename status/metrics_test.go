package status

import (
	"os"
	"testing"
	"time"
)

// TestMetrics holds what is written against a file that Prometheus's own parser reads
// (tools/prometheus): all metrics, and a target that has hardly any.
func TestMetrics(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	r := Report{Targets: []Standing{
		{Target: "prod", Result: Good, now: at, age: true, Key: Key{Age: 86400, NextDue: at.Add(time.Hour)}, Last: &Attempt{Time: at.Add(-time.Hour)}},
		{
			Target: "staging", Result: Bad, now: at, age: true, drift: true, Key: Key{Age: 9_000_000, NextDue: at.Add(-48 * time.Hour)},
			Open: &Open{Started: at.Add(-2 * time.Hour)}, Last: &Attempt{Time: at.Add(-2 * time.Hour), Failed: true},
		},
		{Target: "dotenv:/srv/a \"b\" \\c\nd\xff#KEY", Result: Bad, now: at},
	}}
	want, err := os.ReadFile("testdata/metrics.prom")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Metrics(); string(got) != string(want) {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

// TestSpan: a length is rounded as people do.
func TestSpan(t *testing.T) {
	for length, want := range map[time.Duration]string{
		29 * time.Second: "", 30 * time.Second: "1 minute", 89 * time.Second: "1 minute", 90 * time.Second: "2 minutes",
		89 * time.Minute: "89 minutes", 90 * time.Minute: "2 hours", 35 * time.Hour: "35 hours", 36 * time.Hour: "2 days",
		90*24*time.Hour - time.Second: "90 days",
	} {
		if got := span(length); got != want {
			t.Errorf("%s: %q, want %q", length, got, want)
		}
	}
}
