package cmd_test

import (
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
func TestCompose(t *testing.T) {
	needDocker(t)
	t.Parallel()
	config := composePlugin(t)
	image := standinImage(t)
	for _, v := range []struct{ name, program string }{{"2", "docker compose"}, {"1", "docker-compose"}} {
		t.Run("v"+v.name, func(t *testing.T) {
			t.Parallel()
			needCompose(t, v.name, strings.Fields(v.program), config)
			condition := func(cond string) (bool, error) { return cond == "compose1" && v.name == "1", nil }
			runDockerScripts(t, "compose", image, condition, func(env *testscript.Env) error {
				env.Setenv("V", v.name)
				env.Setenv("COMPOSE", v.program)
				env.Setenv("DOCKER_CONFIG", config)
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
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(cache, "blnkctl-test", "docker")
	plugin := filepath.Join(config, "cli-plugins", "docker-compose")
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
	build := exec.Command("go", "build", "-C", source, "-trimpath", "-ldflags=-s -w -X github.com/docker/compose/v2/internal.Version=v2.40.3", "-o", plugin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build Compose 2: %v\n%s", err, out)
	}
	return config
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
