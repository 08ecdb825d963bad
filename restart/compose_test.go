package restart

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestComposeReference(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ place, want, fault string }{
		{"", "compose:", ""},
		{"./a.yaml", "compose:" + dir + "/a.yaml", ""},
		{"/x/../a.yaml#server,worker", "compose:/a.yaml#server,worker", ""},
		{"#server", "compose:#server", ""},
		{"?project=x", "compose:?project=x", ""},
		{"a.yaml#server?project=x", "compose:" + dir + "/a.yaml#server?project=x", ""},
		{"#", "", "an empty name"},
		{"#server,,worker", "", "an empty name"},
		{"#server,server", "", "named twice"},
		{"#--help", "", "no name"},
		{"?file=x", "", "the only option is project"},
		{"?project=", "", "an empty name"},
		{"?project=-f", "", "no name"},
	} {
		d, err := openCompose(c.place, Options{Dir: dir})
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%q: %v, want %s", c.place, err, c.fault)
			}
		case err != nil || d.String() != c.want:
			t.Errorf("%q: %v, %v; want %s", c.place, d, err, c.want)
		default:
			again, err := openCompose(strings.TrimPrefix(d.String(), "compose:"), Options{Dir: "/elsewhere"})
			if err != nil || again.String() != d.String() {
				t.Errorf("%s opened again is %v, %v", d, again, err)
			}
		}
	}
}

// The same service, as Compose 2 prints it and as Compose 1 does.
func TestDecode(t *testing.T) {
	const two = `{"services":{"server":{"image":"i","command":["blnk migrate up && blnk start"],"entrypoint":["/bin/sh","-c"],
		"environment":{"A":"1","B":null},"env_file":[{"path":"/p/.env","required":true}],
		"ports":[{"mode":"ingress","target":5001,"published":"15001","protocol":"tcp"}],
		"volumes":[{"type":"bind","source":"/p/blnk.json","target":"/blnk.json","bind":{}},{"type":"volume","source":"v","target":"/data"}]}}}`
	const one = `
services:
  server:
    image: i
    command:
    - blnk migrate up && blnk start
    entrypoint:
    - /bin/sh
    - -c
    environment:
      A: '1'
      B: null
    env_file: /p/.env
    ports:
    - published: 15001
      target: 5001
    volumes:
    - /p/blnk.json:/blnk.json:rw
    - v:/data:rw
version: '3.9'
`
	const typed = `
services:
  server:
    image: i
    command: ["blnk migrate up && blnk start"]
    entrypoint: ["/bin/sh", "-c"]
    environment: [A=1, B]
    env_file: [/p/.env]
    ports: ["15001:5001"]
    volumes: ["/p/blnk.json:/blnk.json", "v:/data"]
`
	for name, text := range map[string]string{"2": two, "1": one, "typed": typed} {
		services, ok := decode(text)
		s := services["server"]
		argv, known := s.argv(image{})
		switch {
		case !ok || s.Image != "i" || !slices.Equal(s.EnvFile, []string{"/p/.env"}):
			t.Errorf("%s: %v, image %q, env files %q", name, ok, s.Image, s.EnvFile)
		case !known || !slices.Equal(argv, []string{"/bin/sh", "-c", "blnk migrate up && blnk start"}):
			t.Errorf("%s: command %q, %v", name, argv, known)
		case !maps.Equal(s.vars(), map[string]string{"A": "1"}):
			t.Errorf("%s: %d variables", name, len(s.vars()))
		case !maps.Equal(s.bindings(), map[string]string{"5001/tcp at :15001": ""}):
			t.Errorf("%s: ports %v", name, s.bindings())
		case !maps.Equal(s.binds(), map[string]string{"/blnk.json": "/p/blnk.json"}):
			t.Errorf("%s: mounts %v", name, s.binds())
		}
	}
	if _, ok := decode("services: [\x00"); ok {
		t.Error("what is no YAML was taken")
	}
}

func TestDifferences(t *testing.T) {
	const now = `{"Path":"/bin/sh","Args":["-c","blnk start"],
		"Config":{"Env":["PATH=/bin","A=1","BLNK_SERVER_SECRET_KEY=old"]},
		"HostConfig":{"PortBindings":{"5001/tcp":[{"HostIp":"","HostPort":"15001"}]}},
		"Mounts":[{"Type":"bind","Source":"/p/blnk.json","Destination":"/blnk.json"},{"Type":"volume","Name":"x","Source":"/var/x","Destination":"/data"}]}`
	same := func() serviceConfig {
		services, _ := decode(`{"services":{"s":{"entrypoint":["/bin/sh","-c"],"command":["blnk start"],"environment":{"A":"1","BLNK_SERVER_SECRET_KEY":"new"},
			"ports":["15001:5001"],"volumes":["/p/blnk.json:/blnk.json"]}}}`)
		return services["s"]
	}
	img := image{}
	img.Config.Env = []string{"PATH=/bin"}
	other := "2"
	for _, c := range []struct {
		what   string
		change func(*serviceConfig)
		want   []string
	}{
		{"only the key", func(*serviceConfig) {}, nil},
		{"no key", func(s *serviceConfig) { delete(s.Environment, "BLNK_SERVER_SECRET_KEY") }, nil},
		{"a variable", func(s *serviceConfig) { s.Environment["A"] = &other }, []string{"variable A"}},
		{"a new one", func(s *serviceConfig) { s.Environment["B"] = &other }, []string{"variable B"}},
		{"one less", func(s *serviceConfig) { delete(s.Environment, "A") }, []string{"variable A"}},
		{"the command", func(s *serviceConfig) { s.Command.list = []string{"blnk workers"} }, []string{"command"}},
		{"that of the image", func(s *serviceConfig) { s.Entrypoint, s.Command = commandLine{}, commandLine{} }, []string{"command"}},
		{"a command that is not split", func(s *serviceConfig) { s.Command = commandLine{text: `"blnk start"`} }, nil},
		{"a port", func(s *serviceConfig) { s.Ports[0].Published = "80" }, []string{"ports"}},
		{"its address", func(s *serviceConfig) { s.Ports[0].HostIP = "127.0.0.1" }, []string{"ports"}},
		{"no port", func(s *serviceConfig) { s.Ports = nil }, []string{"ports"}},
		{"a mount", func(s *serviceConfig) { s.Volumes[0].Source = "/q/blnk.json" }, []string{"what is mounted at /blnk.json"}},
		{"no mount", func(s *serviceConfig) { s.Volumes = nil }, []string{"what is mounted at /blnk.json"}},
	} {
		s := same()
		c.change(&s)
		if got := s.differences(containerOf(t, now), img, false); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// What Compose itself adds to a container is no difference: the mounts of secrets
// and configs, and a variable of Compose 1.
func TestOwnDoing(t *testing.T) {
	services, ok := decode(`{"services":{"s":{"command":["blnk"],"secrets":["sec",{"source":"x","target":"/k"}],"configs":[{"source":"c","target":"/etc/c"},"d"]}}}`)
	now := containerOf(t, `{"Path":"blnk","Config":{"Env":["affinity:container==abc"]},"Mounts":[
		{"Type":"bind","Source":"/p/a","Destination":"/run/secrets/sec"},{"Type":"bind","Source":"/p/b","Destination":"/k"},
		{"Type":"bind","Source":"/p/c","Destination":"/etc/c"},{"Type":"bind","Source":"/p/d","Destination":"/d"}]}`)
	if got := services["s"].differences(now, image{}, false); !ok || got != nil {
		t.Errorf("%q, %v", got, ok)
	}
}

// What Compose must not hear of from the caller's shell.
func TestComposeEngine(t *testing.T) {
	e := composeEngine(Options{Env: []string{"PATH=/bin", "COMPOSE_FILE=x", "COMPOSE_PROJECT_NAME=x", "COMPOSE_REMOVE_ORPHANS=1", "DOCKER_HOST=y"}})
	if want := []string{"PATH=/bin", "DOCKER_HOST=y", "COMPOSE_REMOVE_ORPHANS=0"}; !slices.Equal(e.opt.Env, want) {
		t.Errorf("%q, want %q", e.opt.Env, want)
	}
}

func TestProjectOfLabels(t *testing.T) {
	labels := func(service, files string) string {
		return `{"Name":"/` + service + `","ID":"` + service + `","Path":"blnk","Args":["` + map[string]string{"server": "start", "worker": "workers", "redis": "x"}[service] + `"],
			"Config":{"Labels":{"` + labelService + `":"` + service + `","` + labelDir + `":"/p","` + labelFiles + `":"` + files + `"}}}`
	}
	d := &compose{}
	p, err := d.assemble("p", []*container{
		containerOf(t, labels("worker", "/p/a.yaml,/p/b.yaml")), containerOf(t, labels("redis", "/p/a.yaml")), containerOf(t, labels("server", "/p/a.yaml,/p/b.yaml"))})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.services) != 2 || p.services[0].name != "server" || p.services[1].name != "worker" || len(p.others) != 1 {
		t.Errorf("%d services, %d others", len(p.services), len(p.others))
	}
	p.tool = tool{[]string{"docker", "compose"}, 2, 40}
	if got := strings.Join(p.command("config"), " "); got != "docker compose --ansi never -p p --project-directory /p -f /p/a.yaml -f /p/b.yaml config" {
		t.Error(got)
	}
	// The server's container is gone: it is not forgotten.
	if _, err := d.assemble("p", []*container{containerOf(t, labels("worker", "/p/a.yaml,/p/b.yaml"))}); err == nil {
		t.Error("a server that has no container any more was forgotten")
	}
	// A file that came later is only in the labels of the newer container.
	for _, c := range []struct{ server, worker, want string }{
		{"2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "/p/a.yaml /p/b.yaml"},
		{"2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "/p/a.yaml"},
	} {
		server, worker := containerOf(t, labels("server", "/p/a.yaml")), containerOf(t, labels("worker", "/p/a.yaml,/p/b.yaml"))
		server.Created, worker.Created = at(t, c.server), at(t, c.worker)
		p, err := (&compose{}).assemble("p", []*container{server, worker})
		if err != nil || strings.Join(p.files, " ") != c.want {
			t.Errorf("%v, %v; want %s", p, err, c.want)
		}
	}
	elsewhere := containerOf(t, strings.Replace(labels("worker", "/q/a.yaml"), `"/p"`, `"/q"`, 1))
	if _, err := (&compose{}).assemble("p", []*container{containerOf(t, labels("server", "/p/a.yaml")), elsewhere}); err == nil {
		t.Error("containers of different folders were taken for one project")
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

func TestAbsolute(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "p", "a.yaml")
	write(t, file)
	for _, label := range []string{file, "a.yaml", "p/a.yaml", "./a.yaml"} {
		if got := absolute(label, filepath.Join(dir, "p")); got != file {
			t.Errorf("%s: %s, want %s", label, got, file)
		}
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("services: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Which env file sets the key, and under which name.
func TestSources(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("BLNK_SERVER_SECRET_KEY=k\nMASTER=k\nSHELL_HAS=k\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &compose{engine: composeEngine(Options{Env: []string{"SHELL_HAS=x", "BLNK_SERVER_SECRET_KEY=x"}})}
	const key = "BLNK_SERVER_SECRET_KEY"
	in := func(name string) Source { return Source{File: filepath.Join(dir, ".env"), Name: name} }
	for value, want := range map[string]Source{
		"$BLNK_SERVER_SECRET_KEY":           in(key),
		"${BLNK_SERVER_SECRET_KEY}":         in(key),
		"${BLNK_SERVER_SECRET_KEY:?no key}": in(key),
		"${MASTER:-default}":                in("MASTER"),
		"${MASTER-default}":                 in("MASTER"),
		"${NONE:-default}":                  {},
		"${MASTER:-${OTHER:-none}}":         in("MASTER"),
		"${NONE:-${MASTER}}":                {},
		"${MASTER:-x}${MASTER}":             {},
		"${SHELL_HAS}":                      {Fixed: true, Name: "SHELL_HAS"},
		"x${MASTER}":                        {},
		"${MASTER}${MASTER}":                {},
	} {
		if got := d.interpolated(&project{dir: dir}, key, &value); got != want {
			t.Errorf("%q: %+v, want %+v", value, got, want)
		}
	}
	if got := d.interpolated(&project{dir: dir}, key, nil); got != in(key) {
		t.Errorf("handed through: %+v", got)
	}
	if got := d.interpolated(&project{dir: dir, envFiles: []string{filepath.Join(dir, "prod.env")}}, key, nil); got != (Source{}) {
		t.Errorf("an env file without it: %+v", got)
	}
}

// The same, as it stands in a compose file: Compose 1 has it read here.
func TestSourcesOfFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".env", "a.env", "b,c.env", "none.env"} {
		text := "BLNK_SERVER_SECRET_KEY=k\n"
		if name == "none.env" {
			text = "OTHER=1\n"
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const key = "BLNK_SERVER_SECRET_KEY"
	value := "k"
	for _, c := range []struct {
		what, service string
		want          Source
	}{
		{"an env file", "env_file: a.env", Source{File: filepath.Join(dir, "a.env"), Name: key}},
		{"the last one counts", "env_file: [a.env, './b,c.env', none.env]", Source{File: filepath.Join(dir, "b,c.env"), Name: key}},
		{"one by an absolute path", "env_file: " + filepath.Join(dir, "a.env"), Source{File: filepath.Join(dir, "a.env"), Name: key}},
		{"one whose path is a variable", "env_file: '${FILE:-a.env}'", Source{}},
		{"one that does not set it", "env_file: none.env", Source{}},
		{"a literal", "environment: {BLNK_SERVER_SECRET_KEY: k}\n    env_file: a.env", Source{Fixed: true}},
		{"a literal in a list", "environment: [BLNK_SERVER_SECRET_KEY=k]", Source{Fixed: true}},
		{"handed through", "environment: [BLNK_SERVER_SECRET_KEY]", Source{File: filepath.Join(dir, ".env"), Name: key}},
	} {
		file := filepath.Join(dir, "docker-compose.yaml")
		if err := os.WriteFile(file, []byte("services:\n  server:\n    "+c.service+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		d := &compose{engine: composeEngine(Options{Env: []string{}})}
		p := &project{dir: dir, files: []string{file}, tool: tool{major: 1, minor: 29}}
		s := &service{name: "server", config: serviceConfig{Environment: composeEnv{key: &value}}}
		if got := d.sources(p, s, d.uninterpolated(t.Context(), p))[key]; got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
		// Compose 2.20 prints what stands there with what the env files set.
		plain := p.plain()
		printed := composeEnv{key: &value, "OTHER": &value}
		if own, ok := plain["server"].Environment[key]; ok {
			printed[key] = own
		}
		if got := d.sources(p, s, withoutEnvFiles(map[string]serviceConfig{"server": {Environment: printed}}, plain))[key]; got != c.want {
			t.Errorf("%s, with the env files in it: %+v, want %+v", c.what, got, c.want)
		}
	}
}

// How many containers of a service its files ask for.
func TestScale(t *testing.T) {
	for text, want := range map[string]int{
		"{}": 1, "{scale: 3}": 3, "{scale: 0}": 0, "{deploy: {replicas: 2}}": 2, "{deploy: {}}": 1, "{scale: null}": 1, "{scale: '${N:-2}', env_file: a}": 1,
	} {
		services, ok := decode("services: {s: " + text + "}")
		if !ok || services["s"].scale() != want {
			t.Errorf("%s: %d, %v; want %d", text, services["s"].scale(), ok, want)
		}
	}
	s := service{name: "s", containers: make([]*container, 2)}
	if got := strings.Join(s.scale(), " "); got != "--scale s=2" {
		t.Error(got)
	}
	s.config.Scale = count{2, true}
	if got := s.scale(); got != nil {
		t.Errorf("%q, though the files say so", got)
	}
}
