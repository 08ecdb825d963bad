package blnk

import (
	"errors"
	"strings"
	"testing"
)

const twin = "BLNK_SERVER_BLNK_SERVER_SECRET_KEY"

func TestResolve(t *testing.T) {
	type env = map[string]string
	tests := []struct {
		name   string
		file   string // "-": none
		env    env
		of     Name
		want   string
		source string
	}{
		{"the file", `{"server":{"secret_key":"k"}}`, nil, SecretKey, "k", "blnk.json"},
		{"no file", `-`, nil, SecretKey, "", "default"},
		{"nothing in the file", `{}`, nil, SecretKey, "", "default"},
		{"null as a whole", `null`, nil, SecretKey, "", "default"},
		{"empty in the file", `{"server":{"secret_key":""}}`, nil, SecretKey, "", "blnk.json"},
		{"not trimmed", `{"server":{"secret_key":" k\n"}}`, nil, SecretKey, " k\n", "blnk.json"},
		{"escapes", `{"server":{"secret_key":"\u006b\/"}}`, nil, SecretKey, "k/", "blnk.json"},
		{"letter case", `{"SERVER":{"Secret_Key":"k"}}`, nil, SecretKey, "k", "blnk.json"},
		{"letters that fold", `{"ſerver":{"ſecret_Key":"k"}}`, nil, SecretKey, "k", "blnk.json"},
		{"twice, the last wins", `{"server":{"secret_key":"a","SECRET_KEY":"b"}}`, nil, SecretKey, "b", "blnk.json"},
		{"twice, an empty one last", `{"server":{"secret_key":"a","secret_key":""}}`, nil, SecretKey, "", "blnk.json"},
		{"a null does not count", `{"server":{"secret_key":"a","secret_key":null}}`, nil, SecretKey, "a", "blnk.json"},
		{"only a null", `{"server":{"secret_key":null}}`, nil, SecretKey, "", "default"},
		{"two objects of a name are one", `{"server":{"secret_key":"a"},"server":{"port":"1"}}`, nil, SecretKey, "a", "blnk.json"},
		{"what follows is not read", `{"server":{"secret_key":"a"}} {"server":{"secret_key":"b"}} x`, nil, SecretKey, "a", "blnk.json"},
		{"another level", `{"secret_key":"a"}`, nil, SecretKey, "", "default"},

		{"variable", `{"server":{"secret_key":"a"}}`, env{"BLNK_SERVER_SECRET_KEY": "b"}, SecretKey, "b", "BLNK_SERVER_SECRET_KEY"},
		{"the same value is shadowed too", `{"server":{"secret_key":"a"}}`, env{"BLNK_SERVER_SECRET_KEY": "a"}, SecretKey, "a", "BLNK_SERVER_SECRET_KEY"},
		{"set but empty wipes", `{"server":{"secret_key":"a"}}`, env{"BLNK_SERVER_SECRET_KEY": ""}, SecretKey, "", "BLNK_SERVER_SECRET_KEY"},
		{"the doubled name wins", `{"server":{"secret_key":"a"}}`, env{"BLNK_SERVER_SECRET_KEY": "b", twin: "c"}, SecretKey, "c", twin},
		{"the doubled name alone", `-`, env{twin: "c"}, SecretKey, "c", twin},
		{"the doubled name wipes", `{"server":{"secret_key":"a"}}`, env{"BLNK_SERVER_SECRET_KEY": "b", twin: ""}, SecretKey, "", twin},
		{"a variable is not trimmed", `-`, env{"BLNK_SERVER_SECRET_KEY": " b "}, SecretKey, " b ", "BLNK_SERVER_SECRET_KEY"},
		{"names of variables have one letter case", `-`, env{"blnk_server_secret_key": "b"}, SecretKey, "", "default"},

		{"secure", `{"server":{"secure":true}}`, nil, Secure, "true", "blnk.json"},
		{"secure is off by default", `{}`, nil, Secure, "false", "default"},
		{"secure is off in the file", `{"server":{"secure":false}}`, nil, Secure, "false", "blnk.json"},
		{"secure by variable", `-`, env{"BLNK_SERVER_SECURE": "1"}, Secure, "1", "BLNK_SERVER_SECURE"},
		{"the doubled name turns authentication off", `{"server":{"secure":true}}`, env{"BLNK_SERVER_BLNK_SERVER_SECURE": "false"}, Secure, "false", "BLNK_SERVER_BLNK_SERVER_SECURE"},

		{"port", `{"server":{"port":"5010"}}`, nil, Port, "5010", "blnk.json"},
		{"port by default", `{}`, nil, Port, "5001", "default"},
		{"an empty port is the default", `{"server":{"port":""}}`, nil, Port, "5001", "default"},
		{"an empty variable brings the default back", `{"server":{"port":"5010"}}`, env{"BLNK_SERVER_PORT": ""}, Port, "5001", "default"},
		{"port is trimmed", `{"server":{"port":" 5010 "}}`, nil, Port, "5010", "blnk.json"},
		{"port by variable", `{"server":{"port":"5010"}}`, env{"BLNK_SERVER_PORT": "5011"}, Port, "5011", "BLNK_SERVER_PORT"},

		{"tokenization secret", `{"tokenization_secret":"t"}`, nil, TokenizationSecret, "t", "blnk.json"},
		{"its doubled name", `-`, env{"BLNK_BLNK_TOKENIZATION_SECRET": "t"}, TokenizationSecret, "t", "BLNK_BLNK_TOKENIZATION_SECRET"},
		{"webhook", `{"notification":{"webhook":{"url":"http://a"}}}`, nil, WebhookURL, "http://a", "blnk.json"},
		{"its variable has no section", `-`, env{"BLNK_WEBHOOK_URL": "http://b"}, WebhookURL, "http://b", "BLNK_WEBHOOK_URL"},
		{"database", `{"data_source":{"dns":"p"}}`, nil, Database, "p", "blnk.json"},
		{"redis", `{"redis":{"dns":"r"}}`, nil, Redis, "r", "blnk.json"},
		{"metrics token", `{"server":{"metrics_bearer_token":"m"}}`, nil, MetricsToken, "m", "blnk.json"},
		{"a name that is no setting", `{}`, nil, "server.nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := []byte(tt.file)
			if tt.file == "-" {
				file = nil
			}
			e, err := Resolve(file, tt.env)
			if err != nil {
				t.Fatal(err)
			}
			v := e.Value(tt.of)
			if v.Text.Reveal() != tt.want || v.Source != tt.source {
				t.Errorf("%s = %q from %q, want %q from %q", tt.of, v.Text.Reveal(), v.Source, tt.want, tt.source)
			}
			if want := strings.HasPrefix(tt.source, "BLNK_"); v.Shadowed() != want && tt.source != "" {
				t.Errorf("Shadowed = %v, want %v", v.Shadowed(), want)
			}
		})
	}
}

func TestResolveStopsTheStart(t *testing.T) {
	tests := []struct {
		name, file string
		env        map[string]string
		want       string
	}{
		{"empty file", "", nil, "blnk.json is empty"},
		{"only white space", " \n", nil, "blnk.json is empty"},
		{"truncated", "{\n\"server\":{\"secret_key\":\"canary\"", nil, "line 2: the text ends in the middle"},
		{"truncated in the key", `{"server":{"secret_key":"cana`, nil, "line 1: the text ends in the middle"},
		{"not JSON", "{\n\n  canary\n}", nil, "line 3: not JSON"},
		{"byte order mark", "\ufeff{}", nil, "line 1: not JSON"},
		{"a list", `["canary"]`, nil, "line 1: the whole must be an object"},
		{"key is a number", "{\"server\":{\n\"secret_key\":12345}}", nil, "line 2: server.secret_key must be a string"},
		{"port is a number", `{"server":{"port":5001}}`, nil, "server.port must be a string"},
		{"secure is a text", `{"server":{"secure":"true"}}`, nil, "server.secure must be true or false"},
		{"server is a text", `{"server":"canary"}`, nil, "server must be an object"},
		{"a wrong value, put right later", `{"server":{"port":5001,"port":"5001"}}`, nil, "server.port must be a string"},
		{"empty bool", `{}`, map[string]string{"BLNK_SERVER_SECURE": ""}, "variable BLNK_SERVER_SECURE is not a truth value"},
		{"empty bool without effect", `{}`, map[string]string{"BLNK_SERVER_SSL": ""}, "variable BLNK_SERVER_SSL is not"},
		{"odd bool", `{}`, map[string]string{"BLNK_SERVER_SECURE": "yes"}, "variable BLNK_SERVER_SECURE is not"},
		{"odd bool by its doubled name", `{}`, map[string]string{"BLNK_SERVER_SECURE": "true", "BLNK_SERVER_BLNK_SERVER_SECURE": " true"}, "variable BLNK_SERVER_BLNK_SERVER_SECURE is not"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Resolve([]byte(tt.file), tt.env)
			if !errors.Is(err, ErrNoStart) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("Resolve = %v, want ErrNoStart with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "12345") {
				t.Errorf("the error shows the text: %v", err)
			}
		})
	}
}

// An odd bool that the doubled name hides is never looked at.
func TestHiddenVariableDoesNotCount(t *testing.T) {
	e, err := Resolve(nil, map[string]string{"BLNK_SERVER_SECURE": "yes", "BLNK_SERVER_BLNK_SERVER_SECURE": "T"})
	if err != nil || !e.Secure() {
		t.Errorf("Secure = %v, %v", e.Secure(), err)
	}
}

func TestEffective(t *testing.T) {
	e, err := Resolve([]byte(`{"server":{"secret_key":"k","secure":true},"redis":{"dns":"r"}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if e.SecretKey().Reveal() != "k" || !e.Secure() || e.Port() != DefaultPort {
		t.Errorf("key %q, secure %v, port %q", e.SecretKey().Reveal(), e.Secure(), e.Port())
	}
}

// Every setting of the table is read from its path and from both variables.
func TestSettingsAreAllResolved(t *testing.T) {
	for _, s := range Settings() {
		value, quoted := "12", `"11"`
		if s.Bool {
			value, quoted = "1", "true"
		}
		path := strings.Split(string(s.Name), ".")
		file := `{"` + strings.Join(path, `":{"`) + `":` + quoted + strings.Repeat("}", len(path))
		e, err := Resolve([]byte(file), nil)
		if err != nil || e.Value(s.Name).Source != FileName {
			t.Errorf("%s in %s: %q, %v", s.Name, file, e.Value(s.Name).Source, err)
		}
		for _, name := range []string{s.Env, s.Twin} {
			e, err := Resolve([]byte(file), map[string]string{name: value})
			if v := e.Value(s.Name); err != nil || v.Source != name || v.Text.Reveal() != value {
				t.Errorf("%s by %s: %q, %v", s.Name, name, v.Source, err)
			}
		}
	}
}
