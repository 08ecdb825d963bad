package restart_test

import (
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/restart"
)

func TestFind(t *testing.T) {
	schemes := restart.Schemes{"sh": {WorkersProved: true}, "wait": {}}
	if s, place, err := schemes.Find("sh:a:b #c?d "); err != nil || !s.WorkersProved || place != "a:b #c?d " {
		t.Errorf("%+v, %q, %v", s, place, err)
	}
	for ref, want := range map[string]string{
		"systemctl restart blnk": `restart reference "systemctl restart blnk": want SCHEME:PLACE`,
		"cron:x":                 `restart reference "cron:x": unknown scheme "cron" (known: sh, wait)`,
	} {
		if _, _, err := schemes.Find(ref); err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", ref, err, want)
		}
	}
}

// Who reads the same blnk.json is restarted together; of workers of nobody knows whom, no
// more is said than that they run.
func TestOffers(t *testing.T) {
	for name, c := range map[string]struct{ all, want string }{ // names that begin with s are servers
		"nothing":                {"", ""},
		"no Blnk":                {"postgres", ""},
		"one server":             {"s", "s"},
		"its workers, as it may": {"w:/b s", "s,w"},
		"workers alone":          {"w w2", "w,w2"},
		"two of each":            {"w:/a s:/a s2:/b w2:/b", "s,w s2,w2"},
		"two servers, unknown":   {"s s2 w", "s s2"},
		"two, one known":         {"s:/a s2 w:/a", "s,w s2"},
		"replicas":               {"s:/a s2:/a w:/a", "s,s2,w"},
	} {
		var g restart.Group
		for word := range strings.FieldsSeq(c.all) {
			name, config, _ := strings.Cut(word, ":")
			g.Add(restart.Role{Server: name[0] == 's', Workers: name[0] == 'w'}, name, config)
		}
		got := strings.Join(g.Offers(func(names ...string) string { return strings.Join(names, ",") }), " ")
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
