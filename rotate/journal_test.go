package rotate

import (
	"slices"
	"testing"
)

// A journal of a time before references had escapes names the same places.
func TestJournalWithoutEscapes(t *testing.T) {
	const text = `{"version": 2, "id": "rot_x", "event": "rotate", "direction": "forward", "row": "set", "live": "a", "new": "b",
		"target": {"stores": ["blnkjson:/100%25/blnk.json#f", "vault:m/p#f?address=http:/%23"], "restart": ["compose:/a%23b/c.yaml#server", "sh:echo %23"]},
		"old": {"blnkjson:/100%25/blnk.json#f": "a", "vault:m/p#f?address=http:/%23": "a"}}`
	rec, err := parseRecord([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	stores := []string{"blnkjson:/100%2525/blnk.json#f", "vault:m/p#f?address=http:/%23"}
	restarts := []string{"compose:/a%2523b/c.yaml#server", "sh:echo %23"}
	if !slices.Equal(rec.Target.Stores, stores) || !slices.Equal(rec.Target.Restart, restarts) || rec.Version != journalVersion {
		t.Errorf("stores %q, restart %q, version %d", rec.Target.Stores, rec.Target.Restart, rec.Version)
	}
	for _, s := range stores {
		if rec.old(s).Reveal() != "a" {
			t.Errorf("the old key of %s is lost", s)
		}
	}
}
