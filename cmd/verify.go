package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/target"
)

type verifyOptions struct {
	places
	keyFile string
	expect  choice
}

func newVerifyCmd(a *app) *cobra.Command {
	opt := &verifyOptions{expect: newChoice("accepted", "rejected")}
	cmd := newCmd("", "verify [flags]", func(cmd *cobra.Command) error { return runVerify(cmd.Context(), a, opt) })
	flags := cmd.Flags()
	opt.addStores(cmd, "`place` that holds a key, as blnkjson:./blnk.json (repeatable)")
	opt.addServers("`URL` of a server, one per replica (repeatable; default: on this machine, with the port of the first blnkjson: store)")
	flags.StringVar(&opt.keyFile, "key-file", "", "`file` with a key, - for stdin")
	flags.Var(&opt.expect, "expect", "what the servers should do with the keys: "+opt.expect.words("or"))
	_ = cmd.MarkFlagFilename("key-file")
	completeChoice(cmd, "expect", opt.expect)
	configured(cmd, "store", "server")
	return cmd
}

func runVerify(ctx context.Context, a *app, opt *verifyOptions) error {
	var set store.Set
	var err error
	if len(opt.spec.Stores) > 0 { // else the state folder does not matter
		if set, err = a.openStores(&opt.places); err != nil {
			return err
		}
	}
	t := &target.Target{Spec: opt.spec, Set: set}
	err = t.Locate(ctx, target.Openers{Server: openServer}, nil)
	if errors.Is(err, target.ErrNoServer) {
		err = hint.Add(err, "where the server's blnk.json is here: --store %s", hint.Quote(defaultStore))
	}
	if err != nil {
		return err
	}
	v := &verdict{Set: set, expect: opt.expect.value, want: proof.Live}
	if v.expect == "rejected" {
		v.want = proof.Rejected
	}
	if err := v.readKeys(ctx, a, opt); err != nil {
		return err
	}
	if err := v.ask(ctx, t.Servers); err != nil {
		return err
	}
	if err := v.render(a); err != nil || v.failed == 0 {
		return err
	}
	err = fmt.Errorf("%d of %d servers did not answer as expected (keys %s)", v.failed, len(v.answers), v.expect)
	return &exitError{code: exitCheck, err: err, details: v.faults, hint: v.hint}
}

// A verdict is whether the servers do what is expected of them.
type verdict struct {
	store.Set
	expect  string
	want    proof.Verdict
	keys    []secret.Key // in question
	from    [][]string   // where each was found
	answers []*proof.Answers
	failed  int      // servers
	faults  []string // why
	hint    string
}

// add adds a key; one that several places hold is one key.
func (v *verdict) add(key secret.Key, from string) {
	if i := slices.IndexFunc(v.keys, key.Equal); i >= 0 {
		v.from[i] = append(v.from[i], from)
		return
	}
	v.keys, v.from = append(v.keys, key), append(v.from, []string{from})
}

// readKeys reads the keys of the stores and of --key-file; with neither it asks for
// one. Stores of blnkctl.yaml say where the server is, where another key is asked for.
func (v *verdict) readKeys(ctx context.Context, a *app, opt *verifyOptions) error {
	stores := v.Set
	if opt.keyFile != "" && fromFile(opt.cmd, "store") {
		stores = nil
	}
	for _, s := range stores {
		key, _, err := s.Get(ctx)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return fail(exitCheck, err, "")
		case err != nil:
			return err
		case !blnk.Sendable(key):
			return fail(exitCheck, fmt.Errorf("key in %s: %w", s, probe.ErrUnsendable), "")
		}
		v.add(key, s.String())
	}
	if opt.keyFile == "" && len(stores) > 0 {
		return nil
	}
	key, from, err := a.readKey(ctx, opt.keyFile)
	if errors.Is(err, keygen.ErrNoKey) {
		err = fail(exitUsage, fmt.Errorf("key from %s: %w", from, err), "")
	} else if err != nil && from != "" && ctx.Err() == nil {
		err = fmt.Errorf("read the key from %s: %w", from, err)
	}
	if err == nil {
		v.add(key, from)
	}
	return err
}

// readKey reads a key from a file, from stdin ("-") or, without either, from a
// person at the terminal. It says where the key came from.
func (a *app) readKey(ctx context.Context, file string) (key secret.Key, from string, err error) {
	switch {
	case file == "" && !a.canAsk():
		return key, "", usage("read it from a file or a pipe with --key-file FILE or --key-file -",
			"no --store and no --key-file, and no terminal to ask for a key")
	case file == "", file == "-" && a.canAsk():
		text, err := a.askHidden(ctx, "Key (it is not shown): ")
		if err != nil {
			return key, "", err
		}
		key, err = keygen.Parse(text)
		return key, "the terminal", err
	case file == "-":
		key, err = await(ctx, func() (secret.Key, error) { return keygen.Read(a.env.Stdin) })
		return key, "stdin", err
	}
	path, err := a.abs(file)
	if err != nil {
		return key, "", err
	}
	key, err = await(ctx, func() (secret.Key, error) { // opening a FIFO waits for who writes into it
		f, err := os.Open(path)
		if err != nil {
			return secret.Key{}, err
		}
		defer f.Close()
		return keygen.Read(f)
	})
	if opening, ok := errors.AsType[*fs.PathError](err); ok && opening.Op == "open" {
		if shown(file) == "" { // somebody may have taken the flag for the key itself
			err = errors.New("no such file (the flag wants the name of a file, not a key)")
		}
		return key, "", fail(exitUsage, fmt.Errorf("--key-file: %w", err), "")
	}
	return key, file, err
}

// ask asks all servers at once, and finds those that fail. Where the key of a
// blnk.json is refused, the usual reasons are named: no restart, or, on this
// machine, a variable of the server's environment that wins over the file.
func (v *verdict) ask(ctx context.Context, servers []*proof.Server) error {
	v.answers = make([]*proof.Answers, len(servers))
	proof.Each(servers, func(i int, s *proof.Server) (proof.Verdict, error) {
		v.answers[i] = s.AskAll(ctx, v.keys)
		return "", nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var first []string
	for _, from := range v.from {
		first = append(first, from[0])
	}
	for _, answers := range v.answers {
		if faults := answers.Faults(v.want, first); len(faults) > 0 {
			v.failed++
			v.faults = append(v.faults, faults...)
		}
	}
	if len(v.Set) == 0 || v.want != proof.Live {
		return nil
	}
	file, ok := v.Set[0].(*blnkjson.Store)
	for i, server := range probes(servers) {
		if !ok || v.answers[i].Key(0) != proof.Rejected {
			continue
		}
		v.hint = "a server reads its key once, at its start: was it restarted since the key was changed?"
		for _, shadow := range (reach.Look{Set: v.Set}).Shadows(ctx, server) {
			v.faults = append(v.faults, fmt.Sprintf("%s: %s in the environment of %s wins over %s", server, shadow.Variable, shadow.Process, file.Path()))
			v.hint = "take " + shadow.Variable + " out of the server's environment and restart it"
		}
	}
	return nil
}

// The document of verify -o json.
type (
	verifyJSON struct {
		Result  string             `json:"result"` // passed, failed
		Expect  string             `json:"expect"`
		Keys    []verifyKeyJSON    `json:"keys"`
		Servers []verifyServerJSON `json:"servers"`
	}
	verifyKeyJSON struct {
		Fingerprint string   `json:"fingerprint"` // "" for a weak key
		From        []string `json:"from"`
	}
	verifyServerJSON struct {
		URL string `json:"url"`
		// Keys says what is proved about each key, in the order of verifyJSON.Keys:
		// live, rejected, scoped, mixed or unknown.
		Keys          []proof.Verdict `json:"keys"`
		RandomRefused *bool           `json:"random_refused"` // null: not known
		Secure        *bool           `json:"secure"`         // null: not known
		Connections   int             `json:"connections"`    // answers to each key
		Sampled       bool            `json:"sampled"`
		Error         string          `json:"error,omitempty"`
	}
)

func (v *verdict) render(a *app) error {
	doc := verifyJSON{Result: "passed", Expect: v.expect}
	if v.failed > 0 {
		doc.Result = "failed"
	}
	for i, key := range v.keys {
		doc.Keys = append(doc.Keys, verifyKeyJSON{key.Fingerprint(), v.from[i]})
	}
	for _, s := range v.answers {
		one := verifyServerJSON{URL: s.String(), Connections: s.Connections(), Sampled: s.Sampled()}
		for i := range v.keys {
			one.Keys = append(one.Keys, s.Key(i))
		}
		if s.Open() || s.Closed() {
			on := !s.Open()
			one.Secure, one.RandomRefused = &on, &on
		}
		if s.Err != nil {
			one.Error = s.Err.Error()
		}
		doc.Servers = append(doc.Servers, one)
	}
	if a.json() {
		return a.printJSON(doc)
	}
	return v.renderText(a, doc)
}

func (v *verdict) renderText(a *app, doc verifyJSON) error {
	header := []string{"SERVER", "SECURE MODE", "RANDOM KEY", "CONNECTIONS", "KEY"}
	for i := range v.keys {
		if len(v.keys) > 1 {
			header = append(header[:4+i], "KEY "+strconv.Itoa(i+1))
		}
	}
	rows := [][]string{header}
	for _, s := range doc.Servers {
		row := []string{s.URL, "unknown", "unknown", strconv.Itoa(s.Connections)}
		switch {
		case s.Secure == nil:
		case *s.Secure:
			row[1], row[2] = "on", "refused"
		default:
			row[1], row[2] = "off", "let in"
		}
		if s.Sampled {
			row[3] += " (sampled)"
		}
		for _, key := range s.Keys {
			row = append(row, string(key))
		}
		rows = append(rows, row)
	}
	if err := a.print(screen.Table(rows)); err != nil {
		return err
	}
	rows = [][]string{{"KEY", "FINGERPRINT", "FROM"}}
	for i, key := range v.keys {
		number, name := strconv.Itoa(i+1), key.Name()
		for _, from := range v.from[i] {
			rows = append(rows, []string{number, name, from})
			number, name = "", ""
		}
	}
	if err := a.print("\n"); err != nil {
		return err
	}
	return a.print(screen.Table(rows))
}
