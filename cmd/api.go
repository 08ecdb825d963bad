package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/rotate/site"
)

type apiOptions struct {
	verifyOptions
	probe.Request
	data []string
}

func newAPICmd(a *app) *cobra.Command {
	opt := &apiOptions{}
	cmd := newCmd("", "api [METHOD] PATH [flags]", nil)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 || len(args) == 2 {
			return nil
		}
		return usage(unquoted(cmd, append(args, "", "", "")[2]), "%s takes a method and a path, or a path alone", cmd.CommandPath())
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opt.Path = args[len(args)-1]
		if len(args) == 2 {
			opt.Method = strings.ToUpper(args[0])
		}
		return runAPI(cmd.Context(), a, opt)
	}
	cmd.ValidArgsFunction = cobra.FixedCompletions(append([]string{"/ledgers", "/balances", "/transactions", "/identities",
		"/accounts", "/hooks", "/api-keys"}, probe.Methods...), cobra.ShellCompDirectiveNoFileComp)
	flags := cmd.Flags()
	flags.StringArrayVarP(&opt.data, "data", "d", nil, "`BODY`: JSON to send, or @FILE, or @- for stdin")
	flags.StringArrayVarP(&opt.Headers, "header", "H", nil, "`LINE`: a header to send, as 'NAME: VALUE'; repeatable")
	flags.BoolVarP(&opt.Include, "include", "i", false, "print the status line and the headers too")
	flags.BoolVar(&opt.Paginate, "paginate", false, "get all pages of a list, as one list")
	opt.addStores(cmd, "`REF`: where the key is (default "+defaultStore+")")
	flags.StringVar(&opt.keyFile, "key-file", "", "`FILE`: the key, - for stdin")
	opt.addServers("`URL`: the server (default: the port in blnk.json)")
	flags.DurationVar(&opt.Timeout, "timeout", time.Minute, "how long the server may be silent")
	opt.addConnection()
	actions(cmd, "data", "header")
	configured(cmd, "store", "server")
	return cmd
}

func runAPI(ctx context.Context, a *app, opt *apiOptions) error {
	if err := a.checkAPI(ctx, opt); err != nil {
		return err
	}
	t, questions, err := openVerify(ctx, a, &opt.verifyOptions)
	if err != nil {
		return err
	}
	key, server := questions[0].Key, site.Probes(t.Servers)[0]
	if opt.Writes() {
		err := a.record(ctx, audit.Record{
			Event: "api", Outcome: audit.Requested, Request: opt.What(), Old: key.Fingerprint(),
			Stores: questions[0].From, Servers: []string{server.String()},
		})
		if err != nil {
			return fmt.Errorf("%s was not sent: %w", opt.What(), err)
		}
	}
	opt.Out, opt.Terminal = a.out, a.env.Look.Terminal()
	echoed, err := server.Send(ctx, key, &opt.Request)
	if echoed {
		a.warn("%s sent the key back; it is masked in the output", server)
	}
	if a.out.Failed() != nil && !errors.Is(err, probe.ErrAnswer) {
		return a.out.Lost()
	}
	return err
}

// checkAPI looks at what was typed, before anything is opened but the body.
func (a *app) checkAPI(ctx context.Context, opt *apiOptions) error {
	for name, values := range map[string][]string{"store": opt.spec.Stores, "server": opt.spec.Servers, "data": opt.data} {
		if len(values) > 1 && typed(opt.cmd, name) {
			return usage("", "--%s is given %d times: one request has one", name, len(values))
		}
	}
	opt.spec.Servers = opt.spec.Servers[:min(len(opt.spec.Servers), 1)] // blnkctl.yaml names all
	if err := cmp.Or(refuseTogether(opt.cmd, "include", "paginate"), atLeast(opt.cmd, 1, "timeout")); err != nil {
		return err
	}
	if len(opt.data) > 0 {
		stdin := a.env.Stdin
		if opt.keyFile == "-" {
			stdin = nil
		}
		if err := opt.Open(ctx, opt.data[0], stdin, a.abs); err != nil {
			return fail(exitUsage, fmt.Errorf("--data: %w", err), "")
		}
		opt.Method = cmp.Or(opt.Method, "POST")
	}
	opt.Method = cmp.Or(opt.Method, "GET")
	if err := opt.Check(); err != nil {
		return fail(exitUsage, err, "")
	}
	return nil
}
