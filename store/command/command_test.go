package command_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/command"
	"github.com/blnkctl/blnkctl/store/storetest"
)

const (
	oldKey = "blnk_sk_8ldKq7ZpW3xVb9THc5RmY8dLf2NJx4GtS6wQz1P"
	newKey = "blnk_sk_n3wKq7ZpW3xVb9THc5RmY8dLf2NJx4GtS6wQz1P"
)

// manager is a secret manager with a command line: it keeps a value in a file.
const manager = `#!/bin/sh
set -eu
cd "$(dirname "$0")"
case "$1" in
get)    if [ ! -e value ]; then echo "ResourceNotFoundException: no such secret" >&2; exit 254; fi; cat value; echo ;;
set)    cat >value.new; mv value.new value; echo "version 2 created" ;;
exists) test -e value ;;
*)      echo "usage: manager get|set|exists" >&2; exit 2 ;;
esac
`

// script writes an executable shell script into dir.
func script(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func managed(t *testing.T) (dir string, spec command.Spec) {
	t.Helper()
	dir = t.TempDir()
	path := script(t, dir, "manager", manager)
	return dir, command.Spec{Read: []string{path, "get"}, Write: []string{path, "set"}, Exists: []string{path, "exists"}}
}

func open(t *testing.T, spec command.Spec) store.Store {
	t.Helper()
	s, err := command.Specs{"blnk": spec}.Open(store.Ref{Scheme: command.Scheme, Place: "blnk"}, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sh is a shell command as an argument list, for the commands of one test.
func sh(format string, args ...any) []string {
	return []string{"sh", "-c", fmt.Sprintf(format, args...)}
}

func TestStore(t *testing.T) {
	specs := map[store.Store]command.Spec{}
	start := func(change func(*command.Spec)) func(t *testing.T) store.Store {
		return func(t *testing.T) store.Store {
			_, spec := managed(t)
			change(&spec)
			s := open(t, spec)
			specs[s] = spec
			return s
		}
	}
	again := func(t *testing.T, s store.Store) store.Store { return open(t, specs[s]) }
	t.Run("exists", func(t *testing.T) { storetest.Run(t, start(func(*command.Spec) {}), again) })
	t.Run("prints nothing", func(t *testing.T) {
		storetest.Run(t, start(func(s *command.Spec) {
			s.Read = sh("cat '%s/value' 2>/dev/null || true", filepath.Dir(s.Read[0]))
			s.Exists = nil
		}), again)
	})
}

func TestOpen(t *testing.T) {
	ok := []string{"true"}
	specs := command.Specs{
		"both": {Read: ok, Write: ok}, "copy": {Write: ok}, "read": {Read: ok}, "nothing": {},
		"odd": {Exists: ok, Write: ok}, "empty": {Read: []string{""}, Write: ok}, "nul": {Read: ok, Write: []string{"x", "a\x00b"}},
	}
	for _, c := range []struct{ ref, says string }{ // a part of the error; "" is none
		{"command:both", ""},
		{"command:copy", "write-only copy"},
		{"command:read", "no write command"},
		{"command:nothing", "no write command"},
		{"command:odd", "write-only copy"},
		{"command:empty", "has no program"},
		{"command:nul", "NUL"},
		{"command:none", "no such command"},
		{"command:both#x", "nothing behind it"},
		{"command:both?x=1", `unknown option "x"`},
	} {
		ref, err := ref.Parse(c.ref)
		if err != nil {
			t.Fatal(err)
		}
		s, err := specs.Open(ref, store.Options{})
		if !says(err, c.says) || err == nil && s.String() != c.ref {
			t.Errorf("%s: %v, want %q", c.ref, err, c.says)
		}
		writeOnly, ok := errors.AsType[*command.WriteOnlyError](err)
		if ok != (c.says == "write-only copy") || ok && writeOnly.Copy.String() != c.ref || ok != errors.Is(err, command.ErrWriteOnly) {
			t.Errorf("%s: %v", c.ref, err)
		}
	}
}

// openCopy opens the copy of a name.
func openCopy(t *testing.T, name string, spec command.Spec) *command.Copy {
	t.Helper()
	_, err := command.Specs{name: spec}.Open(store.Ref{Scheme: command.Scheme, Place: name}, store.Options{})
	e, ok := errors.AsType[*command.WriteOnlyError](err)
	if !ok {
		t.Fatalf("%s: %v", name, err)
	}
	return e.Copy
}

func says(err error, text string) bool {
	return err == nil && text == "" || err != nil && text != "" && strings.Contains(err.Error(), text)
}

func TestReadText(t *testing.T) {
	for _, c := range []struct {
		name, printf, want string // want "" is an error
		err                error
	}{
		{"one line end", `key\n`, "key", nil},
		{"none", `key`, "key", nil},
		{"CRLF", `key\r\n`, "key", nil},
		{"two line ends", `key\n\n`, "", store.ErrNotSafe},
		{"a blank", `my key\n`, "", store.ErrNotSafe},
		{"a blank behind", `key \n`, "", store.ErrNotSafe},
		{"a tab", `a\tb`, "", store.ErrNotSafe},
		{"NUL", `a\000b`, "", store.ErrNotSafe},
		{"escape sequence", `\033[1mkey`, "", store.ErrNotSafe},
		{"not UTF-8", `a\377b`, "", store.ErrNotSafe},
		{"no-break space", `a\302\240b`, "", store.ErrNotSafe},
		{"nothing", ``, "", store.ErrNotFound},
		{"an empty line", `\n`, "", store.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, command.Spec{Read: []string{"printf", c.printf}, Write: []string{"true"}})
			key, at, err := s.Get(t.Context())
			if !errors.Is(err, c.err) || key.Reveal() != c.want || (at == "") != (c.want == "") {
				t.Errorf("%q, version %q, %v", key.Reveal(), at, err)
			}
		})
	}
}

// What fails says what failed, and shows no key, not even one that was never
// seen before.
func TestFailures(t *testing.T) {
	dir, good := managed(t)
	hang := []string{"sleep", "60"}
	for _, c := range []struct {
		name string
		spec command.Spec
		want string
		is   error
	}{
		{"read fails", command.Spec{Read: sh("echo 'AccessDeniedException: key %s' >&2; exit 254", oldKey)},
			"command:blnk: read: run sh: exit status 254: AccessDeniedException: key [redacted]", nil},
		{"read prints, then fails", command.Spec{Read: sh("echo %s; echo 'got %s' >&2; exit 1", oldKey, oldKey)},
			"command:blnk: read: run sh: exit status 1: got [redacted]", nil},
		{"read hangs", command.Spec{Read: hang, Timeout: 50 * time.Millisecond}, "command:blnk: read: run sleep: timed out after 50ms", nil},
		{"read is not there", command.Spec{Read: []string{"/nowhere/at/all"}}, "command:blnk: read: run /nowhere/at/all: could not start", fs.ErrNotExist},
		{"read prints far too much", command.Spec{Read: []string{"head", "-c", "100000", "/dev/zero"}}, "more than 64 KiB", nil},
		{"exists fails", command.Spec{Read: good.Read, Exists: sh("echo 'login first, %s' >&2; exit 2", oldKey)},
			"command:blnk: exists: run sh: exit status 2: login first, [redacted]", nil},
		{"exists is killed", command.Spec{Read: good.Read, Exists: sh("kill -KILL $$")}, "command:blnk: exists: run sh: ended by signal: killed", nil},
		{"exists hangs", command.Spec{Read: good.Read, Exists: hang, Timeout: 50 * time.Millisecond}, "command:blnk: exists: run sleep: timed out", nil},
		{"write fails", command.Spec{Read: good.Read, Write: sh("echo \"no: $(cat)\" >&2; exit 4")},
			"command:blnk: write: run sh: exit status 4: no: [redacted]", nil},
		{"write tells the old key", command.Spec{Read: good.Read, Write: sh("cat >/dev/null; echo was $(cat '%s/value'); exit 4", dir)},
			"command:blnk: write: run sh: exit status 4: was [redacted]", nil},
		{"write hangs", command.Spec{Read: good.Read, Write: hang, Timeout: 2 * time.Second}, "command:blnk: write: run sleep: timed out", nil},
		{"write reads nothing", command.Spec{Read: good.Read, Write: []string{"true"}}, "did not read the key from its stdin", nil},
		{"write does nothing", command.Spec{Read: good.Read, Write: sh("cat >/dev/null")}, "the read command prints another key", nil},
		{"read back fails", command.Spec{Read: good.Read, Write: sh("cat >/dev/null; rm '%s/value'", dir)},
			"read back: command:blnk: read: run " + good.Read[0] + ": exit status 254: ResourceNotFoundException: no such secret", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(filepath.Join(dir, "value"), []byte(oldKey), 0o600); err != nil {
				t.Fatal(err)
			}
			if len(c.spec.Write) == 0 {
				c.spec.Write = good.Write
			}
			_, err := open(t, c.spec).Put(t.Context(), secret.New(newKey), store.VersionOf(secret.New(oldKey)))
			if err == nil || !strings.Contains(err.Error(), c.want) || c.is != nil && !errors.Is(err, c.is) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), oldKey) || strings.Contains(fmt.Sprintf("%+v", errors.Unwrap(err)), newKey)) {
				t.Errorf("the error holds a key: %v", err)
			}
			if errors.Is(err, store.ErrNotFound) {
				t.Error("a failure counts as not found")
			}
		})
	}
}

// A weak key looks like any other word: it is masked because it was read.
func TestWeakOldKeyIsMasked(t *testing.T) {
	dir, spec := managed(t)
	if err := os.WriteFile(filepath.Join(dir, "value"), []byte("letmein"), 0o600); err != nil {
		t.Fatal(err)
	}
	spec.Write = sh("cat >/dev/null; echo was $(cat '%s/value'); exit 4", dir)
	_, err := open(t, spec).Put(t.Context(), secret.New(newKey), store.VersionOf(secret.New("letmein")))
	if err == nil || !strings.HasSuffix(err.Error(), ": was [redacted]") {
		t.Errorf("got %v", err)
	}
}

// A key that would be lost or changed on the way is not handed to a command.
func TestOddKeys(t *testing.T) {
	dir, spec := managed(t)
	for _, key := range []string{"", "a b", "a\n", "a\tb", "\xff", "\u00a0a"} {
		_, err := open(t, spec).Put(t.Context(), secret.New(key), "")
		if !errors.Is(err, store.ErrNotSafe) {
			t.Errorf("put of %q: %v, want ErrNotSafe", key, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "value")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

// A Put that finds another key writes nothing: the write command never ran.
func TestConflictWritesNothing(t *testing.T) {
	dir, spec := managed(t)
	if err := os.WriteFile(filepath.Join(dir, "value"), []byte(oldKey+"x"), 0o600); err != nil {
		t.Fatal(err)
	}
	spec.Write = sh("touch '%s/effect'; cat >/dev/null", dir)
	for _, at := range []store.Version{"", store.VersionOf(secret.New(oldKey))} {
		if _, err := open(t, spec).Put(t.Context(), secret.New(newKey), at); !errors.Is(err, store.ErrConflict) {
			t.Errorf("got %v, want ErrConflict", err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "effect")); err == nil {
		t.Error("the write command ran")
	}
}

// A manager with several servers may answer with the old value for a moment: that is no
// failed write, since the new one comes after it.
func TestShownLater(t *testing.T) {
	dir, spec := managed(t)
	spec.Read = sh(`cd %s; if [ -e later ] && [ "$(wc -c <later)" -lt 2 ]; then printf x >>later; cat before; else cat value; fi`, dir)
	spec.Write = sh("cd %s; cp value before; : >later; cat >value", dir)
	if err := os.WriteFile(filepath.Join(dir, "value"), []byte(oldKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, spec)
	_, at, err := s.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), secret.New(newKey), at); err != nil {
		t.Error(err)
	}
}

func TestInterrupted(t *testing.T) {
	dir, spec := managed(t)
	if err := os.WriteFile(filepath.Join(dir, "value"), []byte(oldKey), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	fifo := filepath.Join(dir, "started")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	spec.Write = sh("echo >'%s'; sleep 60", fifo)
	go func() {
		_, _ = os.ReadFile(fifo) // returns when the command is in the middle
		cancel()
	}()
	if _, err := open(t, spec).Put(ctx, secret.New(newKey), store.VersionOf(secret.New(oldKey))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// The folder and the environment are those given, without what is Blnk's.
func TestSurroundings(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	spec := command.Spec{
		Read:  sh(`echo "$PWD:$X:$BLNK_SERVER_SECRET_KEY"`),
		Write: []string{"./manager"},
		Dir:   dir,
		Env:   []string{"PATH=" + os.Getenv("PATH"), "X=1", "BLNK_SERVER_SECRET_KEY=theirs"},
	}
	key, _, err := open(t, spec).Get(t.Context())
	if err != nil || key.Reveal() != dir+":1:" {
		t.Errorf("%q, %v", key.Reveal(), err)
	}
	check := open(t, spec).(store.Checker)
	if err := check.CheckPut(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("check of a missing program: %v", err)
	}
	script(t, dir, "manager", manager)
	if err := check.CheckPut(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
}

func TestRemarks(t *testing.T) {
	_, spec := managed(t)
	said, err := open(t, spec).(store.Remarker).Remarks(t.Context())
	if err != nil || len(said) != 1 || !strings.Contains(said[0], "command:blnk has no compare-and-swap") {
		t.Errorf("%q, %v", said, err)
	}
}
