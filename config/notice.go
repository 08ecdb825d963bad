package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/internal/run"
)

// A Notice says who is told of what.
type Notice struct {
	To string   // a reference: webhook:env:NAME, slack:file:PATH?ca-cert=FILE, command:NAME
	On []string // of NoticeKinds; none: all
}

// NoticeKinds are what somebody can be told of; package notify says what each is.
var NoticeKinds = []string{"success", "failure", "stuck", "overdue", "findings", "recovered", "test"}

// Notices are those of all targets.
func (f File) Notices() []Notice {
	all := slices.Clone(f.Notify)
	for _, t := range f.Every() {
		for _, n := range t.Notify {
			if !slices.ContainsFunc(all, func(other Notice) bool { return other.To == n.To }) {
				all = append(all, n)
			}
		}
	}
	return all
}

// NoticesOf are those of a target by its name, or with none all of the file's.
func (f File) NoticesOf(name string) ([]Notice, error) {
	if name == "" {
		return f.Notices(), nil
	}
	t, err := f.Select(name, false)
	if err != nil {
		return nil, err
	}
	return t[0].Notify, nil
}

// noticeForms are the forms of Notice.To.
const noticeForms = "want webhook:file:PATH, webhook:env:NAME, slack:file:PATH, slack:env:NAME or command:NAME"

// notices reads who is told of what: a list of references, or of {to, on}.
func (t *Target) notices(key string, n *node) error {
	t.Notify = []Notice{}
	for _, item := range items(n) {
		var one Notice
		read := func() error { return receiver(&one.To)(key, item) }
		if item.Kind == yaml.MappingNode {
			read = func() error { return fields(key, item, one.fields()) }
		}
		if err := read(); err != nil {
			return err
		}
		if one.To == "" {
			return at(item, key+": want to")
		}
		if slices.ContainsFunc(t.Notify, func(other Notice) bool { return other.To == one.To }) {
			return at(item, fmt.Sprintf("%s: %s is given twice", key, one.To))
		}
		t.Notify = append(t.Notify, one)
	}
	return nil
}

func (n *Notice) fields() map[string]field {
	return map[string]field{
		"to": {receiver(&n.To), aText, "Who: webhook:file:PATH, slack:env:NAME or command:NAME."},
		"on": {kinds(&n.On), kindy, "Of what; without it of everything."},
	}
}

// receiver reads who is told.
func receiver(into *string) reader {
	return func(key string, n *node) error {
		err := text(into)(key, n)
		if err == nil {
			if _, err = (Notice{To: *into}).Receiver(); err != nil {
				err = fmt.Errorf("line %d: %s: %w", n.Line, key, err) // with its hint
			}
		}
		return err
	}
}

// A Receiver is what the reference of a Notice says.
type Receiver struct {
	Scheme string // webhook, slack or command
	Source string // of an address: env or file
	Place  string // the name of a variable or command, or a path
	// CACert is a file of PEM certificates and Proxy a URL, for this receiver.
	CACert, Proxy string
}

// Receiver reads the reference. Its errors repeat nothing that may be an address:
// whoever has the address of a webhook can write there.
func (n Notice) Receiver() (r Receiver, err error) {
	to := n.To
	head, _, _ := strings.Cut(to, "?")
	scheme, place, _ := strings.Cut(head, ":")
	parsed, err := ref.Parse(to)
	schemes := []string{"webhook", "slack", "command"}
	switch {
	case strings.Contains(head, "://"), strings.HasPrefix(place, "//"):
		return r, hint.Add(errors.New("a URL stands in it; whoever has one can write there, so it is a secret"),
			"put it alone into a file of mode 0600, and name that: webhook:file:PATH, or slack:file:PATH")
	case scheme == "command" && place != "":
		return Receiver{Scheme: scheme, Place: place}, nil
	case !slices.Contains(schemes, scheme) && hint.Nearest(scheme, schemes) != "":
		return r, fmt.Errorf("unknown scheme %q: %s", scheme, noticeForms)
	case err != nil || parsed.Field != "":
		return r, errors.New(noticeForms)
	}
	r = Receiver{Scheme: scheme, CACert: parsed.Options.Get("ca-cert"), Proxy: parsed.Options.Get("proxy")}
	r.Source, r.Place, _ = strings.Cut(parsed.Place, ":")
	delete(parsed.Options, "ca-cert")
	delete(parsed.Options, "proxy")
	switch {
	case scheme != "webhook" && scheme != "slack", r.Source != "env" && r.Source != "file", r.Place == "":
		return r, errors.New(noticeForms)
	case r.Source == "env" && !run.IsVariable(r.Place):
		return r, errors.New("what stands behind env: is not the name of a variable")
	case strings.Contains(r.Proxy, "@"):
		return r, errors.New("proxy: a user name or password in a URL is not supported")
	case len(parsed.Options) > 0:
		return r, fmt.Errorf("%w (known: ca-cert, proxy)", parsed.NoOptions())
	case r.Source == "file":
		return r, ref.CheckValue(r.Place)
	}
	return r, nil
}

// kinds reads what somebody is told of.
func kinds(into *[]string) reader {
	return func(key string, n *node) error {
		if len(items(n)) == 0 {
			return at(n, key+": names nothing; to tell of everything, leave it away")
		}
		for _, item := range items(n) {
			var kind string
			if err := text(&kind)(key, item); err != nil {
				return err
			}
			if !slices.Contains(NoticeKinds, kind) {
				meant := hint.Nearest(kind, NoticeKinds)
				if meant != "" {
					return at(item, fmt.Sprintf("%s: unknown kind %q (did you mean %q?)", key, kind, meant))
				}
				return at(item, fmt.Sprintf("%s: unknown kind%s (known: %s)", key, shown(kind), strings.Join(NoticeKinds, ", ")))
			}
			*into = append(*into, kind)
		}
		return nil
	}
}

// checkNotices refuses a command that is not there, or runs nothing.
func (f File) checkNotices() error {
	for _, one := range f.Notices() {
		name, is := strings.CutPrefix(one.To, "command:")
		if c, ok := f.Commands[name]; is && (!ok || len(c.Run) == 0) {
			return hint.Add(fmt.Errorf("notify: %s: there is no such command, or it has no \"run\"", one.To), "commands: {%s: {run: [PROGRAM, ARGUMENT]}} makes it", name)
		}
	}
	return nil
}
