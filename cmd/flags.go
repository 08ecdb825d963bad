package cmd

import (
	"errors"
	"io/fs"
	"os"
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
	choice(root, flags, &g.output, "output", "o", "form of the output on stdout", "text", "json")
	flags.BoolVarP(&g.quiet, "quiet", "q", false, "say nothing but warnings and errors; print only what was asked for")
	flags.BoolVar(&g.noInput, "no-input", false, "never ask, even on a terminal")
	flags.StringVar(&g.stateDir, "state-dir", "", "`DIR`: private, of journal, audit log and state (default "+
		state.SystemDir+" where it exists or for root, else $XDG_STATE_HOME/blnkctl)")
	_ = root.MarkPersistentFlagDirname("state-dir")
	flags.StringVar(&g.config, "config", "", "`FILE`: the configuration (default ./"+config.Name+", then "+config.SystemFile+")")
	_ = root.MarkPersistentFlagFilename("config", "yaml", "yml")
}

// openState opens the state folder, which may not exist yet. Keys that are kept in it and
// whose time is up go.
func (a *app) openState() (*state.Dir, error) {
	dir, err := a.global.stateDir, error(nil)
	if dir == "" {
		dir, err = state.DefaultDir(a.env.Getenv, a.env.UID)
	}
	if err == nil {
		dir, err = a.abs(dir)
	}
	if err != nil {
		return nil, err
	}
	private, err := state.Open(dir)
	if err == nil {
		private.PurgePrevious(a.env.Now())
	}
	return private, err
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
	// looks says that a state folder which cannot be read is told, and hides nothing else.
	looks bool
	// dir is where relative references start; "": where a flag's value stands.
	dir string
}

func (p *places) addStores(cmd *cobra.Command, text string) {
	p.cmd = cmd
	cmd.Flags().StringArrayVar(&p.spec.Stores, "store", nil, text)
	complete(cmd.Flags(), "store", schemeNames((&app{}).storeSchemes())...)
}

func (p *places) addRestart(cmd *cobra.Command) {
	drivers := schemeNames((&app{}).restartSchemes())
	cmd.Flags().StringArrayVar(&p.spec.Restart, "restart", nil, "`REF`: what restarts server and workers: "+oneOf(drivers))
	complete(cmd.Flags(), "restart", drivers...)
}

func (p *places) addServers(text string) {
	p.cmd.Flags().StringArrayVar(&p.spec.Servers, "server", nil, text)
}

// addConnection adds the flags that say how servers are reached.
func (p *places) addConnection() {
	flags := p.cmd.Flags()
	flags.StringVar(&p.spec.CACert, "ca-cert", "", "`FILE`: CAs to trust for https (PEM)")
	p.addNetwork()
}

// addNetwork adds the flags of a command that may ask a store over a network.
func (p *places) addNetwork() {
	flags := p.cmd.Flags()
	flags.StringVar(&p.spec.Proxy, "proxy", "", "`URL`: a proxy (the environment's is not used)")
	flags.BoolVar(&p.spec.AllowPlaintext, "allow-plaintext", false, "let the key go over plain http to another host")
}

// useDefault takes, where no store is named, the blnk.json that is here.
func (a *app) useDefault(p *places) error {
	if len(p.spec.Stores) > 0 {
		return nil
	}
	path, err := a.abs("blnk.json")
	if err == nil {
		_, err = os.Lstat(path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return usage("cd to the folder that Blnk runs in, or name the place of the key with --store", "no --store, and there is no %s", path)
	}
	p.spec.Stores = []string{defaultStore}
	return err
}

// openStores opens the stores that can be read: a copy that was named here is a mistake,
// one of blnkctl.yaml is not meant.
func (a *app) openStores(p *places) (store.Set, error) {
	set, copies, err := target.OpenStores(&p.spec, target.Openers{Store: a.storeOpener(p)})
	if err == nil && len(copies) > 0 && !fromFile(p.cmd, "store") {
		err = usage("", "--store: %s: %w", copies[0], command.ErrWriteOnly)
	}
	return set, err
}

// A word is the value of a flag that takes one of a few; the first is the default.
type word struct {
	value *string
	words []string
}

func (w word) String() string { return *w.value }
func (w word) Type() string   { return "WORD" } // what help calls the value
func (w word) Set(s string) error {
	if !slices.Contains(w.words, s) {
		return errors.New("want " + oneOf(w.words))
	}
	*w.value = s
	return nil
}

// choice adds a flag that takes a word.
func choice(cmd *cobra.Command, flags *pflag.FlagSet, into *string, name, short, text string, words ...string) {
	*into = words[0]
	flags.VarP(word{into, words}, name, short, text+": "+oneOf(append([]string{words[0] + " (default)"}, words[1:]...)))
	complete(flags, name, words...)
}

// oneOf lists words as a sentence does.
func oneOf(words []string) string {
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " or " + words[n]
}

// complete offers words for the value of a flag in a shell. They are kept with the flag:
// what cobra is told it keeps for ever, as many times as --all has targets.
func complete(flags *pflag.FlagSet, flag string, words ...string) {
	_ = flags.SetAnnotation(flag, wordsMark, words)
}

// offerWords tells cobra, where a shell asks.
func offerWords(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if words := f.Annotations[wordsMark]; words != nil {
			place := map[bool]cobra.ShellCompDirective{true: cobra.ShellCompDirectiveNoSpace}[strings.HasSuffix(words[0], ":")] // goes behind a scheme
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp|place))
		}
	})
	for _, c := range cmd.Commands() {
		offerWords(c)
	}
}
