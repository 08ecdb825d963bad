package status

import (
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/proof"
)

// A server that says nothing of the key is a note to due. One that lets any key in, or
// refuses this one, hides the answer, also where a part of what stands behind its address
// is silent.
func TestDueOfServers(t *testing.T) {
	now, on, off := time.Now(), true, false
	for name, c := range map[string]struct {
		server Server
		want   string
	}{
		"silent":                         {Server{URL: "u", Key: proof.Unknown, Error: "ask u: connection refused"}, NotDue},
		"live":                           {Server{URL: "u", Key: proof.Live, Secure: &on}, NotDue},
		"live, and silent":               {Server{URL: "u", Key: proof.Live, Secure: &on, Error: "ask u: connection refused"}, NotDue},
		"open":                           {Server{URL: "u", Key: proof.Unknown, Secure: &off}, Unknown},
		"open in a part, else silent":    {Server{URL: "u", Key: proof.Unknown, Secure: &off, Error: "ask u: connection refused"}, Unknown},
		"refuses it, and is silent then": {Server{URL: "u", Key: proof.Rejected, Secure: &on, Error: "ask u: connection refused"}, Unknown},
	} {
		s := Standing{now: now, Servers: []Server{c.server}, Key: Key{MaxAge: 86400, Since: now.Add(-time.Hour), NextDue: now.Add(23 * time.Hour)}}
		if text := c.server.wrong(); text != "" {
			s.problem("server", text, "")
		}
		if a := s.answer(0); a.Result != c.want || a.Result == NotDue && (len(a.Notes) > 0) != (c.server.Error != "") {
			t.Errorf("%s: %+v, want %s", name, a, c.want)
		}
	}
}
