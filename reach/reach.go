// Package reach looks where each Blnk process has its key from, now, and
// whether it was started anew.
//
// It asks and does not work out: a driver tells of the processes that it
// restarts, /proc of those that listen at a server's port. What is certain and
// wrong is refused before the first effect (Before): a variable that no store
// sets, another blnk.json than the stores'. What will become of the rest shows
// after the restart (After), and a process that has another key than the stores
// then fails it.
//
// It does not promise to see every process: one on another host, in another
// network, or of another user stays unknown, and is said to be.
package reach

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/listener"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/store/dotenv"
)

// Stores are the places of a rotation as a Blnk process may read them.
type Stores struct {
	config    []byte   // the text of the first blnk.json; nil without one
	files     []string // every blnk.json among them, by its path
	variables []variable
	keys      []secret.Key // what the files hold
	settings  []variable   // of secure mode, that are written besides
	secure    bool         // secure mode is to be on
	// others: there are stores that reach a process in ways that are not known
	others bool
}

// A variable stands in an env file.
type variable struct{ file, name string }

// Of sorts stores by how a process reads them. others says that there are more,
// which only take the key.
func Of(ctx context.Context, stores []store.Store, others bool) Stores {
	s := Stores{others: others}
	for _, st := range stores {
		switch st := st.(type) {
		case *blnkjson.Store:
			if text, err := st.Config(ctx); err == nil && s.config == nil {
				s.config = text
			}
			s.files = append(s.files, st.Path())
		case *dotenv.Store:
			_, name, _ := strings.Cut(st.String(), "#")
			s.variables = append(s.variables, variable{st.Path(), name})
		default:
			s.others = true
			continue
		}
		if key, _, err := st.Get(ctx); err == nil {
			s.keys = append(s.keys, key)
		}
	}
	return s
}

// A View is what was seen of the processes of a rotation.
type View struct {
	Processes []restart.Process
	// Complete: every driver told of its processes. Where one did not, a restart
	// may bring files and variables in ways that nobody sees.
	Complete bool
	// Unknown says of which servers nothing could be seen, and why.
	Unknown []string
	host    listener.Host // once something was looked for in it
}

// Observe asks the drivers, and where none of them tells of a server, who
// listens at the servers' ports.
func Observe(ctx context.Context, drivers []restart.Driver, servers []*probe.Server) (View, error) {
	v := View{Complete: len(drivers) > 0}
	for _, d := range drivers {
		o, ok := d.(restart.Observer)
		if !ok {
			v.Complete = false
			continue
		}
		seen, err := o.Processes(ctx)
		if err != nil {
			return v, fmt.Errorf("restart with '%s': %w", d, err)
		}
		v.Processes = append(v.Processes, seen...)
	}
	if !v.Complete && !slices.ContainsFunc(v.Processes, func(p restart.Process) bool { return p.Restarts && p.Server }) {
		v.Listening(servers)
	}
	return v, nil
}

// Listening adds the processes behind the servers' ports.
func (v *View) Listening(servers []*probe.Server) {
	v.host = listener.Scan()
	for _, server := range servers {
		unknown := func(why string) {
			text := fmt.Sprintf("the environment of %s is not known (%s): a BLNK_SERVER_SECRET_KEY there wins over blnk.json", server, why)
			v.Unknown = appendOnce(v.Unknown, []string{text})
		}
		if !server.Loopback() {
			unknown("it is not on this host")
			continue
		}
		found, err := v.host.Find(server.Port())
		if err != nil || len(found) == 0 {
			unknown("no process here could be found behind its port")
		}
		for _, l := range found {
			switch {
			case isRelay(l.Exe):
				unknown(filepath.Base(l.Exe) + " stands before it")
			case l.Env == nil:
				unknown("it may not be read by this user")
			default:
				p := restart.Process{Name: l.String(), Restarts: true, Start: l.Start}
				p.Look(l.PID)
				p.Server = true
				v.Processes = append(v.Processes, p)
			}
		}
	}
}

// isRelay knows programs that listen in the place of a server.
func isRelay(exe string) bool {
	relays := []string{"docker-proxy", "rootlessport", "slirp4netns", "pasta", "nginx", "haproxy", "envoy", "traefik", "caddy", "ssh", "sshd", "socat", "kubectl"}
	return slices.Contains(relays, filepath.Base(exe))
}

// Findings are what a person should know: Remarks before a restart, Cautions
// also in its result. Holders are the processes of this host that have the key, as far
// as /proc tells.
type Findings struct {
	Remarks, Cautions []string
	Holders           []listener.Mark
}

func (f *Findings) remark(texts ...string)  { f.Remarks = appendOnce(f.Remarks, texts) }
func (f *Findings) caution(texts ...string) { f.Cautions = appendOnce(f.Cautions, texts) }

func appendOnce(list, texts []string) []string {
	for _, text := range texts {
		if text != "" && !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

// Before refuses what is certain: a process that a restart would not bring the
// next key. current is the key that the stores hold; zero where that is not known.
func (s Stores) Before(v View, current secret.Key) (found Findings, err error) {
	var server restart.Process // with this key, which nothing restarts
	for i, p := range v.Processes {
		twice := func(o restart.Process) bool { return o.Start == p.Start && o.Start != "" }
		if !p.Restarts && (v.restarts(append(p.Aliases, p.Name)...) || slices.ContainsFunc(v.Processes[:i], twice)) {
			continue // another driver restarts it, or has told of it
		}
		found.remark(p.Remarks...)
		found.caution(p.Cautions...)
		if !p.Restarts {
			if s.beside(p, v.Complete, current, &found) && p.Server {
				server = p
			}
			continue
		}
		if p.PID > 0 && p.Env == nil && p.Next == nil && len(s.files)+len(s.variables) > 0 {
			found.remark("the environment of " + p.Name + " is not known (it may not be read by this user): a BLNK_SERVER_SECRET_KEY there wins over blnk.json")
		}
		doubt, err := s.check(p, v.Complete, current)
		if err == nil && s.secure {
			err = s.secures(p)
		}
		if err != nil {
			return found, err
		}
		found.remark(doubt)
		s.carried(p, current, &found)
	}
	mayServe := func(p restart.Process) bool { return p.Restarts && (p.Server || p.Scripted && !p.Workers) }
	if v.Complete && server.Server && !slices.ContainsFunc(v.Processes, mayServe) {
		return found, hint.Add(fmt.Errorf("nothing that --restart names runs the server, and %s does, with this key", server.Name), "restart that, too: --restart %s", hint.Quote(server.Reference))
	}
	if len(s.files)+len(s.variables) > 0 {
		found.remark(v.Unknown...)
	}
	v.withoutWorkers(&found)
	return found, nil
}

// restarts says whether one of the restarted processes has one of the names.
func (v View) restarts(names ...string) bool {
	return slices.ContainsFunc(v.Processes, func(p restart.Process) bool {
		return p.Restarts && slices.ContainsFunc(names, func(n string) bool { return n == p.Name || slices.Contains(p.Aliases, n) })
	})
}

// beside tells of a process that has the key and is not restarted, and says
// whether that is a Blnk. Where a restart command may restart it by itself, it is
// no more than a remark.
func (s Stores) beside(p restart.Process, complete bool, current secret.Key, found *Findings) (runs bool) {
	has, from, known := s.keyOf(p)
	isBlnk := p.Server || p.Workers
	if !known && isBlnk {
		found.remark(p.Name + " runs too, and will not be restarted: if it is a server or a worker of this Blnk, name it too")
		return false
	}
	in := append(s.carriers(p, current), s.heldFiles(p, current)...)
	if runs = known && !current.IsZero() && has.Equal(current); runs {
		in = append(in, from)
	}
	text := ""
	if runs && isBlnk {
		text = p.Name + " runs Blnk with the same key, is not named, and goes on with it"
	} else if len(in) > 0 {
		text = p.Name + " has the same key in " + strings.Join(in, ", ") + ", is not named, and goes on with it"
	}
	if complete {
		found.caution(text)
	} else {
		found.remark(text)
	}
	return runs
}

// carriers are the variables and texts that a process was started with in which a
// key stands, by value, but for the variable that decides about Blnk's own.
func (s Stores) carriers(p restart.Process, key secret.Key) (in []string) {
	deciding, _ := s.deciding(p, p.Env)
	for _, name := range slices.Sorted(maps.Keys(p.Env)) {
		if name != deciding && name != p.ExecVariable() && restart.Holds(p.Env[name], key) {
			in = append(in, name)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(p.Texts)) {
		if restart.Holds(p.Texts[what], key) {
			in = append(in, what)
		}
	}
	return in
}

// heldFiles are files that a process has been given besides its blnk.json, and that
// hold a key without being one of the stores.
func (s Stores) heldFiles(p restart.Process, key secret.Key) (in []string) {
	for _, path := range p.Mounts {
		if path != p.Config && !s.are(path) && restart.Holds(string((&restart.Process{Config: path}).ReadConfig()), key) {
			in = append(in, path)
		}
	}
	return in
}

// are says whether a file is one of the stores.
func (s Stores) are(path string) bool {
	return slices.ContainsFunc(s.files, func(f string) bool { return textfile.Same(f, path) }) ||
		slices.ContainsFunc(s.variables, func(v variable) bool { return textfile.Same(v.file, path) })
}

// setBy says whether a store sets what a process has a key in; else which one
// would, where that is seen.
func (s Stores) setBy(p restart.Process, what string, key secret.Key) (would string, set bool) {
	if p.Fixed != nil && p.Fixed(what) != nil || slices.Contains(p.Mounts, what) {
		return "", false
	}
	file, as, _ := envFileOf(p, what, key)
	switch {
	case file == "":
	case slices.ContainsFunc(s.variables, func(v variable) bool { return v.name == as && textfile.Same(v.file, file) }):
		return "", true
	case unquoted(p.Env[what]) == key.Reveal(): // one that holds more would lose that
		would = named(dotenv.Scheme, file, as)
	}
	return would, false
}

// carried tells of what a process has the key in besides, and keeps; and of a
// restart that is for nothing, as far as can be seen.
func (s Stores) carried(p restart.Process, current secret.Key, found *Findings) {
	in := append(s.carriers(p, current), s.heldFiles(p, current)...)
	if !p.Server && !p.Workers && !p.Scripted && len(in) == 0 {
		found.remark(p.Name + " does not run Blnk, as far as can be seen, and is restarted all the same")
	}
	if p.Config != "" && !s.are(p.Config) && restart.Holds(string(p.ReadConfig()), current) { // a variable wins over it
		found.remark(fmt.Sprintf("%s holds the key, too, and keeps the old one; --store %s rotates it", p.Config, named(blnkjson.Scheme, p.Config, "")))
	}
	for _, what := range in {
		would, set := s.setBy(p, what, current)
		text := fmt.Sprintf("%s has the key in %s, which none of the stores sets: it goes on with the old one", p.Name, what)
		if would != "" {
			text += "; --store " + would + " rotates it"
		} else if p.Next != nil && p.EnvFiles == nil && !slices.Contains(p.Mounts, what) {
			text = fmt.Sprintf("%s has the key in %s, and Compose does not say from which file: see that one of the stores sets it", p.Name, what)
		}
		if !set {
			found.caution(text)
		}
	}
}

// withoutWorkers says that none of the processes is seen to be Blnk's workers.
// Where the command of one does not tell what it is, that is no more than a remark.
func (v View) withoutWorkers(found *Findings) {
	const text = `nothing that --restart names runs "blnk workers": they read the key at their start and sign webhooks with it, so restart them, too`
	named := slices.DeleteFunc(slices.Clone(v.Processes), func(p restart.Process) bool { return !p.Restarts })
	workers := func(p restart.Process) bool { return p.Workers }
	unclear := func(p restart.Process) bool { return !p.Workers && !p.Server }
	beside := func(p restart.Process) bool { return !p.Restarts && p.Workers }
	switch {
	case !v.Complete || len(named) == 0 || slices.ContainsFunc(named, workers):
	case len(found.Cautions) > 0 && slices.ContainsFunc(v.Processes, beside): // said of those
	case slices.ContainsFunc(named, unclear):
		found.remark(text)
	default:
		found.caution(text)
	}
}

// deciding is the variable that decides about the master key of a process, so
// that no blnk.json is looked at; "" where a file decides, or exec's store.
func (s Stores) deciding(p restart.Process, env map[string]string) (name string, value secret.Key) {
	effective, err := blnk.Resolve(s.config, env)
	if err != nil {
		return "", value // no server started with these two together
	}
	v := effective.Value(blnk.SecretKey)
	if !v.Shadowed() || v.Source == p.ExecVariable() {
		return "", value
	}
	return v.Source, v.Text
}

// Shadowed is the error, with what helps, of a process whose key stands in a variable
// that wins over its blnk.json and that none of the stores sets, as far as can be
// seen; nil for others.
func (s Stores) Shadowed(p restart.Process) error {
	name, value := s.deciding(p, p.Env)
	if name == "" || s.others || len(s.files) == 0 && len(s.variables) > 0 && slices.ContainsFunc(s.keys, value.Equal) || s.sets(p, name) {
		return nil
	}
	return s.shadow(p, name, value, "")
}

// keyOf is the key that a process runs with, and where it has that from; known
// is false where it cannot be seen.
func (s Stores) keyOf(p restart.Process) (key secret.Key, from string, known bool) {
	if p.Env == nil || p.ExecStore || p.ExecVariable() != "" {
		return key, "", false
	}
	if name, value := s.deciding(p, p.Env); name != "" {
		return value, name, true
	}
	text := p.ReadConfig()
	if text == nil {
		return key, "", false
	}
	effective, err := blnk.Resolve(text, nil)
	return effective.SecretKey(), p.Config, err == nil
}

// check says whether the stores bring the key to a process: an error where they
// certainly do not, and a doubt where that shows only afterwards.
func (s Stores) check(p restart.Process, complete bool, current secret.Key) (doubt string, err error) {
	if p.ExecStore {
		return "", nil
	}
	name, value := s.deciding(p, p.Coming())
	switch {
	case name == "" && len(s.files) == 0:
		return s.withoutFile(p, complete, current)
	case name == "":
		return s.checkFile(p, complete)
	case p.Fixed != nil && p.Fixed(name) != nil:
		return "", p.Fixed(name)
	case p.Next != nil && complete && !value.Equal(current) && !current.IsZero() && !slices.ContainsFunc(s.keys, value.Equal):
		// The tool's own word for what it will start: decided by the value.
		return "", s.shadow(p, name, value, "would be recreated with another key than the stores have")
	case s.sets(p, name):
		return "", nil
	case s.others || p.Scripted:
		return fmt.Sprintf("where %s has %s from is not known; what it has after the restart is looked at", p.Name, name), nil
	}
	return "", fmt.Errorf("the environment of the server shadows the store: %w", s.shadow(p, name, value, ""))
}

// sets says whether a variable of a process stands in one of the stores, or may.
// Compose can take it from one of another name.
func (s Stores) sets(p restart.Process, name string) bool {
	return slices.ContainsFunc(s.variables, func(v variable) bool {
		return (v.name == name || p.Next != nil) && (p.EnvFiles == nil || slices.ContainsFunc(p.EnvFiles, func(f string) bool { return textfile.Same(f, v.file) }))
	})
}

// checkFile judges a process that reads its key from blnk.json.
func (s Stores) checkFile(p restart.Process, complete bool) (doubt string, err error) {
	if !p.Server && !p.Workers || slices.ContainsFunc(s.files, func(path string) bool { return mayRead(p, path) }) {
		return "", nil
	}
	if s.others || p.Scripted || !complete {
		return s.unread(p, "; what it has after the restart is looked at").Error(), nil
	}
	return "", s.unread(p, ": a restart would not bring it the new key")
}

// withoutFile judges a process without a variable of the key, where no blnk.json
// is among the stores.
func (s Stores) withoutFile(p restart.Process, complete bool, current secret.Key) (doubt string, err error) {
	if len(s.variables) == 0 || !p.Server && !p.Workers {
		return "", nil
	}
	effective, err := blnk.Resolve(p.ReadConfig(), nil)
	certain := complete && !s.others && !p.Scripted
	switch {
	case err == nil && !effective.SecretKey().IsZero() && certain:
		return "", s.unread(p, ": a restart would not bring it the new key")
	case p.Next != nil && certain && !(current.IsZero() && s.sets(p, "")):
		return "", hint.Add(fmt.Errorf("%s would be recreated without any key", p.Name), "%s", setInFile("BLNK_SERVER_SECRET_KEY"))
	}
	return p.Name + " has no key in its environment, and no blnk.json is among the stores; what it has after the restart is looked at", nil
}

// After fails a restart that did not bring a process the key of the stores, or
// did not start it anew. others are the rotation's other keys, which it should
// have no more where a store sets them. What cannot be seen is left to the
// servers' proof.
func (s Stores) After(before, after View, key secret.Key, others []secret.Key) error {
	for _, p := range after.Processes {
		if !p.Restarts {
			continue
		}
		for _, b := range before.Processes {
			if b.Name == p.Name && b.Start != "" && b.Start == p.Start {
				return fmt.Errorf("%s was not started anew: it runs since before the restart", p.Name)
			}
		}
		if what := s.stale(before, p, key, others); what != "" {
			return fmt.Errorf("%s still has another key of the rotation in %s after its restart", p.Name, what)
		}
		has, from, known := s.keyOf(p)
		if !known || has.Equal(key) {
			continue
		}
		if from == p.Config {
			return s.unread(p, ", and has another key than they")
		}
		return s.shadow(p, from, has, "has another key than the stores after its restart")
	}
	return nil
}

// stale is what still holds another key in a process that was restarted, though a
// store sets it.
func (s Stores) stale(before View, p restart.Process, key secret.Key, others []secret.Key) string {
	for _, other := range others {
		if other.Equal(key) {
			continue
		}
		for _, what := range s.carriers(p, other) {
			if slices.ContainsFunc(before.Processes, func(b restart.Process) bool {
				_, set := s.setBy(b, what, other)
				return b.Name == p.Name && b.Restarts && set
			}) {
				return what
			}
		}
	}
	return ""
}

// Why says what makes the answers of servers other than the stores would, for the
// processes behind their ports; nil where it is not seen. keys are those that the
// stores hold, or held.
func (s Stores) Why(servers []*probe.Server, keys []secret.Key) error {
	var v View
	v.Listening(servers)
	for _, p := range v.Processes {
		name, value := s.deciding(p, p.Env)
		for _, key := range keys {
			if with, keeps := Around(value, key); with != "" {
				return hint.Add(fmt.Errorf("%s has the key with %s in %s (%s)", p.Name, with, name, keeps),
					"take that out of the env file, start the server anew from it, and run this again")
			}
		}
		if s.config == nil {
			continue
		}
		if e, err := blnk.Resolve(s.config, p.Env); err == nil && e.Value(blnk.Secure).Shadowed() && !e.Secure() {
			return s.shadow(p, e.Value(blnk.Secure).Source, secret.Key{}, "")
		}
		if name != "" {
			return s.shadow(p, name, value, "")
		}
		if p.Config != "" && !slices.ContainsFunc(s.files, func(path string) bool { return mayRead(p, path) }) {
			return s.unread(p, "")
		}
	}
	return nil
}

// shadow is the error for a variable that no store sets; what is a fault that
// says more than that.
func (s Stores) shadow(p restart.Process, name string, value secret.Key, what string) error {
	text := name + " is set in the environment of " + p.Name + ", and wins over blnk.json"
	if what != "" {
		text = fmt.Sprintf("%s %s: %s is set in its environment", p.Name, what, name)
	}
	file, as, unread := envFileOf(p, name, value)
	help := "if an env file sets it, rotate that too: --store 'dotenv:PATH#" + name + "'; else take it out of the server's environment and restart"
	switch {
	case !strings.HasSuffix(name, "_SECRET_KEY") && file != "":
		help = "take the line with " + name + " out of " + file + ", restart with that, and run this again"
	case !strings.HasSuffix(name, "_SECRET_KEY"):
		help = "take " + name + " out of the server's environment, restart it, and run this again"
	case file != "":
		help = "rotate its env file too: --store " + named("dotenv", file, as)
	case p.EnvFiles != nil && !unread:
		text += "; no env file that a restart reads sets it"
		help = setInFile(name)
	}
	return hint.Add(errors.New(text), "%s", help)
}

// Instead is a hint where the stores hold no key: the env file or the blnk.json that
// gives a process its key; "" where none is seen.
func (s Stores) Instead(v View) string {
	for _, p := range v.Processes {
		name, value := s.deciding(p, p.Coming())
		if file, as, _ := envFileOf(p, name, value); p.Restarts && file != "" {
			return p.Name + " has its key from an env file; rotate that: --store " + named("dotenv", file, as)
		}
	}
	for _, p := range v.Processes {
		if p.Restarts && p.Config != "" && p.ReadConfig() != nil && !slices.Contains(s.files, p.Config) {
			return p.Name + " reads its key from " + p.Config + "; rotate that: --store " + named(blnkjson.Scheme, p.Config, "")
		}
	}
	for _, p := range v.Processes {
		if name, value := s.deciding(p, p.Env); p.Server && !value.IsZero() {
			return p.Name + " has its key from " + name + " in its environment; name the file that sets it: --store dotenv:FILE"
		}
	}
	return ""
}

// named is the reference of a store, for a shell.
func named(scheme, path, field string) string {
	return hint.Quote(store.Ref{Scheme: scheme, Place: path, Field: field}.String())
}

func setInFile(name string) string {
	return "let an env file set " + name + ", restart with that, and name it with --store 'dotenv:PATH'; or take it out, so that blnk.json counts"
}

// envFileOf finds the line of an env file that gives a process its key: by the
// name of the variable, or, where Compose takes it from another one, by its value.
// It serves for a hint: what the files really give is seen in the process. unread:
// one of them may not be read.
func envFileOf(p restart.Process, name string, value secret.Key) (file, as string, unread bool) {
	for _, path := range p.EnvFiles {
		text, err := textfile.Glance(path, textfile.MaxSize)
		if name == "" {
			continue
		}
		unread = unread || errors.Is(err, fs.ErrPermission)
		for line := range strings.Lines(string(text)) {
			variable, set, ok := strings.Cut(strings.TrimSpace(line), "=")
			variable = strings.TrimSpace(strings.TrimPrefix(variable, "export "))
			if ok && (variable == name || as != name && !value.IsZero() && value.Equal(secret.New(unquoted(set)))) {
				file, as = path, variable
			}
		}
	}
	return file, as, unread
}

// Around is what a value of the environment has besides a key, because what read the
// env file took it for a part of the key, and what keeps it; "" where it has no more,
// or is another key.
func Around(value, key secret.Key) (with, keeps string) {
	before, after, found := strings.Cut(value.Reveal(), key.Reveal())
	switch bare := strings.TrimSpace(after); {
	case !found || key.IsZero() || value.Equal(key):
	case (before == `"` || before == "'") && strings.HasPrefix(after, before):
		return "quotes around it", "docker run --env-file keeps them"
	case before == "" && bare == "":
		return "white space behind it", "a shell keeps the carriage return of Windows"
	case before == "" && bare != after && bare[0] == '#':
		return "a comment behind it", "systemd and docker run --env-file keep it"
	}
	return "", ""
}

func unquoted(value string) string { return strings.Trim(value, `"'`) }

// mayRead says whether a blnk.json is the one that the process reads, or may be.
func mayRead(p restart.Process, path string) bool {
	switch {
	case p.Config != "":
		return textfile.Same(path, p.Config)
	case p.Isolated:
		return slices.ContainsFunc(p.Mounts, func(mount string) bool { return within(path, mount) })
	default:
		return true
	}
}

// unread says why a process does not read the stores' blnk.json, what comes of
// that, and what helps.
func (s Stores) unread(p restart.Process, then string) error {
	text, help := p.Name+" reads "+p.Config+", which is none of the stores", "rotate that, too: --store "+named(blnkjson.Scheme, p.Config, "")
	switch {
	case len(s.files) == 0:
		text = p.Name + " has its key from " + p.Config + ", which is none of the stores"
	case p.Config == "":
		text = p.Name + " does not see " + s.files[0] + ": nothing that is mounted in it has that"
		help = "mount " + s.files[0] + " where it reads its blnk.json, and recreate it"
	default:
		help += "; or let it read " + s.files[0]
	}
	return hint.Add(errors.New(text+then), "%s", help)
}

// within says whether a path is a file or folder, or lies below it: by its own
// name, or where the links on its way lead.
func within(path, top string) bool {
	here, err := filepath.EvalSymlinks(path)
	return below(path, top) || err == nil && below(here, top)
}

func below(path, top string) bool {
	for !textfile.Same(path, top) {
		parent := filepath.Dir(path)
		if parent == path {
			return false
		}
		path = parent
	}
	return true
}

// Here are the Blnk processes of this host, whoever restarts them.
func Here() (all []restart.Process) {
	for _, pid := range listener.Scan().Blnk {
		p := restart.Process{Name: "PID " + strconv.Itoa(pid)}
		p.Look(pid)
		all = append(all, p)
	}
	return all
}

// holders are the processes that run with a key, or read a blnk.json of the stores:
// those of a View, and every other blnk of this host, which no driver may know.
func (s Stores) holders(v View, key secret.Key) (marks []listener.Mark) {
	all := slices.DeleteFunc(slices.Clone(v.Processes), func(p restart.Process) bool { return p.PID <= 0 })
	if len(v.host.Blnk) == 0 {
		v.host = listener.Scan()
	}
	for _, pid := range v.host.Blnk {
		if p := (restart.Process{}); !slices.ContainsFunc(all, func(p restart.Process) bool { return p.PID == pid && p.Env != nil }) {
			p.Look(pid)
			all = append(all, p)
		}
	}
	for _, p := range all {
		name, value := s.deciding(restart.Process{}, p.Env) // exec set it once
		if name == "" && !s.reads(p.PID) || name != "" && !value.Equal(key) {
			continue
		}
		if m := markOf(p); !slices.ContainsFunc(marks, m.Same) {
			marks = append(marks, m)
		}
	}
	return marks
}

func markOf(p restart.Process) listener.Mark {
	m := listener.Mark{PID: p.PID, Start: listener.StartOf(p.PID), Name: "blnk", Server: p.Server}
	switch {
	case p.Server:
		m.Name = "blnk start"
	case p.Workers:
		m.Name = "blnk workers"
	}
	return m
}

// reads says whether the blnk.json of a process is one of the stores', also through a
// mount.
func (s Stores) reads(pid int) bool {
	its, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "cwd", blnk.FileName))
	return err == nil && slices.ContainsFunc(s.files, func(path string) bool {
		here, err := os.Stat(path)
		return err == nil && os.SameFile(its, here)
	})
}
