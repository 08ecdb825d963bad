package restart

import (
	"cmp"
	"context"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// sources says where the variables of the key are set: in one of the env files
// that the service lists, or in the one that its compose file takes values from.
// files are the services as they stand there.
func (d *compose) sources(p *project, s *service, files map[string]serviceConfig) map[string]Source {
	all := map[string]Source{}
	raw, ok := files[s.name]
	if !ok {
		return all
	}
	for _, name := range keyVariables() {
		value, own := raw.Environment[name]
		switch {
		case own && value != nil && !strings.Contains(*value, "$"):
			all[name] = Source{Fixed: true}
		case own:
			all[name] = d.interpolated(p, name, value)
		case s.config.Environment[name] != nil:
			all[name] = setLast(raw.EnvFile, p.dir, name)
		}
	}
	return all
}

// interpolated finds where Compose takes the value of a service's own variable
// from, which stands so in the compose file: from the env file of the project,
// where it is another variable (nil is that of the same name), and not set where
// Compose is called, which comes first.
func (d *compose) interpolated(p *project, name string, value *string) Source {
	if value != nil {
		whole := regexp.MustCompile(`^\$(?:(\w+)|\{(\w+)(?::?[-?](.*))?\})$`)
		match := whole.FindStringSubmatch(*value)
		if match == nil || !balanced(match[3]) {
			return Source{} // put together of several
		}
		name = cmp.Or(match[1], match[2])
	}
	theirs := func(v string) bool { return strings.HasPrefix(v, name+"=") }
	if !strings.HasPrefix(name, "BLNK_") && slices.ContainsFunc(d.opt.Env, theirs) {
		return Source{Fixed: true, Name: name} // package run hands all but the settings of Blnk on
	}
	files := p.envFiles
	if len(files) == 0 {
		files = []string{".env"}
	}
	return setLast(files, p.dir, name)
}

// balanced says that every brace of a text closes one that it has opened: it is
// the default of one variable, and no text between two.
func balanced(text string) bool {
	depth := 0
	for _, r := range text {
		switch r {
		case '{':
			depth++
		case '}':
			depth--
		}
		if depth < 0 {
			return false
		}
	}
	return depth == 0
}

// setLast is the last of the env files that sets the variable; not known where
// none is seen to do so.
func setLast(files []string, dir, name string) (at Source) {
	for _, file := range files {
		if path := absolute(file, dir); file != "" && setsVariable(path, name) {
			at = Source{File: path, Name: name}
		}
	}
	return at
}

// uninterpolated are the services as they stand in the files; nil where that
// cannot be told.
func (d *compose) uninterpolated(ctx context.Context, p *project) map[string]serviceConfig {
	if p.tool.major == 1 {
		return p.plain()
	}
	text, err := d.ask(ctx, p, "config", "--no-interpolate", "--format", "json")
	services, _ := decode(text)
	switch {
	case !p.tool.resolvesEnvFiles():
		return services
	case err != nil: // the path of an env file is a variable
		return p.plain()
	default:
		return withoutEnvFiles(services, p.plain())
	}
}

// withoutEnvFiles takes from services what Compose has put in from their env
// files: every value without a variable that does not stand in the compose files.
func withoutEnvFiles(services, plain map[string]serviceConfig) map[string]serviceConfig {
	for name, s := range services {
		stands := plain[name]
		s.EnvFile = stands.EnvFile
		maps.DeleteFunc(s.Environment, func(v string, value *string) bool {
			_, own := stands.Environment[v]
			return !own && value != nil && !strings.Contains(*value, "$")
		})
		services[name] = s
	}
	return services
}

// plain are the services as the text of the compose files has them, without what
// they extend or include; nil where a file cannot be read.
func (p *project) plain() map[string]serviceConfig {
	all := map[string]serviceConfig{}
	for _, path := range p.files {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		services, _ := decode(string(text))
		for name, s := range services {
			merged := all[name]
			merged.EnvFile = append(merged.EnvFile, s.EnvFile...)
			if merged.Environment == nil {
				merged.Environment = composeEnv{}
			}
			maps.Copy(merged.Environment, s.Environment)
			all[name] = merged
		}
	}
	return all
}

// setsVariable says whether an env file has a line for the variable.
func setsVariable(path, name string) bool {
	text, err := os.ReadFile(path)
	line := regexp.MustCompile(`(?m)^\s*(export\s+)?` + regexp.QuoteMeta(name) + `\s*[=:]`)
	return err == nil && line.Match(text)
}
