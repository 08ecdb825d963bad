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
func (f *Facts) eachRelease(ctx context.Context, r *Result, look func(release)) {
	all := f.releases(ctx)
	_, err := f.Containers(ctx)
	r.unsure(err)
	for _, one := range all {
		if r.saw(true); one.Newest == "" {
			r.unsure(fmt.Errorf("%s: its version is not known: %s", one.Place, one.From))
		} else {
			look(one)
		}
	}
	if len(all) == 0 {
		r.unsure(errors.New("this user sees no Blnk on this host: its version is that of its image, or of its binary"))
	}
}

// noRisks: each row of the table that certainly applies is a line of evidence.
func noRisks(ctx context.Context, f *Facts, r *Result) {
	f.eachRelease(ctx, r, func(has release) {
		risks := blnk.RisksOf(has.Newest)
		if len(risks) == 0 {
			return
		}
		text, remedy := fmt.Sprintf("Blnk %s: %s", has, risks[0].Text), "take Blnk "+blnk.Newest+" or newer (its release notes first), and restart"
		if n := len(risks) - 1; n > 0 {
			text += fmt.Sprintf(", and %d more", n)
		}
		if strings.HasPrefix(has.Place, "service ") || strings.HasPrefix(has.Place, "container ") {
			remedy = "take the image jerryenebeli/blnk:" + blnk.Newest + " or newer (its release notes first), and recreate it"
		}
		one := r.add(has.Place, text, remedy, has.From)
		for _, risk := range risks {
			one.Evidence = append(one.Evidence, "before "+risk.Fixed+": "+risk.Text)
		}
	})
}

func (r release) String() string {
	if r.Oldest == r.Newest {
		return r.Newest
	}
	return r.Oldest + " to " + r.Newest
}

// hooksNeedMaster: before 0.14.3 a scoped key with hooks:* manages them.
func hooksNeedMaster(ctx context.Context, f *Facts, r *Result) {
	f.eachRelease(ctx, r, func(has release) {
		if blnk.Older(has.Newest, blnk.HooksNeedMaster) {
			r.add(has.Place, "in Blnk "+has.String()+" a scoped key can manage hooks", "take Blnk "+blnk.HooksNeedMaster+" or newer", has.From)
		}
	})
}

// imagePinned: what "latest" is changes under the same name, with a push to Blnk's main
// branch (its workflow docker-publish).
func imagePinned(ctx context.Context, f *Facts, r *Result) {
	all, err := f.Containers(ctx)
	r.unsure(err)
	bare := regexp.MustCompile(`^(sha256:)?[0-9a-f]{12,64}$`)
	for _, c := range all {
		_, tag := splitImage(c.Image)
		pinned := strings.Contains(c.Image, "@") || bare.MatchString(c.Image) || tag != "" && tag != "latest" && tag != "main"
		if r.saw(c.Role.Blnk()); c.Role.Blnk() && !pinned {
			r.add(c.Place, "its image "+c.Image+" is another one with each pull, and no release",
				"name a release: jerryenebeli/blnk:"+blnk.Newest+", or a digest")
		}
	}
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
func dockerMaintained(ctx context.Context, f *Facts, r *Result) {
	all, err := f.Containers(ctx)
	if r.unsure(err); len(all) == 0 {
		return
	}
	r.saw(true)
	engine := f.engine()
	composed := slices.ContainsFunc(all, func(c Container) bool { return strings.HasPrefix(c.Place, "service ") })
	for _, tool := range []struct {
		name string
		ask  []string
	}{
		{"Docker Compose", []string{"docker", "compose", "version", "--short"}},
		{"Docker Engine", []string{"docker", "version", "--format", "{{.Server.Version}}"}},
	} {
		text, failed := engine.Ask(ctx, tool.ask...)
		version := strings.TrimPrefix(strings.TrimSpace(text), "v")
		lines := maintained()[tool.name]
		switch {
		case failed != nil && tool.name == "Docker Compose" && !composed: // nothing here needs it
		case failed != nil:
			r.unsure(failed)
		case !regexp.MustCompile(`^[0-9]`).MatchString(version):
			r.unsure(fmt.Errorf("%s names no version", tool.name))
		case lives(version, lines):
		case strings.ContainsAny(version, "+~") || strings.Contains(version, "ubuntu"):
			r.add(tool.name, version+" is kept by your distribution alone, and no more by Docker", "apt list --upgradable 'docker*'").Severity = Note
		default:
			r.add(tool.name, version+" gets no fixes any more: those of "+strings.Join(lines, " and ")+" do",
				"update it: https://docs.docker.com/engine/install", "as of "+dockerSeen().Format(time.DateOnly))
		}
	}
}

// lives says whether a version is of one of the lines, or newer than the newest.
func lives(version string, lines []string) bool {
	var newest, has int
	_, _ = fmt.Sscanf(lines[0], "%d", &newest)
	_, err := fmt.Sscanf(version, "%d", &has)
	return err == nil && has >= newest || slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(version+".", line+".") })
}

// tableNew: what this blnkctl knows of releases gets old.
func tableNew(_ context.Context, f *Facts, r *Result) {
	const most = 180 // days
	r.saw(true)
	if days := int(f.Now().Sub(blnk.ReleasesSeen()).Hours() / 24); days > most {
		r.add("blnkctl", fmt.Sprintf("what it knows of releases is %d days old: newer ones of Blnk, Docker and Compose are not in it", days),
			"go install github.com/blnkctl/blnkctl@latest", "as of "+blnk.ReleasesSeen().Format(time.DateOnly))
	}
}
