package blnk

import (
	"bytes"
	"encoding/json"
	"strings"
)

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
