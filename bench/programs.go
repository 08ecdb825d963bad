package main

import (
	"errors"
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
	store                 string   // what is kept between runs
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
		log: log, store: store,
		env: slices.DeleteFunc(os.Environ(), func(v string) bool {
			return strings.HasPrefix(v, "BLNKCTL_") || strings.HasPrefix(v, "BLNK_")
		}),
		blnkctl: filepath.Join(dir, "blnkctl"),
		standin: filepath.Join(dir, "bin", "blnk"), // by this name blnkctl knows a Blnk
		age:     filepath.Join(dir, "age-keygen"),
	}
	flags, err := os.ReadFile("tools/release/flags")
	if err != nil {
		return p, err
	}
	linked := filepath.Join(dir, "linked")
	if err := p.goes("build", slices.Concat(strings.Fields(string(flags)), []string{"-o", linked, "."})...); err != nil {
		return p, err
	}
	if err := p.goes("build", "-o", p.standin, "./internal/blnktest/blnkstandin"); err != nil {
		return p, err
	}
	kept := filepath.Join(store, "age-keygen")
	if _, err := os.Stat(kept); err != nil {
		if err := p.goes("install", age+"@"+ageVersion); err != nil {
			return p, err
		}
	}
	return p, errors.Join(installed(linked, p.blnkctl), installed(kept, p.age))
}

// installed makes a copy, as install(1) and packages do: what the linker has just written
// stands in memory in small pages, and takes a quarter longer to start.
func installed(from, to string) error {
	program, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, program, 0o755) //nolint:gosec // a program
}

// goes calls go build or go install; what it makes is stripped.
func (p programs) goes(command string, args ...string) error {
	cmd := exec.Command("go", append([]string{command, "-trimpath", "-ldflags=-s -w"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+p.store)
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
