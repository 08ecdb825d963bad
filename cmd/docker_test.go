package cmd_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/blnkctl/blnkctl/internal/blnktest"
	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
	"github.com/blnkctl/blnkctl/keygen"
)

// TestDocker runs the scripts of testdata/docker against the Docker engine of
// this machine: real containers, with the stand-in for Blnk as their program.
// Besides the commands of the other scripts they have
//
//	layout DIR [nokey]      make the folder with a blnk.json that has port 5001 and a
//	                        new key, which DIR.key holds too; with nokey, the key
//	                        is in DIR/.env and not in blnk.json
//	fill FILE...            replace @N@, @IMAGE@, @PORT@, @WPORT@ and @WORK@ in files
//	live KEYFILE            wait until the server at $URL takes the key
//	[!] webhook KEYFILE     have the worker at port $WPORT send a webhook, which must
//	                        be signed with the key
//	note FILE NAME...       write what tells whether these containers were touched:
//	                        name, ID and when they were started
//
// and $N, the beginning of all names of containers; $IMAGE, with blnk and a
// shell; $PORT and $WPORT, ports of this host for server and worker; $URL.
func TestDocker(t *testing.T) {
	needs.Docker().For(t)
	t.Parallel()
	image := standinImage(t)
	runDockerScripts(t, "docker", nil, image, scriptCondition, nil)
}

// runDockerScripts runs the scripts of a folder of testdata, or those of the names.
func runDockerScripts(t *testing.T, folder string, names []string, image string, condition func(string) (bool, error), more func(*testscript.Env) error) {
	t.Helper()
	cmds := withEndCmds(withRotateCmds(scriptCmds()))
	maps.Copy(cmds, map[string]scriptCmd{
		"layout": cmdLayout, "fill": cmdFill, "live": cmdLive, "webhook": cmdWebhook, "note": cmdNote,
		"compose": cmdCompose, "keyfrom": cmdKeyfrom,
	})
	dir, files := filepath.Join("testdata", folder), []string(nil)
	if names != nil {
		for _, name := range names {
			files = append(files, filepath.Join(dir, name+".txt"))
		}
		dir = ""
	}
	testscript.RunT(scriptT{T: t}, testscript.Params{
		Dir:                 dir,
		Files:               files,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                cmds,
		Condition:           condition,
		Setup: func(env *testscript.Env) error {
			takeTurn(env, engineTurns)
			err := errors.Join(prepareScript(env), prepareContainers(env, image))
			if err == nil && more != nil {
				err = more(env)
			}
			return errors.Join(err, watchContainers(env))
		},
	})
}

// prepareContainers gives a script names and ports of its own, and removes its
// containers at its end.
func prepareContainers(env *testscript.Env, image string) error {
	n := fmt.Sprintf("%s%06x", containersOf(os.Getenv(runVariable)), rand.N(1<<24))
	for name, value := range map[string]string{"N": n, "IMAGE": image, "DOCKER_CONFIG": filepath.Join(env.WorkDir, "home", ".docker")} {
		env.Setenv(name, value)
	}
	for _, name := range []string{"DOCKER_HOST", "DOCKER_CONTEXT"} {
		env.Setenv(name, os.Getenv(name))
	}
	for _, name := range []string{"PORT", "WPORT"} {
		port, err := blnktest.FreePort()
		if err != nil {
			return err
		}
		env.Setenv(name, fmt.Sprint(port))
	}
	env.Setenv("URL", "http://127.0.0.1:"+env.Getenv("PORT"))
	env.Defer(func() { removeContainers(n) })
	return nil
}

// removeContainers removes what a script made in the engine: everything whose
// name begins so. What cannot be removed shows in docker ps.
func removeContainers(n string) {
	for _, kind := range []struct {
		name, filter string
		list, remove []string
	}{
		{"container", "name=" + n, []string{"-a", "-q"}, []string{"-f", "-v"}},
		{"network", "name=" + n, []string{"-q"}, nil},
		{"volume", "name=" + n, []string{"-q"}, []string{"-f"}},
		{"image", "reference=" + n + "*", []string{"--format", "{{.Repository}}:{{.Tag}}"}, nil},
		{"image", "reference=" + n + "*/*", []string{"--format", "{{.Repository}}:{{.Tag}}"}, nil},
	} {
		list := append([]string{kind.name, "ls", "--filter", kind.filter}, kind.list...)
		out, _ := exec.Command("docker", list...).Output()
		if ids := strings.Fields(string(out)); len(ids) > 0 {
			_ = exec.Command("docker", slices.Concat([]string{kind.name, "rm"}, kind.remove, ids)...).Run()
		}
	}
}

func cmdLayout(ts *testscript.TestScript, neg bool, args []string) {
	nokey := len(args) == 2 && args[1] == "nokey"
	need(ts, !neg && (len(args) == 1 || nokey), "layout DIR [nokey]")
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	key, err := keygen.Generate(keygen.Prefixed, keygen.DefaultBits)
	ts.Check(err)
	ts.Check(os.WriteFile(dir+".key", []byte(key.Reveal()+"\n"), 0o600))
	config := blnktest.Config{Server: blnktest.ServerConfig{Secure: true, SecretKey: key.Reveal(), Port: "5001"}}
	if nokey {
		config.Server.SecretKey = ""
		line := "BLNK_SERVER_SECRET_KEY=" + key.Reveal() + "\n"
		ts.Check(os.WriteFile(filepath.Join(dir, ".env"), []byte("# settings\n"+line+"TZ=Etc/UTC\n"), 0o600))
	}
	ts.Check(config.Write(dir))
}

func cmdFill(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 0, "fill FILE...")
	var pairs []string
	for _, name := range []string{"N", "IMAGE", "PORT", "WPORT", "WORK"} {
		pairs = append(pairs, "@"+name+"@", ts.Getenv(name))
	}
	for _, name := range args {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(strings.NewReplacer(pairs...).Replace(ts.ReadFile(name))), 0o600))
	}
}

// status asks the server for what the key in a file opens.
func status(ts *testscript.TestScript, keyFile string) (int, error) {
	request, err := http.NewRequest(http.MethodGet, ts.Getenv("URL")+"/hooks", http.NoBody)
	ts.Check(err)
	request.Close = true
	request.Header.Set("X-Blnk-Key", strings.TrimSuffix(ts.ReadFile(keyFile), "\n"))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

func cmdLive(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "live KEYFILE")
	until(ts, "the server to take the key", func() error {
		got, err := status(ts, args[0])
		if err == nil && got != http.StatusOK {
			err = fmt.Errorf("status %d", got)
		}
		return err
	})
}

func cmdWebhook(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, len(args) == 1, "[!] webhook KEYFILE")
	key := strings.TrimSuffix(ts.ReadFile(args[0]), "\n")
	got := make(chan bool, 1)
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.Header.Get("X-Blnk-Signature") == blnktest.Sign(key, r.Header.Get("X-Blnk-Timestamp"), body)
	}))
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	ts.Check(err)
	_ = receiver.Listener.Close()
	receiver.Listener = listener
	receiver.Start()
	defer receiver.Close()
	to := fmt.Sprintf("http://%s:%d/", gateway(ts), listener.Addr().(*net.TCPAddr).Port)
	send := "http://127.0.0.1:" + ts.Getenv("WPORT") + "/deliver?to=" + url.QueryEscape(to)
	until(ts, "the worker", func() error {
		response, err := http.Post(send, "application/json", strings.NewReader(`{"event":"test"}`))
		if err == nil && response.StatusCode != http.StatusOK {
			body, _ := io.ReadAll(response.Body)
			err = fmt.Errorf("status %d: %s", response.StatusCode, body)
		}
		if err == nil {
			err = response.Body.Close()
		}
		return err
	})
	if right := <-got; right == neg {
		ts.Fatalf("the webhook is signed with the key in %s: %v", args[0], right)
	}
}

// gateway is the address at which the worker reaches this host: that of its
// bridge.
func gateway(ts *testscript.TestScript) (address string) {
	until(ts, "the worker's container", func() error {
		id, err := exec.Command("docker", "ps", "-q", "--filter", "publish="+ts.Getenv("WPORT")).Output()
		if err != nil {
			return err
		}
		format := "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}"
		out, err := exec.Command("docker", "container", "inspect", "-f", format, strings.TrimSpace(string(id))).Output()
		address = strings.TrimSpace(string(out))
		if err == nil && address == "" {
			err = errors.New("it has no network")
		}
		return err
	})
	return address
}

func cmdNote(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 1, "note FILE NAME...")
	inspect := append([]string{"container", "inspect", "-f", "{{.Name}} {{.Id}} {{.State.StartedAt}}"}, args[1:]...)
	ts.Check(ts.Exec("docker", inspect...))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ts.ReadFile("stdout")), 0o600))
}
