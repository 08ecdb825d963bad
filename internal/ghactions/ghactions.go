// Package ghactions hands a key to later steps of a job of GitHub Actions, as its runner
// reads it: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
//
// A value that was masked shows as *** in the logs of the job from then on. It does not
// promise that nobody sees it: each later step of the job has it, and may send it away.
package ghactions

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/secret"
)

// ErrUsage: this is no step of GitHub Actions, or the name is none that a key could have
// there.
var ErrUsage = errors.New("")

// An Export gives a key to later steps: as a variable of their environment, as an output
// of this step, or both. Its files are open from the first: nothing else can be put in
// their places meanwhile.
type Export struct {
	stdout  io.Writer // of the step
	masked  bool
	targets []target
}

type target struct {
	name string
	file *os.File
}

// Open opens the runner's files for a key that is to be called env in the environment of
// later steps, and output among the outputs of this one; "" is neither. nil, which gives
// nothing, where both are "". stdout is the step's: a mask that it does not take is an
// error, also where nobody reads it any more; so is one that says itself (Unread) that
// nobody will.
func Open(getenv func(string) string, stdout io.Writer, env, output string) (*Export, error) {
	e := &Export{stdout: stdout}
	for _, one := range []struct{ flag, name, variable string }{{"--github-env", env, "GITHUB_ENV"}, {"--github-output", output, "GITHUB_OUTPUT"}} {
		if one.name == "" {
			continue
		}
		if why := refused(one.name, one.variable); why != "" {
			return nil, hint.As(ErrUsage, "%s:%s: %s", one.flag, secret.Shown(one.name), why)
		}
		path := getenv(one.variable)
		if path == "" {
			return nil, hint.Add(hint.As(ErrUsage, "%s: %s is not set: this is no step of GitHub Actions", one.flag, one.variable),
				"elsewhere blnkctl exec -- COMMAND gives a command the key")
		}
		f, err := open(path)
		if err != nil {
			e.Close()
			return nil, fmt.Errorf("%s: %w", one.variable, err)
		}
		e.targets = append(e.targets, target{one.name, f})
	}
	if len(e.targets) == 0 {
		return nil, nil
	}
	if to, ok := stdout.(interface{ Unread() bool }); ok && to.Unread() {
		e.Close()
		return nil, hint.Add(hint.As(ErrUsage, "the key would not be masked: stdout goes to a file or nowhere, and the runner reads the mask there"),
			"run it without > behind it: with --github-env or --github-output nothing but the mask is printed")
	}
	return e, nil
}

// refused says why a name is not taken: the runner ignores it, or it is none.
func refused(name, variable string) string {
	word := name
	if variable == "GITHUB_OUTPUT" {
		word = strings.ReplaceAll(name, "-", "_")
	}
	switch {
	case !run.IsVariable(word):
		return "want a name of letters, digits and _"
	case variable == "GITHUB_ENV" && (name == "NODE_OPTIONS" || strings.HasPrefix(name, "GITHUB_") || strings.HasPrefix(name, "RUNNER_")):
		return "GitHub lets nobody set it"
	}
	return ""
}

// open opens a file of the runner's, which has made it: a link, what is no file, or what
// has two names, is not its work.
func open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", path)
	}
	if err == nil && info.Sys().(*syscall.Stat_t).Nlink > 1 {
		err = fmt.Errorf("%s has another name, where others may read it", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Mask masks the key, once. It has to be the first thing that is done with one.
func (e *Export) Mask(key secret.Key) error {
	if e == nil || e.masked {
		return nil
	}
	_, err := io.WriteString(e.stdout, "::add-mask::"+strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(key.Reveal())+"\n")
	e.masked = err == nil
	return err
}

// Give adds the key to the files, masked before, and closes them. A key has one line, so
// that the form NAME=VALUE is enough; what somebody wrote before without a line end gets
// one.
func (e *Export) Give(key secret.Key) error {
	if e == nil {
		return nil
	}
	defer e.Close()
	if key.IsZero() { // a copy has it, and nobody can read it
		return errors.New("later steps get no key: no store that can be read holds it")
	}
	if err := e.Mask(key); err != nil {
		return err
	}
	if strings.ContainsAny(key.Reveal(), "\r\n") {
		return errors.New("the key has more than one line")
	}
	for _, t := range e.targets {
		line := t.name + "=" + key.Reveal() + "\n"
		last := []byte{'\n'}
		if info, err := t.file.Stat(); err == nil && info.Size() > 0 {
			if _, err := t.file.ReadAt(last, info.Size()-1); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		}
		if last[0] != '\n' {
			line = "\n" + line
		}
		if _, err := t.file.WriteString(line); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the files.
func (e *Export) Close() {
	for _, t := range e.targets {
		t.file.Close()
	}
}
