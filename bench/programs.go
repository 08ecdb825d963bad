package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// age is what blnkctl is measured beside: small, well made, the same language.
const (
	age        = "filippo.io/age/cmd/age-keygen"
	ageVersion = "v1.3.2"
)

// cache keeps age-keygen between runs; git ignores it.
const cache = ".cache/bench/age-" + ageVersion

// programs are what is measured, and what it runs in.
type programs struct {
	blnkctl, standin, age string   // paths
	env                   []string // without settings of blnkctl or Blnk
	log                   *os.File // takes the standard error of all
}

// prepare builds all programs with the same flags. It must run in the root of
// the repository.
func prepare(dir string) (programs, error) {
	store, err := filepath.Abs(cache)
	if err != nil {
		return programs{}, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return programs{}, err
	}
	p := programs{
		log: log,
		env: slices.DeleteFunc(os.Environ(), func(v string) bool {
			return strings.HasPrefix(v, "BLNKCTL_") || strings.HasPrefix(v, "BLNK_")
		}),
		blnkctl: filepath.Join(dir, "blnkctl"),
		standin: filepath.Join(dir, "bin", "blnk"), // by this name blnkctl knows a Blnk
		age:     filepath.Join(store, "age-keygen"),
	}
	flags, err := os.ReadFile("tools/release/flags")
	if err != nil {
		return p, err
	}
	if err := p.goes("build", slices.Concat(strings.Fields(string(flags)), []string{"-o", p.blnkctl, "."})...); err != nil {
		return p, err
	}
	if err := p.goes("build", "-o", p.standin, "./internal/blnktest/blnkstandin"); err != nil {
		return p, err
	}
	if _, err := os.Stat(p.age); err == nil {
		return p, nil
	}
	return p, p.goes("install", age+"@"+ageVersion)
}

// goes calls go build or go install; what it makes is stripped.
func (p programs) goes(command string, args ...string) error {
	cmd := exec.Command("go", append([]string{command, "-trimpath", "-ldflags=-s -w"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+filepath.Dir(p.age))
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go %s %s: %w", command, args[len(args)-1], err)
	}
	return nil
}

// timed returns a run of a program, from its start to its end.
func (p programs) timed(path string, args ...string) func() error {
	return func() error { return p.run("", "", path, args...) }
}

// run runs a program in dir with stdin. Its output goes to a file, which costs
// a run nothing that would be measured.
func (p programs) run(dir, stdin, path string, args ...string) error {
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, p.env, p.log
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(p.log.Name())
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(path), strings.Join(args, " "), err, said[max(0, len(said)-2000):])
	}
	return nil
}
