package restart

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// leftAlone says whether Compose itself finds nothing to do for the service:
// its containers are what its files say, but for the key. It changes nothing.
// Where Compose cannot tell (an old one), the answer is no.
func (d *compose) leftAlone(ctx context.Context, p *project, s *service) bool {
	if p.tool.major == 1 {
		return d.sameHash(ctx, p, s)
	}
	done := map[string]bool{}
	for _, c := range s.containers {
		key, _ := s.asRuns(c)
		as := key.Reveal()
		if !done[as] && !d.leftAs(ctx, p, s, key) {
			return false
		}
		done[as] = true
	}
	return true
}

// leftAs asks Compose about the containers that have one key, as if its files
// had that; the zero Key is that of the files.
func (d *compose) leftAs(ctx context.Context, p *project, s *service, file secret.Key) bool {
	// What was made with its dependencies is another thing to some than what was
	// made without; a dry run leaves them alone anyway.
	return d.wouldLeave(ctx, p, s, file, "--no-deps") || p.tool.notesDependencies() && d.wouldLeave(ctx, p, s, file)
}

// wouldLeave has Compose say what an "up" of the service would do, and takes the
// word for it.
func (d *compose) wouldLeave(ctx context.Context, p *project, s *service, file secret.Key, flags ...string) bool {
	args := append([]string{"--dry-run", "up", "-d", "--no-build", "--pull", "never"}, append(flags, s.scale()...)...)
	cmd := d.cmd(queryTimeout, p.reading(file).command(append(args, s.name)...)...)
	cmd.Input = file
	res, err := cmd.Run(ctx)
	left := map[string]bool{} // "Created" alone is one that was, and is stopped (2.20, 2.26)
	for line := range strings.Lines(res.Output) {
		_, said, ok := strings.Cut(line, " Container ")
		if words := strings.Fields(said); ok && len(words) > 1 {
			still, told := left[words[0]]
			left[words[0]] = (still || !told) && slices.Contains([]string{"Running", "Created", "Starting", "Started"}, words[1])
		}
	}
	changes := slices.ContainsFunc(s.containers, func(c *container) bool {
		key, _ := s.asRuns(c)
		return key.Equal(file) && !left[c.name()]
	})
	// It may fail at what a service depends on, having told all about this one;
	// one that knows no dry run tells nothing.
	return !changes || err != nil && d.sameHash(ctx, p, s)
}

// asRuns is a compose file that gives the service the key that one of its
// containers has, where its files have another: with it Compose finds only what
// else differs. The zero Key where they have the same. false where no file can
// say it: a variable more or less.
func (s *service) asRuns(c *container) (file secret.Key, ok bool) {
	want, has := s.config.vars(), c.env()
	set, same := map[string]string{}, true
	for _, name := range keyVariables() {
		value, now := has[name]
		other, then := want[name]
		if now != then {
			return secret.Key{}, false
		}
		if now {
			same = same && value == other
			set[name] = strings.ReplaceAll(value, "$", "$$")
		}
	}
	if same {
		return secret.Key{}, true
	}
	text, err := json.Marshal(map[string]any{"services": map[string]any{s.name: map[string]any{"environment": set}}})
	return secret.New(string(text)), err == nil
}

// incomparable says that Compose cannot be asked what differs besides the key,
// since its files have another one than the containers.
func (s *service) incomparable(t tool) bool {
	return slices.ContainsFunc(s.containers, func(c *container) bool {
		file, ok := s.asRuns(c)
		return !ok || !file.IsZero() && !t.dryRuns()
	})
}

// down says that a container of it does not run. Before a rotation that is refused;
// later on, somebody was killed in the middle of one, and to make the service
// anew can only help: what was compared before counts.
func (s *service) down() bool {
	return len(s.halves) > 0 || slices.ContainsFunc(s.containers, func(c *container) bool { return !c.State.Running })
}

// sameHash says whether Compose notes the same of the service as it did when it
// made the containers. Compose 2 may deny it of what is the same.
func (d *compose) sameHash(ctx context.Context, p *project, s *service) bool {
	now := d.hash(ctx, p, s, secret.Key{})
	return now != "" && !slices.ContainsFunc(s.containers, func(c *container) bool { return c.Config.Labels[labelHash] != now })
}

// hash is what Compose notes of a service: of what its files say, and where it is
// given the text of one more. "" where it does not tell.
func (d *compose) hash(ctx context.Context, p *project, s *service, more secret.Key) string {
	cmd := d.cmd(queryTimeout, p.reading(more).command("config", "--hash", s.name)...)
	cmd.Input = more
	out, _, err := cmd.Read(ctx)
	words := strings.Fields(out.Reveal())
	if err != nil || len(words) != 2 {
		return ""
	}
	return words[1]
}

// reordered says that Compose was asked about containers with another key than its
// files', and takes the service for another one where it merges one file more,
// whatever that says: before 2.25 it sorts lists then. What it answered tells
// nothing.
func (d *compose) reordered(ctx context.Context, p *project, s *service) bool {
	if !p.tool.sortsMerged() || !slices.ContainsFunc(s.containers, func(c *container) bool { file, _ := s.asRuns(c); return !file.IsZero() }) {
		return false
	}
	text, err := json.Marshal(map[string]any{"services": map[string]any{s.name: map[string]any{"environment": map[string]string{}}}})
	return err == nil && d.hash(ctx, p, s, secret.New(string(text))) != d.hash(ctx, p, s, secret.Key{})
}
