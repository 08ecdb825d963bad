package cmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/exposure"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// initOptions are the flags that init has besides those of rotate.
type initOptions struct {
	stage, keyFile string
	right          bool // every setting is
	edits          []exposure.Edit
	notes          []string
}

func newInitCmd(a *app) *cobra.Command {
	o := &rotateOptions{intent: rotate.Intent{Event: rotate.Init, Secures: true}, init: &initOptions{}}
	cmd := newCmd("", "init [flags]", func(cmd *cobra.Command) error {
		if err := o.checkTimes(); err != nil {
			return err
		}
		if err := o.readGiven(cmd.Context(), a); err != nil {
			return err
		}
		return a.runRotation(cmd.Context(), o)
	})
	o.addPlaces(cmd)
	f := cmd.Flags()
	choice(cmd, f, &o.init.stage, "stage", "", "what to do", "both", "key", "enforce")
	f.StringVar(&o.init.keyFile, "key-file", "", "`FILE`: take this key, - for stdin (default: make one)")
	_ = cmd.MarkFlagFilename("key-file")
	o.addUsual(cmd)
	o.addRare()
	return cmd
}

// readGiven reads the key of --key-file, which has to be a good one.
func (o *rotateOptions) readGiven(ctx context.Context, a *app) error {
	o.bits = keygen.DefaultBits
	if o.init.keyFile == "" {
		return nil
	}
	if o.init.stage == "enforce" {
		return usage(helpHint(o.cmd), "--key-file: --stage enforce takes the key that stands")
	}
	key, from, err := a.readKey(ctx, o.init.keyFile)
	if err != nil {
		return fail(exitUsage, fmt.Errorf("--key-file: %w", err), "")
	}
	if why := keygen.SecretKey.Weakness(key); why != "" {
		return fail(exitCheck, fmt.Errorf("%w: the key from %s %s", store.ErrWeak, from, why), "make one: blnkctl keygen; or leave --key-file away")
	}
	o.intent.Given = key
	return nil
}

// openSettings finds what has to be set besides the key. Where a rotation is open, its
// journal knows.
func (w *work) openSettings(ctx context.Context, spec *target.Spec, set store.Set) error {
	w.keys.Add(w.intent.Given)
	if w.open != nil {
		return nil
	}
	w.intent.KeyOnly, w.intent.Standing = w.init.stage == "key", w.init.stage == "enforce"
	if w.intent.KeyOnly && typed(w.cmd, "restart") {
		w.say("--stage key restarts nothing: secure mode stays off, and there is nothing to prove")
	}
	dir, err := w.dirOf(w.cmd, "store")
	if err != nil {
		return err
	}
	token, err := keygen.ForUse(keygen.MetricsToken, "", 0)
	if err != nil {
		return err
	}
	w.keys.Add(token)
	open := w.storeOpener(&w.places)
	w.intent.Values, w.init.right, err = reach.Settings(ctx, set, dir, token, func(ref string) (store.Store, error) {
		one, _, err := open(ref, *spec)
		return one, err
	})
	switch nowhere := errors.Is(err, reach.ErrNowhere); {
	case w.intent.KeyOnly && (err == nil || nowhere):
		spec.Settings, w.intent.Values = slices.Sorted(maps.Keys(w.intent.Values)), nil // for the port that stands there
		return nil
	case nowhere:
		return fail(exitUsage, err, "")
	case err != nil:
		return err
	}
	spec.Settings = slices.Sorted(maps.Keys(w.intent.Values))
	spec.Restart, err = w.askRestart(ctx, *spec, set)
	return err
}

// askRestart asks a person what restarts the server, where something is to be written
// and nobody said.
func (w *work) askRestart(ctx context.Context, spec target.Spec, set store.Set) ([]string, error) {
	keys, err := set.Keys(ctx)
	differs := func(k secret.Key) bool { return keygen.SecretKey.Weakness(k) != "" || !k.Equal(keys[0]) }
	if err != nil || len(spec.Restart) > 0 || w.intent.KeyOnly || !w.canAsk() || w.yes || w.dryRun ||
		w.init.right && w.intent.Given.IsZero() && !slices.ContainsFunc(keys, differs) {
		return spec.Restart, nil // what cannot be read is said later
	}
	question := "What restarts the server and its workers? (What is found here; or type one, as sh:COMMAND)"
	if running := reach.Running(set); running != "" {
		question = "Running here: " + running + "\n" + question
	}
	offers := slices.DeleteFunc(w.restartSchemes().Offers(ctx, restart.Options{Dir: spec.Dir, Env: w.env.Environ}), func(ref string) bool {
		d, err := w.openDriver(ref, restart.Options{Dir: spec.Dir})
		return err == nil && reach.Foreign(ctx, set, d.Restarter)
	})
	answer, err := w.env.Stderr.Choose(ctx, w.env.Stdin, question, offers, "nothing: the files are written, and I restart it myself", func(text string) string {
		if strings.Contains(text, ":") {
			return ""
		}
		return "want a number, or SCHEME:PLACE; for a command: sh:" + text
	})
	if answer == "" || err != nil {
		return nil, err
	}
	return []string{answer}, w.cmd.Flags().Set("restart", answer) // as if it had been typed
}

// surround finds what is to be done to the files around the key.
func (w *work) surround(ctx context.Context) {
	var paths []string
	for _, s := range w.target.Places() {
		if file, ok := s.(interface{ Path() string }); ok {
			paths = append(paths, file.Path())
		}
	}
	edits, notes := exposure.Edits(ctx, paths, w.look.Readers)
	w.init.edits, w.init.notes = edits, append(notes, reach.Resets(w.target.Dir)...)
}

// writeConfig makes a blnkctl.yaml of what was given, where none is.
func (w *work) writeConfig() {
	found, err := w.configFile()
	if err != nil || found.Path != "" {
		return
	}
	dir, err := w.env.Getwd()
	if err != nil {
		return
	}
	said := config.Target{Stores: w.spec.Stores, Restart: w.spec.Restart, Servers: w.spec.Servers}
	if len(said.Servers) == 0 && w.target.Published { // the port in blnk.json may be another one
		said.Servers = w.target.Spec.Servers
	}
	if len(said.Restart) == 0 {
		said.Restart = w.target.Restart // of the journal
	}
	edit, err := exposure.File(filepath.Join(dir, config.Name), config.Text(said), "made, with what was given here")
	switch {
	case err != nil:
		w.warn("%s: not made: %v", config.Name, err)
	case edit != nil:
		w.init.edits = append(w.init.edits, *edit)
	}
}

// applyEdits makes the edits. What cannot be made is a warning: it is no reason to leave
// a server open.
func (w *work) applyEdits() {
	for _, e := range w.init.edits {
		if err := e.Apply(); err != nil {
			w.warn("%s: not done: %v", e, err)
		} else {
			w.say("  %s", e)
		}
	}
	w.init.edits = nil
}

// securing makes of the engine's surroundings those of init.
func (w *work) securing(intent *rotate.Intent, env *rotate.Env) {
	intent.NewKey, intent.Weak = w.newKey, keygen.SecretKey.Weakness
	before := env.Before
	env.Before = func(ctx context.Context, current secret.Key) (rotate.Findings, error) {
		found, err := before(ctx, current)
		if err == nil {
			w.surround(ctx)
		}
		for _, e := range w.init.edits {
			found.Remarks = append(found.Remarks, e.String())
		}
		found.Remarks = append(found.Remarks, w.init.notes...)
		return found, err
	}
	env.Prepare = func(context.Context) error {
		w.applyEdits()
		return nil
	}
}

// complete does around the key what is still missing where a run ended well.
func (w *work) complete(ctx context.Context, r rotate.Report) {
	switch {
	case r.Outcome == rotate.InPlace, r.Outcome == rotate.Resumed: // it was not done in this run, or not to its end
		w.surround(ctx)
	case r.Outcome != rotate.Secured && r.Outcome != rotate.Written:
		return
	}
	w.writeConfig()
	for _, note := range w.init.notes {
		w.warn("%s", note)
	}
	w.applyEdits()
}
