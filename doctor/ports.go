package doctor

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/listener"
)

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
