package blnkjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store/filestore"
)

// A config is what Blnk declares (config/config.go), as far as it matters
// here: the oracle of what a server would read.
type config struct {
	Server struct {
		SecretKey string `json:"secret_key"`
	} `json:"server"`
}

// asBlnk reads a text as Blnk does.
func asBlnk(text []byte) (string, error) {
	var c config
	err := json.NewDecoder(bytes.NewReader(text)).Decode(&c)
	return c.Server.SecretKey, err
}

// rest decodes all of a text but the value at path. Of the objects that lead
// to it, those that hold nothing else are taken out too: they may be new.
func rest(t *testing.T, text []byte, path []string) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var all any
	if err := dec.Decode(&all); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return without(all, path)
}

func without(value any, path []string) any {
	object, ok := value.(map[string]any)
	if !ok {
		return value
	}
	for name := range object {
		switch {
		case !strings.EqualFold(name, path[0]):
		case len(path) == 1:
			delete(object, name)
		default:
			object[name] = without(object[name], path[1:])
			if m, ok := object[name].(map[string]any); ok && len(m) == 0 {
				delete(object, name)
			}
		}
	}
	return object
}

// checkEdit asserts that next is text with the key in it and nothing else
// changed: the bytes of text, but for one part, which is the old value or
// nothing.
func checkEdit(t *testing.T, doc *document, text, next []byte, key string) {
	t.Helper()
	from := 0
	for from < len(text) && from < len(next) && text[from] == next[from] {
		from++
	}
	behind := 0
	for behind < len(text)-from && behind < len(next)-from && text[len(text)-1-behind] == next[len(next)-1-behind] {
		behind++
	}
	if gone := text[from : len(text)-behind]; len(gone) > 0 && (from < doc.value.from || len(text)-behind > doc.value.to) {
		t.Errorf("%q became %q: %q is gone", text, next, gone)
	}
	back, err := editor{path: doc.path}.parse(next)
	if err != nil || back.key.Reveal() != key {
		t.Errorf("%q became %q: key not read back: %v", text, next, err)
	}
	if want, got := rest(t, text, doc.path), rest(t, next, doc.path); !reflect.DeepEqual(want, got) {
		t.Errorf("%q became %q: other values changed", text, next)
	}
	if eol := bytes.Count(text, []byte("\n")); eol > 0 && eol == bytes.Count(text, []byte("\r\n")) && bytes.Count(next, []byte("\n")) != bytes.Count(next, []byte("\r\n")) {
		t.Errorf("%q became %q: line ends are mixed", text, next)
	}
	if !bytes.ContainsAny(text, "\r\n") && len(doc.objects[0].members) > 0 && bytes.ContainsAny(next, "\r\n") {
		t.Errorf("%q became %q: no longer on one line", text, next)
	}
}

func FuzzSet(f *testing.F) {
	for _, tt := range setTests {
		f.Add([]byte(tt.text), tt.path, newKey)
	}
	for _, tt := range refusedTests {
		f.Add([]byte(tt.text), "", newKey)
	}
	for _, text := range []string{
		`{"server":{"secret_key":"\ud800","a":"\udc00\ud800"}}`,
		"{\"server\":{\"secret_key\":\"\xff\xfe\"},\"\xff\":\"\xc3\"}",
		`{"\u0000":1,"server":{"":{"":""},"secret_key":""}}`,
		`{"server":{"secret_key":"\\\"}{][,:"},"x":"\\\\\""}`,
		`{"a":[[[{"server":[{}]}]]],"server":{"b":-1.5E+10,"c":true,"d":null}}`,
		"\t{\r\"server\"\r:\r{\r\"a\"\r:\r1\r}\r}\r",
		"{\"server\" :\n{\n\n\"port\"\n:\n\"5001\"\n\n\n,\"ssl\"\t:\tfalse\n\n}\n}",
	} {
		f.Add([]byte(text), "", `k"e\y<>&`+"\u2028é")
	}
	f.Add([]byte(`{"@this":{"#":"1"},":0":{"!":"2"}}`), `@this.#`, "k")
	f.Add([]byte("{\"\ufffd\":\"1\"}"), "\ufffd", "k")

	f.Fuzz(func(t *testing.T, text []byte, field, key string) {
		path, err := splitField(field)
		if field == "" {
			path, err = defaultPath, nil
		}
		if err != nil || key == "" || !utf8.ValidString(key) {
			return
		}
		doc, err := editor{path: path}.parse(text)
		if err != nil {
			var bad *filestore.LineError
			if !errors.As(err, &bad) || bad.Line < 1 || bad.Line > 1+bytes.Count(text, []byte("\n")) {
				t.Errorf("%q: refused without a line: %v", text, err)
			}
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%q: taken, but not valid", text)
		}
		if field == "" {
			if want, err := asBlnk(text); err == nil && want != doc.key.Reveal() {
				t.Errorf("%q: key %q, Blnk reads %q", text, doc.key.Reveal(), want)
			}
		}
		next, err := doc.set(secret.New(key))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		checkEdit(t, doc, text, next, key)
		if field == "" {
			if got, err := asBlnk(next); err != nil || got != key {
				t.Errorf("%q became %q: Blnk reads %q, %v", text, next, got, err)
			}
		}
	})
}
