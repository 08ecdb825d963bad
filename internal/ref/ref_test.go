package ref

import (
	"errors"
	"testing"

	"github.com/blnkctl/blnkctl/internal/hint"
)

// What a place holds is written so that it is read as the same, and older
// references, which knew no escapes, keep their form.
func TestEscapes(t *testing.T) {
	for place, want := range map[string]string{
		"/a/C#/blnk.json":  "x:/a/C%23/blnk.json#f",
		"/a/what?/f":       "x:/a/what%3F/f#f",
		"/50%/a%20b/f":     "x:/50%/a%20b/f#f",
		"/a%23b":           "x:/a%2523b#f",
		"/a%3fb%3Fc":       "x:/a%253fb%253Fc#f",
		"/100%25/f":        "x:/100%2525/f#f",
		"%%23#?%2523%":     "x:%%2523%23%3F%252523%#f",
		"/größe %zz/f.env": "x:/größe %zz/f.env#f",
	} {
		r := Ref{Scheme: "x", Place: place, Field: "f"}
		back, err := Parse(r.String())
		if r.String() != want || err != nil || back.Place != place || back.Field != "f" {
			t.Errorf("%q: written %s, want %s; read back %q, %v", place, r, want, back.Place, err)
		}
		if old := "x:" + place + "#f"; Verbatim(r.String()) != old {
			t.Errorf("%q: verbatim %s, want %s", place, Verbatim(r.String()), old)
		}
	}
}

func FuzzEscapes(f *testing.F) {
	for _, place := range []string{"/a/C#?", "%23", "%2523", "%%253F%3f", "%2%35"} {
		f.Add(place)
	}
	f.Fuzz(func(t *testing.T, place string) {
		r := Ref{Scheme: "x", Place: place}
		if back, err := Parse(r.String()); err != nil || back.Place != place || back.Field != "" || back.Options != nil {
			t.Errorf("%q written %q is read as %+v, %v", place, r, back, err)
		}
	})
}

func TestMeant(t *testing.T) {
	stores := []string{"blnkjson", "command", "dotenv", "vault"}
	restarts := []string{"command", "compose", "docker", "manual", "sh", "systemd", "wait"}
	for _, tt := range []struct {
		known      []string
		text, want string
	}{
		{stores, "blnk.json", "blnkjson:./blnk.json"},
		{stores, "./blnk.json", "blnkjson:./blnk.json"},
		{stores, "/etc/blnk/blnk.json", "blnkjson:/etc/blnk/blnk.json"},
		{stores, "my folder/blnk.json", "'blnkjson:./my folder/blnk.json'"},
		{stores, ".env", "dotenv:./.env"},
		{stores, ".env.production", "dotenv:./.env.production"},
		{stores, "blnk.env", "dotenv:./blnk.env"},
		{stores, "blnkjson=./blnk.json", "blnkjson:./blnk.json"},
		{stores, "BlnkJSON:./blnk.json", "blnkjson:./blnk.json"},
		{stores, "blnkjsn:./blnk.json", "blnkjson:./blnk.json"},
		{stores, "blnk:./blnk.json", "blnkjson:./blnk.json"},
		{stores, "json:blnk.json#server.secret_key", "'blnkjson:./blnk.json#server.secret_key'"},
		{stores, "blnkjson", "blnkjson:./blnk.json"},
		{stores, "blnkjson:", "blnkjson:./blnk.json"},
		{stores, "file:./blnk.json", "blnkjson:./blnk.json"},
		{stores, "file:///etc/blnk.json", "blnkjson:/etc/blnk.json"},
		{stores, "file:.env", "dotenv:./.env"},
		{stores, "env:.env", "dotenv:./.env"},
		{stores, "dot-env:.env", "dotenv:./.env"},
		{stores, "vault:/secret/blnk", "vault:secret/blnk"},
		{stores, "vault://secret/blnk", "vault:secret/blnk"},
		{stores, "vault:secret//blnk/", "vault:secret/blnk"},
		{stores, "Vault:secret/blnk", "vault:secret/blnk"},
		{stores, "vualt:secret/blnk?token=hvs.x", "'vault:secret/blnk?token=…'"},
		{stores, "secret/blnk", "vault:secret/blnk"},
		{stores, "vault:secret/blnk", ""},
		{stores, "nothing:at-all", ""},
		{stores, "gopass:blnk", ""},
		{restarts, "blnk.service", "systemd:blnk.service"},
		{restarts, "systemctl:blnk", "systemd:blnk"},
		{restarts, "Systemd:blnk", "systemd:blnk"},
		{restarts, "systemd=blnk", "systemd:blnk"},
		{restarts, "server", "docker:server or systemd:server"},
		{restarts, "server,worker", "docker:server,worker or systemd:server,worker"},
		{restarts, "container:server", "docker:server"},
		{restarts, "dokcer:server", "docker:server"},
		{restarts, "docker", "docker:server"},
		{restarts, "compose", "compose:"},
		{restarts, "docker-compose:", "compose:"},
		{restarts, "docker-compose.yaml", "compose:./docker-compose.yaml"},
		{restarts, "./restart.sh", "sh:./restart.sh"},
		{restarts, "systemctl restart blnk", "'sh:systemctl restart blnk'"},
		{restarts, "shell:./x", "sh:./x"},
		{restarts, "manul:", "manual:"},
		{restarts, "blnk_sk_q7ZkP2mXw9RtB4nVs6YcJ8hLd3FgA5eTuKxN1oEiCzM", ""},
	} {
		want := tt.want
		if want != "" {
			want = "did you mean " + want
		}
		if got := hint.Of(Meant(errors.New("no"), tt.text, tt.known)); got != want {
			t.Errorf("%s: %q, want %q", tt.text, got, want)
		}
	}
}
