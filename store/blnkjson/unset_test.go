package blnkjson

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// openField is a store of a field of a file with a text.
func openField(t *testing.T, path, field string) *Store {
	t.Helper()
	s, err := New(store.Ref{Scheme: Scheme, Place: path, Field: field}, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What was added is taken out again, so that every byte is as it was: one value, and
// several that were added one behind the other.
func TestErase(t *testing.T) {
	texts := []string{
		"{\n  \"server\": {\n    \"port\": \"5001\",\n    \"secure\": false\n  }\n}\n",
		"{\n  \"server\": {\n    \"secure\": null\n  }\n}\n",
		"{\n  \"server\": {\n    \"secret_key\": \"\",\n    \"port\": \"5001\"\n  }\n}\n",
	}
	for _, tt := range setTests {
		if tt.path == "" {
			texts = append(texts, tt.text)
		}
	}
	for _, text := range texts {
		path := filepath.Join(t.TempDir(), "blnk.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		fields := []struct{ name, next string }{
			{"server.secret_key", newKey}, {"server.secure", "true"}, {"server.metrics_bearer_token", newKey},
		}
		var absent []string
		var old []secret.Key
		for _, f := range fields {
			s := openField(t, path, f.name)
			key, _, _ := s.Get(t.Context())
			absence, err := s.Absence(t.Context())
			if err != nil || (absence == "") == key.IsZero() {
				t.Fatalf("%q: %s is absent as %q, %v", text, f.name, absence, err)
			}
			absent, old = append(absent, absence), append(old, key)
		}
		for i, f := range fields {
			s := openField(t, path, f.name)
			if _, err := s.Put(t.Context(), secret.New(f.next), store.VersionOf(old[i])); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
		for i := range fields {
			i = len(fields) - 1 - i
			s := openField(t, path, fields[i].name)
			_, at, err := s.Get(t.Context())
			if err == nil && old[i].IsZero() {
				err = s.Erase(t.Context(), at, absent[i])
			} else if err == nil {
				_, err = s.Put(t.Context(), old[i], at)
			}
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// Somebody's edit behind what was added stays.
func TestEraseBesideAnEdit(t *testing.T) {
	for text, want := range map[string]string{
		`{"server":{"secret_key":"k","port":"1"}}`:         `{"server":{"port":"1"}}`,
		`{"server":{"a":1,"secret_key":"k","port":"1"}}`:   `{"server":{"a":1,"port":"1"}}`,
		`{"a":1,"server":{"secret_key":"k"},"more":true}`:  `{"a":1,"more":true}`,
		`{"a":1,"server":{"secret_key":"k","b":2},"c": 3}`: `{"a":1,"server":{"b":2},"c": 3}`,
	} {
		path := filepath.Join(t.TempDir(), "blnk.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := openField(t, path, "")
		if err := s.Erase(t.Context(), store.VersionOf(secret.New("other")), `1 objects""`); err == nil {
			t.Errorf("%q: erased another value", text)
		}
		err := s.Erase(t.Context(), store.VersionOf(secret.New("k")), `1 objects""`)
		if got, _ := os.ReadFile(path); string(got) != want || err != nil {
			t.Errorf("%q became %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestTruth(t *testing.T) {
	for text, want := range map[string]string{
		`{"server":{"secure":false}}`:  `{"server":{"secure":true}}`,
		`{"server":{"SECURE": false}}`: `{"server":{"SECURE": true}}`,
		`{"server":{"port":"1"}}`:      `{"server":{"port":"1","secure":true}}`,
		`{"server":{"secure": null}}`:  `{"server":{"secure": true}}`, `{"server":{"secure":"false"}}`: "", `{"server":{"secure":0}}`: "",
		`{"server":{"secure":false,"Secure":false}}`: "",
	} {
		path := filepath.Join(t.TempDir(), "blnk.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := openField(t, path, "server.secure")
		key, at, _ := s.Get(t.Context())
		checked := s.CheckPut(t.Context())
		_, err := s.Put(t.Context(), secret.New("true"), at)
		if (checked == nil) != (err == nil) {
			t.Errorf("%q: checked %v, put %v", text, checked, err)
		}
		if want == "" && err == nil || want != "" && err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if got, _ := os.ReadFile(path); want != "" && string(got) != want {
			t.Errorf("%q became %q", text, got)
		}
		if _, err := s.Put(t.Context(), secret.New("yes"), store.VersionOf(key)); err == nil {
			t.Errorf("%q: yes was taken", text)
		}
	}
}
