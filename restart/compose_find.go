package restart

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/textfile"
)

// A row is what docker ps tells of a container of a project.
type row struct{ id, project, dir, files string }

// rows lists the containers of all projects, those that are stopped too.
func (e engine) rows(ctx context.Context, filters ...string) ([]row, error) {
	label := func(name string) string { return `{{"\t"}}{{.Label "` + name + `"}}` }
	args := []string{"docker", "ps", "-a", "--no-trunc", "--filter", "label=" + labelProject, "--filter", "label=" + labelOneoff + "=False"}
	for _, f := range filters {
		args = append(args, "--filter", "label="+f)
	}
	text, err := e.read(ctx, append(args, "--format", "{{.ID}}"+label(labelProject)+label(labelDir)+label(labelFiles))...)
	if err != nil {
		if engine := e.reached(ctx); engine != nil {
			return nil, engine
		}
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var all []row
	for line := range strings.Lines(text) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) == 4 {
			all = append(all, row{f[0], f[1], f[2], f[3]})
		}
	}
	return all, nil
}

// matches says whether the container belongs to the project that is meant.
func (d *compose) matches(r row) bool {
	if d.project != "" && r.project != d.project {
		return false
	}
	if d.file != "" {
		return slices.ContainsFunc(absolutes(r.files, r.dir), func(path string) bool { return textfile.Same(path, d.file) })
	}
	return d.project != "" || textfile.Same(r.dir, d.opt.Dir)
}

// noProject says that there is none, and which others there are.
func (d *compose) noProject(known []string) error {
	if _, err := os.Stat(d.file); d.file != "" && err != nil {
		return fmt.Errorf("compose file: %w", err)
	}
	const most = 5
	text := fmt.Sprintf("no Compose project that was made in %s has containers", d.opt.Dir)
	switch {
	case d.file != "":
		text = fmt.Sprintf("no Compose project that was made of %s has containers", d.file)
	case d.project != "":
		text = fmt.Sprintf("no Compose project %s has containers", d.project)
	}
	other := ""
	switch name, _, _ := strings.Cut(strings.Join(known, ""), " in "); len(known) {
	case 0:
	case 1:
		other = "compose:?project=" + url.QueryEscape(name)
	default:
		other = "compose:?project=NAME"
	}
	slices.Sort(known)
	if n := len(known) - most; n > 0 {
		known = append(known[:most], fmt.Sprintf("and %d more", n))
	}
	if len(known) > 0 {
		text += "; there are: " + strings.Join(known, ", ")
	}
	return &Fault{Kind: ErrAbsent, Text: text, Instead: other}
}

// find looks for the project and its services.
func (d *compose) find(ctx context.Context) (*project, error) {
	rows, err := d.rows(ctx)
	if err != nil {
		return nil, err
	}
	var names, known, ids []string
	for _, r := range rows {
		if k := r.project + " in " + r.dir; !slices.Contains(known, k) {
			known = append(known, k)
		}
		if d.matches(r) && !slices.Contains(names, r.project) {
			names = append(names, r.project)
		}
	}
	switch slices.Sort(names); len(names) {
	case 0:
		return nil, d.noProject(known)
	case 1:
	default:
		return nil, &Fault{Kind: ErrAbsent, Text: "several Compose projects are meant: " + strings.Join(names, ", "), Instead: "compose:?project=" + url.QueryEscape(names[0])}
	}
	for _, r := range rows {
		if r.project == names[0] { // also those that were made from other files
			ids = append(ids, r.id)
		}
	}
	var all []*container
	for _, id := range ids {
		c, err := d.examine(ctx, id)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return d.assemble(names[0], all)
}
