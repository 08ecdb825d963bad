package cmd_test

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
)

// TestCompose runs the scripts of testdata/compose against the Docker engine
// of this machine, with Docker Compose as `make compose` builds it. Besides the
// commands of TestDocker's scripts they have
//
//	compose ARG...          run the Compose that is tested
//	keyfrom ENVFILE FILE    write the key in an env file to FILE
//
// the condition [v2.20], and $DOCKER_CONFIG with the plugin.
//
// Where Compose is required, a few of them show what the oldest one that
// blnkctl takes and the Compose 5 of 2026 do otherwise.
func TestCompose(t *testing.T) {
	needs.Docker().For(t)
	needs.Compose().For(t)
	t.Parallel()
	image := standinImage(t)
	for _, v := range []struct {
		name, version string
		scripts       []string
	}{
		{"v2", "", nil},
		{"v2.20", "v2.20.3", []string{"compose_stock", "compose_both", "compose_unreached", "compose_client"}},
		{"v5", "v5.5.1", []string{"compose_stock", "compose_dies", "compose_client"}},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			if v.version != "" && !needs.Compose().Required() {
				t.Skip("BLNKCTL_COMPOSE=required tests this Compose too")
			}
			condition := func(cond string) (bool, error) {
				if cond == "v2.20" {
					return v.name == cond, nil
				}
				return scriptCondition(cond)
			}
			runDockerScripts(t, "compose", v.scripts, image, condition, func(env *testscript.Env) error {
				env.Setenv("DOCKER_CONFIG", needs.ComposeConfig(v.version))
				return nil
			})
		})
	}
}

func cmdCompose(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 0, "compose ARG...")
	ts.Check(ts.Exec("docker", append([]string{"compose"}, args...)...))
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
