package config

import (
	"reflect"
	"regexp"
	"testing"
	"time"
)

// What is written is read again as it was given, with the age at which a key is due.
func TestText(t *testing.T) {
	for _, f := range []Target{
		{Stores: []string{"blnkjson:./blnk.json"}},
		{Stores: []string{"dotenv:/a b/é'\"\\.env#X", "vault:secret/blnk"}, Restart: []string{"sh:a \"b\" 'c' # d: [e]\t\u2028", "compose:"}, Servers: []string{"http://127.0.0.1:5001"}},
	} {
		got, err := parse(Text(f), nil)
		f.Policy.MaxAge = 90 * 24 * time.Hour
		if err != nil || !reflect.DeepEqual(got, File{Target: f}) {
			t.Errorf("%+v became %+v, %v", f, got, err)
		}
	}
}

// What it only proposes is right, too: without the marks it is read.
func TestTextProposes(t *testing.T) {
	text := regexp.MustCompile(`(?m)^# ( *(- )?[a-z_]+:| +- ")`).ReplaceAll(Text(Target{Stores: []string{"a"}}), []byte("$1"))
	f, err := parse(text, nil)
	if err != nil || len(f.Restart) != 1 || len(f.Servers) != 1 || f.Policy.MaxAge == 0 || len(f.Policy.Windows) != 1 || len(f.Notify) != 1 || len(f.Notify[0].On) != 3 {
		t.Errorf("%s\n%+v, %v", text, f, err)
	}
}
