package cmd

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/restart"
)

// serverFlags say how servers are reached. They belong to every command that
// talks to one.
type serverFlags struct{ options probe.Options }

func (f *serverFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.options.CACert, "ca-cert", "", "PEM `file` of the CAs to trust for https, instead of the system's")
	flags.StringVar(&f.options.Proxy, "proxy", "", "`URL` of a proxy; those of the environment are not used for a key")
	flags.BoolVar(&f.options.AllowPlaintext, "allow-plaintext", false, "send the key over plain http to another machine")
	_ = cmd.MarkFlagFilename("ca-cert")
}

// open takes the address of a server; what is wrong with it is an error of
// usage.
func (f *serverFlags) open(url string) (*probe.Server, error) {
	server, err := probe.New(url, f.options)
	if err != nil {
		return nil, fail(exitUsage, err, "")
	}
	return server, nil
}

// openAll opens several addresses and refuses one that is named twice.
func (f *serverFlags) openAll(urls []string) ([]*probe.Server, error) {
	var servers []*probe.Server
	for _, url := range urls {
		server, err := f.open(url)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(servers, func(s *probe.Server) bool { return s.String() == server.String() }) {
			return nil, usage("name it once", "--server: %s is given twice", server)
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// shadowedBy names the variable of env that decides about the master key, so
// that what blnk.json (its text is file) has is not looked at; "" where the
// file decides, or a store that exec reads at each start.
func shadowedBy(file []byte, env map[string]string) string {
	effective, err := blnk.Resolve(file, env)
	if err != nil {
		return "" // no server started with these two together
	}
	v := effective.Value(blnk.SecretKey)
	if set, _, _ := strings.Cut(env[restart.ExecMark], "="); !v.Shadowed() || v.Source == set {
		return ""
	}
	return v.Source
}
