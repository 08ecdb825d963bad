package cmd_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestCompose runs the scripts of testdata/compose against the Docker engine
// of this machine, once with Compose 2 and once with Compose 1, which are both
// there each time. Besides the commands of TestDocker's scripts they have
//
//	compose ARG...          run the Compose that is tested
//	keyfrom ENVFILE FILE    write the key in an env file to FILE
//
// the condition [compose1], $V, its major version, and $DOCKER_CONFIG with the plugin of Compose 2.
//
// A few of them show what a Compose 2 of 2023 and the Compose 5 of 2026 do
// otherwise, with BLNKCTL_DOCKER=required.
func TestCompose(t *testing.T) {
	needDocker(t)
	t.Parallel()
	config := composePlugin(t)
	old, today := config, config
	all := os.Getenv("BLNKCTL_DOCKER") == "required"
	if all {
		old = publishedPlugin(t, "github.com/docker/compose/v2", "v2.20.3")
		today = publishedPlugin(t, "github.com/docker/compose/v5", "v5.5.1")
	}
	image := standinImage(t)
	for _, v := range []struct {
		name, major, program, config string
		scripts                      []string
	}{
		{"v2", "2", "docker compose", config, nil},
		{"v2.20", "2", "docker compose", old, []string{"compose_stock", "compose_both", "compose_unreached"}},
		{"v5", "5", "docker compose", today, []string{"compose_stock", "compose_dies"}},
		{"v1", "1", "docker-compose", config, nil},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if v.scripts != nil && !all {
				t.Skip("BLNKCTL_DOCKER=required tests this Compose too, and takes more than a minute longer")
			}
			needCompose(t, v.major, strings.Fields(v.program), v.config)
			condition := func(cond string) (bool, error) { return cond == "compose1" && v.major == "1", nil }
			runDockerScripts(t, "compose", v.scripts, image, condition, func(env *testscript.Env) error {
				env.Setenv("V", v.major)
				env.Setenv("COMPOSE", v.program)
				env.Setenv("DOCKER_CONFIG", v.config)
				return nil
			})
		})
	}
}

// composePlugin builds Compose 2 (tools/compose), once for a version, and
// returns the folder that DOCKER_CONFIG must name for docker to find it.
func composePlugin(t *testing.T) string {
	t.Helper()
	const source = "../tools/compose"
	config, plugin := pluginIn(t, "docker")
	if built, err := os.Stat(plugin); err == nil {
		fresh := true
		for _, name := range []string{"go.mod", "go.sum", "main.go"} {
			info, err := os.Stat(filepath.Join(source, name))
			if err != nil {
				t.Fatal(err)
			}
			fresh = fresh && info.ModTime().Before(built.ModTime())
		}
		if fresh {
			return config
		}
	}
	buildPlugin(t, plugin, source, ".", "github.com/docker/compose/v2", "v2.40.3")
	return config
}

// publishedPlugin is composePlugin for another version, from its own sources as
// they were published: it shares no dependency with anything.
func publishedPlugin(t *testing.T, module, version string) string {
	t.Helper()
	config, plugin := pluginIn(t, "docker-"+version)
	if exists(plugin) == nil {
		return config
	}
	download := exec.Command("go", "mod", "download", "-json", module+"@"+version)
	download.Dir = t.TempDir() // no module's
	out, err := download.Output()
	var source struct{ Dir string }
	if err != nil || json.Unmarshal(out, &source) != nil {
		t.Fatalf("fetch Compose %s: %v\n%s", version, err, out)
	}
	buildPlugin(t, plugin, source.Dir, "./cmd", module, version)
	return config
}

// pluginIn is where a Compose plugin is kept between runs, and the folder for
// DOCKER_CONFIG with it.
func pluginIn(t *testing.T, folder string) (config, plugin string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	config = filepath.Join(cache, "blnkctl-test", folder)
	return config, filepath.Join(config, "cli-plugins", "docker-compose")
}

func buildPlugin(t *testing.T, plugin, source, program, module, version string) {
	t.Helper()
	build := exec.Command("go", "build", "-C", source, "-trimpath", "-ldflags=-s -w -X "+module+"/internal.Version="+version, "-o", plugin, program)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build Compose %s: %v\n%s", version, err, out)
	}
}

// needCompose skips where a Compose is missing, as needDocker does.
func needCompose(t *testing.T, major string, program []string, config string) {
	t.Helper()
	version := exec.Command(program[0], append(program[1:], "version", "--short")...)
	version.Env = append(os.Environ(), "DOCKER_CONFIG="+config)
	out, err := version.CombinedOutput()
	if err == nil && strings.HasPrefix(strings.TrimPrefix(string(out), "v"), major+".") {
		return
	}
	missing := strings.Join(program, " ") + " is not Compose " + major + " here (Debian's docker-compose is Compose 1)"
	if os.Getenv("BLNKCTL_DOCKER") == "required" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

func cmdCompose(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 0, "compose ARG...")
	program := strings.Fields(ts.Getenv("COMPOSE"))
	ts.Check(ts.Exec(program[0], append(program[1:], args...)...))
}

func cmdKeyfrom(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "keyfrom ENVFILE FILE")
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if key, ok := strings.CutPrefix(line, "BLNK_SERVER_SECRET_KEY="); ok {
			ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(key), 0o600))
			return
		}
	}
	ts.Fatalf("%s sets no key", args[0])
}
