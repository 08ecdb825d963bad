package restart_test

import (
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
