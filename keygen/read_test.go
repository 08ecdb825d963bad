package keygen

import (
	"errors"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	for text, want := range map[string]string{
		"key": "key", "key\n": "key", "key\r\n": "key", "k:$#\"'": "k:$#\"'",
		"": "", "\n": "", "\r\n": "", "key\n\n": "", "\nkey": "", " key": "", "key ": "", "a b": "",
		"a\tb": "", "a\x00b": "", "a\u00a0b": "", "a\u2028b": "", "key\r": "key",
		"\ufeffkey": "", "key\u200b": "", "k\u00ady": "", "\u202ekey": "", `"key"`: "", "'key'": "", "`key`": "", "“key”": "",
		"BLNK_SERVER_SECRET_KEY=key": "", "x-blnk-key:key": "", `"secret_key":"key",`: "", "ke***": "", "ke…": "",
		`"key`: `"key`, "key'": "key'", "a=b:c": "a=b:c", "=key": "=key", "KEY=": "KEY=", "k**y": "k**y", "kéy": "kéy",
	} {
		key, err := Read(strings.NewReader(text))
		if errors.Is(err, ErrNoKey) != (want == "") || key.Reveal() != want {
			t.Errorf("%q: %q, %v; want %q", text, key.Reveal(), err, want)
		}
		if err != nil && strings.TrimSpace(text) != "" && strings.Contains(err.Error(), strings.TrimSpace(text)) {
			t.Errorf("the error shows the text: %v", err)
		}
	}
	if _, err := Read(strings.NewReader(strings.Repeat("x", 1<<17))); err == nil || errors.Is(err, ErrNoKey) {
		t.Errorf("too long: %v", err)
	}
}
