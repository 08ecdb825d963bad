package doctor

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/secret"
)

// The key before, as an open rotation knows it, is searched for in git, too; and no
// rule fails where there is no repository.
func TestKeyOfAnOpenRotationInGit(t *testing.T) {
	needs.Git().For(t)
	dir := t.TempDir()
	key, err := keygen.Generate(keygen.Hex, 256)
	if err != nil {
		t.Fatal(err)
	}
	facts := func() *Facts {
		return &Facts{Sources: Sources{Dir: dir, Now: time.Now, Rotations: []Rotation{{ID: "rot_1", Keys: []secret.Key{key}}}}}
	}
	if found, err := tell(t, facts(), gitClean); !errors.Is(err, ErrNothing) || len(found) > 0 {
		t.Errorf("without a repository: %v, %v", found, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte(key.Reveal()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "-q", dir}, {"-C", dir, "add", "a"}} {
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("%s", out)
		}
	}
	found, err := tell(t, facts(), gitClean)
	if err != nil || len(found) != 1 || found[0].Text != "holds a key of the open rotation rot_1: tracked now" ||
		found[0].Place != filepath.Join(dir, "a")+"#"+key.Fingerprint() || !strings.HasPrefix(found[0].Remedy, "blnkctl rotate --compromised") {
		t.Errorf("%+v, %v", found, err)
	}
}
