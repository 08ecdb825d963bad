package restart

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A serviceConfig is what Compose makes of a service in its files. Its
// environment may hold keys, so it must not be printed.
type serviceConfig struct {
	Image       string
	Command     commandLine
	Entrypoint  commandLine
	Environment composeEnv
	EnvFile     envFileList `json:"env_file"`
	Ports       []publishedPort
	Volumes     []volume
	Secrets     []handed
	Configs     []handed
	Scale       count
	Deploy      struct{ Replicas count }
}

// A count is a number, where one stands there; as it stands in a file it may be
// a variable.
type count struct {
	n     int
	known bool
}

// UnmarshalJSON takes anything.
func (c *count) UnmarshalJSON(data []byte) error {
	c.known = json.Unmarshal(data, &c.n) == nil && string(data) != "null"
	return nil
}

// scale is how many containers its files ask for.
func (c serviceConfig) scale() int {
	switch {
	case c.Scale.known:
		return c.Scale.n
	case c.Deploy.Replicas.known:
		return c.Deploy.Replicas.n
	}
	return 1
}

// vars are the variables that are set.
func (c serviceConfig) vars() map[string]string {
	vars := map[string]string{}
	for name, value := range c.Environment {
		if value != nil {
			vars[name] = *value
		}
	}
	return vars
}

// A composeEnv has nil for a variable whose value is Compose's own.
type composeEnv map[string]*string

// UnmarshalJSON takes an object, whose values may be numbers, and a list of
// NAME=VALUE.
func (e *composeEnv) UnmarshalJSON(data []byte) error {
	*e = composeEnv{}
	var list []string
	if json.Unmarshal(data, &list) == nil {
		for _, v := range list {
			name, value, ok := strings.Cut(v, "=")
			if (*e)[name] = nil; ok {
				(*e)[name] = &value
			}
		}
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return err
	}
	for name, raw := range object {
		text := string(raw)
		switch {
		case text == "null":
			(*e)[name] = nil
			continue
		case text[0] == '"':
			if err := json.Unmarshal(raw, &text); err != nil {
				return err
			}
		}
		(*e)[name] = &text
	}
	return nil
}

// A commandLine is a command: a list, or one text that Compose would split. nil is
// that of the image.
type commandLine struct {
	list []string
	text string // where it is not split
}

// UnmarshalJSON takes both forms.
func (w *commandLine) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		return json.Unmarshal(data, &w.text)
	}
	return json.Unmarshal(data, &w.list)
}

// argv is the command as a list; false where that is not known.
func (w commandLine) argv() ([]string, bool) {
	if w.text == "" {
		return w.list, true
	}
	return strings.Fields(w.text), !strings.ContainsAny(w.text, `"'\`)
}

func (w commandLine) given() bool { return w.list != nil || w.text != "" }

// envFileList are the paths of env files, as far as they are told: a text, a
// list of texts, a list of objects.
type envFileList []string

// UnmarshalJSON takes all forms.
func (l *envFileList) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*l = envFileList{one}
		return nil
	}
	var many []json.RawMessage
	if err := json.Unmarshal(data, &many); err != nil {
		return err
	}
	for _, m := range many {
		var object struct{ Path string }
		if json.Unmarshal(m, &one) == nil {
			*l = append(*l, one)
		} else if json.Unmarshal(m, &object) == nil {
			*l = append(*l, object.Path)
		}
	}
	return nil
}

// configure finds Compose, has it read the files, and says which services have
// to be recreated: those with the key in their environment, now or then.
func (d *compose) configure(ctx context.Context, p *project) error {
	if err := d.findTool(ctx, p); err != nil {
		return err
	}
	args := []string{"config"}
	if p.tool.major > 1 {
		args = append(args, "--format", "json")
		for _, s := range p.services {
			args = append(args, s.name)
		}
	}
	text, err := d.ask(ctx, p, args...)
	if err != nil {
		return fmt.Errorf("read the files of project %s: %w", p.name, err)
	}
	// "$$" is how it writes one "$".
	configs, ok := decode(strings.ReplaceAll(text, "$$", "$"))
	if !ok {
		return fmt.Errorf("read the files of project %s: the answer of Compose is not understood", p.name)
	}
	for _, s := range p.services {
		config, ok := configs[s.name]
		if !ok {
			return fmt.Errorf("service %s has a container, and stands no more in the files of project %s", s.name, p.name)
		}
		s.config = config
		s.recreate = slices.ContainsFunc(s.containers, func(c *container) bool { return c.fixedKey() != "" }) ||
			!s.containers[0].role().ExecStore && slices.ContainsFunc(keyVariables(), func(name string) bool {
				return config.Environment[name] != nil
			})
	}
	return nil
}

// decode reads the services of a compose file, JSON or YAML. What is wrong
// with it is not told: it would quote the text.
func decode(text string) (map[string]serviceConfig, bool) {
	var tree struct{ Services map[string]any }
	if yaml.Unmarshal([]byte(text), &tree) != nil {
		return nil, false
	}
	data, err := json.Marshal(tree.Services)
	if err != nil {
		return nil, false
	}
	var services map[string]serviceConfig
	return services, json.Unmarshal(data, &services) == nil
}
