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

// noPlaintext: over http to another machine the key is there for the network to read.
func noPlaintext(ctx context.Context, f *Facts, r *Result) {
	t, err := f.Target(ctx)
	urls := slices.Concat(f.Spec.Servers, t.Spec.Servers) // named, and found, in part the same
	if r.unsure(err); len(urls) == 0 && err == nil {
		r.unsure(errors.New("no server is known"))
	}
	for _, raw := range urls {
		r.saw(true)
		u, wrong := https.ParseURL(raw)
		if r.unsure(wrong); wrong == nil && u.Scheme == "http" && !https.Loopback(u) {
			r.add(u.String(), "plain http to another machine: the network sees the key with each request",
				"let a proxy end TLS before the server (https://docs.blnkfinance.com/advanced/enable-https), and name that: --server https://"+u.Host)
		}
	}
}

// certificateLasts is how long one must hold from now on.
const certificateLasts = 30 * 24 * time.Hour

// certificates: what an https server shows is trusted, also with --ca-cert, and not at
// its end.
func certificates(ctx context.Context, f *Facts, r *Result) {
	t, err := f.Target(ctx)
	r.unsure(err)
	for _, s := range t.Servers {
		server, ok := s.Asker.(*probe.Server)
		if !ok || !server.TLS() {
			continue
		}
		r.saw(true)
		ends, failed := server.CertificateEnd(ctx)
		switch {
		case errors.Is(failed, https.ErrTLS):
			r.add(server.String(), failed.Error(),
				"give the server a certificate that its clients trust; where it is of a CA of your own, name that: --ca-cert FILE").Severity = Error
		case failed != nil:
			r.unsure(fmt.Errorf("%s: %w", server, failed))
		case ends.Before(f.Now().Add(certificateLasts)):
			r.add(server.String(), "its certificate ends on "+ends.UTC().Format(time.DateOnly),
				"renew it, and look why nothing has done that yet", fmt.Sprintf("in %d days", int(ends.Sub(f.Now()).Hours()/24)))
		}
	}
}

// sslFlag: who set it believes to have TLS.
func sslFlag(ctx context.Context, f *Facts, r *Result) {
	old := map[string]bool{}
	for _, r := range f.releases(ctx) {
		old[r.Place] = r.Newest != "" && blnk.Older(r.Newest, blnk.SSLIgnored)
	}
	f.eachConfig(ctx, r, settings{blnk.SSL}, func(c Running) {
		v := c.Effective.Value(blnk.SSL)
		if !c.Effective.On(blnk.SSL) || old[c.Place] {
			return
		}
		remedy := "take server.ssl out of blnk.json"
		if v.Shadowed() {
			remedy = "take " + v.Source + " out of its environment"
		}
		r.addOf(c, v, "server.ssl has no effect since Blnk "+blnk.SSLIgnored+": the port speaks plain http",
			remedy+", and let a proxy end TLS: https://docs.blnkfinance.com/advanced/enable-https")
	})
}

// A link is a connection of Blnk to where it keeps its data.
type link struct {
	name blnk.Name
	blnk.Address
	known bool
}

// stored are the settings of links.
func stored() settings { return settings{blnk.Database, blnk.Redis, blnk.Typesense} }

// links are those that a configuration has. What is empty is none.
func (c Running) links() (all []link) {
	for _, name := range stored() {
		v := c.Effective.Value(name)
		if v.Text.IsZero() {
			continue
		}
		one := link{name: name}
		switch name {
		case blnk.Database:
			var env map[string]string
			if c.Process != nil {
				env = c.Process.Env
			}
			one.Address, one.known = blnk.PostgresAddress(v.Text, env)
		case blnk.Redis:
			one.Address, one.known = blnk.RedisAddress(v.Text)
		default:
			one.Address, one.known = blnk.TypesenseAddress(v.Text)
		}
		all = append(all, one)
	}
	return all
}

// dataTLS: what goes to a database of another machine is encrypted.
func dataTLS(ctx context.Context, f *Facts, r *Result) {
	remedies := map[blnk.Name]string{
		blnk.Database: "sslmode=verify-full in it, with the CA of the server as sslrootcert",
		blnk.Redis:    "rediss:// in it", blnk.Typesense: "https:// in it",
	}
	f.eachConfig(ctx, r, stored(), func(c Running) {
		for _, l := range c.links() {
			v := c.Effective.Value(l.name)
			if !l.known {
				r.unsure(fmt.Errorf("%s: %s is not understood", c.of(v), l.name))
			}
			if !l.known || !l.Plain {
				continue
			}
			away, doubt := f.elsewhere(ctx, l.Host, c.Process)
			if r.unsure(doubt); away {
				r.addOf(c, v, fmt.Sprintf("%s leads to another machine without TLS: %s", l.name, net.JoinHostPort(l.Host, l.Port)),
					remedies[l.name]+", and a restart")
			}
		}
	})
}
