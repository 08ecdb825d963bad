package cmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Annotations of a flag.
const (
	actionMark   = "blnkctl_action"   // does something each time it is given
	variableMark = "blnkctl_variable" // was set by a variable
)

// actions marks flags that a variable cannot set: they ask for something to be
// done now (--force, --yes), and one that was forgotten in an environment would
// do it to everybody.
func actions(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		_ = cmd.Flags().SetAnnotation(name, actionMark, nil)
	}
}

// variable is the name of the environment variable of a flag.
func variable(flag string) string {
	return "BLNKCTL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// applyVariables gives the flags that were not typed the values of their
// BLNKCTL_ variables; the values of a list stand on a line each. An empty
// variable counts as none. Variables that name no flag are left alone: those of
// hooks (BLNKCTL_HOOK_*) are among them.
func (a *app) applyVariables(cmd *cobra.Command) error {
	var first error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if first != nil || f.Changed || f.Name == "help" || marked(f, actionMark) {
			return
		}
		text := a.env.Getenv(variable(f.Name))
		if text == "" {
			return
		}
		values := []string{text}
		if _, list := f.Value.(pflag.SliceValue); list {
			values = strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
		}
		for _, v := range values {
			err := cmd.Flags().Set(f.Name, v)
			if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
				err = e.Unwrap() // its own words name the flag
			}
			if err != nil {
				first = valueError(cmd, variable(f.Name), f, v, err)
				return
			}
		}
		_ = cmd.Flags().SetAnnotation(f.Name, variableMark, nil)
	})
	return first
}

func marked(f *pflag.Flag, mark string) bool {
	_, ok := f.Annotations[mark]
	return ok
}

// typed says whether a flag was given on the command line itself. A variable is
// a default: where it does not apply it is no mistake.
func typed(cmd *cobra.Command, name string) bool {
	f := cmd.Flags().Lookup(name)
	return f != nil && f.Changed && !marked(f, variableMark)
}

// given says whether a flag has a value from the command line or a variable.
func given(cmd *cobra.Command, name string) bool {
	f := cmd.Flags().Lookup(name)
	return f != nil && f.Changed
}

// refuseTogether refuses flags that contradict each other when both were typed.
func refuseTogether(cmd *cobra.Command, names ...string) error {
	var seen string
	for _, name := range names {
		if !typed(cmd, name) {
			continue
		}
		if seen != "" {
			return fail(exitUsage, fmt.Errorf("--%s and --%s exclude each other", seen, name), helpHint(cmd))
		}
		seen = name
	}
	return nil
}
