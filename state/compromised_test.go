package state_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
)

// TestCompromised: strong and weak keys are known again, also in another process,
// and nothing on the disk says what a weak one is.
func TestCompromised(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	list := func() state.Compromised {
		dir, err := state.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		return dir.Compromised()
	}
	strong, weak := secret.New("JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt"), secret.New("changeme")
	if has, err := list().Has(strong); has || err != nil {
		t.Errorf("nothing was added: %v, %v", has, err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("looking made the folder")
	}
	for range 2 {
		if err := list().Add(secret.Key{}, strong, weak); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]bool{strong.Reveal(): true, weak.Reveal(): true, strong.Reveal() + "x": false, "changemE": false, "": false} {
		if has, err := list().Has(secret.New(text)); has != want || err != nil {
			t.Errorf("%q: %v, %v", text, has, err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(path, "compromised"))
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	for _, e := range entries {
		if e.Name() != strings.ReplaceAll(strong.Fingerprint(), ":", "-") && !strings.HasPrefix(e.Name(), "pbkdf2-") {
			t.Error(e.Name())
		}
	}
}
