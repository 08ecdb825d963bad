// Package prometheus_test holds what `blnkctl status --metrics` writes, and
// contrib/prometheus-alerts.yaml, against Prometheus's own parsers and its engine.
package prometheus_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// golden is what TestMetrics of package status wants. It is of this time: of prod all is
// well, staging has all that can be wrong, and of the third one hardly anything is known.
const golden, written = "../../status/testdata/metrics.prom", 1_800_000_000

const third = "dotenv:/srv/a \"b\" \\c\nd�#KEY"

func parse(t *testing.T) map[string]map[string]float64 {
	t.Helper()
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	reader := expfmt.NewTextParser(model.UTF8Validation)
	families, err := reader.TextToMetricFamilies(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]float64{}
	for name, family := range families {
		all[name] = map[string]float64{}
		if family.GetHelp() == "" || family.GetType().String() != "GAUGE" {
			t.Errorf("%s: help %q, type %s", name, family.GetHelp(), family.GetType())
		}
		for _, m := range family.GetMetric() {
			if l := m.GetLabel(); len(l) != 1 || l[0].GetName() != "target" {
				t.Errorf("%s: labels %v", name, l)
			}
			all[name][m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
		}
	}
	return all
}

func TestFormat(t *testing.T) {
	all := parse(t)
	if len(all) != 9 {
		t.Errorf("%d metrics: %v", len(all), all)
	}
	if got := all["blnkctl_status_good"]; got["prod"] != 1 || got["staging"] != 0 || len(got) != 3 {
		t.Errorf("blnkctl_status_good: %v", got)
	}
	if _, ok := all["blnkctl_key_drift"][third]; !ok {
		t.Errorf("no %q in %v", third, all["blnkctl_key_drift"])
	}
	if _, known := all["blnkctl_key_age_seconds"][third]; known {
		t.Error("an age that is not known has a value")
	}
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(bytes.NewReader(data)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
}

// TestAlerts evaluates each alert over those metrics, as time goes by.
func TestAlerts(t *testing.T) {
	groups, errs := rulefmt.ParseFile("../../contrib/prometheus-alerts.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errors.Join(errs...))
	}
	const day = 24 * time.Hour
	fires := map[string]map[time.Duration][]string{
		"BlnkKeyOverdue":     {0: {"staging"}, day: {"staging"}, day + 2*time.Hour: {"prod", "staging"}},
		"BlnkKeyDrift":       {0: {"staging"}},
		"BlnkRotationOpen":   {0: {"staging"}},
		"BlnkRotationFailed": {0: {"staging"}},
		"BlnkKeyProblem":     {0: {third, "staging"}},
		"BlnkMetricsStale":   {0: nil, 2*day + time.Minute: {third, "prod", "staging"}},
		"BlnkMetricsMissing": {0: nil},
	}
	all := parse(t)
	seen := 0
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			if fires[rule.Alert] == nil {
				t.Errorf("%s is not tried", rule.Alert)
			}
			seen++
			if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" || rule.Labels["severity"] == "" {
				t.Errorf("%s: %+v", rule.Alert, rule)
			}
			for later, want := range fires[rule.Alert] {
				if got := evaluate(t, rule.Expr, all, later); !slices.Equal(got, want) {
					t.Errorf("%s, after %s: of %q, want %q", rule.Alert, later, got, want)
				}
			}
		}
	}
	if seen != len(fires) {
		t.Errorf("%d alerts, %d are tried", seen, len(fires))
	}
	if got := evaluate(t, "absent(blnkctl_status_timestamp_seconds)", nil, 0); len(got) != 1 {
		t.Errorf("missing metrics: %q", got)
	}
	// One of an hour is not open for too long yet.
	all["blnkctl_key_open_rotation_started_timestamp_seconds"]["staging"] = written - 3500
	for _, rule := range groups.Groups[0].Rules {
		if rule.Alert == "BlnkRotationOpen" {
			if got := evaluate(t, rule.Expr, all, 0); len(got) != 0 {
				t.Errorf("open for less than an hour: %q", got)
			}
		}
	}
}

// evaluate returns the targets of an expression's result, sorted.
func evaluate(t *testing.T, expr string, all map[string]map[string]float64, later time.Duration) (targets []string) {
	t.Helper()
	now := time.Unix(written, 0).Add(later)
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1000, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{})})
	query, err := engine.NewInstantQuery(t.Context(), samples{all, now}, nil, expr, now)
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	vector, err := query.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range vector {
		targets = append(targets, s.Metric.Get("target"))
	}
	slices.Sort(targets)
	return targets
}

// samples are metrics as a storage that has one sample of each, of now.
type samples struct {
	all map[string]map[string]float64
	now time.Time
}

func (s samples) Querier(int64, int64) (storage.Querier, error) { return s, nil }
func (s samples) Close() error                                  { return nil }

func (s samples) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (s samples) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

func (s samples) Select(_ context.Context, _ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var found []storage.Series
	for name, values := range s.all {
		for target, value := range values {
			l := labels.FromStrings("__name__", name, "target", target)
			if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(l.Get(m.Name)) }) {
				found = append(found, storage.NewListSeries(l, []chunks.Sample{sample{s.now.UnixMilli(), value}}))
			}
		}
	}
	return &list{series: found, at: -1}
}

// A sample is a float at a time.
type sample struct {
	at    int64
	value float64
}

func (s sample) ST() int64                     { return 0 }
func (s sample) T() int64                      { return s.at }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// A list is a storage.SeriesSet.
type list struct {
	series []storage.Series
	at     int
}

func (l *list) Next() bool                        { l.at++; return l.at < len(l.series) }
func (l *list) At() storage.Series                { return l.series[l.at] }
func (l *list) Err() error                        { return nil }
func (l *list) Warnings() annotations.Annotations { return nil }
