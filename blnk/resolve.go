package blnk

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

const sourceDefault = "default"

// ErrNoStart: a Blnk process would end at its start with this configuration.
// The error says which setting or line is to blame, and never its text.
var ErrNoStart = errors.New("blnk would not start")

// A Value is what one setting has in the end.
type Value struct {
	// Text is the value, "" where there is none. It is a Key for every
	// setting, since the DSNs and the webhook URL may hold passwords too.
	Text secret.Key
	// Source is FileName, "default", or the variable that wins, by the name under
	// which it was set.
	Source string
}

// Shadowed says that a variable decides, and what the file has is not looked
// at: to write there changes nothing. An empty variable decides too.
func (v Value) Shadowed() bool { return v.Source != FileName && v.Source != sourceDefault }

// Effective is the configuration that a Blnk process has when it started with
// a given file and environment.
type Effective map[Name]Value

// Value is what a setting has in the end; the zero Value for one that Settings
// does not list.
func (e Effective) Value(name Name) Value { return e[name] }

// SecretKey returns the master key; the zero Key means that nobody can
// authenticate with one.
func (e Effective) SecretKey() secret.Key { return e[SecretKey].Text }

// Secure says whether requests are authenticated at all.
func (e Effective) Secure() bool { return e.On(Secure) }

// On says what a setting that is a truth value has.
func (e Effective) On(name Name) bool {
	on, _ := strconv.ParseBool(e[name].Text.Reveal()) // Resolve looked
	return on
}

// Port is trimmed text, usually a number, as Blnk takes it.
func (e Effective) Port() string { return e[Port].Text.Reveal() }

// Resolve finds what each setting has when a Blnk process starts with the
// bytes of this blnk.json (nil: there is no such file) and this environment:
// the file first, as Go's JSON decoder reads it, then the variables, of which
// one that is set but empty wipes the value. ErrNoStart (wrapped) where the
// process would end instead.
//
// It knows the settings of the table only: another one may stop the start too.
func Resolve(file []byte, env map[string]string) (Effective, error) {
	values, err := fromFile(file)
	if err != nil {
		return nil, err
	}
	for _, s := range Settings() {
		for _, name := range []string{s.Twin, s.Env} {
			text, ok := env[name]
			if !ok {
				continue
			}
			if _, err := strconv.ParseBool(text); s.Bool && err != nil {
				return nil, fmt.Errorf("%w: variable %s is not a truth value", ErrNoStart, name)
			}
			values[s.Name] = Value{Text: secret.New(text), Source: name}
			break
		}
	}
	// An empty port is no port; the default stands in, and white space goes.
	port := values[Port]
	if port.Text.IsZero() {
		port = Value{Text: secret.New(DefaultPort), Source: sourceDefault}
	}
	port.Text = secret.New(strings.TrimSpace(port.Text.Reveal()))
	values[Port] = port
	return values, nil
}

// document is the shape of blnk.json as far as the table goes. With strings
// and bools it reads as Blnk does; with json.RawMessage it tells what is
// there from what is not.
type document[S, B any] struct {
	Server struct {
		SecretKey    S `json:"secret_key"`
		Secure       B `json:"secure"`
		Port         S `json:"port"`
		SSL          B `json:"ssl"`
		MetricsToken S `json:"metrics_bearer_token"`
	} `json:"server"`
	DataSource struct {
		DNS S `json:"dns"`
	} `json:"data_source"`
	Redis struct {
		DNS S `json:"dns"`
	} `json:"redis"`
	Notification struct {
		Webhook struct {
			URL S `json:"url"`
		} `json:"webhook"`
	} `json:"notification"`
	Queue struct {
		MonitoringPort S `json:"monitoring_port"`
	} `json:"queue"`
	Typesense struct {
		DNS S `json:"dns"`
	} `json:"typesense"`
	TypesenseKey       S `json:"type_sense_key"`
	TokenizationSecret S `json:"tokenization_secret"`
	Observability      B `json:"enable_observability"`
}

// each returns the document's fields by the name of their setting.
func each[T, S, B any](d *document[S, B], text func(S) T, truth func(B) T) map[Name]T {
	return map[Name]T{
		SecretKey:          text(d.Server.SecretKey),
		Secure:             truth(d.Server.Secure),
		Port:               text(d.Server.Port),
		SSL:                truth(d.Server.SSL),
		MetricsToken:       text(d.Server.MetricsToken),
		TokenizationSecret: text(d.TokenizationSecret),
		Observability:      truth(d.Observability),
		Database:           text(d.DataSource.DNS),
		Redis:              text(d.Redis.DNS),
		WebhookURL:         text(d.Notification.Webhook.URL),
		MonitoringPort:     text(d.Queue.MonitoringPort),
		Typesense:          text(d.Typesense.DNS),
		TypesenseKey:       text(d.TypesenseKey),
	}
}

// fromFile decodes with the very decoder that Blnk uses: names match in any
// letter case, of a name that stands twice the last wins (and a null never
// does), what follows the first value is not read.
func fromFile(file []byte) (map[Name]Value, error) {
	var read document[string, bool]
	var there document[json.RawMessage, json.RawMessage]
	for _, into := range []any{&read, &there} {
		if file == nil {
			break
		}
		if err := json.NewDecoder(bytes.NewReader(file)).Decode(into); err != nil {
			return nil, decodeError(file, err)
		}
	}
	raw := func(m json.RawMessage) bool { return m != nil && string(m) != "null" }
	present := each(&there, raw, raw)
	values := each(&read,
		func(s string) Value { return Value{Text: secret.New(s)} },
		func(b bool) Value { return Value{Text: secret.New(strconv.FormatBool(b))} })
	for name, v := range values {
		v.Source = sourceDefault
		// A value before a null of the same name counts.
		if present[name] || (!v.Text.IsZero() && v.Text.Reveal() != "false") {
			v.Source = FileName
		}
		values[name] = v
	}
	return values, nil
}

// decodeError says where, never what stands there: the line may hold the key.
func decodeError(file []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %s is empty", ErrNoStart, FileName)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %s line %d: the text ends in the middle", ErrNoStart, FileName, line(file, int64(len(file))))
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: %s line %d: not JSON", ErrNoStart, FileName, line(file, syntax.Offset))
	case errors.As(err, &kind):
		return fmt.Errorf("%w: %s line %d: %s must be %s", ErrNoStart, FileName, line(file, kind.Offset), cmp.Or(kind.Field, "the whole"), wanted(kind))
	}
	return fmt.Errorf("%w: %s cannot be read as JSON", ErrNoStart, FileName)
}

func wanted(e *json.UnmarshalTypeError) string {
	kinds := map[string]string{"string": "a string", "bool": "true or false"}
	return cmp.Or(kinds[e.Type.Kind().String()], "an object")
}

// line is the number, from 1, of the line in which the offset lies.
func line(file []byte, offset int64) int {
	return 1 + bytes.Count(file[:min(max(offset-1, 0), int64(len(file)))], []byte("\n"))
}

// A Double is a name of a blnk.json that stands there again.
type Double struct {
	Name string // with those above it: server.secure
	Line int    // of the later one, from 1
}

// Doubled are the names that Blnk takes for one, by their paths. Letter case does not
// count, but for names that a person gives to headers.
func Doubled(text []byte) (all []Double) {
	dec := json.NewDecoder(bytes.NewReader(text))
	var value func(path string, exact bool) error
	value = func(path string, exact bool) error {
		token, err := dec.Token()
		if token != json.Delim('{') && token != json.Delim('[') {
			return err
		}
		var names []string
		for err == nil && dec.More() {
			if token == json.Delim('[') {
				err = value(path, exact)
				continue
			}
			var name json.Token
			if name, err = dec.Token(); err != nil {
				return err
			}
			word, _ := name.(string)
			for _, earlier := range names {
				if earlier == word || !exact && strings.EqualFold(earlier, word) {
					all = append(all, Double{strings.TrimPrefix(path+"."+word, "."), 1 + bytes.Count(text[:dec.InputOffset()], []byte("\n"))})
					break
				}
			}
			names = append(names, word)
			err = value(path+"."+word, exact || strings.EqualFold(word, "headers"))
		}
		if err == nil {
			_, err = dec.Token() // the end
		}
		return err
	}
	_ = value("", false) // what is no JSON, Resolve says
	return all
}
