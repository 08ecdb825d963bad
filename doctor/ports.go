package doctor

import (
	"context"
	"errors"
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
func portsClosed(ctx context.Context, f *Facts) (found []Finding, err error) {
	all, err := f.Containers(ctx)
	for _, c := range all {
		for _, p := range c.Ports {
			if what := c.serves(p.Container); what != "" && p.Open() {
				found = appendPlace(found, Finding{
					Place: c.Place, Text: fmt.Sprintf("port %s of %s is open to other machines on %s", p.Container, what, p),
					Evidence: []string{"image " + c.Image, "Docker opens a published port also where the host's firewall (ufw) closes it"},
					Remedy:   fmt.Sprintf("publish it as 127.0.0.1:%s:%s, or not at all: containers of one project need no published port", p.Port, p.Container),
				})
			}
		}
	}
	more, failed := f.openHere(ctx)
	return append(found, more...), errors.Join(err, failed)
}

// openHere are programs of this host itself: those that the configurations lead to, and
// the workers. The port alone says nothing; it must be the program.
func (f *Facts) openHere(ctx context.Context) (found []Finding, err error) {
	open := func(port string, is func(listener.Process) bool, one Finding) {
		var number int
		if _, bad := fmt.Sscanf(port, "%d", &number); bad != nil {
			return
		}
		listening, failed := listener.FindOpen(number)
		err = errors.Join(err, failed)
		for _, p := range listening {
			if is(p) {
				one.Place = path.Base(p.Exe) + " on port " + port
				one.Evidence = []string{p.String()}
				found = appendPlace(found, one)
			}
		}
	}
	about := append(stored(), blnk.MonitoringPort)
	_, unknown := f.eachConfig(ctx, about, func(c Running) []Finding {
		for _, l := range c.links() {
			if !l.known || !isHere(l.Host) || c.Process != nil && c.Process.Isolated {
				continue
			}
			for _, b := range backends() {
				open(l.Port, func(p listener.Process) bool { return b.is(p.Exe) }, Finding{
					Text:   b.name + ", which Blnk uses, listens for other machines too",
					Remedy: "have it listen on 127.0.0.1 alone, or let a firewall keep others out",
				})
			}
		}
		if p := c.Process; p != nil && p.Workers && p.PID > 0 && !p.Isolated {
			port := c.Effective.Value(blnk.MonitoringPort).Text.Reveal()
			if port == "" {
				port = blnk.DefaultMonitoringPort
			}
			open(port, func(l listener.Process) bool { return l.PID == p.PID }, f.monitoring(c))
		}
		return nil
	})
	return found, errors.Join(err, unknown)
}

// monitoring: a worker listens on all addresses, and can do no other. With secure mode
// on, or a token, it lets nobody in who has none (Blnk 0.15.2, seen).
func (f *Facts) monitoring(c Running) Finding {
	const closed = "let a firewall keep others from it: Blnk listens on all addresses"
	if !c.Effective.Secure() && c.Effective.Value(blnk.MetricsToken).Text.IsZero() {
		return Finding{Severity: Error, Text: "the workers' monitoring lets everybody see and delete what is queued", Remedy: "blnkctl init" + f.named() + ", and " + closed}
	}
	return Finding{Severity: Note, Text: "the workers' monitoring listens for other machines too, which need the metrics token", Remedy: closed}
}

// noStockPassword: those of the stock files are known to everybody.
func noStockPassword(ctx context.Context, f *Facts) (found []Finding, err error) {
	all, err := f.Containers(ctx)
	for _, c := range all {
		one := Finding{Place: c.Place}
		if slices.ContainsFunc(c.Ports, func(p Published) bool { return c.serves(p.Container) != "" && p.Open() }) {
			one.Severity, one.Evidence = Error, []string{"its port is open to other machines"}
		}
		switch repository, _ := splitImage(c.Image); {
		case c.Env["POSTGRES_PASSWORD"] == blnk.StockPassword:
			one.Text = "POSTGRES_PASSWORD is the one of the stock compose file"
			one.Remedy = "ALTER USER in the database (the variable counts for a new one only), then the new one in the variable and in data_source.dns"
		case c.Env["TYPESENSE_API_KEY"] == blnk.StockTypesenseKey,
			slices.ContainsFunc(c.Command, func(word string) bool {
				return strings.TrimPrefix(word, "--api-key=") == blnk.StockTypesenseKey && (backends()[2].is(repository) || strings.HasPrefix(word, "--"))
			}):
			one.Text = "the API key of Typesense is the one of the stock compose file"
			one.Remedy = "another one in --api-key, and the same in type_sense_key of blnk.json"
		default:
			continue
		}
		found = appendPlace(found, one)
	}
	more, failed := f.eachConfig(ctx, append(stored(), blnk.TypesenseKey), func(c Running) (found []Finding) {
		stock := func(name blnk.Name, remedy string) {
			v := c.Effective.Value(name)
			found = append(found, Finding{
				Place: c.of(v), Text: string(name) + " has the password of the stock files",
				Evidence: []string{"read from " + v.Source}, Remedy: remedy,
			})
		}
		for _, l := range c.links() {
			if l.Password.Reveal() == blnk.StockPassword {
				stock(l.name, "ALTER USER in the database, the new password in "+string(l.name)+", and a restart")
			}
		}
		if key := c.Effective.Value(blnk.TypesenseKey).Text.Reveal(); key == blnk.StockTypesenseKey || key == "" && !c.Effective.Value(blnk.Typesense).Text.IsZero() {
			stock(blnk.TypesenseKey, "another one in Typesense's --api-key, and the same in type_sense_key of blnk.json")
		}
		return found
	})
	return append(found, more...), errors.Join(err, failed)
}
