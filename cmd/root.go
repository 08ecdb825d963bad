// Package cmd is the command line: it turns flags into options, makes one call
// and prints what came back. It is the one place where all the other packages
// meet (wire.go), where errors become exit codes and hints (exit.go) and where
// anything is printed.
//
// A command is one file with its options, newXCmd and runX, its text in
// help/X.txt, and one line in commands. It decides nothing that a package could.
//
// Against a key in a core file, the process is marked as one that is not to be
// dumped (internal/coredump). Package cmd does not promise to keep a
// key out of swap, out of a hibernation image, or from root.
package cmd

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/coredump"
	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/internal/screen"
)

// commands is every command by its name.
func commands() map[string]func(*app) *cobra.Command {
	return map[string]func(*app) *cobra.Command{
		"api":        newAPICmd,
		"audit":      newAuditCmd,
		"completion": newCompletionCmd,
		"config":     newConfigCmd,
		"doctor":     newDoctorCmd,
		"due":        newDueCmd,
		"exec":       newExecCmd,
		"init":       newInitCmd,
		"exit-codes": func(*app) *cobra.Command { return newTopic("exit-codes") },
		"keygen":     newKeygenCmd,
		"notify":     newNotifyCmd,
		"retire":     newRetireCmd,
		"rollback":   newRollbackCmd,
		"rotate":     newRotateCmd,
		"schedule":   newScheduleCmd,
		"status":     newStatusCmd,
		"sync":       newSyncCmd,
		"verify":     newVerifyCmd,
		"version":    newVersionCmd,
	}
}

// An app is one run of blnkctl: its surroundings, the global flags, and what
// the commands share.
type app struct {
	env     *Env
	out     *screen.Output // data
	global  globalFlags
	version bool
	config  *config.File    // nil: not looked for yet
	targets []config.Target // of blnkctl.yaml, that the run is for
	target  config.Target   // the one of them, without --all
	changed bool            // a key, or where one is kept
}

// Main runs blnkctl in this process and returns its exit code. It is what
// main.main and the test scripts call.
func Main() int {
	env := processEnv()
	env.AllowCoreDumps = coredump.Never()
	return interrupt.Run(env.Stderr, func(ctx context.Context, catch func()) int {
		env.CatchSignals = catch
		interrupt.AtSecond(ctx, env.Stderr.Pause) // nothing is at work any more
		return Run(ctx, env, os.Args[1:])
	})
}

// Run runs blnkctl with args (without the program's name) and returns its exit
// code. The end of ctx interrupts it; its cause says why.
func Run(ctx context.Context, env *Env, args []string) int {
	a := &app{env: env, out: &screen.Output{Writer: env.Stdout}}
	root := newRootCmd(a, args)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = a.lostOutput()
	}
	if err == nil {
		return exitOK
	}
	if s, ok := errors.AsType[exitStatus](err); ok {
		return int(s)
	}
	return a.report(ctx, cmd, err)
}

// newRootCmd builds the command that args begin with, and all where they begin
// with none, or with one that is about the others: building what is not called
// takes a noticeable part of a start.
func newRootCmd(a *app, args []string) *cobra.Command {
	root := &cobra.Command{
		Use:           "blnkctl",
		Short:         pageOf("").Short,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		Annotations:   map[string]string{typedMark: strings.Join(args, "\x00")},
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.version && len(args) == 0 {
				return a.printVersion()
			}
			return runGroup(cmd, args)
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Name() != "version" && cmd.Name() != "keygen" { // they wait for nothing
				a.env.CatchSignals()
			}
			if cmd.Name() != "exec" { // its command has all that it would have without blnkctl
				run.Withhold()
			}
			return a.applySettings(cmd)
		},
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(a.env.Stdin)
	root.SetOut(a.out)
	root.SetErr(a.env.Stderr)
	root.SetFlagErrorFunc(flagError)
	root.SetHelpFunc(a.printHelp)
	a.global.add(root)
	root.Flags().BoolVarP(&a.version, "version", "v", false, "show the version")
	all := commands()
	if len(args) > 0 && all[args[0]] != nil && args[0] != "completion" {
		all = map[string]func(*app) *cobra.Command{args[0]: all[args[0]]}
	}
	help := newHelpCmd(a) // without one of its own cobra makes another
	root.AddCommand(help)
	for _, make := range all {
		root.AddCommand(make(a))
	}
	root.SetHelpCommand(help)
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		offerWords(root)
	}
	return root
}
