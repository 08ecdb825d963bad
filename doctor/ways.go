package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/restart"
)

// noDrift: all stores hold one key.
func noDrift(ctx context.Context, f *Facts) (found []Finding, err error) {
	stores := f.Stores(ctx)
	if len(stores) < 2 {
		return nil, ErrNothing
	}
	var first Store // that holds a key
	for _, s := range stores {
		if err = errors.Join(err, s.Err); first.Key.IsZero() {
			first = s
		}
		if !s.Key.IsZero() && !s.Key.Equal(first.Key) {
			found = append(found, Finding{
				Place: s.Ref, Text: "holds another key than " + first.Ref,
				Evidence: []string{s.Ref + ": " + s.Key.Name(), first.Ref + ": " + first.Key.Name()},
				Remedy:   "blnkctl sync" + f.restarting(),
			})
		}
	}
	return found, err
}

// eachProcess is eachConfig for those of processes.
func (f *Facts) eachProcess(ctx context.Context, about settings, ask func(Running) []Finding) (found []Finding, err error) {
	seen := false
	found, err = f.eachConfig(ctx, about, func(c Running) []Finding {
		if c.Process == nil {
			return nil
		}
		seen = true
		return ask(c)
	})
	if !seen && err == nil {
		err = f.unseen(ctx)
	}
	return found, err
}

// unseen says why no process is known.
func (f *Facts) unseen(ctx context.Context) error {
	v, err := f.View(ctx)
	if err == nil && len(v.Unknown) > 0 {
		err = errors.New(v.Unknown[0])
	}
	return cmp.Or(err, errors.New("no Blnk process is seen on this host"))
}

// sameKey: every process runs with the key of the stores.
func sameKey(ctx context.Context, f *Facts) (found []Finding, err error) {
	keys := f.Keys(ctx)
	if len(keys) == 0 {
		return nil, f.noKeys(ctx, 0)
	}
	history, _ := f.History(ctx) // a look less
	var unsure error
	found, err = f.eachProcess(ctx, settings{blnk.SecretKey}, func(c Running) []Finding {
		v, text := c.Effective.Value(blnk.SecretKey), ""
		switch of := slices.ContainsFunc(keys, v.Text.Equal); {
		case v.Text.IsZero():
			text = "runs without a key"
		case !of:
			text = "runs with another key than the stores"
		case c.Process.Workers && !v.Shadowed(): // nobody can ask them
			if older, certain := f.Older(c, history.ProvedAt); certain {
				text = "runs since before the last rotation, and signs webhooks with the key of then"
			} else if older {
				unsure = errors.Join(unsure, fmt.Errorf("%s: %s was changed since it was started: a restart makes sure that it has this key", c.Place, c.Path))
			}
		}
		if text == "" {
			return nil
		}
		return []Finding{{
			Place: c.Place, Text: text,
			Evidence: []string{nameOf(v.Text) + " from " + v.Source, "the stores hold " + keys[0].Name()},
			Remedy:   "restart it, where the stores give it its key; else blnkctl rotate" + f.restarting() + " --store REF, with the place that does",
		}}
	})
	return found, errors.Join(err, unsure)
}

// Older says that a process was started before its blnk.json was changed last, and certain
// that it was so before the key came in. A change before the proof of the last rotation was
// the rotation's; a later one may be anybody's, and then the start has to be longer before
// the proof than a rotation may last.
func (f *Facts) Older(c Running, proved time.Time) (older, certain bool) {
	start := listener.Started(c.Process.PID)
	info, err := os.Stat(c.Path)
	if err != nil || start.IsZero() || !start.Add(2*time.Second).Before(info.ModTime()) { // to a second
		return false, false
	}
	lasts := cmp.Or(f.Spec.Timeout, 15*time.Minute) + cmp.Or(f.Spec.RestartTimeout, 3*time.Minute)
	return true, proved.Before(f.Now()) && (!info.ModTime().After(proved) || start.Add(lasts).Before(proved))
}

// noShadow: no variable that none of the stores sets decides about the key.
func noShadow(ctx context.Context, f *Facts) (found []Finding, err error) {
	t, _ := f.Target(ctx)
	if len(t.Set) == 0 {
		return nil, f.noKeys(ctx, 0)
	}
	stores := reach.Of(ctx, t.Set, len(t.Set) < len(f.Spec.Stores))
	return f.eachProcess(ctx, nil, func(c Running) []Finding {
		shadow := stores.Shadowed(*c.Process)
		if shadow == nil {
			return nil
		}
		return []Finding{{Place: c.Place, Text: shadow.Error(), Evidence: from(c.Process), Remedy: hint.Of(shadow)}}
	})
}

// from says which process is meant by a place.
func from(p *restart.Process) []string {
	if p.PID == 0 {
		return nil
	}
	return []string{fmt.Sprintf("PID %d", p.PID)}
}

// noneEmpty: a variable that is set but empty wipes what blnk.json has.
func noneEmpty(ctx context.Context, f *Facts) (found []Finding, err error) {
	return f.eachProcess(ctx, nil, func(c Running) (found []Finding) {
		file, _ := blnk.Resolve(c.Text, nil)
		for _, s := range blnk.Settings() {
			v := c.Effective.Value(s.Name)
			if !v.Shadowed() || !v.Text.IsZero() || s.Name != blnk.SecretKey && file.Value(s.Name).Text.IsZero() {
				continue
			}
			text := v.Source + " is set but empty, and wipes " + string(s.Name) + " of blnk.json"
			if s.Name == blnk.SecretKey {
				text += ": no key is let in"
			}
			found = append(found, Finding{Place: c.Place, Text: text, Evidence: from(c.Process), Remedy: takeOut(c, v.Source)})
		}
		return found
	})
}

func takeOut(c Running, variable string) string {
	return "take " + variable + " out of the environment of " + c.Place + ", and restart it"
}

// noTwin: the doubled name of a variable wins, and nobody looks for it.
func noTwin(ctx context.Context, f *Facts) (found []Finding, err error) {
	return f.eachProcess(ctx, nil, func(c Running) (found []Finding) {
		for _, s := range blnk.Settings() {
			if _, ok := c.Process.Env[s.Twin]; ok {
				found = append(found, Finding{
					Place: c.Place, Text: s.Twin + " is set: this doubled name wins over " + s.Env + " and over blnk.json",
					Evidence: from(c.Process), Remedy: takeOut(c, s.Twin),
				})
			}
		}
		return found
	})
}

// readAsMeant: Blnk starts with what stands in blnk.json, and of a name that stands there
// twice, of which it takes the last, a person sees the first.
func readAsMeant(ctx context.Context, f *Facts) (found []Finding, err error) {
	seen := map[string]bool{}
	for _, c := range f.Configurations(ctx) {
		if c.Text == nil {
			err = errors.Join(err, c.Err)
		}
		if c.Text == nil || seen[c.Path] {
			continue
		}
		seen[c.Path] = true
		if _, err := blnk.Resolve(c.Text, nil); err != nil {
			found = append(found, Finding{Place: c.Path, Severity: Error, Text: err.Error(), Remedy: "mend that line of " + c.Path + " before the next restart"})
		}
		for _, d := range blnk.Doubled(c.Text) {
			found = append(found, Finding{
				Place: c.Path, Text: fmt.Sprintf("%s stands there twice (line %d): Blnk takes the last, and a person reads the first", d.Name, d.Line),
				Remedy: "take one of them out of " + c.Path,
			})
		}
	}
	if len(seen) == 0 && err == nil {
		err = ErrNothing
	}
	return found, err
}

// noneOpen: a rotation that did not end is to be ended.
func noneOpen(_ context.Context, f *Facts) (found []Finding, err error) {
	if f.State == nil {
		return nil, f.StateErr
	}
	for _, r := range f.Rotations {
		found = append(found, Finding{
			Place: r.Store, Text: "the rotation " + r.ID + " is open: " + r.Where, Remedy: r.Ways,
		})
	}
	targets, err := f.State.OpenTargets()
	for _, t := range targets {
		if _, damaged := t.LoadJournal(); damaged != nil {
			found = append(found, Finding{
				Place: t.Path(), Text: "there is a journal of an open rotation that cannot be read",
				Evidence: []string{damaged.Error()}, Remedy: "blnkctl rotate --abandon, with the stores and servers of it, once they agree on a key",
			})
		}
	}
	return found, err
}

// auditWhole: the record of what was done is as it was written.
func auditWhole(ctx context.Context, f *Facts) (found []Finding, err error) {
	if f.State == nil {
		return nil, f.StateErr
	}
	log := audit.Open(f.State.Path(), f.Now)
	report, err := log.Verify()
	switch {
	case err != nil:
		return nil, err
	case report.Problem != nil:
		return []Finding{{Place: log.Path(), Text: log.Err(report).Error(), Remedy: "find out who changed it; then move it away, so that a new one begins: blnkctl audit verify"}}, nil
	case report.Records > 0:
		return nil, nil
	}
	if history, _ := f.History(ctx); history.Rotation != "" {
		return []Finding{{Place: log.Path(), Severity: Note, Text: "there is none, although blnkctl has rotated this key", Remedy: "see who moved it away; the next rotation begins another one"}}, nil
	}
	return nil, ErrNothing
}
