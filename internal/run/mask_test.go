package run_test

import (
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/secret"
)

func TestMask(t *testing.T) {
	const r = secret.Redacted
	for _, c := range []struct {
		name, text, want string
		keys             []string
	}{
		{"nothing to mask", "a text", "a text", nil},
		{"no key", "a text", "a text", []string{""}},
		{"once", "key=hunter2hunter2!", "key=" + r + "!", []string{"hunter2hunter2"}},
		{"at both ends", "hunter2 and hunter2", r + " and " + r, []string{"hunter2"}},
		{"touching", "hunter2hunter2", r, []string{"hunter2"}},
		{"overlapping itself", "abcabcabc.", r + ".", []string{"abcabc"}},
		{"one inside another", "old-secret-2", r, []string{"old-secret", "old-secret-2"}},
		{"two that overlap", "aaaabbbbcccc", r, []string{"aaaabbbb", "bbbbcccc"}},
		{"half a key is no key", "hunter and unter2", "hunter and unter2", []string{"hunter2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var keys []secret.Key
			for _, k := range c.keys {
				keys = append(keys, secret.New(k))
			}
			if got := run.Mask(c.text, keys...); got != c.want {
				t.Errorf("Mask(%q) = %q, want %q", c.text, got, c.want)
			}
		})
	}
}

func FuzzMask(f *testing.F) {
	f.Add("some text", "a-key-of-mine", 3)
	f.Add("aaaaaaaa", "aaaa", 2)
	f.Fuzz(func(t *testing.T, text, key string, at int) {
		k := secret.New(key)
		// What the replacement itself spells is no leak.
		if len(key) < 4 || strings.Contains(secret.Redacted, key) {
			t.Skip()
		}
		if at < 0 || at > len(text) {
			at = len(text)
		}
		masked := run.Mask(text[:at]+key+text[at:], k)
		for rest := range strings.SplitSeq(masked, secret.Redacted) {
			for _, shape := range k.Encodings() {
				if strings.Contains(rest, shape) {
					t.Fatalf("%q is left in %q", shape, masked)
				}
			}
		}
		if !strings.Contains(masked, secret.Redacted) {
			t.Fatalf("nothing masked in %q", masked)
		}
	})
}
