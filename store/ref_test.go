package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/store"
)

// leaked is a token as Vault makes them, put where it does not belong.
const leaked = "hvs.4NrgTq8ZsYb2"

// An error about a reference names its options but shows no value: somebody
// could have put a secret there.
func TestErrorsHideOptions(t *testing.T) {
	schemes := store.Schemes{"plain": func(ref store.Ref, _ store.Options) (store.Store, error) {
		if err := ref.NoOptions(); err != nil {
			return nil, err
		}
		return nil, errors.New("opened")
	}}
	for ref, want := range map[string]string{
		"plain:a?token=" + leaked:                   `reference "plain:a?token=…": unknown option "token"`,
		"plain:a?z=1&secret_id=" + leaked:           `reference "plain:a?secret_id=…&z=…": unknown option "secret_id"`,
		"plan:a#b?token=" + leaked:                  `reference "plan:a#b?token=…": unknown scheme "plan" (known: plain)`,
		"plain?token=" + leaked:                     `reference "plain?token=…": want SCHEME:PLACE`,
		"plain:a#?token=" + leaked:                  `reference "plain:a#?token=…": nothing behind '#'`,
		"plain:a?token=%zz" + leaked:                `reference "plain:a?token=…": options: want NAME=VALUE&…, each VALUE percent-encoded`,
		"plain:a?token=" + leaked + ";x":            `reference "plain:a?token=…": options: want NAME=VALUE&…, each VALUE percent-encoded`,
		"plain:a?" + leaked:                         `reference "plain:a?…": options: want NAME=VALUE&…`,
		"plain:a?token=x&" + leaked:                 `reference "plain:a?token=…&…": options: want NAME=VALUE&…`,
		"plain:a?" + leaked + "==":                  `reference "plain:a?…": options: want NAME=VALUE&…`,
		"plain:a?%68vs" + leaked + "=1":             `reference "plain:a?…": options: want NAME=VALUE&…`,
		"plain:a?token=x?token=" + leaked + "#frag": `reference "plain:a?token=…": unknown option "token"`,
	} {
		_, err := schemes.Open(ref, store.Options{})
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), leaked) {
			t.Errorf("%s: error %v; want %s", ref, err, want)
		}
	}
}

// What is refused for its options alone is not refused without them.
func TestNoOptions(t *testing.T) {
	ref, err := ref.Parse("plain:a#b")
	if err != nil || ref.NoOptions() != nil || ref.Redacted() != "plain:a#b" {
		t.Errorf("%v, %v, %q", err, ref.NoOptions(), ref.Redacted())
	}
}
