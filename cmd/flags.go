package cmd

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/command"
)

// globalFlags belong to every command.
type globalFlags struct {
	output   choice
	quiet    bool
	noInput  bool
	stateDir string
	config   string
}

func (g *globalFlags) add(root *cobra.Command) {
	g.output = newChoice("text", "json")
	flags := root.PersistentFlags()
	flags.VarP(&g.output, "output", "o", "form of the output on stdout: "+g.output.words("or"))
	flags.BoolVarP(&g.quiet, "quiet", "q", false, "no talk but warnings and errors, not even that nothing was due")
	flags.BoolVar(&g.noInput, "no-input", false, "never ask, even on a terminal")
	flags.StringVar(&g.stateDir, "state-dir", "", "private `folder` of journal, audit log and state (default "+
		state.SystemDir+" where it exists or for root, else $XDG_STATE_HOME/blnkctl)")
	_ = root.MarkPersistentFlagDirname("state-dir")
	flags.StringVar(&g.config, "config", "", "configuration `file` (default ./"+config.Name+", then "+config.SystemFile+")")
	_ = root.MarkPersistentFlagFilename("config", "yaml", "yml")
	completeChoice(root, "output", g.output)
}

// openState opens the state folder, which may not exist yet.
func (a *app) openState() (*state.Dir, error) {
	dir := a.global.stateDir
	if dir == "" {
		var err error
		if dir, err = state.DefaultDir(a.env.Getenv, a.env.UID); err != nil {
			return nil, err
		}
	}
	dir, err := a.abs(dir)
	if err != nil {
		return nil, err
	}
	return state.Open(dir)
}

// storeFlags name places that hold the key.
type storeFlags struct {
	refs []string
	cmd  *cobra.Command
	// reads says that nothing is ever written, so that the state folder may be
	// that of another user: a service reads the key that root rotates.
	reads bool
}

func (f *storeFlags) add(cmd *cobra.Command, text string) {
	f.cmd = cmd
	cmd.Flags().StringArrayVar(&f.refs, "store", nil, text)
	complete(cmd, "store", storeSchemeNames)
}

// open opens the stores and refuses one that is named twice, by whatever path.
// field replaces the schemes' own default fields; "" leaves them.
func (f *storeFlags) open(a *app, field func(scheme string) string) ([]store.Store, error) {
	stores, copies, err := f.openPlaces(a, field)
	if err == nil && len(copies) > 0 {
		return nil, usage("", "--store: %s: %w", copies[0], command.ErrWriteOnly)
	}
	return stores, err
}

// openPlaces is open for who has a use for write-only copies.
func (f *storeFlags) openPlaces(a *app, field func(scheme string) string) (stores []store.Store, copies []*command.Copy, err error) {
	opt, err := f.options(a)
	if err != nil {
		return nil, nil, err
	}
	for _, text := range f.refs {
		s, c, err := a.openPlace(text, opt, field)
		if err != nil {
			return nil, nil, err
		}
		if c != nil {
			copies = append(copies, c)
		} else {
			stores = append(stores, s)
		}
	}
	return stores, copies, refuseSamePlace(stores)
}

// openPlace opens a store, or a copy that can only be written.
func (a *app) openPlace(text string, opt store.Options, field func(scheme string) string) (store.Store, *command.Copy, error) {
	if scheme, _, ok := strings.Cut(text, ":"); ok && field != nil {
		opt.DefaultField = field(scheme)
	}
	s, err := a.storeSchemes().Open(text, opt)
	if errors.Is(err, command.ErrWriteOnly) {
		c, err := a.openCopy(text)
		return nil, c, err
	}
	if err != nil {
		return nil, nil, fail(exitUsage, err, "")
	}
	return s, nil, nil
}

// options is what opening a store may need.
func (f *storeFlags) options(a *app) (store.Options, error) {
	dir, err := a.dirOf(f.cmd, "store")
	if err != nil {
		return store.Options{}, err
	}
	opt := store.Options{Dir: dir, Env: a.env.Environ, Stdin: a.env.Stdin}
	private, err := a.openState()
	switch {
	case err == nil:
		opt.CopyDir = private.CopyDir()
	case !f.reads || a.global.stateDir != "":
		return store.Options{}, err
	}
	if proxy := f.cmd.Flags().Lookup("proxy"); proxy != nil {
		opt.Proxy = proxy.Value.String()
	}
	if plain := f.cmd.Flags().Lookup("allow-plaintext"); plain != nil {
		opt.AllowPlaintext = plain.Value.String() == "true"
	}
	return opt, nil
}

// addNetwork adds the flags of a command that asks no Blnk server, but may ask
// a store over a network.
func addNetwork(cmd *cobra.Command) {
	cmd.Flags().String("proxy", "", "`URL` of a proxy; those of the environment are not used for a key")
	cmd.Flags().Bool("allow-plaintext", false, "send the key over plain http to another machine")
}

func refuseSamePlace(stores []store.Store) error {
	if first, second := store.Set(stores).SamePlace(); first != "" {
		if first == second {
			return usage("name it once", "--store: %s is given twice", first)
		}
		return usage("name it once", "--store: %s and %s are the same place", first, second)
	}
	return nil
}

// A choice is the value of a flag that takes one of a few words.
type choice struct {
	value   string
	allowed []string
}

// newChoice takes the allowed words; the first is the default.
func newChoice(allowed ...string) choice { return choice{allowed[0], allowed} }

var _ pflag.Value = (*choice)(nil)

// String returns the word.
func (c *choice) String() string { return c.value }

// Type stands in help texts where a flag's value would.
func (c *choice) Type() string { return "name" }

// Set takes one of the allowed words.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return errors.New("want " + c.words("or"))
	}
	c.value = s
	return nil
}

// words lists what is allowed, as a sentence does.
func (c *choice) words(last string) string {
	n := len(c.allowed) - 1
	return strings.Join(c.allowed[:n], ", ") + " " + last + " " + c.allowed[n]
}

func completeChoice(cmd *cobra.Command, flag string, c choice) {
	complete(cmd, flag, func() []string { return c.allowed })
}

// complete offers words for the value of a flag in a shell.
func complete(cmd *cobra.Command, flag string, words func() []string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return words(), cobra.ShellCompDirectiveNoFileComp
	})
}
