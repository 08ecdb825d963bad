package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/restart/docker"
	"github.com/blnkctl/blnkctl/secret"
)

// compose1Help is what helps where there is only Compose 1, which is at its end
// since 2023.
const compose1Help = "install the plugin of Compose 2 (https://docs.docker.com/compose/install), have it recreate the project (docker compose up -d), and run this again"

// findProgram finds Compose, 2.20 or later.
func (d *driver) findProgram(ctx context.Context) error {
	if d.program != nil {
		return nil
	}
	old := "there is no docker compose"
	for _, args := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		text, _ := d.Ask(ctx, append(args, "version", "--short")...)
		version := strings.TrimPrefix(strings.TrimSpace(text), "v")
		var major, minor int
		if _, odd := fmt.Sscanf(version, "%d.%d", &major, &minor); odd != nil {
			continue // there is none, or docker without the plugin
		}
		if major > 2 || major == 2 && minor >= 20 {
			d.program, d.tellsEnvFiles = args, major > 2 || minor >= 25
			return nil
		}
		old = "there is only " + strings.Join(args, " ") + " " + version
	}
	return hint.Add(fmt.Errorf("%s: Compose 2.20 or later is needed", old), "%s", compose1Help)
}

// call is a call of Compose for the project.
func (d *driver) call(p *project, args ...string) []string {
	call := slices.Concat(d.program, []string{"-p", p.name, "--project-directory", p.dir})
	for _, f := range p.files {
		call = append(call, "-f", f)
	}
	for _, f := range p.envFiles {
		call = append(call, "--env-file", f)
	}
	return append(call, args...)
}

// byHand is the same as a person types it.
func (d *driver) byHand(p *project, args ...string) string {
	return hint.Command(d.call(p, args...)...)
}

// scale has Compose leave as many containers as there are, where its files say
// something else. Compose notes a number that it was told, and may take a service
// for changed where it was told what its files say.
func (s *service) scale() []string {
	files := 1
	if s.config.Scale != nil {
		files = *s.config.Scale
	} else if s.config.Deploy.Replicas != nil {
		files = *s.config.Deploy.Replicas
	}
	if n := len(s.containers); n != files {
		return []string{"--scale", s.name + "=" + strconv.Itoa(n)}
	}
	return nil
}

// configured is the project with what Compose makes of its files now. A service is
// recreated that has a setting of the master key in its environment, or a key of
// the rotation anywhere, now or then.
func (d *driver) configured(ctx context.Context) (*project, error) {
	p, err := d.find(ctx)
	if err == nil {
		err = d.findProgram(ctx)
	}
	if err != nil {
		return nil, err
	}
	args := []string{"config", "--format", "json"}
	for _, s := range p.services {
		args = append(args, s.name)
	}
	for _, file := range p.files {
		if _, gone := os.Stat(file); gone != nil {
			return nil, hint.Add(fmt.Errorf("project %s was made of %s, and that cannot be read any more: %w", p.name, file, errors.Unwrap(gone)),
				"put it back; or, where it stands elsewhere now, have Compose take over from there: docker compose -p %s -f FILE up -d --force-recreate", p.name)
		}
	}
	now, err := d.read(ctx, p, args...)
	if err != nil {
		return nil, err
	}
	for _, s := range p.services {
		text := now[s.name]
		if json.Unmarshal(text, &s.config) != nil {
			return nil, hint.Add(fmt.Errorf("service %s has a container, and stands no more in the files of project %s", s.name, p.name),
				"put it back; or name the others: --restart %s", hint.Quote(reference(p.name, "SERVICE", "SERVICE")))
		}
		s.next = map[string]string{}
		for name, value := range s.config.Environment {
			if value != nil {
				s.next[name] = *value
			}
		}
		s.recreate = d.holds(string(text)) || slices.ContainsFunc(s.containers, func(c *docker.Container) bool {
			return d.holds(c.All) || (set(c.Env()) || set(s.next)) && !c.Role().ExecStore
		})
	}
	if d.tellsEnvFiles && slices.ContainsFunc(p.services, func(s *service) bool { return s.recreate }) {
		d.readWritten(ctx, p)
	}
	return p, nil
}

// holds says whether a key of the rotation stands in a text.
func (d *driver) holds(text string) bool {
	return d.Options.Mask != nil && slices.ContainsFunc(d.Options.Mask(), func(key secret.Key) bool { return restart.Holds(text, key) })
}

// set says whether an environment has a setting of the master key.
func set(env map[string]string) bool {
	return slices.ContainsFunc(blnk.KeyVariables(), func(name string) bool { _, ok := env[name]; return ok })
}

// readWritten asks Compose what stands in its files, and which env files each
// service has; with those that it takes variables of the files from. The path
// that is a variable it does not tell.
func (d *driver) readWritten(ctx context.Context, p *project) {
	written, err := d.read(ctx, p, "config", "--no-interpolate", "--format", "json")
	if err != nil {
		return
	}
	shared := p.envFiles
	if len(shared) == 0 {
		shared = []string{absolute(".env", p.dir)}
	}
	for _, s := range p.services {
		var files struct {
			EnvFile []struct{ Path string } `json:"env_file"`
		}
		var text bytes.Buffer
		if json.Compact(&text, written[s.name]) != nil || json.Unmarshal(written[s.name], &files) != nil {
			continue
		}
		s.written, s.envFiles = text.String(), slices.Clone(shared)
		for _, f := range files.EnvFile {
			s.envFiles = append(s.envFiles, absolute(f.Path, p.dir))
		}
		if slices.ContainsFunc(s.envFiles, func(file string) bool { return strings.Contains(file, "$") }) {
			s.envFiles = nil
		}
		s.envFiles = slices.DeleteFunc(s.envFiles, func(file string) bool { _, err := os.Stat(file); return err != nil })
	}
}

// fixed is the error of a variable, or of another text of the service, that stands
// in a compose file itself.
func (d *driver) fixed(p *project, s *service, what string) error {
	text := func(v string) string { quoted, _ := json.Marshal(v); return string(quoted) }
	value, ok := s.next[what]
	if !ok && !d.holds(s.written) || ok && !strings.Contains(s.written, text(what)+":"+text(value)) && !strings.Contains(s.written, text(what+"="+value)) {
		return nil
	}
	return hint.Add(fmt.Errorf("service %s: %s stands in %s itself, and no env file that a restart reads sets it", s.name, what, strings.Join(p.files, " or ")),
		"let an env file set it, restart with that, and name it with --store 'dotenv:PATH'; or take it out, so that blnk.json counts")
}

// read returns the services that a Compose command prints, which may hold keys,
// as JSON. Of what it complains the last line is shown, without what it quotes.
func (d *driver) read(ctx context.Context, p *project, args ...string) (map[string]json.RawMessage, error) {
	text, err := d.Ask(ctx, d.call(p, args...)...)
	if err != nil {
		err = errors.New(unquoted(err.Error()))
	}
	var answer struct{ Services map[string]json.RawMessage }
	// "$$" is how it writes one "$". The decoder's error may quote what it could
	// not read.
	if err == nil && json.Unmarshal([]byte(strings.ReplaceAll(text, "$$", "$")), &answer) != nil {
		err = errors.New("the answer of Compose is not understood")
	}
	if err != nil {
		err = hint.Add(fmt.Errorf("read the files of project %s: %w", p.name, err), "run it by hand to see why: %s", d.byHand(p, "config", "--quiet"))
	}
	return answer.Services, err
}

// unquoted is a line without what stands in quotes: Compose quotes lines of env
// files and values of compose files there, with secrets of every kind. What a
// quote begins that does not end goes to the end of the line; "couldn't" has none.
func unquoted(line string) string {
	quotes := regexp.MustCompile(`n't\b|"(?:[^"\\]|\\.)*(?:"|\\?$)|'[^']*(?:'|$)|\x60[^\x60]*(?:\x60|$)`)
	return quotes.ReplaceAllStringFunc(line, func(quoted string) string {
		if quoted == "n't" {
			return quoted
		}
		return secret.Redacted
	})
}

// onlyTheKey refuses where recreating a service would change more than the key.
// Compose is asked, with a dry run: what it would leave alone is what its files
// say. (Its "config --hash" does not tell: it leaves out env files, and until
// 2.29.1 a container that was made with "--no-deps" has another one.)
func (d *driver) onlyTheKey(ctx context.Context, p *project, s *service) error {
	file, ok := d.asItRuns(s)
	if !s.recreate || !ok || d.leaves(ctx, p, s, file, "--no-deps") || d.leaves(ctx, p, s, file) {
		return nil
	}
	image := s.containers[0].Config.Image
	if _, err := d.Ask(ctx, "docker", "image", "inspect", "--format", "x", "--", image); err != nil {
		return hint.Add(fmt.Errorf("service %s: its image %s is not there any more, and it takes that to recreate it", s.name, image), "docker pull %s, or have Compose build it: %s", image, d.byHand(p, "build", s.name))
	}
	return hint.Add(fmt.Errorf("service %s: recreating it would change more than the key: its files, its image or the environment of Compose are not what they were", s.name),
		"where that is meant, bring it in first: %s", d.byHand(p, "up", "-d", "--no-deps", s.name))
}

// asItRuns is a compose file that gives the service the keys that it runs with,
// where its files have others: with it Compose finds only what else differs. The
// zero Key where they have the same; false where no file can say it: a variable of
// the master key more or less.
func (d *driver) asItRuns(s *service) (file secret.Key, ok bool) {
	has, differ := s.containers[0].Env(), map[string]string{}
	for _, name := range blnk.KeyVariables() {
		_, now := has[name]
		if _, then := s.next[name]; now != then {
			return secret.Key{}, false
		}
	}
	for name, then := range s.next {
		if now, ok := has[name]; ok && now != then && (slices.Contains(blnk.KeyVariables(), name) || d.holds(now)) {
			differ[name] = strings.ReplaceAll(now, "$", "$$")
		}
	}
	if len(differ) == 0 {
		return secret.Key{}, true
	}
	text, err := json.Marshal(map[string]any{"services": map[string]any{s.name: map[string]any{"environment": differ}}})
	return secret.New(string(text)), err == nil
}

// leaves has Compose say what an "up" of the service would do with its containers.
func (d *driver) leaves(ctx context.Context, p *project, s *service, file secret.Key, flags ...string) bool {
	args := slices.Concat([]string{"--dry-run", "up", "-d", "--no-build", "--pull", "never"}, flags, s.scale(), []string{s.name})
	with := *p
	if !file.IsZero() {
		with.files = append(slices.Clone(p.files), "-") // its standard input
	}
	cmd := d.Options.Command(docker.QueryTimeout, d.call(&with, args...)...)
	cmd.Input = file
	res, _ := cmd.Run(ctx)    // it may fail at what the service depends on, having told all about this one
	left := map[string]bool{} // "Created" alone is one that was, and is stopped (2.20, 2.26)
	for line := range strings.Lines(res.Output) {
		_, said, ok := strings.Cut(line, " Container ")
		if words := strings.Fields(said); ok && len(words) > 1 {
			still, told := left[words[0]]
			left[words[0]] = (still || !told) && slices.Contains([]string{"Running", "Created", "Starting", "Started"}, words[1])
		}
	}
	return !slices.ContainsFunc(s.containers, func(c *docker.Container) bool { return !left[c.Called()] })
}
