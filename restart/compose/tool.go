package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/restart/docker"
	"github.com/blnkctl/blnkctl/secret"
)

// compose1Help is what helps where there is only Compose 1, which is at its end
// since 2023.
const compose1Help = "install the plugin of Compose 2 (https://docs.docker.com/compose/install), have it recreate the project (docker compose up -d), and run this again"

// A config is what Compose makes of a service in its files. Its environment may
// hold keys, so it must not be printed.
type config struct {
	Image       string
	Environment map[string]*string // nil for a variable that is not set
	Scale       *int
	Deploy      struct{ Replicas *int }
}

// findProgram finds Compose, 2.20 or later.
func (d *driver) findProgram(ctx context.Context) error {
	if d.program != nil {
		return nil
	}
	old := "there is no docker compose"
	for _, args := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		if d.Command(0, args...).Check() != nil {
			continue
		}
		text, err := d.Ask(ctx, append(args, "version", "--short")...)
		version := strings.TrimPrefix(strings.TrimSpace(text), "v")
		var major, minor int
		if _, odd := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil || odd != nil {
			continue // docker without the plugin
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
	return slices.Concat(d.program, []string{"--ansi", "never"}, p.options(), args)
}

// byHand is a call of Compose as a person makes it.
func (d *driver) byHand(p *project, args ...string) string {
	return hint.Command(slices.Concat(d.program, p.options(), args)...)
}

func (p *project) options() []string {
	args := []string{"-p", p.name, "--project-directory", p.dir}
	for _, f := range p.files {
		args = append(args, "-f", f)
	}
	for _, f := range p.envFiles {
		args = append(args, "--env-file", f)
	}
	return args
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

// configure has Compose read the files, and says which services have to be
// recreated, those with the key in their environment, now or then; and what
// their environment will be.
func (d *driver) configure(ctx context.Context, p *project) error {
	if err := d.findProgram(ctx); err != nil {
		return err
	}
	args, recreates := []string{"config", "--format", "json"}, false
	for _, s := range p.services {
		args = append(args, s.name)
	}
	text, err := d.read(ctx, p, args...)
	if err != nil {
		return fmt.Errorf("read the files of project %s: %w", p.name, err)
	}
	var answer struct{ Services map[string]config }
	// "$$" is how it writes one "$". The decoder's error may quote what it could
	// not read.
	if json.Unmarshal([]byte(strings.ReplaceAll(text, "$$", "$")), &answer) != nil {
		return fmt.Errorf("read the files of project %s: the answer of Compose is not understood", p.name)
	}
	for _, s := range p.services {
		var ok bool
		if s.config, ok = answer.Services[s.name]; !ok {
			return fmt.Errorf("service %s has a container, and stands no more in the files of project %s", s.name, p.name)
		}
		s.recreate = slices.ContainsFunc(s.containers, func(c *docker.Container) bool { return c.KeyVariable() != "" }) ||
			!s.containers[0].Role().ExecStore && slices.ContainsFunc(docker.KeyVariables(), func(name string) bool { return s.config.Environment[name] != nil })
		if !s.recreate {
			continue
		}
		recreates, s.next = true, map[string]string{}
		for name, value := range s.config.Environment {
			if value != nil {
				s.next[name] = *value
			}
		}
	}
	if recreates && d.tellsEnvFiles {
		d.nameEnvFiles(ctx, p)
	}
	return nil
}

// nameEnvFiles asks Compose for the env files of each service, and adds those
// that it takes variables of the compose files from. The path that is a variable
// it does not tell.
func (d *driver) nameEnvFiles(ctx context.Context, p *project) {
	text, err := d.read(ctx, p, "config", "--no-interpolate", "--format", "json")
	var answer struct {
		Services map[string]struct {
			EnvFile []struct{ Path string } `json:"env_file"`
		}
	}
	if err != nil || json.Unmarshal([]byte(text), &answer) != nil {
		return
	}
	shared := p.envFiles
	if len(shared) == 0 {
		shared = []string{absolute(".env", p.dir)}
	}
	for _, s := range p.services {
		files := slices.Clone(shared)
		for _, f := range answer.Services[s.name].EnvFile {
			files = append(files, absolute(f.Path, p.dir))
		}
		if !slices.ContainsFunc(files, func(file string) bool { return strings.Contains(file, "$") }) {
			s.envFiles = slices.DeleteFunc(files, func(file string) bool { _, err := os.Stat(file); return err != nil })
		}
	}
}

// read returns what a Compose command prints, which may hold keys. Of what it
// complains the last line is shown, without what it quotes.
func (d *driver) read(ctx context.Context, p *project, args ...string) (string, error) {
	name := strings.Join(d.program, " ") + " " + args[0]
	out, res, err := d.Command(docker.QueryTimeout, d.call(p, args...)...).Read(ctx)
	exit, failed := errors.AsType[*run.ExitError](err)
	switch {
	case failed && exit.Err == nil && !exit.Result.TimedOut:
		why := fmt.Sprintf("exit status %d", exit.Result.Exit)
		if line := unquoted(docker.LastLine(res.Output)); line != "" {
			why += ": " + line
		}
		return "", hint.Add(fmt.Errorf("%s: %s", name, why), "run it by hand to see why: %s", d.byHand(p, "config", "--quiet"))
	case err != nil:
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return out.Reveal(), nil
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

// literal refuses a service whose key stands in a compose file itself: a line has
// the variable and the value that Compose makes of it. No store sets that.
func (p *project) literal(s *service) error {
	for _, file := range p.files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // Compose has just read it
		}
		for line := range strings.Lines(string(text)) {
			for _, name := range docker.KeyVariables() {
				value := s.config.Environment[name]
				if value == nil || *value == "" || !strings.Contains(line, name) {
					continue
				}
				words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n\"'=,[]{}", r) })
				if slices.Contains(words, strings.ReplaceAll(*value, "$", "$$")) {
					return hint.Add(fmt.Errorf("service %s: %s stands in %s itself, and no env file that a restart reads sets it", s.name, name, file),
						"let an env file set it, restart with that, and name it with --store 'dotenv:PATH'; or take it out, so that blnk.json counts")
				}
			}
		}
	}
	return nil
}

// onlyTheKey refuses where new containers of the service would differ from those
// that run in anything but the key. Compose is asked, with a dry run: what it
// would leave alone is what its files say. (Its "config --hash" does not tell: it
// leaves out env files, and until 2.29.1 a container that was made with
// "--no-deps" has another one.)
func (d *driver) onlyTheKey(ctx context.Context, p *project, s *service) error {
	asked := map[string]bool{}
	for _, c := range s.containers {
		file, ok := s.keyOf(c)
		if !ok || asked[file.Reveal()] {
			continue
		}
		asked[file.Reveal()] = true
		if !d.leaves(ctx, p, s, file, "--no-deps") && !d.leaves(ctx, p, s, file) {
			return hint.Add(fmt.Errorf("service %s: recreating it would change more than the key: its files, its image or the environment of Compose are not what they were", s.name),
				"where that is meant, bring it in first: %s", d.byHand(p, "up", "-d", "--no-deps", s.name))
		}
	}
	return nil
}

// keyOf is a compose file that gives the service the key that one of its
// containers has, where its files have another: with it Compose finds only what
// else differs. The zero Key where they have the same. false where no file can
// say it: a variable more or less.
func (s *service) keyOf(c *docker.Container) (file secret.Key, ok bool) {
	has, set, same := c.Env(), map[string]string{}, true
	for _, name := range docker.KeyVariables() {
		value, now := has[name]
		other := s.config.Environment[name]
		if now != (other != nil) {
			return secret.Key{}, false
		}
		if now {
			same = same && value == *other
			set[name] = strings.ReplaceAll(value, "$", "$$")
		}
	}
	if same {
		return secret.Key{}, true
	}
	text, err := json.Marshal(map[string]any{"services": map[string]any{s.name: map[string]any{"environment": set}}})
	return secret.New(string(text)), err == nil
}

// leaves has Compose say what an "up" of the service would do with the containers
// that have the key of the file, and takes the word for it.
func (d *driver) leaves(ctx context.Context, p *project, s *service, file secret.Key, flags ...string) bool {
	args := slices.Concat([]string{"--dry-run", "up", "-d", "--no-build", "--pull", "never"}, flags, s.scale(), []string{s.name})
	with := *p
	if !file.IsZero() {
		with.files = append(slices.Clone(p.files), "-") // its standard input
	}
	cmd := d.Command(docker.QueryTimeout, d.call(&with, args...)...)
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
	return !slices.ContainsFunc(s.containers, func(c *docker.Container) bool {
		key, _ := s.keyOf(c)
		return key.Equal(file) && !left[c.Called()]
	})
}
