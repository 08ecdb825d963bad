package vaulttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/flock"
)

// buildLimit is how long to wait for somebody else's build, or for our own.
const buildLimit = 30 * time.Minute

// Program returns the path of the server program, and an error that says how to
// build it where this machine does not have it yet.
func Program() (string, error) {
	_, program, err := find(context.Background())
	if err == nil && !built(program) {
		err = errors.New("the server of Vault is not built (make vault)")
	}
	return program, err
}

// find returns the source of the program, and where it goes.
func find(ctx context.Context) (source, string, error) {
	s, err := findSource(ctx)
	if err != nil {
		return source{}, "", fmt.Errorf("find the source of the Vault server: %w", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return source{}, "", fmt.Errorf("find a place for the Vault server: %w", err)
	}
	return s, filepath.Join(cache, "blnkctl-test", "vaultserver-"+s.key), nil
}

// Build returns the path of the server program. It builds it where this
// machine does not have it yet, and then says so on say. Processes that need
// it at the same time build it once.
func Build(ctx context.Context, say io.Writer) (string, error) {
	source, program, err := find(ctx)
	if err != nil || built(program) {
		return program, err
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o700); err != nil {
		return "", fmt.Errorf("make a place for the Vault server: %w", err)
	}
	unlock, err := flock.Lock(ctx, program+".lock", buildLimit)
	if err != nil {
		return "", fmt.Errorf("build the Vault server: %w", err)
	}
	defer unlock()
	if built(program) { // by whoever had the lock before
		return program, nil
	}
	return program, source.build(ctx, program, say)
}

func built(program string) bool {
	info, err := os.Stat(program)
	return err == nil && info.Mode().IsRegular()
}

// A source is the module of the server program.
type source struct {
	dir string
	key string // names what the program is made from
}

// findSource asks the go command, which knows where this module lies whatever
// the folder of the test and the flags of its build.
func findSource(ctx context.Context) (source, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD", "GOVERSION", "GOARCH").Output()
	if err != nil {
		return source{}, fmt.Errorf("go env: %w", err)
	}
	mod, toolchain, _ := strings.Cut(string(out), "\n")
	s := source{dir: filepath.Join(filepath.Dir(mod), "internal", "vaulttest", "vaultserver")}
	sum := sha256.New()
	fmt.Fprintln(sum, toolchain)
	files, err := filepath.Glob(filepath.Join(s.dir, "*"))
	if err != nil {
		return source{}, err
	}
	if len(files) == 0 {
		return source{}, fmt.Errorf("%s: %w", s.dir, fs.ErrNotExist)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return source{}, err
		}
		fmt.Fprintln(sum, filepath.Base(name), len(data))
		sum.Write(data)
	}
	s.key = hex.EncodeToString(sum.Sum(nil)[:8])
	return s, nil
}

// build makes the program under another name first, so that one that was
// killed in the middle leaves no half.
func (s source) build(ctx context.Context, program string, say io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	start := time.Now()
	fmt.Fprintln(say, "vaulttest: building Vault's server, once for this machine (about three minutes on two idle cores)")
	half := program + ".half"
	defer os.Remove(half)
	cmd := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", half, ".")
	cmd.Dir = s.dir
	// The flags are those of the tests (-race, say), and not for this.
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "GOOS=", "GOARCH=")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build the Vault server: %w", errors.Join(err, errors.New(output.String())))
	}
	if err := os.Rename(half, program); err != nil {
		return fmt.Errorf("build the Vault server: %w", err)
	}
	fmt.Fprintf(say, "vaulttest: built it in %s\n", time.Since(start).Round(time.Second))
	return nil
}
