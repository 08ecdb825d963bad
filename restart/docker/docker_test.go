package docker

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/restart"
)

func containerOf(t *testing.T, text string) *Container {
	t.Helper()
	c := &Container{Name: "/one"}
	if err := json.Unmarshal([]byte(text), c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStop(t *testing.T) {
	for container, seconds := range map[string]int{
		`{"Path":"blnk","Args":["start"]}`:                                      100,
		`{"Path":"blnk","Args":["workers"]}`:                                    100,
		`{"Path":"blnk","Args":["workers"],"Config":{"StopTimeout":240}}`:       240,
		`{"Path":"blnk","Args":["workers"],"Config":{"StopTimeout":-1}}`:        -1,
		`{"Path":"/bin/sh","Args":["-c","blnk migrate up && exec blnk start"]}`: 100,
	} {
		if got := containerOf(t, container).StopTimeout(); got != seconds {
			t.Errorf("%s: %d s, want %d s", container, got, seconds)
		}
	}
}

func TestServersOfContainer(t *testing.T) {
	file := filepath.Join(t.TempDir(), "blnk.json")
	if err := os.WriteFile(file, []byte(`{"server":{"port":"7007"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	const start = `"Path":"blnk","Args":["start"],"State":{"Running":true}`
	mount := func(source, to string) string {
		return `,"Mounts":[{"Type":"bind","Source":"` + source + `","Destination":"` + to + `"}]`
	}
	at := func(port, ip, host string) string {
		return `,"NetworkSettings":{"Ports":{"` + port + `/tcp":[{"HostIp":"` + ip + `","HostPort":"` + host + `"}]}}`
	}
	for _, c := range []struct {
		what, text, want string
	}{
		{"everywhere", start + at("5001", "0.0.0.0", "80"), "http://127.0.0.1:80"},
		{"everywhere by IPv6", start + at("5001", "::", "80"), "http://127.0.0.1:80"},
		{"an address", start + at("5001", "192.0.2.7", "80"), "http://192.0.2.7:80"},
		{"several are one server", start + `,"NetworkSettings":{"Ports":{"5001/tcp":[{"HostIp":"192.0.2.7","HostPort":"80"},{"HostIp":"","HostPort":"80"}]}}`, "http://127.0.0.1:80"},
		{"another port", start + at("80", "0.0.0.0", "80"), ""},
		{"not published", start + `,"NetworkSettings":{"Ports":{"5001/tcp":null}}`, ""},
		{"port of the file", start + mount(file, "/blnk.json") + at("7007", "0.0.0.0", "81"), "http://127.0.0.1:81"},
		{"port of the folder's file", start + mount(filepath.Dir(file), "/app") + `,"Config":{"WorkingDir":"/app"}` + at("7007", "", "81"), "http://127.0.0.1:81"},
		{"port of the environment", start + mount(file, "/blnk.json") + `,"Config":{"Env":["BLNK_SERVER_PORT=6006"]}` + at("6006", "", "82"), "http://127.0.0.1:82"},
		{"network of the host", start + mount(file, "/blnk.json") + `,"HostConfig":{"NetworkMode":"host"}`, "http://127.0.0.1:7007"},
		{"stopped", `"Path":"blnk","Args":["start"]` + at("5001", "", "80"), ""},
	} {
		got, err := containerOf(t, "{"+c.text+"}").server()
		if (err == nil) != (c.want != "") || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.what, got, err, c.want)
		}
	}
	chance := start + `,"HostConfig":{"PortBindings":{"5001/tcp":[{"HostPort":"0"}]}}` + at("5001", "", "32768")
	if _, err := containerOf(t, "{"+chance+"}").server(); err == nil {
		t.Error("a port that changes at each restart was taken")
	}
}

// Which blnk.json a container reads, and what of this host it sees.
func TestContainerReads(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "blnk.json"))
	write(t, filepath.Join(dir, "sub", "blnk.json"))
	for _, c := range []struct {
		what, container, config string
		isolated                bool
	}{
		{"a file", `"Mounts":[{"Source":"DIR/blnk.json","Destination":"/blnk.json"}]`, "DIR/blnk.json", true},
		{"its folder", `"Config":{"WorkingDir":"/app"},"Mounts":[{"Source":"DIR","Destination":"/app/"}]`, "DIR/blnk.json", true},
		{"a folder above", `"Config":{"WorkingDir":"/srv/sub"},"Mounts":[{"Source":"DIR","Destination":"/srv"}]`, "DIR/sub/blnk.json", true},
		{"everything", `"Mounts":[{"Source":"DIR","Destination":"/"}]`, "DIR/blnk.json", true},
		{"the nearest", `"Mounts":[{"Source":"/","Destination":"/"},{"Source":"DIR/blnk.json","Destination":"/blnk.json"}]`, "DIR/blnk.json", true},
		{"the nearest, in another order", `"Mounts":[{"Source":"DIR/blnk.json","Destination":"/blnk.json"},{"Source":"/","Destination":"/"}]`, "DIR/blnk.json", true},
		{"a tmpfs over it", `"Config":{"WorkingDir":"/app"},"Mounts":[{"Source":"DIR","Destination":"/"},{"Type":"tmpfs","Destination":"/app"}]`, "", true},
		{"a name that begins alike", `"Config":{"WorkingDir":"/app"},"Mounts":[{"Source":"DIR","Destination":"/ap"}]`, "", true},
		{"something else", `"Mounts":[{"Source":"DIR","Destination":"/data"}]`, "", true},
		{"nothing", `"Mounts":[]`, "", true},
		{"what is not here", `"Mounts":[{"Source":"DIR/gone","Destination":"/blnk.json"}]`, "", false},
		{"another thing that is not here", `"Mounts":[{"Source":"DIR/blnk.json","Destination":"/blnk.json"},{"Source":"DIR/gone","Destination":"/data"}]`, "DIR/blnk.json", false},
	} {
		text := strings.ReplaceAll(`{"Path":"blnk","Args":["start"],`+c.container+`}`, "DIR", dir)
		env := containerOf(t, text).Process("it", "", true)
		if want := strings.ReplaceAll(c.config, "DIR", dir); env.Config != want || env.Isolated != c.isolated || !env.Server {
			t.Errorf("%s: %q, isolated %v; want %q, %v", c.what, env.Config, env.Isolated, want, c.isolated)
		}
		if env := containerOf(t, text).Process("it", "", false); env.Config != "" || env.Isolated || len(env.Mounts) > 0 {
			t.Errorf("%s, on another host: %q, %v", c.what, env.Config, env.Isolated)
		}
	}
	// Links are followed in the container, where they may lead elsewhere.
	for link, to := range map[string]string{"app/blnk.json": "/conf/blnk.json", "top": "app"} {
		path := filepath.Join(dir, link)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Symlink(to, path)); err != nil {
			t.Fatal(err)
		}
	}
	for mounts, want := range map[string]string{
		`{"Source":"DIR/app","Destination":"/"}`:                       "",
		`{"Source":"DIR/top","Destination":"/other"}`:                  "",
		`{"Source":"DIR","Destination":"/"}`:                           "DIR/blnk.json",
		`{"Source":"DIR/top/../blnk.json","Destination":"/blnk.json"}`: "DIR/blnk.json",
	} {
		text := strings.ReplaceAll(`{"Path":"blnk","Args":["start"],"Mounts":[`+mounts+`]}`, "DIR", dir)
		if env := containerOf(t, text).Process("it", "", true); filepath.Clean(env.Config) != filepath.Clean(strings.ReplaceAll(want, "DIR", dir)) {
			t.Errorf("%s: %q, want %q", mounts, env.Config, want)
		}
	}
	moved := containerOf(t, strings.ReplaceAll(`{"Path":"sh","Args":["-c","cd /x && exec blnk start"],"Mounts":[{"Source":"DIR/blnk.json","Destination":"/blnk.json"}]}`, "DIR", dir))
	if env := moved.Process("it", "", true); env.Config != "" || !env.Isolated {
		t.Errorf("another working directory: %q", env.Config)
	}
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("{}\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// When a container that was started counts as up.
func TestUp(t *testing.T) {
	for _, c := range []struct {
		container string
		running   time.Duration
		up        bool
		fault     string
	}{
		{`{"State":{"Running":true}}`, time.Second, false, ""},
		{`{"State":{"Running":true}}`, 2 * time.Second, true, ""},
		{`{"State":{"Running":true},"RestartCount":5}`, time.Hour, false, "does not come up: it was started 6 times"},
		{`{"State":{"Running":true,"Restarting":true}}`, time.Hour, false, ""},
		{`{"State":{"ExitCode":3}}`, 0, false, "ended right after its start, with exit status 3"},
		{`{"State":{"Running":true,"Health":{"Status":"starting"}}}`, time.Hour, false, ""},
		{`{"State":{"Running":true,"Health":{"Status":"healthy"}}}`, 0, true, ""},
		{`{"State":{"Running":true,"Health":{"Status":"unhealthy"}}}`, time.Hour, false, "is unhealthy after its start"},
	} {
		if up, fault := containerOf(t, c.container).up(c.running); up != c.up || fault != c.fault {
			t.Errorf("%s: %v, %q; want %v, %q", c.container, up, fault, c.up, c.fault)
		}
	}
}

func TestReference(t *testing.T) {
	for place, fault := range map[string]string{
		"server,worker": "", "": "an empty name", "a,,b": "an empty name", "--help": "no name", "a b": "no name", "a,b,a": "container a is named twice",
	} {
		d, err := open(place, restart.Options{})
		if fault == "" && (err != nil || d.String() != "docker:"+place) || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
			t.Errorf("%q: %v, %v; want %q", place, d, err, fault)
		}
	}
}
