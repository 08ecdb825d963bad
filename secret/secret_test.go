package secret_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"text/template"

	"github.com/blnkctl/blnkctl/secret"
)

const plain = `Zr8"kQw<2&mT5$xVb7nHc+Lp9/Js4=`

// leaks says whether any shape of the key, or a good part of one, is in text.
func leaks(text string) bool {
	shapes := secret.New(plain).Encodings()
	shapes = append(shapes, plain[:8], plain[8:16], plain[16:24], strings.ToUpper(fmt.Sprintf("%x", plain)),
		fmt.Sprint([]byte(plain)), strings.Trim(fmt.Sprintf("%#v", []byte(plain)), "[]byte{}"))
	for _, shape := range shapes {
		if strings.Contains(text, shape) {
			return true
		}
	}
	return false
}

type exported struct{ Key secret.Key }

type unexported struct {
	name string
	key  secret.Key
	ptr  *secret.Key
	list []secret.Key
	any  any
}

type keyError struct{ key secret.Key }

func (e keyError) Error() string { return fmt.Sprintf("refused %v", e.key) }

// holders are all the ways in which a key can hang on a value that is printed.
func holders() map[string]any {
	k := secret.New(plain)
	hidden := unexported{"n", k, &k, []secret.Key{k}, k}
	return map[string]any{
		"key":                 k,
		"pointer":             &k,
		"slice":               []secret.Key{k},
		"array":               [1]secret.Key{k},
		"map":                 map[string]secret.Key{"k": k},
		"exported field":      exported{k},
		"exported pointer":    &exported{k},
		"unexported field":    hidden,
		"unexported pointer":  &hidden,
		"slice of unexported": []unexported{hidden},
		"map of unexported":   map[string]unexported{"a": hidden},
		"interface":           []any{k, &k, hidden},
		"error":               keyError{k},
		"wrapped error":       fmt.Errorf("put %v: %w", k, keyError{k}),
		"joined errors":       errors.Join(keyError{k}, fmt.Errorf("%+v", hidden)),
	}
}

func TestNoVerbPrintsTheKey(t *testing.T) {
	for name, value := range holders() {
		// Every verb there is, and letters that are none.
		for verb := 'A'; verb <= 'z'; verb++ {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "40", ".3", "+#", "[1]", "[9]", "*"} {
				format := "%" + flags + string(verb)
				if got := fmt.Sprintf(format, value); leaks(got) {
					t.Errorf("%s: Sprintf(%q) = %s", name, format, got)
				}
			}
		}
		noVerb, wrap := "no verb", "%w" // not constant: vet would object
		for _, got := range []string{
			fmt.Sprint(value), fmt.Sprintln(value), fmt.Errorf(wrap, value).Error(),
			fmt.Sprintf(noVerb, value), //nolint:staticcheck // SA5009 is right, and so is the test: programs have such bugs
		} {
			if leaks(got) {
				t.Errorf("%s: %s", name, got)
			}
		}
	}
}

func TestKeyShowsRedacted(t *testing.T) {
	k := secret.New(plain)
	for _, format := range []string{"%v", "%s", "%q", "%+v", "%#v", "%d", "%x"} {
		if got := fmt.Sprintf(format, k); got != secret.Redacted {
			t.Errorf("Sprintf(%q) = %s, want %s", format, got, secret.Redacted)
		}
	}
	if got := fmt.Sprintf("%+v", exported{k}); got != "{Key:[redacted]}" {
		t.Errorf("in an exported field: %s", got)
	}
}

func TestLogsAndEncodersRedact(t *testing.T) {
	for name, value := range holders() {
		var buf bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&buf, nil), slog.NewJSONHandler(&buf, nil)} {
			log := slog.New(handler)
			log.Info("put", "value", value, slog.Group("g", "value", value))
			log.With("value", value).Error("failed")
		}
		if data, err := json.Marshal(value); err == nil {
			buf.Write(data)
		}
		if data, err := xml.Marshal(value); err == nil {
			buf.Write(data)
		}
		tmpl := template.Must(template.New("t").Parse("{{.}} {{printf `%s %v` . .}}"))
		if err := tmpl.Execute(&buf, value); err != nil {
			buf.WriteString(err.Error())
		}
		if leaks(buf.String()) {
			t.Errorf("%s: %s", name, buf.String())
		}
	}
}

func TestJSONIsRedacted(t *testing.T) {
	got, err := json.Marshal(map[string]any{"a": exported{secret.New(plain)}})
	if want := `{"a":{"Key":"[redacted]"}}`; err != nil || string(got) != want {
		t.Errorf("Marshal = %s, %v; want %s", got, err, want)
	}
	// What was marshalled never comes back as a key that reads "[redacted]".
	var back exported
	if err := json.Unmarshal([]byte(`{"Key":"[redacted]"}`), &back); err == nil {
		t.Errorf("Unmarshal made a key of %q", back.Key.Reveal())
	}
}

func TestPanicRedacts(t *testing.T) {
	defer func() {
		if got := fmt.Sprint(recover()); leaks(got) {
			t.Error(got)
		}
	}()
	panic(unexported{key: secret.New(plain)})
}

func TestZeroAndEqual(t *testing.T) {
	var zero secret.Key
	if !zero.IsZero() || !secret.New("").IsZero() || secret.New(" ").IsZero() {
		t.Error("IsZero is not: no characters at all")
	}
	if zero.Reveal() != "" || zero.Fingerprint() != "" || zero.Bits() != 0 || zero.Encodings() != nil {
		t.Error("the zero key has something in it")
	}
	if !zero.Equal(secret.New("")) || zero.Equal(secret.New("a")) {
		t.Error("Equal of the zero key")
	}
	a, b := secret.New("abc"), secret.New("abc")
	if !a.Equal(b) || a.Equal(secret.New("abd")) || a.Equal(secret.New("ab")) {
		t.Error("Equal does not compare the values")
	}
	if !reflect.DeepEqual(a, b) || reflect.DeepEqual(a, secret.New("abd")) {
		t.Error("DeepEqual does not compare the values")
	}
	if reflect.TypeFor[secret.Key]().Comparable() {
		t.Error("keys can be compared with ==, which would compare addresses")
	}
}

func TestNothingIsTrimmed(t *testing.T) {
	if got := secret.New(" a\n").Reveal(); got != " a\n" {
		t.Errorf("Reveal = %q", got)
	}
}

func TestFingerprint(t *testing.T) {
	// printf %s 9f86d081884c7d659a2feaa0c55ad015 | sha256sum
	if got, want := secret.New("9f86d081884c7d659a2feaa0c55ad015").Fingerprint(), "sha256:672124622314"; got != want {
		t.Errorf("Fingerprint = %q, want %q", got, want)
	}
	if got := secret.New("your_strong_secret_key").Fingerprint(); got != "" {
		t.Errorf("a weak key has the fingerprint %q", got)
	}
}
