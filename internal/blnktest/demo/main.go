// Command demo shows blnkctl at work, for `make demo`: it builds blnkctl and
// the stand-in for a Blnk server, starts the stand-in as a real process with a
// real blnk.json in a scratch folder, and makes, rotates and verifies its key.
// Every command and every line of output is the real one.
//
// It ends by itself, leaves nothing behind, and exits 0 only if each command
// ended as it should.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if err := demo(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	fmt.Println("\nThe demo is over: the server is stopped and its folder is gone.")
}

// An act is a command line as a person would type it, in the scratch folder.
type act struct {
	say  string
	line string
}

func acts() []act {
	return []act{
		{"Make a strong key, and put it into blnk.json.", `blnkctl keygen --store blnkjson:./blnk.json`},
		{"Start a Blnk server and its worker (here a stand-in).", `blnk-standin up`},
		{"Does the server really run with that key?", `blnkctl verify --store blnkjson:./blnk.json`},
		{"What would a rotation do? Nothing is changed.", `blnkctl rotate --dry-run --restart 'sh:blnk-standin restart'`},
		{"Rotate: write, restart, prove; or put everything back.", `blnkctl rotate --restart 'sh:blnk-standin restart'`},
		{"Ask once more.", `blnkctl verify --store blnkjson:./blnk.json`},
		{"A restart that fails: everything is put back. (exit status 3)",
			`blnkctl rotate --restart 'sh:echo "unit blnk.service not found" >&2; exit 5'; test $? = 3`},
		{"Everything is on record.", `blnkctl audit log`},
		{"And the record is whole.", `blnkctl audit verify`},
	}
}

func demo() (err error) {
	dir, err := os.MkdirTemp("", "blnkctl-demo-")
	if err != nil {
		return err
	}
	defer func() {
		if rest := os.RemoveAll(dir); err == nil {
			err = rest
		}
	}()
	bin := filepath.Join(dir, "bin")
	for name, pkg := range map[string]string{"blnkctl": ".", "blnk-standin": "./internal/blnktest/blnkstandin"} {
		build := exec.Command("go", "build", "-o", filepath.Join(bin, name), pkg)
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
	}
	work := filepath.Join(dir, "blnk")
	if err := writeConfig(work); err != nil {
		return err
	}
	run := runner(work, bin, filepath.Join(dir, "state"))
	defer func() {
		if stop := run("blnk-standin down"); err == nil {
			err = stop
		}
	}()
	for _, a := range acts() {
		fmt.Printf("\n# %s\n$ %s\n", a.say, a.line)
		if err := run(a.line); err != nil {
			return fmt.Errorf("%s: %w", a.line, err)
		}
	}
	return nil
}

// writeConfig writes a blnk.json in secure mode, without a key, with a free
// port.
func writeConfig(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return err
	}
	config := fmt.Sprintf(`{
  "project_name": "demo",
  "server": {
    "secure": true,
    "port": "%d"
  },
  "data_source": {"dns": "postgres://blnk@localhost:5432/blnk"},
  "redis": {"dns": "localhost:6379"}
}
`, port)
	return os.WriteFile(filepath.Join(dir, "blnk.json"), []byte(config), 0o600)
}

// runner runs command lines with the built programs in front of PATH, and
// without the settings of Blnk or blnkctl that the caller's shell may have.
func runner(work, bin, state string) func(line string) error {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "BLNK") && !strings.HasPrefix(kv, "PATH=") {
			env = append(env, kv)
		}
	}
	env = append(env, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "BLNKCTL_STATE_DIR="+state)
	return func(line string) error {
		sh := exec.Command("sh", "-c", line)
		sh.Dir, sh.Env = work, env
		sh.Stdout, sh.Stderr = os.Stdout, os.Stderr
		return sh.Run()
	}
}
