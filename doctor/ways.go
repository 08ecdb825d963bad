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
func noDrift(ctx context.Context, f *Facts, r *Result) {
	stores := f.Stores(ctx)
	if len(stores) < 2 {
		return
	}
	r.saw(true)
	var first Store // that holds a key
	for _, s := range stores {
		if r.unsure(s.Err); first.Key.IsZero() {
			first = s
		}
		if !s.Key.IsZero() && !s.Key.Equal(first.Key) {
			r.add(s.Ref, "holds another key than "+first.Ref, "blnkctl sync"+f.restarting(), s.Ref+": "+s.Key.Name(), first.Ref+": "+first.Key.Name())
		}
	}
}

// eachProcess is eachConfig for those of processes.
func (f *Facts) eachProcess(ctx context.Context, r *Result, about settings, ask func(Running)) {
	seen := false
	f.eachConfig(ctx, r, about, func(c Running) {
		if c.Process != nil {
			seen = true
			ask(c)
		}
	})
	if !seen && r.err == nil {
		r.unsure(f.unseen(ctx))
	}
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
func sameKey(ctx context.Context, f *Facts, r *Result) {
	keys := f.Keys(ctx)
	if len(keys) == 0 {
		f.subject(ctx, r, 0)
		return
	}
	history, _ := f.History(ctx) // a look less
	var unsure error
	f.eachProcess(ctx, r, settings{blnk.SecretKey}, func(c Running) {
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
		if text != "" {
			r.add(c.Place, text, "restart it, where the stores give it its key; else blnkctl rotate"+f.restarting()+" --store REF, with the place that does",
				nameOf(v.Text)+" from "+v.Source, "the stores hold "+keys[0].Name())
		}
	})
	r.unsure(unsure)
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
func noShadow(ctx context.Context, f *Facts, r *Result) {
	t, _ := f.Target(ctx)
	if len(t.Set) == 0 {
		f.subject(ctx, r, 0)
		return
	}
	stores := reach.Of(ctx, t.Set, len(t.Set) < len(f.Spec.Stores))
	f.eachProcess(ctx, r, nil, func(c Running) {
		if shadow := stores.Shadowed(*c.Process); shadow != nil {
			r.add(c.Place, shadow.Error(), hint.Of(shadow), from(c.Process)...)
		}
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
func noneEmpty(ctx context.Context, f *Facts, r *Result) {
	f.eachProcess(ctx, r, nil, func(c Running) {
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
			r.add(c.Place, text, takeOut(c, v.Source), from(c.Process)...)
		}
	})
}

func takeOut(c Running, variable string) string {
	return "take " + variable + " out of the environment of " + c.Place + ", and restart it"
}

// noTwin: the doubled name of a variable wins, and nobody looks for it.
func noTwin(ctx context.Context, f *Facts, r *Result) {
	f.eachProcess(ctx, r, nil, func(c Running) {
		for _, s := range blnk.Settings() {
			if _, ok := c.Process.Env[s.Twin]; ok {
				r.add(c.Place, s.Twin+" is set: this doubled name wins over "+s.Env+" and over blnk.json", takeOut(c, s.Twin), from(c.Process)...)
			}
		}
	})
}

// readAsMeant: Blnk starts with what stands in blnk.json, and of a name that stands there
// twice, of which it takes the last, a person sees the first.
func readAsMeant(ctx context.Context, f *Facts, r *Result) {
	for _, c := range f.Configurations(ctx) {
		if c.Text == nil {
			r.unsure(c.Err)
			continue
		}
		r.saw(true)
		if _, err := blnk.Resolve(c.Text, nil); err != nil {
			r.add(c.Path, err.Error(), "mend that line of "+c.Path+" before the next restart").Severity = Error
		}
		for _, d := range blnk.Doubled(c.Text) {
			r.add(c.Path, fmt.Sprintf("%s stands there twice (line %d): Blnk takes the last, and a person reads the first", d.Name, d.Line),
				"take one of them out of "+c.Path)
		}
	}
}

// noneOpen: a rotation that did not end is to be ended.
func noneOpen(_ context.Context, f *Facts, r *Result) {
	r.saw(true)
	if r.unsure(f.StateErr); f.State == nil {
		return
	}
	for _, open := range f.Rotations {
		r.add(open.Store, "the rotation "+open.ID+" is open: "+open.Where, open.Ways)
	}
	targets, err := f.State.OpenTargets()
	r.unsure(err)
	for _, t := range targets {
		if _, damaged := t.LoadJournal(); damaged != nil {
			r.add(t.Path(), "there is a journal of an open rotation that cannot be read",
				"blnkctl rotate --abandon, with the stores and servers of it, once they agree on a key", damaged.Error())
		}
	}
}

// auditWhole: the record of what was done is as it was written.
func auditWhole(ctx context.Context, f *Facts, r *Result) {
	if r.unsure(f.StateErr); f.State == nil {
		return
	}
	log := audit.Open(f.State.Path(), f.Now)
	report, err := log.Verify()
	if r.unsure(err); err != nil {
		return
	}
	r.saw(report.Records > 0)
	if report.Problem != nil {
		r.add(log.Path(), log.Err(report).Error(), "find out who changed it; then move it away, so that a new one begins: blnkctl audit verify")
	} else if history, _ := f.History(ctx); report.Records == 0 && history.Rotation != "" {
		r.add(log.Path(), "there is none, although blnkctl has rotated this key", "see who moved it away; the next rotation begins another one").Severity = Note
	}
}
