package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/internal/listener"
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

// A backend is a program that Blnk keeps its data in, and that nobody else has to reach.
type backend struct {
	name, port string
	programs   []string // names of images, and of programs
}

func backends() []backend {
	return []backend{
		{"Postgres", "5432", []string{"postgres", "postgresql", "postgis", "pgvector", "timescaledb", "timescaledb-ha"}},
		{"Redis", "6379", []string{"redis", "redis-server", "redis-stack", "redis-stack-server", "valkey", "valkey-server"}},
		{"Typesense", "8108", []string{"typesense", "typesense-server"}},
	}
}

func (b backend) is(program string) bool { return slices.Contains(b.programs, path.Base(program)) }

// serves names what is behind a port of a container; "" where that is no other's concern.
func (c Container) serves(port string) string {
	repository, _ := splitImage(c.Image)
	for _, b := range backends() {
		if b.is(repository) || port == b.port {
			return b.name
		}
	}
	if c.Role.Workers && !c.Role.Server { // they listen for nothing else
		return "the workers' monitoring"
	}
	return ""
}

// portsClosed: what only this Blnk has to reach is not open to other machines.
func portsClosed(ctx context.Context, f *Facts, r *Result) {
	all, err := f.Containers(ctx)
	r.unsure(err)
	for _, c := range all {
		for _, p := range c.Ports {
			if what := c.serves(p.Container); what != "" && p.Open() {
				r.add(c.Place, fmt.Sprintf("port %s of %s is open to other machines on %s", p.Container, what, p),
					fmt.Sprintf("publish it as 127.0.0.1:%s:%s, or not at all: containers of one project need no published port", p.Port, p.Container),
					"image "+c.Image, "Docker opens a published port also where the host's firewall (ufw) closes it")
			}
		}
	}
	f.openHere(ctx, r)
}

// openHere looks at programs of this host itself: those that the configurations lead to,
// and the workers. The port alone says nothing; it must be the program.
func (f *Facts) openHere(ctx context.Context, r *Result) {
	open := func(port string, text, remedy string, is func(listener.Process) bool) (found *Finding) {
		var number int
		if _, bad := fmt.Sscanf(port, "%d", &number); bad != nil {
			return nil
		}
		listening, failed := listener.Scan().FindOpen(number)
		r.unsure(failed)
		for _, p := range listening {
			if is(p) {
				found = r.add(path.Base(p.Exe)+" on port "+port, text, remedy, p.String())
			}
		}
		return found
	}
	f.eachConfig(ctx, r, append(stored(), blnk.MonitoringPort), func(c Running) {
		for _, l := range c.links() {
			if !l.known || !isHere(l.Host) || c.Process != nil && c.Process.Isolated {
				continue
			}
			for _, b := range backends() {
				open(l.Port, b.name+", which Blnk uses, listens for other machines too",
					"have it listen on 127.0.0.1 alone, or let a firewall keep others out", func(p listener.Process) bool { return b.is(p.Exe) })
			}
		}
		p := c.Process
		if p == nil || !p.Workers || p.PID <= 0 || p.Isolated {
			return
		}
		// A worker listens on all addresses, and can do no other. With secure mode on, or a
		// token, it lets nobody in who has none (Blnk 0.15.2, seen).
		severity, text, remedy := Note, "the workers' monitoring listens for other machines too, which need the metrics token",
			"let a firewall keep others from it: Blnk listens on all addresses"
		if !c.Effective.Secure() && c.Effective.Value(blnk.MetricsToken).Text.IsZero() {
			severity, text, remedy = Error, "the workers' monitoring lets everybody see and delete what is queued", "blnkctl init"+f.named()+", and "+remedy
		}
		port := cmp.Or(c.Effective.Value(blnk.MonitoringPort).Text.Reveal(), blnk.DefaultMonitoringPort)
		if one := open(port, text, remedy, func(l listener.Process) bool { return l.PID == p.PID }); one != nil {
			one.Severity = severity
		}
	})
}

// noStockPassword: those of the stock files are known to everybody.
func noStockPassword(ctx context.Context, f *Facts, r *Result) {
	all, err := f.Containers(ctx)
	r.unsure(err)
	for _, c := range all {
		repository, _ := splitImage(c.Image)
		stock := func(word string) bool {
			return strings.TrimPrefix(word, "--api-key=") == blnk.StockTypesenseKey && (backends()[2].is(repository) || strings.HasPrefix(word, "--"))
		}
		var one *Finding
		switch {
		case c.Env["POSTGRES_PASSWORD"] == blnk.StockPassword:
			one = r.add(c.Place, "POSTGRES_PASSWORD is the one of the stock compose file",
				"ALTER USER in the database (the variable counts for a new one only), then the new one in the variable and in data_source.dns")
		case c.Env["TYPESENSE_API_KEY"] == blnk.StockTypesenseKey, slices.ContainsFunc(c.Command, stock):
			one = r.add(c.Place, "the API key of Typesense is the one of the stock compose file", "another one in --api-key, and the same in type_sense_key of blnk.json")
		default:
			continue
		}
		if slices.ContainsFunc(c.Ports, func(p Published) bool { return c.serves(p.Container) != "" && p.Open() }) {
			one.Severity, one.Evidence = Error, []string{"its port is open to other machines"}
		}
	}
	f.eachConfig(ctx, r, append(stored(), blnk.TypesenseKey), func(c Running) {
		stock := func(name blnk.Name, remedy string) {
			r.addOf(c, c.Effective.Value(name), string(name)+" has the password of the stock files", remedy)
		}
		for _, l := range c.links() {
			if l.Password.Reveal() == blnk.StockPassword {
				stock(l.name, "ALTER USER in the database, the new password in "+string(l.name)+", and a restart")
			}
		}
		if key := c.Effective.Value(blnk.TypesenseKey).Text.Reveal(); key == blnk.StockTypesenseKey || key == "" && !c.Effective.Value(blnk.Typesense).Text.IsZero() {
			stock(blnk.TypesenseKey, "another one in Typesense's --api-key, and the same in type_sense_key of blnk.json")
		}
	})
}
