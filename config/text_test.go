package config

import (
	"reflect"
	"testing"
)

// What is written is read again as it was given.
func TestText(t *testing.T) {
	for _, f := range []Target{
		{Stores: []string{"blnkjson:./blnk.json"}},
		{Stores: []string{"dotenv:/a b/é'\"\\.env#X", "vault:secret/blnk"}, Restart: []string{"sh:a \"b\" 'c' # d: [e]\t\u2028", "compose:"}, Servers: []string{"http://127.0.0.1:5001"}},
	} {
		got, err := parse(Text(f))
		if err != nil || !reflect.DeepEqual(got, File{Target: f}) {
			t.Errorf("%+v became %+v, %v", f, got, err)
		}
	}
}
