package cmd

import (
	"fmt"
	"strconv"

	"github.com/blnkctl/blnkctl/proof"
)

// The document of verify -o json.
type (
	verifyDoc struct {
		Result  string         `json:"result"` // passed, failed
		Expect  string         `json:"expect"`
		Keys    []verifyKey    `json:"keys"`
		Servers []verifyServer `json:"servers"`
	}
	verifyKey struct {
		Fingerprint string   `json:"fingerprint"` // "" for a weak key
		From        []string `json:"from"`
	}
	verifyServer struct {
		URL string `json:"url"`
		// Keys says what is proved about each key, in the order of verifyDoc.Keys:
		// live, rejected, scoped, mixed or unknown.
		Keys          []proof.Verdict `json:"keys"`
		RandomRefused *bool           `json:"random_refused"` // null: not known
		Secure        *bool           `json:"secure"`         // null: not known
		Connections   int             `json:"connections"`    // answers to each key
		Sampled       bool            `json:"sampled"`
		Error         string          `json:"error,omitempty"`
	}
)

func (v *verdict) print(a *app) error {
	if a.json() {
		return a.printJSON(v.doc())
	}
	header := []string{"SERVER", "SECURE MODE", "RANDOM KEY", "CONNECTIONS"}
	for i := range v.keys {
		if len(v.keys) == 1 {
			header = append(header, "KEY")
		} else {
			header = append(header, fmt.Sprintf("KEY %d", i+1))
		}
	}
	rows := [][]string{header}
	for _, s := range v.surveys {
		row := []string{s.server.String(), s.secureText(), s.randomText(), s.connectionsText()}
		for i := range v.keys {
			row = append(row, string(s.Key(i)))
		}
		rows = append(rows, row)
	}
	if err := a.printTable(rows); err != nil {
		return err
	}
	rows = [][]string{{"KEY", "FINGERPRINT", "FROM"}}
	for i, k := range v.keys {
		number, name := strconv.Itoa(i+1), k.key.Name()
		for _, from := range k.from {
			rows = append(rows, []string{number, name, from})
			number, name = "", ""
		}
	}
	if err := a.print("\n"); err != nil {
		return err
	}
	return a.printTable(rows)
}

func (v *verdict) doc() verifyDoc {
	doc := verifyDoc{Result: "passed", Expect: v.expect}
	if v.failed > 0 {
		doc.Result = "failed"
	}
	for _, k := range v.keys {
		doc.Keys = append(doc.Keys, verifyKey{k.key.Fingerprint(), k.from})
	}
	for _, s := range v.surveys {
		one := verifyServer{URL: s.server.String(), Connections: s.Connections(), Sampled: s.Sampled()}
		for i := range v.keys {
			one.Keys = append(one.Keys, s.Key(i))
		}
		if s.Open() || s.Closed() {
			on := !s.Open()
			one.Secure, one.RandomRefused = &on, &on
		}
		if s.Err != nil {
			one.Error = s.Err.Error()
		}
		doc.Servers = append(doc.Servers, one)
	}
	return doc
}

func (s survey) secureText() string {
	switch {
	case s.Open():
		return "off"
	case s.Closed():
		return "on"
	}
	return "unknown"
}

func (s survey) randomText() string {
	switch {
	case s.Open():
		return "let in"
	case s.Closed():
		return "refused"
	}
	return "unknown"
}

func (s survey) connectionsText() string {
	text := strconv.Itoa(s.Connections())
	if s.Sampled() {
		text += " (sampled)"
	}
	return text
}
