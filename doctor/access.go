package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/probe"
)

// serverURLs are those that were named, and those that were found.
func (f *Facts) serverURLs(ctx context.Context) (urls []string, err error) {
	t, err := f.Target(ctx)
	urls = slices.Clone(f.Spec.Servers)
	for _, url := range t.Spec.Servers {
		if !slices.Contains(urls, url) {
			urls = append(urls, url)
		}
	}
	if len(urls) == 0 {
		return nil, errors.Join(errors.New("no server is known"), err)
	}
	return urls, nil
}

// noPlaintext: over http to another machine the key is there for the network to read.
func noPlaintext(ctx context.Context, f *Facts) (found []Finding, err error) {
	urls, err := f.serverURLs(ctx)
	for _, raw := range urls {
		u, wrong := https.ParseURL(raw)
		if wrong != nil {
			err = errors.Join(err, wrong)
		} else if u.Scheme == "http" && !https.Loopback(u) {
			found = append(found, Finding{
				Place: u.String(), Text: "plain http to another machine: the network sees the key with each request",
				Remedy: "let a proxy end TLS before the server (https://docs.blnkfinance.com/advanced/enable-https), and name that: --server https://" + u.Host,
			})
		}
	}
	return found, err
}

// certificateLasts is how long one must hold from now on.
const certificateLasts = 30 * 24 * time.Hour

// certificates: what an https server shows is trusted, also with --ca-cert, and not at
// its end.
func certificates(ctx context.Context, f *Facts) (found []Finding, err error) {
	t, err := f.Target(ctx)
	asked := false
	for _, s := range t.Servers {
		server, ok := s.Asker.(*probe.Server)
		if !ok || !server.TLS() {
			continue
		}
		asked = true
		ends, failed := server.CertificateEnd(ctx)
		switch {
		case errors.Is(failed, https.ErrTLS):
			found = append(found, Finding{
				Place: server.String(), Severity: Error, Text: failed.Error(),
				Remedy: "give the server a certificate that its clients trust; where it is of a CA of your own, name that: --ca-cert FILE",
			})
		case failed != nil:
			err = errors.Join(err, fmt.Errorf("%s: %w", server, failed))
		case ends.Before(f.Now().Add(certificateLasts)):
			found = append(found, Finding{
				Place: server.String(), Text: "its certificate ends on " + ends.UTC().Format(time.DateOnly),
				Evidence: []string{fmt.Sprintf("in %d days", int(ends.Sub(f.Now()).Hours()/24))}, Remedy: "renew it, and look why nothing has done that yet",
			})
		}
	}
	if !asked && err == nil {
		return nil, ErrNothing
	}
	return found, err
}

// sslFlag: who set it believes to have TLS.
func sslFlag(ctx context.Context, f *Facts) (found []Finding, err error) {
	old := map[string]bool{}
	for _, r := range f.releases(ctx) {
		old[r.Place] = r.Newest != "" && blnk.Older(r.Newest, blnk.SSLIgnored)
	}
	all, err := f.configured(ctx)
	for _, c := range all {
		v := c.Effective.Value(blnk.SSL)
		if err = errors.Join(err, c.Err); v.Text.Reveal() != "true" && v.Text.Reveal() != "1" || old[c.Place] {
			continue
		}
		remedy := "take server.ssl out of blnk.json"
		if v.Shadowed() {
			remedy = "take " + v.Source + " out of its environment"
		}
		found = appendPlace(found, Finding{
			Place: c.placeOf(v), Text: "server.ssl has no effect since Blnk " + blnk.SSLIgnored + ": the port speaks plain http",
			Evidence: []string{"read from " + v.Source},
			Remedy:   remedy + ", and let a proxy end TLS: https://docs.blnkfinance.com/advanced/enable-https",
		})
	}
	return found, err
}

// configured are the Configurations; the error says that there is none.
func (f *Facts) configured(ctx context.Context) ([]Running, error) {
	all := f.Configurations(ctx)
	if len(all) == 0 {
		return nil, Unchecked("no configuration of a Blnk is seen")
	}
	return all, nil
}

// placeOf is where a value stands: the file that it is from, or who has it in its
// environment.
func (r Running) placeOf(v blnk.Value) string {
	if r.Path != "" && !v.Shadowed() {
		return r.Path
	}
	return r.Place
}

// A link is a connection of Blnk to where it keeps its data.
type link struct {
	name blnk.Name
	blnk.Address
	known bool
}

// links are those that a configuration has. What is empty is none.
func (r Running) links() (all []link) {
	env := map[string]string{}
	if r.Process != nil {
		env = r.Process.Env
	}
	if v := r.Effective.Value(blnk.Database); !v.Text.IsZero() {
		a, ok := blnk.PostgresAddress(v.Text, env)
		all = append(all, link{blnk.Database, a, ok})
	}
	if v := r.Effective.Value(blnk.Redis); !v.Text.IsZero() {
		a, ok := blnk.RedisAddress(v.Text)
		all = append(all, link{blnk.Redis, a, ok})
	}
	if v := r.Effective.Value(blnk.Typesense); !v.Text.IsZero() {
		a, ok := blnk.TypesenseAddress(v.Text)
		all = append(all, link{blnk.Typesense, a, ok})
	}
	return all
}

// dataTLS: what goes to a database of another machine is encrypted.
func dataTLS(ctx context.Context, f *Facts) (found []Finding, err error) {
	all, err := f.configured(ctx)
	for _, c := range all {
		err = errors.Join(err, c.Err)
		for _, l := range c.links() {
			if !l.known {
				err = errors.Join(err, fmt.Errorf("%s: %s is not understood", c.placeOf(c.Effective.Value(l.name)), l.name))
				continue
			}
			if !l.Plain {
				continue
			}
			away, doubt := f.elsewhere(ctx, l.Host, c.Process)
			if err = errors.Join(err, doubt); !away {
				continue
			}
			remedy := map[blnk.Name]string{
				blnk.Database: "sslmode=verify-full in it, with the CA of the server as sslrootcert",
				blnk.Redis:    "rediss:// in it", blnk.Typesense: "https:// in it",
			}[l.name]
			v := c.Effective.Value(l.name)
			found = appendPlace(found, Finding{
				Place: c.placeOf(v), Text: fmt.Sprintf("%s leads to another machine without TLS: %s", l.name, net.JoinHostPort(l.Host, l.Port)),
				Evidence: []string{"read from " + v.Source}, Remedy: remedy + ", and a restart",
			})
		}
	}
	return found, err
}
