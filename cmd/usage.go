package cmd

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/blnkctl/blnkctl/keygen"
)

// noArgs is for commands that take flags only. It does not repeat what was
// typed: somebody may have taken a key for an argument.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usage(helpHint(cmd), "%s takes no arguments, only flags", cmd.CommandPath())
}

// runGroup runs a command that has subcommands: by itself it is a question for
// help.
func runGroup(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return unknownCommand(cmd, args[0])
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	hint := "see `" + cmd.Root().Name() + " help`"
	if n := nearest(name, names); n != "" {
		hint = "did you mean `" + cmd.CommandPath() + " " + n + "`?"
	}
	return usage(hint, "unknown command%s", shown(name))
}

// flagError words what pflag found wrong, without values that may be a key.
func flagError(cmd *cobra.Command, err error) error {
	// The flags of a mistyped command are unknown too; the command comes first.
	if args := cmd.Flags().Args(); cmd.HasSubCommands() && len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	if e, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return unknownFlag(cmd, e)
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usage(helpHint(cmd), "--%s needs a value", e.GetFlag().Name)
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		f := e.GetFlag()
		return valueError(cmd, "--"+f.Name, f, e.GetValue(), e.Unwrap())
	}
	return usage(helpHint(cmd), "bad flag syntax")
}

func unknownFlag(cmd *cobra.Command, e *pflag.NotExistError) error {
	if e.GetSpecifiedShortnames() != "" {
		return usage(helpHint(cmd), "unknown flag -%s", e.GetSpecifiedName())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	hint := helpHint(cmd)
	if n := nearest(e.GetSpecifiedName(), names); n != "" {
		hint = "did you mean --" + n + "?"
	}
	return usage(hint, "unknown flag%s", shown("--"+e.GetSpecifiedName()))
}

// valueError words why a value was refused; name is where it came from. The
// reasons of some types are written for programmers.
func valueError(cmd *cobra.Command, name string, f *pflag.Flag, value string, err error) error {
	switch f.Value.Type() {
	case "int":
		err = errors.New("want a number")
	case "bool":
		err = errors.New("want true or false")
	case "duration":
		err = errors.New("want a duration such as 90s or 3m")
	}
	return usage(helpHint(cmd), "%s%s: %w", name, shown(value), err)
}

// maxShown is how long a word may be that an error repeats: shorter than any
// good key.
const maxShown = 24

// shown repeats in an error, behind a space, a word that was typed, unless it
// could be a key that was typed in the wrong place.
func shown(word string) string {
	if len(word) > maxShown || strings.Contains(word, keygen.Prefix) {
		return ""
	}
	return fmt.Sprintf(" %q", word)
}

// nearest returns the word that was probably meant, or "".
func nearest(word string, known []string) string {
	best, found := 3, "" // two wrong characters are a typing error, three another word
	for _, k := range known {
		d := distance(word, k)
		if strings.HasPrefix(k, word) && len(word) > 1 {
			d = 1
		}
		if d < best && d < len(word) {
			best, found = d, k
		}
	}
	return found
}

// distance is the Levenshtein distance: the inserted, deleted and replaced
// bytes between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
