package cmd

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/target"
)

type verifyOptions struct {
	stores  storeFlags
	servers []string
	reach   serverFlags
	keyFile string
	expect  choice
}

func newVerifyCmd(a *app) *cobra.Command {
	opt := &verifyOptions{expect: newChoice("accepted", "rejected")}
	cmd := &cobra.Command{
		Use:   "verify [flags]",
		Short: "Ask the live servers which key they accept",
		Long: fmt.Sprintf(`Ask the live servers which key they accept.

For every server: which of the given keys is its live master key, whether a
random key is refused, and so whether secure mode is on. Each question goes over
a connection of its own, %d times, since several servers may stand behind one
address; of an address on another machine the answers are only a sample.

The keys are those of the stores and of --key-file; without either, a hidden
prompt asks for one. With --expect accepted every key has to be the live master
key of every server; with --expect rejected every server has to refuse it.

Nothing is changed. Workers answer no questions: the key that they run is not
seen.`, proof.Agreeing),
		Example: `  blnkctl verify --store 'blnkjson:./blnk.json'
  blnkctl verify --key-file leaked.txt --expect rejected \
      --server https://blnk-1.internal --server https://blnk-2.internal`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runVerify(cmd.Context(), a, opt) },
	}
	flags := cmd.Flags()
	opt.stores.add(cmd, "`place` that holds a key, as blnkjson:./blnk.json (repeatable)")
	flags.StringArrayVar(&opt.servers, "server", nil, "`URL` of a server, one per replica (repeatable; default: on this machine, with the port of the first blnkjson: store)")
	flags.StringVar(&opt.keyFile, "key-file", "", "`file` with a key, - for stdin")
	flags.Var(&opt.expect, "expect", "what the servers should do with the keys: "+opt.expect.words("or"))
	opt.reach.add(cmd)
	_ = cmd.MarkFlagFilename("key-file")
	completeChoice(cmd, "expect", opt.expect)
	configured(cmd, "store", "server")
	a.exits[cmd] = exits{
		exitOK:          "every server answered as expected",
		exitFailed:      "a key could not be read",
		exitUsage:       "",
		exitCheck:       "a server did not answer as expected, or not at all; secure mode is off",
		exitInterrupted: "",
	}
	return cmd
}

func runVerify(ctx context.Context, a *app, opt *verifyOptions) error {
	var stores []store.Store
	var err error
	if len(opt.stores.refs) > 0 { // else the state folder does not matter
		if stores, err = opt.stores.open(a, nil); err != nil {
			return err
		}
	}
	urls := opt.servers
	if len(urls) == 0 {
		url, err := target.LocalServer(ctx, stores)
		if errors.Is(err, target.ErrNoServer) {
			err = fail(exitUsage, err, "where the server's blnk.json is here: --store "+quoted(defaultStore))
		}
		if err != nil {
			return err
		}
		urls = []string{url}
	}
	servers, err := opt.reach.openAll(urls)
	if err != nil {
		return err
	}
	suspected := stores
	if opt.keyFile != "" && fromFile(opt.stores.cmd, "store") {
		suspected = nil // they say where the server is; the question is about another key
	}
	keys, err := readSuspects(ctx, a, opt, suspected)
	if err != nil {
		return err
	}
	surveys := surveyAll(ctx, servers, keys.keys())
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	v := verdict{expect: opt.expect.value, keys: keys, surveys: surveys}
	v.judge()
	v.explain(ctx, stores)
	if err := v.print(a); err != nil {
		return err
	}
	return v.err()
}

// A verdict is whether the servers do what is expected of them.
type verdict struct {
	expect  string
	keys    suspects
	surveys []survey
	failed  int      // servers
	details []string // why they failed
	hint    string
}

// A survey is what one server says, and where it is.
type survey struct {
	*proof.Answers
	server *probe.Server
}

// surveyAll asks all servers at once.
func surveyAll(ctx context.Context, servers []*probe.Server, keys []secret.Key) []survey {
	surveys := make([]survey, len(servers))
	var group sync.WaitGroup
	for i, server := range servers {
		group.Go(func() {
			surveys[i] = survey{proof.NewServer(server, !server.Loopback()).AskAll(ctx, keys), server}
		})
	}
	group.Wait()
	return surveys
}

// judge finds the servers that fail, and says why.
func (v *verdict) judge() {
	for _, s := range v.surveys {
		before := len(v.details)
		switch {
		case s.Open():
			v.detail(s, "secure mode is off: a random key is let in")
		case s.Err != nil:
			v.details = append(v.details, s.Err.Error()) // it names the server
		default:
			for i, k := range v.keys {
				if got := s.Key(i); got != v.wanted() {
					v.detail(s, fmt.Sprintf("the key from %s is %s", k.from[0], phrase(got)))
				}
			}
		}
		if len(v.details) > before {
			v.failed++
		}
	}
}

func (v *verdict) wanted() proof.Verdict {
	if v.expect == "rejected" {
		return proof.Rejected
	}
	return proof.Live
}

func (v *verdict) detail(s survey, text string) {
	v.details = append(v.details, s.server.String()+": "+text)
}

// phrase says in a sentence what is proved about a key.
func phrase(s proof.Verdict) string {
	switch s {
	case proof.Live:
		return "the live master key"
	case proof.Scoped:
		return "let in, but not as the master key: it lives as a scoped key"
	case proof.Mixed:
		return "accepted on some connections and not on others: several servers with different keys stand behind the address"
	default:
		return string(s)
	}
}

// explain names, where the key of a blnk.json is refused, the usual reasons: no
// restart, or, on this machine, a variable of the server's environment that
// wins over the file.
func (v *verdict) explain(ctx context.Context, stores []store.Store) {
	if v.wanted() != proof.Live || len(stores) == 0 {
		return
	}
	file, ok := stores[0].(*blnkjson.Store)
	if !ok {
		return
	}
	for _, s := range v.surveys {
		if s.Key(0) != proof.Rejected {
			continue
		}
		v.hint = "a server reads its key once, at its start: was it restarted since the key was changed?"
		if !s.server.Loopback() {
			continue
		}
		config, err := file.Config(ctx)
		if err != nil {
			return
		}
		processes, err := listener.Find(s.server.Port())
		if err != nil {
			return // a guess less; the verdict stands
		}
		for _, p := range processes {
			if name := shadowedBy(config, p.Env); name != "" {
				v.detail(s, fmt.Sprintf("%s in the environment of %s wins over %s", name, p, file.Path()))
				v.hint = "take " + name + " out of the server's environment and restart it"
			}
		}
	}
}

// err is the exit code 6 of a verdict that is not as expected.
func (v *verdict) err() error {
	if v.failed == 0 {
		return nil
	}
	return &exitError{
		code:    exitCheck,
		err:     fmt.Errorf("%d of %d servers did not answer as expected (keys %s)", v.failed, len(v.surveys), v.expect),
		details: v.details,
		hint:    v.hint,
	}
}
