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
	"github.com/blnkctl/blnkctl/target"
)

// globalFlags belong to every command.
type globalFlags struct {
	output   string
	quiet    bool
	noInput  bool
	stateDir string
	config   string
}

func (g *globalFlags) add(root *cobra.Command) {
	flags := root.PersistentFlags()
	forms := []string{"text", "json"}
	choice(flags, &g.output, "output", "o", "form of the output on stdout: "+oneOf(forms), forms...)
	flags.BoolVarP(&g.quiet, "quiet", "q", false, "no talk but warnings and errors, not even that nothing was due")
	flags.BoolVar(&g.noInput, "no-input", false, "never ask, even on a terminal")
	flags.StringVar(&g.stateDir, "state-dir", "", "private `folder` of journal, audit log and state (default "+
		state.SystemDir+" where it exists or for root, else $XDG_STATE_HOME/blnkctl)")
	_ = root.MarkPersistentFlagDirname("state-dir")
	flags.StringVar(&g.config, "config", "", "configuration `file` (default ./"+config.Name+", then "+config.SystemFile+")")
	_ = root.MarkPersistentFlagFilename("config", "yaml", "yml")
	complete(root, "output", forms...)
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

// defaultStore is the place of a Blnk configuration where nobody names one.
const defaultStore = "blnkjson:./blnk.json"

// places are what a command's flags name, as the plain data that a target is
// opened from.
type places struct {
	cmd  *cobra.Command
	spec target.Spec
	// field replaces the schemes' own default fields; nil leaves them.
	field func(scheme string) string
	// reads says that nothing is ever written, so that the state folder may be
	// that of another user: a service reads the key that root rotates.
	reads bool
}

func (p *places) addStores(cmd *cobra.Command, text string) {
	p.cmd = cmd
	cmd.Flags().StringArrayVar(&p.spec.Stores, "store", nil, text)
	complete(cmd, "store", schemeNames((&app{}).storeSchemes())...)
}

// addServers adds the flags that say where the servers are and how they are reached.
func (p *places) addServers(text string) {
	flags := p.cmd.Flags()
	flags.StringArrayVar(&p.spec.Servers, "server", nil, text)
	flags.StringVar(&p.spec.CACert, "ca-cert", "", "PEM `file` of the CAs to trust for https, instead of the system's")
	_ = p.cmd.MarkFlagFilename("ca-cert")
	p.addNetwork()
}

// addNetwork adds the flags of a command that may ask a store over a network.
func (p *places) addNetwork() {
	flags := p.cmd.Flags()
	flags.StringVar(&p.spec.Proxy, "proxy", "", "`URL` of a proxy; those of the environment are not used for a key")
	flags.BoolVar(&p.spec.AllowPlaintext, "allow-plaintext", false, "send the key over plain http to another machine")
}

// openStores opens the stores; a copy that cannot be read is none.
func (a *app) openStores(p *places) (store.Set, error) {
	set, copies, err := target.OpenStores(&p.spec, target.Openers{Store: a.storeOpener(p)})
	if err == nil && len(copies) > 0 {
		err = usage("", "--store: %s: %w", copies[0], command.ErrWriteOnly)
	}
	return set, err
}

// choice adds a flag that takes one of a few words; the first is the default.
func choice(flags *pflag.FlagSet, into *string, name, short, text string, words ...string) {
	*into = words[0]
	flags.FuncP(name, short, text, func(s string) error {
		if !slices.Contains(words, s) {
			return errors.New("want " + oneOf(words))
		}
		*into = s
		return nil
	})
	flags.Lookup(name).DefValue = words[0]
}

// oneOf lists words as a sentence does.
func oneOf(words []string) string {
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " or " + words[n]
}

// complete offers words for the value of a flag in a shell.
func complete(cmd *cobra.Command, flag string, words ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}
