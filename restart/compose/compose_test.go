package compose

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/restart/docker"
	"github.com/blnkctl/blnkctl/secret"
)

func containerOf(t *testing.T, text string) *docker.Container {
	t.Helper()
	c := &docker.Container{Name: "/one"}
	if err := json.Unmarshal([]byte(text), c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestReference(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ place, want, fault string }{
		{"", "compose:", ""},
		{"./a.yaml", "compose:" + dir + "/a.yaml", ""},
		{"/x/../a.yaml#server,worker", "compose:/a.yaml#server,worker", ""},
		{"#server", "compose:#server", ""},
		{"?project=x", "compose:?project=x", ""},
		{"a.yaml#server?project=x", "compose:" + dir + "/a.yaml#server?project=x", ""},
		{"#", "", "nothing behind '#'"},
		{"C%23/a.yaml#server", "compose:" + dir + "/C%23/a.yaml#server", ""},
		{"#server,,worker", "", "an empty name"},
		{"#server,server", "", "named twice"},
		{"#--help", "", "no name"},
		{"?file=x", "", "the only option is project"},
		{"?project=", "", "an empty name"},
		{"?project=-f", "", "no name"},
	} {
		d, err := open(c.place, restart.Options{Dir: dir})
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%q: %v, want %s", c.place, err, c.fault)
			}
		case err != nil || d.String() != c.want:
			t.Errorf("%q: %v, %v; want %s", c.place, d, err, c.want)
		default:
			again, err := open(strings.TrimPrefix(d.String(), "compose:"), restart.Options{Dir: "/elsewhere"})
			if err != nil || again.String() != d.String() {
				t.Errorf("%s opened again is %v, %v", d, again, err)
			}
		}
	}
}

// What Compose must not hear of from the caller's shell.
func TestEngine(t *testing.T) {
	e := engine(restart.Options{Env: []string{"PATH=/bin", "COMPOSE_FILE=x", "COMPOSE_PROJECT_NAME=x", "COMPOSE_REMOVE_ORPHANS=1", "DOCKER_HOST=y"}})
	if want := []string{"PATH=/bin", "DOCKER_HOST=y", "COMPOSE_REMOVE_ORPHANS=0"}; !slices.Equal(e.Options.Env, want) {
		t.Errorf("%q, want %q", e.Options.Env, want)
	}
}

func TestProjectOfLabels(t *testing.T) {
	labels := func(service, files string) string {
		return `{"Name":"/` + service + `","ID":"` + service + `","Path":"blnk","Args":["` + map[string]string{"server": "start", "worker": "workers", "redis": "x"}[service] + `"],
			"Config":{"Labels":{"` + docker.LabelService + `":"` + service + `","` + labelDir + `":"/p","` + labelFiles + `":"` + files + `"}}}`
	}
	d := &driver{}
	p, err := d.assemble("p", []*docker.Container{
		containerOf(t, labels("worker", "/p/a.yaml,/p/b.yaml")), containerOf(t, labels("redis", "/p/a.yaml")), containerOf(t, labels("server", "/p/a.yaml,/p/b.yaml"))})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.services) != 2 || p.services[0].name != "server" || p.services[1].name != "worker" || len(p.others) != 1 {
		t.Errorf("%d services, %d others", len(p.services), len(p.others))
	}
	d.program = []string{"docker", "compose"}
	if got := strings.Join(d.call(p, "config"), " "); got != "docker compose -p p --project-directory /p -f /p/a.yaml -f /p/b.yaml config" {
		t.Error(got)
	}
	// The server's container is gone: it is not forgotten.
	if _, err := d.assemble("p", []*docker.Container{containerOf(t, labels("worker", "/p/a.yaml,/p/b.yaml"))}); err == nil {
		t.Error("a server that has no container any more was forgotten")
	}
	// A file that came later is only in the labels of the newer container.
	for _, c := range []struct{ server, worker, want string }{
		{"2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "/p/a.yaml /p/b.yaml"},
		{"2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "/p/a.yaml"},
	} {
		server, worker := containerOf(t, labels("server", "/p/a.yaml")), containerOf(t, labels("worker", "/p/a.yaml,/p/b.yaml"))
		server.Created, worker.Created = at(t, c.server), at(t, c.worker)
		p, err := (&driver{}).assemble("p", []*docker.Container{server, worker})
		if err != nil || strings.Join(p.files, " ") != c.want {
			t.Errorf("%v, %v; want %s", p, err, c.want)
		}
	}
}

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// What Compose 2.20 and 2.40 say of files that they cannot read.
func TestUnquoted(t *testing.T) {
	for line, want := range map[string]string{
		"yaml: line 12: did not find expected key":                                            "yaml: line 12: did not find expected key",
		"failed to read /x/.env: line 2: key cannot contain a space":                          "failed to read /x/.env: line 2: key cannot contain a space",
		`failed to read /x/.env: line 3: unterminated quoted value "topsecret`:                "failed to read /x/.env: line 3: unterminated quoted value [redacted]",
		`unexpected character "+" in variable name near "A+B=\"topsecret\nC=topsecret"`:       "unexpected character [redacted] in variable name near [redacted]",
		"cannot unmarshal !!str `topsec...` into map":                                         "cannot unmarshal !!str [redacted] into map",
		`Invalid interpolation format for "environment" option in service "a": "topsecret$5"`: "Invalid interpolation format for [redacted] option in service [redacted]: [redacted]",
		`services.a.environment contains {'A': b'topsecret'}, which isn't a mapping`:          "services.a.environment contains {[redacted]: b[redacted]}, which isn't a mapping",
		"couldn't find env file: /x/.env":                                                     "couldn't find env file: /x/.env",
		`half a "topsecret\`:                                                                  "half a [redacted]",
	} {
		if got := unquoted(line); got != want || strings.Contains(got, "topsec") {
			t.Errorf("%s\nis shown as %s\nwant          %s", line, got, want)
		}
	}
}

// How many containers of a service its files ask for.
func TestScale(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "--scale s=2", `{"scale":3}`: "--scale s=2", `{"scale":2}`: "", `{"deploy":{"replicas":2}}`: "", `{"deploy":{}}`: "--scale s=2", `{"scale":null}`: "--scale s=2",
	} {
		s := service{name: "s", containers: make([]*docker.Container, 2)}
		if err := json.Unmarshal([]byte(text), &s.config); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(s.scale(), " "); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// A key in a compose file itself.
func TestFixed(t *testing.T) {
	const key = "some$key-of-ours"
	for written, fixed := range map[string]bool{
		`{"BLNK_SERVER_SECRET_KEY":"some$key-of-ours"}`:     true,
		`["BLNK_SERVER_SECRET_KEY=some$key-of-ours"]`:       true,
		`{"BLNK_SERVER_SECRET_KEY":"${MASTER}"}`:            false,
		`{"OTHER":"some$key-of-ours"}`:                      false,
		`{"BLNK_SERVER_SECRET_KEY":"some$key-of-ours-too"}`: false,
		`{"BLNK_SERVER_SECRET_KEY":null}`:                   false,
		``:                                                  false,
	} {
		s := &service{name: "s", next: map[string]string{"BLNK_SERVER_SECRET_KEY": key}, written: written}
		err := (&driver{}).fixed(&project{files: []string{"a.yaml"}}, s, "BLNK_SERVER_SECRET_KEY")
		if (err != nil) != fixed || err != nil && strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", written, err)
		}
	}
}

// What Compose is told so that the keys of a container are no difference.
func TestAsItRuns(t *testing.T) {
	const container = `{"Config":{"Env":["BLNK_SERVER_SECRET_KEY=old$1","CLIENT=old$1","A=b"]}}`
	d := &driver{Engine: docker.Engine{Options: restart.Options{Mask: func() []secret.Key { return []secret.Key{secret.New("old$1")} }}}}
	for _, c := range []struct {
		next            map[string]string
		container, want string
		ok              bool
	}{
		{map[string]string{"BLNK_SERVER_SECRET_KEY": "old$1", "A": "other"}, container, "", true},
		{map[string]string{"BLNK_SERVER_SECRET_KEY": "new", "CLIENT": "new"}, container, `{"services":{"s":{"environment":{"BLNK_SERVER_SECRET_KEY":"old$$1","CLIENT":"old$$1"}}}}`, true},
		{nil, container, "", false},
		{map[string]string{"BLNK_SERVER_SECRET_KEY": "new"}, `{}`, "", false},
		{nil, `{}`, "", true},
	} {
		s := &service{name: "s", next: c.next, containers: []*docker.Container{containerOf(t, c.container)}}
		if file, ok := d.asItRuns(s); ok != c.ok || file.Reveal() != c.want {
			t.Errorf("%s: %q, %v; want %q, %v", c.next, file.Reveal(), ok, c.want, c.ok)
		}
	}
}

// What a Compose that was killed leaves is not taken for a container of the service.
func TestUnfinished(t *testing.T) {
	var all []*docker.Container
	for _, text := range []string{
		`"Name":"/p-server-1","State":{"Running":true}`,
		`"Name":"/0123456789ab_p-server-1","ID":"abcdef0123456789","State":{"Status":"created"}`,
		`"Name":"/0123456789ab_p-other-1","ID":"abcdef0123456789","State":{"Status":"created"}`,
		`"Name":"/my_p-server-1","ID":"abcdef0123456789","State":{"Status":"created"}`,
		`"Name":"/ba9876543210_p-server-1","ID":"abcdef0123456789","State":{"Status":"running","Running":true}`,
	} {
		all = append(all, containerOf(t, `{`+text+`,"Path":"blnk","Args":["start"],"Config":{"Labels":{"`+docker.LabelService+`":"server","`+labelDir+`":"/p","`+labelFiles+`":"a.yaml"}}}`))
	}
	p, err := (&driver{}).assemble("p", all)
	if err != nil {
		t.Fatal(err)
	}
	if s := p.services[0]; len(s.containers) != 4 || len(s.unfinished) != 1 || s.unfinished[0].Called() != "0123456789ab_p-server-1" {
		t.Errorf("%d containers, %d unfinished", len(s.containers), len(s.unfinished))
	}
}

// Compose 1 is refused, and said what helps.
func TestCompose1(t *testing.T) {
	made := containerOf(t, `{"Path":"blnk","Args":["start"],"Config":{"Labels":{"`+docker.LabelService+`":"server","`+labelDir+`":"/p","`+labelFiles+`":"a.yaml","`+labelVersion+`":"1.29.2"}}}`)
	_, err := (&driver{}).assemble("p", []*docker.Container{made})
	if err == nil || !strings.Contains(err.Error(), "made by Compose 1.29.2") || hint.Of(err) != compose1Help {
		t.Errorf("%v, hint %q", err, hint.Of(err))
	}
	for version, want := range map[string]string{
		"2.20.0": "", "v2.40.3": "", "5.0.1": "", "2.19.9": "there is only docker compose 2.19.9: Compose 2.20 or later is needed", "1.29.2": "there is only docker compose 1.29.2: Compose 2.20 or later is needed", "": "there is no docker compose: Compose 2.20 or later is needed",
	} {
		dir := t.TempDir()
		script := "#!/bin/sh\ntest -n '" + version + "' && echo " + version + "\n"
		if err := os.WriteFile(filepath.Join(dir, "docker"), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+":/nowhere")
		got := ""
		if err := (&driver{}).findProgram(t.Context()); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
	}
}
