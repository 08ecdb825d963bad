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
