package restart

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

func openCompose(place string, opt Options) (Driver, error) {
	d := &compose{engine: composeEngine(opt), approved: map[string]bool{}}
	bad := func(err error) (Driver, error) {
		return nil, fmt.Errorf("restart reference %q: %w; want compose:FILE#SERVICE,SERVICE…?project=NAME", "compose:"+place, err)
	}
	rest, query, asked := strings.Cut(place, "?")
	if asked {
		options, err := url.ParseQuery(query)
		if err != nil || len(options) != 1 || len(options["project"]) != 1 {
			return bad(errors.New("the only option is project"))
		}
		d.project = options.Get("project")
		if err := checkName(d.project); err != nil {
			return bad(err)
		}
	}
	file, services, named := strings.Cut(rest, "#")
	if named {
		d.services = strings.Split(services, ",")
		for i, name := range d.services {
			if err := checkName(name); err != nil {
				return bad(err)
			}
			if slices.Contains(d.services[:i], name) {
				return bad(fmt.Errorf("service %s is named twice", name))
			}
		}
	}
	if file != "" {
		if d.file = file; !filepath.IsAbs(file) {
			d.file = filepath.Join(opt.Dir, file)
		}
		d.file = filepath.Clean(d.file)
	}
	return d, nil
}

// String returns the reference.
func (d *compose) String() string {
	ref := "compose:" + d.file
	if len(d.services) > 0 {
		ref += "#" + strings.Join(d.services, ",")
	}
	if d.project != "" {
		ref += "?project=" + url.QueryEscape(d.project)
	}
	return ref
}

// naming is the reference with other services.
func (d *compose) naming(services ...string) string {
	other := compose{file: d.file, project: d.project, services: services}
	return other.String()
}
