package command_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/command"
)

// gh behaves as `gh secret set NAME --repo OWNER/REPO`: it takes the value from
// stdin, keeps it sealed, says so on stderr, and cannot show it.
const gh = `#!/bin/sh
[ "$1 $2 $4" = "secret set --repo" ] || { echo "unknown command" >&2; exit 1; }
[ -n "$GH_TOKEN" ] || { echo "To get started with GitHub CLI, please run:  gh auth login" >&2; exit 4; }
value=$(cat)
[ -n "$value" ] || { echo "no secret on stdin" >&2; exit 1; }
printf %s "$value" | cksum >"$(dirname "$0")/sealed.$3"
echo "✓ Set Actions secret $3 for $5" >&2
`

func ghCopy(t *testing.T, env ...string) (*command.Copy, string) {
	t.Helper()
	dir := t.TempDir()
	spec := command.Spec{
		Write: []string{script(t, dir, "gh", gh), "secret", "set", "BLNK_KEY", "--repo", "acme/ledger"},
		Env:   append(env, "PATH="+os.Getenv("PATH")),
	}
	return openCopy(t, "ci", spec), filepath.Join(dir, "sealed.BLNK_KEY")
}

func TestCopy(t *testing.T) {
	c, sealed := ghCopy(t, "GH_TOKEN=t")
	if err := c.Check(t.Context()); err != nil {
		t.Errorf("check: %v", err)
	}
	if _, err := os.Stat(sealed); !errors.Is(err, fs.ErrNotExist) {
		t.Error("Check had an effect")
	}
	var seals []string
	for _, key := range []string{newKey, oldKey, oldKey} {
		if err := c.Write(t.Context(), secret.New(key)); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(sealed)
		if err != nil {
			t.Fatal(err)
		}
		seals = append(seals, string(text))
	}
	if seals[0] == seals[1] || seals[1] != seals[2] {
		t.Errorf("what arrived: %q", seals)
	}
	if c.String() != "command:ci" {
		t.Errorf("it is called %s", c)
	}
}

func TestCopyFails(t *testing.T) {
	c, sealed := ghCopy(t)
	err := c.Write(t.Context(), secret.New(newKey))
	if want := "command:ci: write: run "; err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), "gh auth login") {
		t.Errorf("got %v, want %s… with what gh says", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Write(ctx, secret.New(newKey)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if err := c.Check(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("check: %v, want context.Canceled", err)
	}
	for _, key := range []string{"", "a b"} {
		if err := c.Write(t.Context(), secret.New(key)); !errors.Is(err, store.ErrNotSafe) {
			t.Errorf("write of %q: %v, want ErrNotSafe", key, err)
		}
	}
	if _, err := os.Stat(sealed); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something was written")
	}
}

// A write command that forgets its stdin would leave the old key behind
// unnoticed: nobody can read it back.
func TestCopyThatReadsNothing(t *testing.T) {
	c := openCopy(t, "ci", command.Spec{Write: []string{"echo", "ok"}})
	if err := c.Write(t.Context(), secret.New(newKey)); err == nil || !strings.Contains(err.Error(), "did not read the key") {
		t.Errorf("got %v", err)
	}
}

// What cannot be read may still say whether there is something; its failure is no answer.
func TestCopyHolds(t *testing.T) {
	for _, c := range []struct {
		exists       []string
		there, known bool
		says         string
	}{
		{nil, false, false, ""},
		{[]string{"sh", "-c", "exit 0"}, true, true, ""},
		{[]string{"sh", "-c", "exit 1"}, false, true, ""},
		{[]string{"sh", "-c", "echo not logged in >&2; exit 4"}, false, false, "command:ci: exists: sh: exit status 4: not logged in"},
	} {
		there, known, err := openCopy(t, "ci", command.Spec{Write: []string{"true"}, Exists: c.exists}).Holds(t.Context())
		if there != c.there || known != c.known || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), "not logged in") {
			t.Errorf("%q: %v, %v, %v", c.exists, there, known, err)
		}
	}
}
