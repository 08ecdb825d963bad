package doctor

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
)

// A release is what is known of the Blnk that runs at a place. Both ends are the same
// where it is known; "" where nothing is, and From says why.
type release struct{ Place, Oldest, Newest, From string }

// releases are those of every Blnk that is seen.
func (f *Facts) releases(ctx context.Context) (all []release) {
	images, _ := f.Containers(ctx)
	add := func(r release) {
		if !slices.ContainsFunc(all, func(o release) bool { return o.Place == r.Place }) {
			all = append(all, r)
		}
	}
	for _, c := range images {
		if c.Role.Blnk() {
			version := imageVersion(c)
			r := release{c.Place, version, version, "its image is " + c.Image}
			if version == "" && c.PID > 0 {
				r = built(c.Place, c.PID)
			}
			add(r)
		}
	}
	for _, p := range f.Processes(ctx) {
		if p.PID > 0 && (p.Server || p.Workers) && !p.Isolated {
			add(built(p.Place(), p.PID))
		}
	}
	return all
}

// imageVersion is what an image says of itself: its label, or its tag where it is by
// Blnk's name. "" where neither is a release.
func imageVersion(c Container) string {
	repository, tag := splitImage(c.Image)
	if !strings.HasSuffix("/"+repository, "/blnk") {
		return ""
	}
	return cmp.Or(blnk.Version(tag), blnk.Version(c.Version))
}

// splitImage cuts a reference; a digest is no tag.
func splitImage(image string) (repository, tag string) {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		return image[:i], image[i+1:]
	}
	return image, ""
}

// built reads what Go wrote into the binary of a process, as "go version -m" does. The
// official image's names no version: then a library that it was built with bounds it.
func built(place string, pid int) release {
	program, err := os.Open(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return release{Place: place, From: "its binary cannot be read"}
	}
	defer program.Close()
	info, err := buildInfo(program)
	if err != nil {
		return release{Place: place, From: "its binary cannot be read"}
	}
	r := releaseOf(info)
	r.Place = place
	return r
}

// buildInfo finds the modules in a binary of Go, between the marks that the Go tool puts
// around them (infoStart and infoEnd in cmd/go/internal/modload). Package debug/buildinfo
// looks where each format of each system has them, and is 310 KB.
func buildInfo(program io.Reader) (*debug.BuildInfo, error) {
	const most = 1 << 20 // bytes of one text
	start, end := []byte("\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6"), []byte("\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2")
	for r := bufio.NewReaderSize(program, most); ; {
		window, err := r.Peek(most)
		at := bytes.Index(window, start)
		if at < 0 && err != nil {
			return nil, fmt.Errorf("no modules in it: %w", err)
		}
		if at < 0 {
			_, _ = r.Discard(len(window) - len(start) + 1)
			continue
		}
		_, _ = r.Discard(at + len(start))
		window, _ = r.Peek(most)
		if text, _, ok := bytes.Cut(window, end); ok {
			if info, err := debug.ParseBuildInfo(string(text)); err == nil && info.Path != "" {
				return info, nil
			}
		}
	}
}

func releaseOf(info *debug.BuildInfo) release {
	const module, crypto = "github.com/blnkfinance/blnk", "golang.org/x/crypto"
	if version := blnk.Version(info.Main.Version); info.Main.Path == module && version != "" {
		return release{Oldest: version, Newest: version, From: "its binary says so (go version -m)"}
	}
	isBlnk := func(d *debug.Module) bool { return d.Path == module }
	for _, d := range info.Deps {
		if d.Path == crypto && (isBlnk(&info.Main) || slices.ContainsFunc(info.Deps, isBlnk)) {
			if oldest, newest := blnk.BuiltWith(d.Version); newest != "" {
				return release{Oldest: oldest, Newest: newest, From: "its binary was built with " + crypto + " " + d.Version}
			}
		}
	}
	return release{From: "its binary names no version"}
}

// eachRelease looks at those that are known; the others could not be looked at.
func eachRelease(ctx context.Context, f *Facts, look func(release) *Finding) (found []Finding, err error) {
	all := f.releases(ctx)
	_, err = f.Containers(ctx)
	for _, r := range all {
		if r.Newest == "" {
			err = errors.Join(err, fmt.Errorf("%s: its version is not known: %s", r.Place, r.From))
		} else if one := look(r); one != nil {
			one.Place, one.Evidence = r.Place, append([]string{r.From}, one.Evidence...)
			found = append(found, *one)
		}
	}
	if len(all) == 0 {
		err = errors.Join(err, errors.New("this user sees no Blnk on this host: its version is that of its image, or of its binary"))
	}
	return found, err
}

// noRisks: each row of the table that certainly applies is a line of evidence.
func noRisks(ctx context.Context, f *Facts) ([]Finding, error) {
	return eachRelease(ctx, f, func(r release) *Finding {
		risks := blnk.RisksOf(r.Newest)
		if len(risks) == 0 {
			return nil
		}
		one := Finding{Text: fmt.Sprintf("Blnk %s: %s", r, risks[0].Text), Remedy: "take Blnk " + blnk.Newest + " or newer (its release notes first), and restart"}
		if n := len(risks) - 1; n > 0 {
			one.Text += fmt.Sprintf(", and %d more", n)
		}
		for _, risk := range risks {
			one.Evidence = append(one.Evidence, "before "+risk.Fixed+": "+risk.Text)
		}
		if strings.HasPrefix(r.Place, "service ") || strings.HasPrefix(r.Place, "container ") {
			one.Remedy = "take the image jerryenebeli/blnk:" + blnk.Newest + " or newer (its release notes first), and recreate it"
		}
		return &one
	})
}

func (r release) String() string {
	if r.Oldest == r.Newest {
		return r.Newest
	}
	return r.Oldest + " to " + r.Newest
}

// hooksNeedMaster: before 0.14.3 a scoped key with hooks:* manages them.
func hooksNeedMaster(ctx context.Context, f *Facts) ([]Finding, error) {
	return eachRelease(ctx, f, func(r release) *Finding {
		if !blnk.Older(r.Newest, blnk.HooksNeedMaster) {
			return nil
		}
		return &Finding{Text: "in Blnk " + r.String() + " a scoped key can manage hooks", Remedy: "take Blnk " + blnk.HooksNeedMaster + " or newer"}
	})
}

// imagePinned: what "latest" is changes under the same name, with a push to Blnk's main
// branch (its workflow docker-publish).
func imagePinned(ctx context.Context, f *Facts) (found []Finding, err error) {
	all, err := f.Containers(ctx)
	seen := false
	for _, c := range all {
		if !c.Role.Blnk() {
			continue
		}
		seen = true
		_, tag := splitImage(c.Image)
		if bare := regexp.MustCompile(`^(sha256:)?[0-9a-f]{12,64}$`); strings.Contains(c.Image, "@") || bare.MatchString(c.Image) || tag != "" && tag != "latest" && tag != "main" {
			continue
		}
		found = appendPlace(found, Finding{
			Place: c.Place, Text: "its image " + c.Image + " is another one with each pull, and no release",
			Remedy: "name a release: jerryenebeli/blnk:" + blnk.Newest + ", or a digest",
		})
	}
	if !seen && err == nil {
		err = ErrNothing
	}
	return found, err
}

// appendPlace leaves out what replicas of one service say again.
func appendPlace(all []Finding, one Finding) []Finding {
	if slices.ContainsFunc(all, func(f Finding) bool { return f.Place == one.Place && f.Text == one.Text }) {
		return all
	}
	return append(all, one)
}

// dockerSeen is the day of what dockerMaintained says.
func dockerSeen() time.Time { return time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC) }

// maintained are the lines of Docker Engine and Compose that get fixes. Engine: 29 has had
// all releases of Docker, Inc. since 28.5.2 (2025-11-05); Mirantis keeps 25.0
// (github.com/moby/moby project/BRANCHES-AND-TAGS.md, endoflife.date/docker-engine).
// Compose: 5 since 2025-12, the last of 2 is 2.40.3 (2025-10-30), the last of 1 of 2021
// (github.com/docker/compose releases; docs.docker.com/compose).
func maintained() map[string][]string {
	return map[string][]string{"Docker Engine": {"29", "25.0"}, "Docker Compose": {"5"}}
}

// dockerMaintained asks both for their versions. A distribution that builds its own
// keeps it, too: that is a note.
func dockerMaintained(ctx context.Context, f *Facts) (found []Finding, err error) {
	all, err := f.Containers(ctx)
	if len(all) == 0 {
		if err == nil {
			err = ErrNothing
		}
		return nil, err
	}
	engine := f.engine()
	for name, args := range map[string][]string{
		"Docker Engine":  {"docker", "version", "--format", "{{.Server.Version}}"},
		"Docker Compose": {"docker", "compose", "version", "--short"},
	} {
		text, failed := engine.Ask(ctx, args...)
		version := strings.TrimPrefix(strings.TrimSpace(text), "v")
		switch one := (Finding{Place: name, Severity: Warning}); {
		case blnk.Version(version) == "" && failed != nil && name == "Docker Compose" && !slices.ContainsFunc(all, func(c Container) bool { return strings.HasPrefix(c.Place, "service ") }):
			continue // nothing here needs it
		case failed != nil:
			err = errors.Join(err, failed)
		case !regexp.MustCompile(`^[0-9]`).MatchString(version):
			err = errors.Join(err, fmt.Errorf("%s names no version", name))
		case !lives(version, maintained()[name]):
			one.Text = version + " gets no fixes any more: those of " + strings.Join(maintained()[name], " and ") + " do"
			one.Evidence = []string{"as of " + dockerSeen().Format(time.DateOnly)}
			one.Remedy = "update it: https://docs.docker.com/engine/install"
			if strings.Contains(version, "+") || strings.Contains(version, "ubuntu") || strings.Contains(version, "~") {
				one.Severity, one.Text = Note, version+" is kept by your distribution alone, and no more by Docker"
				one.Remedy = "apt list --upgradable 'docker*'"
			}
			found = append(found, one)
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return strings.Compare(a.Place, b.Place) })
	return found, err
}

// lives says whether a version is of one of the lines, or newer than the newest.
func lives(version string, lines []string) bool {
	var newest, has int
	_, _ = fmt.Sscanf(lines[0], "%d", &newest)
	_, err := fmt.Sscanf(version, "%d", &has)
	return err == nil && has >= newest || slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(version+".", line+".") })
}

// tableNew: what this blnkctl knows of releases gets old.
func tableNew(_ context.Context, f *Facts) (found []Finding, err error) {
	const most = 180 // days
	if days := int(f.Now().Sub(blnk.ReleasesSeen()).Hours() / 24); days > most {
		found = append(found, Finding{
			Place: "blnkctl", Text: fmt.Sprintf("what it knows of releases is %d days old: newer ones of Blnk, Docker and Compose are not in it", days),
			Evidence: []string{"as of " + blnk.ReleasesSeen().Format(time.DateOnly)},
			Remedy:   "go install github.com/blnkctl/blnkctl@latest",
		})
	}
	return found, nil
}
