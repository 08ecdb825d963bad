// Package needs says what becomes of a test whose tool is missing: it is
// skipped, with one line that says what to install or to build. Where the
// variable BLNKCTL_<TOOL> is "required" it fails, so that nothing is skipped
// unseen (.ci/run); where it is "no", the tool is left out. A test builds no such
// tool itself: that takes minutes.
package needs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/vaulttest"
)

// A Tool is something that not every machine has.
type Tool struct {
	name    string
	missing func() error // nil: it is here
}

// Tools returns all of them.
func Tools() []Tool {
	return []Tool{Git(), Strace(), Vault(), Docker(), Compose(), Systemd(), Namespaces(), Dpkg(), Mandoc()}
}

// Missing says why the tool cannot be used, and what helps; nil where it can.
func (t Tool) Missing() error {
	if t.wish() == "no" {
		return fmt.Errorf("%s: not wanted", t.name)
	}
	if err := t.missing(); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	return nil
}

// Required: its absence is a failure.
func (t Tool) Required() bool { return t.wish() == "required" }

func (t Tool) wish() string { return os.Getenv("BLNKCTL_" + strings.ToUpper(t.name)) }

// For skips or fails a test for which the tool is missing.
func (t Tool) For(test testing.TB) {
	test.Helper()
	err := t.Missing()
	switch {
	case err == nil:
	case t.Required():
		test.Fatal(err)
	default:
		test.Skip(err)
	}
}

// Git keeps the repositories that are searched for keys.
func Git() Tool {
	return Tool{"git", func() error {
		if _, err := exec.LookPath("git"); err != nil {
			return errors.New("not here (Debian: apt-get install git)")
		}
		return nil
	}}
}

// Strace watches system calls, and strikes blnkctl in them.
func Strace() Tool {
	return Tool{"strace", func() error {
		if _, err := exec.LookPath("strace"); err != nil {
			return errors.New("not here (Debian: apt-get install strace)")
		}
		return nil
	}}
}

// Vault is Vault's own server.
func Vault() Tool {
	return Tool{"vault", func() error {
		_, err := vaulttest.Program()
		return err
	}}
}

// What the image of the container tests is made of. Dash is the shell of
// Debian, and so of Blnk's image: as process 1 it stays before its last
// command, where busybox gives its place to that.
const (
	Busybox = "/bin/busybox"
	Dash    = "/bin/dash"
)

// Docker is an engine that runs Linux containers, and what an image is made of.
func Docker() Tool {
	return Tool{"docker", func() error {
		out, err := exec.Command("docker", "version", "--format", "{{.Server.Os}}").CombinedOutput()
		if err != nil {
			return errors.New("no engine can be reached (Debian: apt-get install docker.io)")
		}
		if system := strings.TrimSpace(string(out)); system != "linux" {
			return errors.New("the engine runs no Linux containers")
		}
		for _, program := range []string{Busybox, Dash} {
			if _, err := os.Stat(program); err != nil {
				return fmt.Errorf("no %s for the image (Debian: apt-get install busybox-static dash)", program)
			}
		}
		return nil
	}}
}

// Compose is Docker's plugin, built from its source, in the folders that
// ComposeConfig names.
func Compose() Tool {
	return Tool{"compose", func() error {
		for _, version := range []string{"", "v2.20.3", "v5.5.1"} {
			if _, err := os.Stat(filepath.Join(ComposeConfig(version), "cli-plugins", "docker-compose")); err != nil {
				return errors.New("not built (make compose)")
			}
		}
		return nil
	}}
}

// ComposeConfig is the folder that DOCKER_CONFIG must name for docker to find
// Compose of a version; "" is the one of tools/compose.
func ComposeConfig(version string) string {
	if version != "" {
		version = "-" + version
	}
	return filepath.Join(cache(), "docker"+version)
}

// Systemd is a Debian with systemd, and what runs it as a container.
func Systemd() Tool {
	return Tool{"systemd", func() error {
		if os.Geteuid() != 0 {
			return errors.New("a container with systemd takes root")
		}
		for _, name := range []string{"systemd-nspawn", "nsenter"} {
			if _, err := exec.LookPath(name); err != nil {
				return fmt.Errorf("no %s (Debian: apt-get install systemd-container)", name)
			}
		}
		if _, err := os.Stat(SystemdTree()); err != nil {
			return errors.New("no Debian to boot (make systemd)")
		}
		return nil
	}}
}

// SystemdTree is the root of that Debian.
func SystemdTree() string { return filepath.Join(cache(), "systemd-bookworm") }

// Namespaces make a host of its own for the commands of the documentation. Where they
// are not allowed, as to root in a usual container, nothing may be mounted either.
func Namespaces() Tool {
	return Tool{"namespaces", func() error {
		if os.Geteuid() != 0 {
			return errors.New("a host of its own takes root")
		}
		if _, err := exec.LookPath("unshare"); err != nil {
			return errors.New("no unshare (Debian: apt-get install util-linux)")
		}
		if out, err := exec.Command("unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "true").CombinedOutput(); err != nil {
			return fmt.Errorf("not allowed here (in a container: --privileged): %s", bytes.TrimSpace(out))
		}
		return nil
	}}
}

// Dpkg installs the .deb of a release.
func Dpkg() Tool {
	return Tool{"dpkg", func() error {
		if _, err := exec.LookPath("dpkg"); err != nil {
			return errors.New("not here (it is on Debian)")
		}
		if os.Geteuid() != 0 {
			return errors.New("installing takes root")
		}
		return nil
	}}
}

// Mandoc reads the man pages of a release.
func Mandoc() Tool {
	return Tool{"mandoc", func() error {
		if _, err := exec.LookPath("mandoc"); err != nil {
			return errors.New("not here (Debian: apt-get install mandoc)")
		}
		return nil
	}}
}

// cache is where the Makefile puts what it builds for tests.
func cache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "blnkctl-test")
}
