package status

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/doctor"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/target"
)

// An Asked is what a person named.
type Asked struct {
	File config.File
	Name string      // of a target in it; "" for none
	Verb string      // the command that was typed
	Spec target.Spec // of the flags
	// Origin is where the value of a flag comes from: "" for none, or "flag" for the
	// command line.
	Origin func(flag string) string
	MaxAge time.Duration // in place of the policy's; 0: that counts
	Limit  time.Duration // for each target
	// Facts gathers of a spec, whose relative references start in a folder; "" is where the
	// program was started.
	Facts func(spec target.Spec, dir string) *doctor.Facts
}

// Look looks at what was asked for, and writes Metrics into a file, "" for none. Beside
// an error there is a report where only that file could not be written.
func (a Asked) Look(ctx context.Context, metrics string) (r Report, err error) {
	if metrics != "" && filepath.Ext(metrics) != extension {
		name := metrics + extension
		if strings.HasPrefix(metrics, "-") { // as of what prints
			name = "blnkctl" + extension
		}
		return r, target.Refuse("name it so: --metrics "+hint.Command(name), "--metrics: node_exporter reads only files whose name ends with %s", extension)
	}
	targets, err := a.targets()
	if err == nil {
		r, err = look(ctx, targets, a.Limit, true), context.Cause(ctx)
	}
	if err != nil {
		return Report{}, err
	}
	if metrics != "" {
		err = r.writeMetrics(ctx, metrics)
	}
	return r, err
}

// targets are the one that was named, or what the flags name; else all of blnkctl.yaml.
func (a Asked) targets() (all []Target, err error) {
	if a.Limit <= 0 {
		return nil, target.Refuse("", "--timeout: want more than 0s")
	}
	if len(a.Spec.Stores) > 0 {
		one, err := a.typed()
		return []Target{one}, err
	}
	selected, err := a.File.Select(a.Name, a.Name == "")
	if err != nil {
		return nil, err
	}
	for _, t := range selected {
		all = append(all, a.configured(t))
	}
	if len(all) > 1 && (a.Origin("server") == "flag" || a.Origin("restart") == "flag") {
		return nil, target.Refuse("name one: blnkctl "+a.Verb+all[len(all)-1].Named+a.Spec.Args(), "of which target --server and --restart are is not clear")
	}
	return all, nil
}

// configured is a target of blnkctl.yaml; what was given besides its name wins.
func (a Asked) configured(t config.Target) Target {
	spec, named := a.Spec, ""
	if spec.Stores, spec.Dir = t.Stores, a.File.Dir; t.Name != "" {
		named = " " + t.Name
	}
	if a.Origin("restart") == "" {
		spec.Restart = t.Restart
	}
	if a.Origin("server") == "" {
		spec.Servers = t.Servers
	}
	return a.made(Target{Name: t.Name, Policy: t.Policy, Named: named, Args: named, Facts: a.Facts(spec, a.File.Dir)})
}

// typed is what the flags name, which has to be right as it is everywhere.
func (a Asked) typed() (Target, error) {
	t := Target{Policy: a.File.Policy, Facts: a.Facts(a.Spec, "")}
	if a.Origin("store") != "" {
		t.Named, t.Args = hint.Flags("--store", a.Spec.Stores[:1]), a.Spec.Args()
	}
	_, err := target.Open(a.Spec, t.Facts.Open)
	for _, url := range a.Spec.Servers {
		if err == nil {
			_, err = t.Facts.Open.Server(url, a.Spec)
		}
	}
	return a.made(t), err
}

func (a Asked) made(t Target) Target {
	t.Facts.Spec.Stores = slices.Clone(t.Facts.Spec.Stores)
	open := t.Facts.Open.Server
	t.Facts.Open.Server = func(url string, spec target.Spec) (*proof.Server, error) {
		spec.Timeout = a.Limit // one that hangs leaves time for others
		return open(url, spec)
	}
	t.Policy = t.Policy.At(a.MaxAge)
	return t
}
