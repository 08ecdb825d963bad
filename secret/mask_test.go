package secret

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
	"testing"
)

const (
	ownKey   = "blnk_sk_JnWCOhPAXu2LFiuAUycDBXMM9ORD8HElkaJGIa2Qwwt1MxBPH"
	shortKey = "blnk_sk_x"
)

func TestMaskOwn(t *testing.T) {
	short := shortKey + Checksum(shortKey)
	for text, want := range map[string]string{
		"":                               "",
		"nothing here":                   "nothing here",
		ownKey:                           Redacted,
		"a" + ownKey:                     "a" + Redacted,
		"k=" + ownKey:                    "k=" + Redacted,
		ownKey + "s":                     Redacted + "s", // a letter may follow immediately
		ownKey + ownKey:                  Redacted + Redacted,
		ownKey + " and " + short + `","`: Redacted + " and " + Redacted + `","`,
		"blnkjson:" + ownKey + "#server": "blnkjson:" + Redacted + "#server",
		"https://h/?k=" + ownKey + "&x":  "https://h/?k=" + Redacted + "&x",
		Prefix:                           Prefix,
		Prefix + ownKey:                  Prefix + Redacted,
		ownKey[:len(ownKey)-1]:           Redacted, // cut
		"k=" + ownKey[:len(Prefix)+20]:   "k=" + Redacted,
		ownKey[:len(Prefix)+4] + " Ä":    ownKey[:len(Prefix)+4] + " Ä",
		Prefix + strings.Repeat("x", 43): Redacted, // mistyped
		strings.ToUpper(ownKey):          Redacted,
		"k=" + ownKey[len(Prefix):]:      "k=" + Redacted, // without its beginning
		ownKey[len(Prefix):] + "." + ownKey[len(Prefix):] + "-": Redacted + "." + Redacted + "-",
		ownKey[len(Prefix):] + "x":                              ownKey[len(Prefix):] + "x", // who knows what that is
		strings.Repeat("x", 49):                                 strings.Repeat("x", 49),
		"a blnk-SK-" + ownKey[8:] + "-":                         "a " + Redacted + "-",
	} {
		if got := MaskOwn(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{ownKey, "key=" + ownKey, "X-Blnk-Key: " + ownKey + "\r\n", "us:" + ownKey} {
		raw := []byte(text)
		for _, encoded := range []string{
			base64.StdEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw), hex.EncodeToString(raw),
			strings.ToUpper(hex.EncodeToString(raw)), url.QueryEscape(text),
		} {
			for _, before := range []string{"", "auth: Basic ", "/tmp/", "x/", "0"} {
				if got := MaskOwn(before + encoded + "."); !strings.Contains(got, Redacted) || len(got) > len(before)+len(Redacted)+30 {
					t.Errorf("%s%s: %q", before, encoded, got)
				}
			}
		}
	}
	for _, text := range []string{base64.StdEncoding.EncodeToString([]byte(Prefix + strings.Repeat("x ", 43))), hex.EncodeToString([]byte(Prefix + strings.Repeat("x ", 43)))} {
		if got := MaskOwn(text); got != text {
			t.Errorf("%s: %q", text, got)
		}
	}
	if got := MaskOwn(ownKey + strings.Repeat("z", 1<<20)); strings.Contains(got, ownKey) {
		t.Error("a long text hides a key")
	}
}
