package cmd_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// A search is all that is known of a script when it is over.
type search struct {
	work    string
	program string // what stands for blnkctl
	runs    []tracedRun
	shapes  []shape
	stores  []string
	ports   []string // of the servers that may be asked
	script  string
}

// A shape is a text that would be a leak.
type shape struct{ text, name string }

// findLeaks says what was found, a line each.
func findLeaks(folder, work, program string) []string {
	s := &search{work: work, program: program}
	if err := s.load(folder); err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, run := range s.runs {
		if run.trace == "" {
			continue
		}
		acts, err := readActs(run.trace)
		if err != nil {
			return []string{err.Error()}
		}
		if len(acts) == 0 || slices.ContainsFunc(acts, func(a act) bool { return s.ours(a) && a.hidden() }) {
			return []string{fmt.Sprintf("strace could not look into %q", run.Args)}
		}
		found = append(found, s.inActs(run, acts)...)
	}
	found = append(append(found, s.inChildren(folder)...), s.leftBehind()...)
	slices.Sort(found)
	return slices.Compact(found)
}

func (s *search) load(folder string) error {
	files, err := filepath.Glob(filepath.Join(folder, "*.run"))
	if err != nil {
		return err
	}
	for _, file := range files {
		run, err := readRun(file)
		if err != nil {
			return err
		}
		trace := strings.TrimSuffix(file, ".run") + ".trace"
		if exists(trace) == nil {
			run.trace = trace
		}
		s.runs = append(s.runs, run)
		s.stores = append(s.stores, run.Stores...)
	}
	keys, err := notedKeys(folder)
	if err != nil {
		return err
	}
	written, err := s.keysWritten()
	if err != nil {
		return err
	}
	s.shapes = shapesOf(slices.DeleteFunc(append(keys, written...), s.typed))
	s.findPorts()
	name := strings.TrimPrefix(filepath.Base(s.work), "script-") + ".txt"
	for _, pattern := range []string{"testdata", "testdata/*"} {
		files, err := filepath.Glob(filepath.Join(pattern, name)) // none for one of no folder
		if err != nil {
			return err
		}
		for _, file := range files {
			script, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			s.script += string(script)
		}
	}
	return nil
}

// typed: what a script writes into an argument is no secret.
func (s *search) typed(key string) bool {
	return slices.ContainsFunc(s.runs, func(run tracedRun) bool {
		return slices.ContainsFunc(run.Args, func(arg string) bool { return strings.Contains(arg, key) })
	})
}

func shapesOf(keys []string) []shape {
	slices.Sort(keys)
	var shapes []shape
	for _, value := range slices.Compact(keys) {
		key := secret.New(value)
		for _, text := range key.Encodings() {
			name := "a key as it is"
			if text != value {
				name = "a key in the form " + text[:4] + "…"
			}
			shapes = append(shapes, shape{text, name})
		}
	}
	return shapes
}

// in returns the name of a shape in a text, "" where there is none.
func (s *search) in(text string) string {
	for _, sh := range s.shapes {
		if at := strings.Index(text, sh.text); at >= 0 {
			from, to := max(0, at-40), min(len(text), at+len(sh.text)+40)
			return fmt.Sprintf("%s: %q", sh.name, text[from:to])
		}
	}
	return ""
}

// keysWritten finds the keys that no file held when somebody looked: those of
// journals and stores that blnkctl wrote, and what keygen printed.
func (s *search) keysWritten() ([]string, error) {
	var keys []string
	for _, run := range s.runs {
		if run.trace == "" {
			continue
		}
		acts, err := readActs(run.trace)
		if err != nil {
			return nil, err
		}
		for to, text := range s.writes(acts) {
			keys = append(keys, keysIn(filepath.Base(to.name), []byte(text))...)
			if to.fd == 1 && run.printsAKey() {
				keys = append(keys, strings.TrimSpace(text))
			}
		}
	}
	return slices.DeleteFunc(keys, func(k string) bool { return len(k) < shortestKey || strings.ContainsAny(k, " \n") }), nil
}

// printsAKey: that is what keygen without a store is for.
func (r *tracedRun) printsAKey() bool {
	return slices.Contains(r.Args, "keygen") && !slices.ContainsFunc(r.Args, func(a string) bool { return strings.HasPrefix(a, "--store") })
}

// execs: that is what exec is for.
func (r *tracedRun) execs() bool { return slices.Contains(r.Args, "exec") }

// A place is where a process writes.
type place struct {
	fd   int // 1 and 2; 0 for all others
	name string
}

// writes puts together what blnkctl wrote to each place, so that no key is
// missed because it was written in two halves.
func (s *search) writes(acts []act) map[place]string {
	all := map[place]string{}
	for _, a := range acts {
		if !s.ours(a) || strings.HasPrefix(a.call, "execve") || a.call == "connect" {
			continue
		}
		to := place{name: a.to}
		if a.fd == 1 || a.fd == 2 {
			to.fd = a.fd
		}
		all[to] += strings.Join(a.texts, "")
	}
	return all
}

// ours: strace does not always notice that traced has become blnkctl.
func (s *search) ours(a act) bool { return a.who == s.program || a.who == "traced" }

// inActs searches what one run did.
func (s *search) inActs(run tracedRun, acts []act) []string {
	var found []string
	peers := map[string]string{}
	for _, a := range acts {
		switch {
		case a.call == "connect":
			peers[a.to] = a.port()
		// What those that it starts hand on, they have from here, or from
		// elsewhere.
		case strings.HasPrefix(a.call, "execve") && s.ours(a):
			for _, text := range a.texts {
				if what := s.in(text); what != "" && !s.mayPass(run, text) {
					found = append(found, fmt.Sprintf("%q hands over %s", run.Args, what))
				}
			}
		}
	}
	for to, text := range s.writes(acts) {
		if s.mayHold(run, to) {
			continue
		}
		port, ok := peers[to.name]
		if ok && slices.Contains(run.Env, "VAULT_ADDR=http://127.0.0.1:"+port) {
			continue // a store
		}
		if ok && slices.Contains(s.ports, port) {
			text = asked.ReplaceAllString(text, "")
		}
		if what := s.in(text); what != "" {
			found = append(found, fmt.Sprintf("%q writes to %s (fd %d) %s", run.Args, to.name, to.fd, what))
		}
	}
	return found
}

// inChildren searches what the programs of ours were started with that blnkctl
// started itself.
func (s *search) inChildren(folder string) []string {
	files, err := filepath.Glob(filepath.Join(folder, "*.child"))
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for _, file := range files {
		child, err := readRun(file)
		if err != nil {
			return []string{err.Error()}
		}
		at := slices.IndexFunc(s.runs, func(run tracedRun) bool { return run.PID == child.Parent })
		if at < 0 {
			return []string{fmt.Sprintf("nobody started %q", child.Args)}
		}
		for _, text := range append(child.Args, child.Env...) {
			if what := s.in(text); what != "" && !s.mayPass(s.runs[at], text) {
				found = append(found, fmt.Sprintf("%q hands over %s", s.runs[at].Args, what))
			}
		}
	}
	return found
}

func readRun(file string) (run tracedRun, err error) {
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &run)
	}
	return run, err
}

// asked is the one line in which a server is asked for a key.
var asked = regexp.MustCompile(`(?m)^X-Blnk-Key: .*\r\n`)

// mayPass: what the script itself has in its environment is its own business.
func (s *search) mayPass(run tracedRun, text string) bool {
	if slices.Contains(run.Env, text) {
		return true
	}
	_, value, ok := strings.Cut(text, "=")
	return ok && run.execs() && slices.ContainsFunc(s.shapes, func(sh shape) bool { return sh.text == value })
}

var (
	journalTemp = regexp.MustCompile(`/targets/[^/]+/\.(journal|previous)\.blnkctl\.tmp$`)
	journalFile = regexp.MustCompile(`/targets/[^/]+/(journal|previous)$`)
	copyTemp    = regexp.MustCompile(`/copies/\.[0-9a-f]+\.copy\.blnkctl\.tmp$`)
)

// mayHold says where a key belongs: in a store and its temporary file, in the
// journal, as the previous key, and in the copy of a file that is written in place; and on the
// stdout of who makes a key to show it.
func (s *search) mayHold(run tracedRun, to place) bool {
	if to.fd == 1 && run.printsAKey() {
		return true
	}
	if to.fd != 0 {
		return false
	}
	name := strings.TrimSuffix(to.name, " (deleted)")
	folder, base := filepath.Split(name)
	if inner, ok := strings.CutPrefix(base, "."); ok {
		if inner, ok := strings.CutSuffix(inner, ".blnkctl.tmp"); ok && slices.Contains(s.stores, folder+inner) {
			return true
		}
	}
	if strings.HasPrefix(name, "pipe:") && s.hasCommands() {
		return true
	}
	return slices.Contains(s.stores, name) || journalTemp.MatchString(name) || copyTemp.MatchString(name)
}

// hasCommands: a command of the configuration gets the key on its stdin.
func (s *search) hasCommands() bool { return strings.Contains(s.script, "command:") }

// leftBehind searches the files of a script.
func (s *search) leftBehind() []string {
	var found []string
	err := eachFile(s.work, 16<<20, func(path string, data []byte) {
		if what := s.in(string(data)); what != "" && !s.mayStay(path) {
			found = append(found, fmt.Sprintf("%s is left behind with %s", path, what))
		}
	})
	if err != nil {
		found = append(found, err.Error())
	}
	return found
}

// mayStay: stores, the journal of an open rotation, the previous key, and what the script itself
// made.
func (s *search) mayStay(path string) bool {
	base := filepath.Base(path)
	return base == "blnk.json" || slices.Contains(s.stores, path) || journalFile.MatchString(path) ||
		strings.HasSuffix(base, ".key") || s.made(path)
}

// made: the script names the file as one of its own, or as the target of a copy.
func (s *search) made(path string) bool {
	short, err := filepath.Rel(s.work, path)
	if err != nil {
		return false
	}
	base := regexp.QuoteMeta(filepath.Base(path))
	for _, pattern := range []string{
		`(?m)^-- ` + regexp.QuoteMeta(short) + ` --$`,
		`(?m)^(?:\[\S+\] )*cp \S+ (\S*/)?` + base + `$`,
		`>\s*"?(\S*/)?` + base + `\b`,
		`(?m)^(?:\[\S+\] )*key(of|from) \S+ (\S*/)?` + base + `$`,
		`sed -i\.bak .*` + strings.TrimSuffix(base, `\.bak`) + `\b`,
	} {
		if regexp.MustCompile(pattern).MatchString(s.script) {
			return true
		}
	}
	return false
}

var address = regexp.MustCompile(`\bhttps?://[^\s/"']+:(\d+)`)

// findPorts: a server that may be asked is named in an argument, a variable or a
// configuration file, or is the one of a blnk.json.
func (s *search) findPorts() {
	s.ports = []string{"5001"}
	texts := []string{}
	for _, run := range s.runs {
		texts = append(append(texts, run.Args...), run.Env...)
	}
	_ = eachFile(s.work, 1<<20, func(path string, data []byte) {
		var config struct {
			Server struct{ Port string }
		}
		if json.Unmarshal(data, &config) == nil {
			s.ports = append(s.ports, config.Server.Port)
		}
		if strings.HasSuffix(path, ".yaml") {
			texts = append(texts, string(data))
		}
	})
	for _, text := range texts {
		for _, m := range address.FindAllStringSubmatch(text, -1) {
			s.ports = append(s.ports, m[1])
		}
	}
}

// searchOutput searches what a script has shown of blnkctl's own output.
func searchOutput(t scriptT) {
	if *t.folder == "" {
		return
	}
	keys, err := notedKeys(*t.folder)
	if err != nil {
		t.Fatal(err)
	}
	s := &search{shapes: shapesOf(keys)}
	var command string
	var output strings.Builder
	check := func() {
		run, text := tracedRun{Args: strings.Fields(command)}, output.String()
		if strings.Contains(command, "blnkctl exec ") { // on stdout its command may print what it got
			_, text, _ = strings.Cut(text, "[stderr]\n")
		}
		if strings.Contains(command, " --github-") { // what masks a key is what it is told for
			text = regexp.MustCompile(`(?m)^::add-mask::.*$`).ReplaceAllString(text, "")
		}
		if what := s.in(text); what != "" && strings.Contains(command, "blnkctl") && !run.printsAKey() {
			t.leak(fmt.Sprintf("%s prints %s", command, what))
		}
		output.Reset()
	}
	for line := range strings.Lines(t.said.String()) {
		if strings.HasPrefix(line, "> ") {
			check()
			command = strings.TrimSpace(line)
			continue
		}
		output.WriteString(line)
	}
	check()
}
