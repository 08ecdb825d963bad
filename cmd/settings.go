package cmd

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/notify"
	"github.com/blnkctl/blnkctl/secret"
)

// Annotations of a flag.
const (
	actionMark = "blnkctl_action" // does something each time it is given
	originMark = "blnkctl_origin" // where its value comes from, if not typed
	wordsMark  = "blnkctl_words"  // what a shell offers for it
)

// typedMark is the annotation of the root command: everything that was typed.
const typedMark = "blnkctl_typed"

// fileMark is the annotation of a command: the flags that blnkctl.yaml can give.
const fileMark = "blnkctl_file"

// fromFlag is the origin of a value that was typed. Another origin is a variable
// or the path of blnkctl.yaml.
const fromFlag = "flag"

// actions marks flags that a variable cannot set: they ask for something to be
// done now (--force, --yes), and one that was forgotten in an environment would
// do it to everybody.
func actions(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		_ = cmd.Flags().SetAnnotation(name, actionMark, nil)
	}
}

// configured names the flags of a command that blnkctl.yaml can give besides the
// state folder. A command that is not configured does not read the file.
func configured(cmd *cobra.Command, flags ...string) {
	if takesTarget(cmd) {
		cmd.ValidArgsFunction = completeTarget
	} else if len(flags) > 0 {
		cmd.Flags().String("target", "", "`NAME`: of blnkctl.yaml's targets")
		_ = cmd.RegisterFlagCompletionFunc("target", completeTarget)
	}
	cmd.Annotations = map[string]string{fileMark: strings.Join(append(flags, "state-dir"), " ")}
}

// completeTarget offers the targets of blnkctl.yaml to a shell.
func completeTarget(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	file, err := config.Find(cmp.Or(cmd.Flag("config").Value.String(), os.Getenv(variable("config"))), getwd)
	if takesTarget(cmd) && len(args) > 0 || err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return file.Names(), cobra.ShellCompDirectiveNoFileComp
}

// takesTarget says whether a command takes the name of a target as an argument; others
// that blnkctl.yaml serves have --target.
func takesTarget(cmd *cobra.Command) bool { return strings.Contains(cmd.Use, "[TARGET]") }

// targetName is the name of the target that was given, "" for none.
func targetName(cmd *cobra.Command) string {
	if takesTarget(cmd) {
		return cmd.Flags().Arg(0)
	}
	if f := cmd.Flags().Lookup("target"); f != nil {
		return f.Value.String()
	}
	return ""
}

// selectTargets finds the targets of blnkctl.yaml that a run is for, and the one, which
// with --all there is not: each has a run of its own. Stores that were given need none,
// and go with no name.
func (a *app) selectTargets(cmd *cobra.Command, file config.File) (err error) {
	name, from := targetName(cmd), origin(cmd, "store")
	all, _ := cmd.Flags().GetBool("all") // of a command that has it
	if name != "" && from != "" && !all {
		return usage("leave one of them away", "%s names stores, and so does the target %s", strings.Replace(from, fromFlag, "--store", 1), name)
	}
	a.targets = []config.Target{file.Target}
	if all || from == "" && slices.Contains(strings.Fields(cmd.Annotations[fileMark]), "store") {
		a.targets, err = file.Select(name, all)
	}
	switch {
	case all:
		return err
	case err == nil:
		a.target = a.targets[0]
		return nil
	case name == "" && cmd.Flag("all") != nil:
		return fail(exitUsage, err, "name one, or all of them with --all")
	}
	return fail(exitUsage, err, unquoted(cmd, name))
}

// applySettings gives the flags that were not typed the values of their variables,
// and then those of blnkctl.yaml.
func (a *app) applySettings(cmd *cobra.Command) error {
	a.env.Stderr.Edit = func(text string) string { return asTyped(cmd, text) }
	err := fill(cmd, func(f *pflag.Flag) (values []string, origin string) {
		text := a.env.Getenv(variable(f.Name)) // an empty one counts as none
		if _, list := f.Value.(pflag.SliceValue); list {
			values = strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
		} else if text != "" {
			values = []string{text}
		}
		return values, variable(f.Name)
	})
	flags := strings.Fields(cmd.Annotations[fileMark])
	if err = cmp.Or(err, checkValues(cmd)); err != nil || len(flags) == 0 {
		return err
	}
	file, err := a.configFile()
	if err != nil {
		return err
	}
	if err = a.selectTargets(cmd, file); err != nil {
		return err
	}
	err = fill(cmd, func(f *pflag.Flag) (values []string, origin string) {
		if slices.Contains(flags, f.Name) {
			values = file.Setting(a.target, f.Name)
		}
		return values, file.Path
	})
	return cmp.Or(err, checkValues(cmd))
}

func valuesOf(f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{f.Value.String()}
}

// checkValues refuses what no flag or argument may hold.
func checkValues(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		free := slices.Contains([]string{"reason", "on-success", "on-failure"}, f.Name)
		for _, v := range valuesOf(f) {
			if v == "" && f.Value.Type() == "string" && !free && err == nil && typed(cmd, f.Name) { // a variable of a script that is not set
				err = usage("", "--%s: nothing stands behind it", f.Name)
			}
			if why := ref.CheckValue(v); err == nil && why != nil && (!free || secret.Holds(v)) {
				from := origin(cmd, f.Name)
				if from == fromFlag || filepath.IsAbs(from) {
					from += " --" + f.Name
				}
				err = usage("", "%s: %w", strings.TrimPrefix(from, fromFlag+" "), why)
			}
		}
	})
	for _, word := range cmd.Flags().Args() {
		if err == nil && secret.Holds(word) && cmd.Name() != "exec" {
			err = usage("", "argument: %w", ref.CheckValue(word))
		}
	}
	return err
}

// elsewhere are the global flags without which a command would work on other things.
var elsewhere = []string{"config", "state-dir"}

// asTyped gives the commands in a text those of elsewhere that were typed.
func asTyped(cmd *cobra.Command, text string) string {
	return hint.WithFlags(text, elsewhereFlags(cmd))
}

// elsewhereFlags are those of elsewhere that were typed, for another run.
func elsewhereFlags(cmd *cobra.Command) (flags string) {
	for _, name := range elsewhere {
		if typed(cmd, name) {
			flags += " --" + name + " " + hint.Command(cmd.Flag(name).Value.String())
		}
	}
	return flags
}

// fill sets the flags that have no value yet.
func fill(cmd *cobra.Command, find func(*pflag.Flag) (values []string, origin string)) (err error) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, action := f.Annotations[actionMark]; err != nil || f.Changed || f.Name == "help" || action {
			return
		}
		values, origin := find(f)
		for _, v := range values {
			if why := cmd.Flags().Set(f.Name, v); why != nil {
				if invalid, ok := errors.AsType[*pflag.InvalidValueError](why); ok {
					why = invalid.Unwrap() // its own words name the flag
				}
				err = valueError(cmd, origin, f, v, why)
				return
			}
		}
		if len(values) > 0 {
			_ = cmd.Flags().SetAnnotation(f.Name, originMark, []string{origin})
		}
	})
	return err
}

// variable is the name of the environment variable of a flag. Variables that name
// no flag are left alone: those of hooks (BLNKCTL_HOOK_*) are among them.
func variable(flag string) string {
	return "BLNKCTL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// origin is where the value of a flag comes from; "" for the default.
func origin(cmd *cobra.Command, name string) string {
	f := cmd.Flags().Lookup(name)
	if f == nil || !f.Changed {
		return ""
	}
	if from := f.Annotations[originMark]; len(from) > 0 {
		return from[0]
	}
	return fromFlag
}

// typed says whether a flag was given on the command line itself. A variable is
// a default: where it does not apply it is no mistake.
func typed(cmd *cobra.Command, name string) bool { return origin(cmd, name) == fromFlag }

// given says whether a flag has another value than its default.
func given(cmd *cobra.Command, name string) bool { return origin(cmd, name) != "" }

// fromFile says whether the value of a flag stands in blnkctl.yaml.
func fromFile(cmd *cobra.Command, flag string) bool { return filepath.IsAbs(origin(cmd, flag)) }

// dirOf is where relative paths in the value of a flag start: the folder of
// blnkctl.yaml where the value stands there, else the working directory.
func (a *app) dirOf(cmd *cobra.Command, flag string) (string, error) {
	if fromFile(cmd, flag) {
		return filepath.Dir(origin(cmd, flag)), nil
	}
	return a.env.Getwd()
}

// abs makes a path absolute, from where blnkctl was started.
func (a *app) abs(path string) (string, error) {
	if filepath.IsAbs(path) {
		return filepath.Clean(path), nil
	}
	dir, err := a.env.Getwd()
	return filepath.Join(dir, path), err
}

// refuseTogether refuses flags that contradict each other when both were typed.
func refuseTogether(cmd *cobra.Command, names ...string) error {
	names = slices.DeleteFunc(names, func(name string) bool { return !typed(cmd, name) })
	if len(names) > 1 {
		return usage(helpHint(cmd), "--%s and --%s exclude each other", names[0], names[1])
	}
	return nil
}

// whereToSay is a hint to write something into blnkctl.yaml, for a target.
func (a *app) whereToSay(name, what string) string {
	if file, err := a.configFile(); err == nil && file.Path != "" {
		return "add to " + strings.TrimPrefix(name+" in ", " in ") + file.Path + ": " + what
	}
	return "make a " + config.Name + " with `" + what + "`"
}

// atLeast refuses durations below 0, or below 1 ns.
func atLeast(cmd *cobra.Command, least time.Duration, names ...string) error {
	for _, name := range names {
		if d, _ := cmd.Flags().GetDuration(name); d < least {
			return usage("", "--%s: want %s", name, []string{"0s or more", "more than 0s"}[least])
		}
	}
	return nil
}

// configFile returns blnkctl.yaml, read once; the zero File where there is none.
func (a *app) configFile() (config.File, error) {
	if a.config == nil {
		file, err := config.Find(a.global.config, a.env.Getwd)
		if err != nil {
			return file, err
		}
		if a.config = &file; a.env.Whole == nil {
			a.env.Whole = a.env.Environ
		}
		a.env.Environ = notify.Conceal(a.env.Whole, file.Notices())
	}
	return *a.config, nil
}
