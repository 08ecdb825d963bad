package restart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/secret"
)

// A tool is the Compose command of this machine.
type tool struct {
	args         []string
	major, minor int
}

// restartsOthers says that its restart takes services along that depend on the
// one that is named, unless told not to.
func (t tool) restartsOthers() bool { return t.major > 2 || t.major == 2 && t.minor >= 17 }

// dryRuns says that it can tell what it would do (2.17).
func (t tool) dryRuns() bool { return t.major > 2 || t.major == 2 && t.minor >= 17 }

// resolvesEnvFiles says that its "config --no-interpolate" shows the variables of
// a service's env files as if they stood in the compose file (before 2.25).
func (t tool) resolvesEnvFiles() bool { return t.major == 2 && t.minor < 25 }

// sortsMerged says that what it makes of several files has its lists in another
// order than each of them (before 2.25).
func (t tool) sortsMerged() bool { return t.resolvesEnvFiles() }

// notesDependencies says that it takes a service for changed where it is told to
// leave those alone that the service depends on: what it depends on is a part of
// what Compose notes of it (until 2.29.1; 2.29.7 does not).
func (t tool) notesDependencies() bool { return t.major == 2 && t.minor <= 29 }

// command is a call of Compose for the project.
func (p *project) command(args ...string) []string {
	return p.call(append(slices.Clone(p.tool.args), "--ansi", "never"), args)
}

// byHand is a call of Compose as a person makes it.
func (p *project) byHand(args ...string) []string { return p.call(slices.Clone(p.tool.args), args) }

func (p *project) call(call, args []string) []string {
	call = append(call, "-p", p.name, "--project-directory", p.dir)
	for _, f := range p.files {
		call = append(call, "-f", f)
	}
	for _, f := range p.envFiles {
		call = append(call, "--env-file", f)
	}
	return append(call, args...)
}

// composeEngine is an engine whose Compose hears only of what the containers
// tell: variables of the caller's shell could name another project, or have
// what the person did not name removed.
func composeEngine(opt Options) engine {
	all := opt.Env
	if all == nil {
		all = os.Environ()
	}
	var env []string
	for _, v := range all {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES", "COMPOSE_DISABLE_ENV_FILE", "COMPOSE_REMOVE_ORPHANS":
		default:
			env = append(env, v)
		}
	}
	opt.Env = append(env, "COMPOSE_REMOVE_ORPHANS=0")
	return engine{opt}
}

// findTool takes the Compose of the same major version as the one that made
// the containers: another one would make other containers.
func (d *compose) findTool(ctx context.Context, p *project) error {
	if len(d.tool.args) > 0 {
		p.tool = d.tool
		return nil
	}
	want, _, _ := strings.Cut(strings.TrimPrefix(p.version, "v"), ".")
	var there []string
	tools := [][]string{{"docker", "compose"}, {"docker-compose"}}
	if want == "1" {
		slices.Reverse(tools) // found at once
	}
	for _, args := range tools {
		if d.cmd(0, args...).Check() != nil {
			continue
		}
		text, err := d.read(ctx, append(args, "version", "--short")...)
		if err != nil {
			continue // docker without the plugin
		}
		version := strings.TrimPrefix(strings.TrimSpace(text), "v")
		var n, minor int
		if _, err := fmt.Sscanf(version, "%d.%d", &n, &minor); err != nil {
			continue
		}
		major := strconv.Itoa(n)
		there = append(there, strings.Join(args, " ")+" "+version)
		if major == want || want == "" || n > 1 && want != "1" {
			d.tool = tool{args, n, minor}
			p.tool = d.tool
			return nil
		}
	}
	if len(there) == 0 {
		return fault(ErrNoTool, nil, "neither docker compose nor docker-compose can be run")
	}
	return fmt.Errorf("project %s was made by Compose %s, and there is only %s: its containers would be made in another way", p.name, p.version, strings.Join(there, ", "))
}

// ask returns what a Compose command prints, which may hold keys. Of what it
// complains of the last line is shown, without what it quotes.
func (d *compose) ask(ctx context.Context, p *project, args ...string) (string, error) {
	for _, file := range p.files {
		if _, err := os.Stat(file); err != nil {
			return "", fault(ErrDiffers, p.madeOf(there(p.files)).byHand(p.anew()...), "a file that its containers were made of cannot be found: %v", err)
		}
	}
	out, res, err := d.cmd(queryTimeout, p.command(args...)...).Read(ctx)
	var exit *run.ExitError
	switch {
	case errors.As(err, &exit) && exit.Err == nil && !exit.Result.TimedOut:
		why := fmt.Sprintf("exit status %d", exit.Result.Exit)
		if m := regexp.MustCompile(`required variable (\w+) is missing`).FindStringSubmatch(res.Output); m != nil {
			why = "variable " + m[1] + " is required, and neither an env file nor this environment sets it"
		} else if line := unquoted(lastLine(res.Output)); line != "" {
			why += ": " + line
		}
		return "", fault(ErrFiles, p.byHand("config", "--quiet"), "%s %s: %s", strings.Join(p.tool.args, " "), args[0], why)
	case err != nil:
		return "", fmt.Errorf("%s %s: %w", strings.Join(p.tool.args, " "), args[0], err)
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

// madeOf is the project with other files.
func (p *project) madeOf(files []string) *project {
	other := *p
	other.files = files
	return &other
}

// reading is the project with one more file, which Compose reads from its
// standard input; the zero Key is none.
func (p *project) reading(more secret.Key) *project {
	if more.IsZero() {
		return p
	}
	return p.madeOf(append(slices.Clone(p.files), "-"))
}

// anew are the arguments that make the services anew: Compose leaves those alone
// which a file that came or went does not change, with the labels that they have.
func (p *project) anew() []string {
	args := []string{"up", "-d", "--no-deps", "--force-recreate"}
	for _, s := range p.services {
		args = append(args, s.name)
	}
	return args
}

func there(files []string) []string {
	return slices.DeleteFunc(slices.Clone(files), func(file string) bool { _, err := os.Stat(file); return err != nil })
}

// scale has Compose leave as many containers as there are, where its files say
// something else. Compose notes a number that it was told, and would take a
// service for changed where it was told what its files say.
func (s *service) scale() []string {
	if n := len(s.containers); n != s.config.scale() {
		return []string{"--scale", s.name + "=" + strconv.Itoa(n)}
	}
	return nil
}
