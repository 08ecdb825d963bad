package cmd

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/fleet"
	"github.com/blnkctl/blnkctl/internal/screen"
)

// addAll adds the flags of a command that can run for every target.
func (o *rotateOptions) addAll(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.all, "all", false, "for every target of blnkctl.yaml, with one summary")
	cmd.Flags().IntVar(&o.parallel, "parallel", 1, "so many targets at once, with --all")
	actions(cmd, "all")
}

// forOne is what a command does for one target; with --all it does so for every one.
func (a *app) forOne(o *rotateOptions, one func(ctx context.Context) error) func(*cobra.Command) error {
	return func(cmd *cobra.Command) error {
		if o.all || typed(cmd, "parallel") && !typed(cmd, "all") {
			return a.runAll(cmd.Context(), o)
		}
		return one(cmd.Context())
	}
}

// refuseBesideAll refuses flags that are of one target.
func refuseBesideAll(cmd *cobra.Command) (err error) {
	for _, flag := range []string{"store", "restart", "server", "abort", "abandon"} {
		if err == nil && given(cmd, flag) {
			err = usage("leave one of them away", "--all and --%s exclude each other", flag)
		}
	}
	return err
}

// runAll runs the command once for every target, each as if it had been typed, and
// prints one summary.
func (a *app) runAll(ctx context.Context, o *rotateOptions) error {
	if o.parallel < 1 || !o.all {
		return usage("blnkctl "+o.cmd.Name()+" --all --parallel 4", "--parallel wants --all, and 1 or more")
	}
	err := refuseBesideAll(o.cmd)
	if err == nil && a.canAsk() && !o.yes && !o.dryRun {
		err = a.confirmAll(ctx, o)
	}
	if err != nil {
		return err
	}
	results := a.fleet(o, "--yes", "--output=json").Run(ctx)
	a.changed = !o.dryRun
	_ = a.result(results, results.Text(a.env.Look)) // lostOutput says it
	if worst, who := results.Worst(); worst != 0 {
		return fail(worst, fmt.Errorf("%d of %d targets did not end well: %s", len(who), len(results), strings.Join(who, ", ")), "what each said stands above, behind its name")
	}
	return nil
}

// fleet is the command for each target, with more flags behind those that were typed.
func (a *app) fleet(o *rotateOptions, more ...string) fleet.Fleet {
	args := strings.Split(o.cmd.Root().Annotations[typedMark], "\x00")
	if o.cmd.ArgsLenAtDash() == 0 { // a -- at the end, behind which there is no flag
		args = args[:len(args)-1]
	}
	args = append(args, append([]string{"--all=false", "--no-input"}, more...)...)
	if !given(o.cmd, "lock-timeout") && o.parallel > 1 { // two may have stores in one folder
		args = append(args, "--lock-timeout=15m")
	}
	var names []string
	for _, t := range a.targets {
		names = append(names, t.Name)
	}
	return fleet.Fleet{Names: names, Parallel: o.parallel, Do: func(ctx context.Context, name string, out, talk io.Writer) int {
		own := *a.env
		own.Stdin, own.Terminal, own.Stdout, own.Look, own.CatchSignals = strings.NewReader(""), nil, out, screen.Look{}, func() {}
		own.Stderr = &screen.Talk{W: talk}
		return Run(ctx, &own, append(slices.Clone(args), strings.Fields(name)...))
	}, Say: func(line string) {
		if !strings.Contains(line, ": next: ") { // as many times as there are targets
			_, _ = io.WriteString(a.env.Stderr, a.env.Stderr.Look.Fold(line)+"\n")
		}
	}}
}

// confirmAll shows the plan for each target and asks once.
func (a *app) confirmAll(ctx context.Context, o *rotateOptions) error {
	plans := a.fleet(o, "--dry-run", "--output=text")
	do, n := plans.Do, 0
	plans.Do = func(ctx context.Context, name string, out, talk io.Writer) int {
		var plan strings.Builder
		exit := do(ctx, name, &plan, talk)
		if text := plan.String(); exit == exitOK && !strings.HasPrefix(text, "Nothing to do") {
			_, _ = fmt.Fprintf(a.env.Stderr, "%s:\n%s", cmp.Or(name, fleet.Unnamed), a.env.Stderr.Look.Fold(strings.TrimSuffix(text, "Dry run: nothing was changed.\n")))
			n++
		}
		return exit
	}
	plans.Parallel = 1
	if plans.Run(ctx); n == 0 || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return a.env.Stderr.Confirm(ctx, a.env.Stdin, fmt.Sprintf("Go on with %d of %d targets?", n, len(plans.Names)))
}
