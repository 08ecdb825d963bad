package cmd

import (
	"cmp"
	"embed"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/page"
	"github.com/blnkctl/blnkctl/secret"
)

// helpPages hold the texts of --help, one file a command.
//
//go:embed help
var helpPages embed.FS

// pageOf reads the page of a command by its path without the program's name.
func pageOf(path string) page.Page {
	text, _ := helpPages.ReadFile("help/" + cmp.Or(strings.ReplaceAll(path, " ", "_"), "blnkctl") + ".txt") // a test looks for each
	return page.Parse(string(text))
}

// newCmd makes a command that takes flags only, and where its use says so the name of a
// target; parent is the path of the group that it belongs to.
func newCmd(parent, use string, run func(*cobra.Command) error) *cobra.Command {
	name, _, _ := strings.Cut(use, " ")
	cmd := &cobra.Command{
		Use: use, Short: pageOf(strings.TrimSpace(parent + " " + name)).Short, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd) },
	}
	cmd.Flags().SortFlags = false // the usual ones come first
	return cmd
}

// newTopic makes a page of help that is about no command.
func newTopic(name string) *cobra.Command {
	return &cobra.Command{Use: name, Short: pageOf(name).Short}
}

// newGroup makes a command that has subcommands, and is a question for help by itself.
func newGroup(use string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: pageOf(use).Short, Args: cobra.ArbitraryArgs, RunE: runGroup}
	cmd.AddCommand(commands...)
	return cmd
}

func newHelpCmd(*app) *cobra.Command {
	return &cobra.Command{
		Use:   "help [command|topic]",
		Short: pageOf("help").Short,
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) > 0 {
				err = unknownCommand(topic, rest[0])
			}
			if err != nil {
				return err
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			if topic, rest, err := cmd.Root().Find(args); err == nil && len(rest) == 0 {
				for _, c := range topic.Commands() {
					names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

// commandPath is the path of a command without the program's name.
func commandPath(cmd *cobra.Command) string {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	return path
}

// printHelp prints what --help shows.
func (a *app) printHelp(cmd *cobra.Command, _ []string) {
	var c page.Contents
	if cmd.HasAvailableSubCommands() {
		c.Usage = cmd.CommandPath() + " COMMAND [flags]"
	} else if cmd.Runnable() {
		c.Usage = cmd.UseLine()
	}
	for _, sub := range cmd.Commands() {
		if one := (page.Entry{Name: sub.Name(), Text: sub.Short}); sub.Runnable() {
			c.Commands = append(c.Commands, one)
		} else {
			c.Topics = append(c.Topics, one)
		}
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if value, text := pflag.UnquoteUsage(f); f.Name != "help" && cmd.Runnable() {
			c.Flags = append(c.Flags, page.Flag(f.Name, f.Shorthand, value, text, f.DefValue))
		}
	})
	if cmd.Runnable() && cmd.HasParent() {
		c.Globals = "-o text|json, -q, --no-input, --state-dir DIR, --config FILE"
	}
	_ = a.print(a.env.Look.Page(pageOf(commandPath(cmd)).Text(c)))
}

// noArgs is for commands that take flags only. What was typed is not repeated where
// somebody may have taken a key for an argument.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 && takesTarget(cmd) {
		args = args[1:]
	}
	if len(args) == 0 {
		return nil
	}
	return refuseArg(cmd, args[0])
}

// refuseArg is the error of an argument too many.
func refuseArg(cmd *cobra.Command, arg string) error {
	help, word, takes := helpHint(cmd), secret.Shown(arg), map[bool]string{true: "one target, and flags", false: "no arguments, only flags"}[takesTarget(cmd)]
	if word != "" {
		help, word = cmp.Or(unquoted(cmd, arg), help), ":"+word+" is one too many"
	}
	return usage(help, "%s takes %s%s", cmd.CommandPath(), takes, word)
}

// unquoted is the hint where a value with spaces was typed without quotes, and stray
// is its second word; "" where that is not so.
func unquoted(cmd *cobra.Command, stray string) string {
	return hint.Unquoted(strings.Split(cmd.Root().Annotations[typedMark], "\x00"), stray, func(word string) bool {
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		return cmd.Flags().Lookup(name) != nil || len(name) == 1 && cmd.Flags().ShorthandLookup(name) != nil
	})
}

// runGroup runs a command that has subcommands: by itself it is a question for
// help.
func runGroup(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return unknownCommand(cmd, args[0])
}

// meant is the hint for a word that is none of the known ones.
func meant(cmd *cobra.Command, word string, known []string, before, behind string) string {
	if n := hint.Nearest(word, known); n != "" {
		return "did you mean " + before + n + behind + "?"
	}
	return helpHint(cmd)
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	return usage(meant(cmd, name, names, "`"+cmd.CommandPath()+" ", "`"), "unknown command%s", secret.Shown(name))
}

// flagError words what pflag found wrong, without values that may be a key.
func flagError(cmd *cobra.Command, err error) error {
	// The flags of a mistyped command are unknown too; the command comes first.
	if args := cmd.Flags().Args(); cmd.HasSubCommands() && len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	if e, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		return usage(helpHint(cmd), "--%s needs a value", e.GetFlag().Name)
	}
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return valueError(cmd, "--"+e.GetFlag().Name, e.GetFlag(), e.GetValue(), e.Unwrap())
	}
	e, ok := errors.AsType[*pflag.NotExistError](err)
	if stray := cmd.Flags().Args(); ok && len(stray) > 0 && strings.Contains(unquoted(cmd, stray[0]), "'sh:") {
		return refuseArg(cmd, stray[0])
	}
	switch {
	case !ok:
		return usage(helpHint(cmd), "bad flag syntax")
	case e.GetSpecifiedShortnames() != "":
		help := ""
		if word := e.GetSpecifiedShortnames(); cmd.Flags().Lookup(word) != nil {
			help = "did you mean --" + word + "?"
		}
		return usage(help, "unknown flag -%s", e.GetSpecifiedName())
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return usage(meant(cmd, e.GetSpecifiedName(), names, "--", ""), "unknown flag%s", secret.Shown("--"+e.GetSpecifiedName()))
}

// valueError words why a value was refused; name is where it came from. The
// reasons of some types are written for programmers.
func valueError(cmd *cobra.Command, name string, f *pflag.Flag, value string, err error) error {
	want := map[string]string{"int": "a number", "bool": "true or false", "duration": "a duration such as 90s or 3m"}
	if text := want[f.Value.Type()]; text != "" {
		err = errors.New("want " + text)
	}
	help := ""
	if unit := map[string]string{"duration": "s", "func": "d"}[f.Value.Type()]; unit != "" && value != "" && strings.Trim(value, "0123456789") == "" {
		help = "did you mean " + value + unit + "?"
	}
	return usage(help, "%s%s: %w", name, secret.Shown(value), err)
}
