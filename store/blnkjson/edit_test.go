package blnkjson

import (
	"errors"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store/filestore"
)

// The keys of the tests: the new one is longer than the old.
const (
	oldKey = "old-key-0123456789"
	newKey = "blnk_sk_new-key-0123456789abcdef"
)

var defaultPath = []string{"server", "secret_key"}

// setTests are also the seeds of FuzzSet. In want, KEY stands for the new key.
var setTests = []struct {
	name, path, text, want string
}{
	// A value that is there.
	{"pretty", "", "{\n  \"server\": {\n    \"secret_key\": \"old\",\n    \"port\": \"5001\"\n  }\n}\n", "{\n  \"server\": {\n    \"secret_key\": \"KEY\",\n    \"port\": \"5001\"\n  }\n}\n"},
	{"CRLF and tabs", "", "{\r\n\t\"server\":\t{ \"secret_key\" :\"old\"\r\n}}", "{\r\n\t\"server\":\t{ \"secret_key\" :\"KEY\"\r\n}}"},
	{"minified", "", `{"server":{"secret_key":"old"}}`, `{"server":{"secret_key":"KEY"}}`},
	{"white space around", "", " \r\n\t{\"server\":{\"secret_key\":\"old\"}}\t\r\n\n ", " \r\n\t{\"server\":{\"secret_key\":\"KEY\"}}\t\r\n\n "},
	{"letter case", "", `{"SERVER":{"Secret_Key":"old"}}`, `{"SERVER":{"Secret_Key":"KEY"}}`},
	{"letter case beyond ASCII", "", "{\"\u017ferver\":{\"secret_\u212aey\":\"old\"}}", "{\"\u017ferver\":{\"secret_\u212aey\":\"KEY\"}}"},
	{"escaped names", "", `{"\u0073erver":{"secret\u005fkey":"old"}}`, `{"\u0073erver":{"secret\u005fkey":"KEY"}}`},
	{"escaped value and neighbours", "", `{"a":"\u00e9\/\"","server":{"secret_key":"o\"l\\d\u0000","b":"\ud83d\ude00"}}`, `{"a":"\u00e9\/\"","server":{"secret_key":"KEY","b":"\ud83d\ude00"}}`},
	{"empty value", "", `{"server":{"secret_key":""}}`, `{"server":{"secret_key":"KEY"}}`},
	{"look-alikes before", "", `{"secret_key":"a","x":{"server":{"secret_key":"b"}},"server.secret_key":"c","y":["server",{"secret_key":"d"}],"server":{"secret_key":"old"}}`, `{"secret_key":"a","x":{"server":{"secret_key":"b"}},"server.secret_key":"c","y":["server",{"secret_key":"d"}],"server":{"secret_key":"KEY"}}`},
	{"duplicates elsewhere", "", `{"a":1,"a":2,"server":{"b":1,"B":2,"secret_key":"old"},"c":{"d":1,"d":2}}`, `{"a":1,"a":2,"server":{"b":1,"B":2,"secret_key":"KEY"},"c":{"d":1,"d":2}}`},
	{"key outside", "tokenization_secret", `{"tokenization_secret": "old"}`, `{"tokenization_secret": "KEY"}`},
	{"special names", `*.#|@?`, `{"b":{"x":"1"},"*":{"y":"2","#|@?":"old"}}`, `{"b":{"x":"1"},"*":{"y":"2","#|@?":"KEY"}}`},
	{"numbers and colons", `0.-1.:x`, `{"0":{"-1":{":x":"old","x":"1"}}}`, `{"0":{"-1":{":x":"KEY","x":"1"}}}`},

	// A value that is added behind others.
	{"add pretty", "", "{\n  \"server\": {\n    \"port\": \"5001\"\n  }\n}\n", "{\n  \"server\": {\n    \"port\": \"5001\",\n    \"secret_key\": \"KEY\"\n  }\n}\n"},
	{"add CRLF, tabs", "", "{\r\n\t\"server\": {\r\n\t\t\"port\": \"5001\",\r\n\t\t\"ssl\": false\r\n\t}\r\n}", "{\r\n\t\"server\": {\r\n\t\t\"port\": \"5001\",\r\n\t\t\"ssl\": false,\r\n\t\t\"secret_key\": \"KEY\"\r\n\t}\r\n}"},
	{"add minified", "", `{"server":{"port":"5001"},"a":1}`, `{"server":{"port":"5001","secret_key":"KEY"},"a":1}`},
	{"add one line", "", `{"server": {"port": "5001"}}`, `{"server": {"port": "5001", "secret_key": "KEY"}}`},
	{"add one line, padded", "", `{ "server": { "port": "5001" } }`, `{ "server": { "port": "5001", "secret_key": "KEY" } }`},
	{"add odd colon", "", "{\n \"server\" : {\n  \"port\" : \"5001\"\n }\n}", "{\n \"server\" : {\n  \"port\" : \"5001\",\n  \"secret_key\" : \"KEY\"\n }\n}"},
	{"add, another colon than outside", "", `{"server":{"port":"5001"}, "a": 1}`, `{"server":{"port":"5001","secret_key":"KEY"}, "a": 1}`},
	{"add, line end behind a colon", "", "{\n\"server\":\n{\n}\n}", "{\n\"server\":\n{\n\"secret_key\": \"KEY\"\n}\n}"},
	{"add comma first", "", "{ \"server\":\n  { \"a\": 1\n  , \"b\": 2\n  }\n}", "{ \"server\":\n  { \"a\": 1\n  , \"b\": 2\n  , \"secret_key\": \"KEY\"\n  }\n}"},
	{"add behind an object", "", "{\n  \"server\": {\n    \"x\": {\n      \"y\": []\n    }\n  }\n}", "{\n  \"server\": {\n    \"x\": {\n      \"y\": []\n    },\n    \"secret_key\": \"KEY\"\n  }\n}"},

	// The object is empty.
	{"empty object, pretty", "", "{\n  \"server\": {},\n  \"a\": 1\n}\n", "{\n  \"server\": {\n    \"secret_key\": \"KEY\"\n  },\n  \"a\": 1\n}\n"},
	{"empty object over lines", "", "{\n\t\"server\": {\n\t}\n}\n", "{\n\t\"server\": {\n\t\t\"secret_key\": \"KEY\"\n\t}\n}\n"},
	{"empty object with a blank", "", "{\n  \"server\": { }\n}\n", "{\n  \"server\": { \"secret_key\": \"KEY\" }\n}\n"},
	{"empty object, minified", "", `{"server":{}}`, `{"server":{"secret_key":"KEY"}}`},
	{"empty document", "", "{}\n", "{\n  \"server\": {\n    \"secret_key\": \"KEY\"\n  }\n}\n"},
	{"empty document, CRLF", "", "{}\r\n", "{\r\n  \"server\": {\r\n    \"secret_key\": \"KEY\"\r\n  }\r\n}\r\n"},
	{"empty document over lines", "", "{\n\n}", "{\n  \"server\": {\n    \"secret_key\": \"KEY\"\n  }\n\n}"},

	// The object is missing.
	{"no object, pretty", "", "{\n  \"project_name\": \"x\"\n}\n", "{\n  \"project_name\": \"x\",\n  \"server\": {\n    \"secret_key\": \"KEY\"\n  }\n}\n"},
	{"no object, four blanks, CRLF", "", "{\r\n    \"a\": {\r\n        \"b\": 1\r\n    }\r\n}", "{\r\n    \"a\": {\r\n        \"b\": 1\r\n    },\r\n    \"server\": {\r\n        \"secret_key\": \"KEY\"\r\n    }\r\n}"},
	{"no object, minified", "", `{"a":1}`, `{"a":1,"server":{"secret_key":"KEY"}}`},
	{"no object, padded", "", `{ "a": 1 }`, `{ "a": 1, "server": { "secret_key": "KEY" } }`},
	{"no object, not indented", "", "{\n\"a\": 1\n}", "{\n\"a\": 1,\n\"server\": {\n\"secret_key\": \"KEY\"\n}\n}"},
	{"no object, indented as a whole", "", "  {\n    \"a\": 1\n  }", "  {\n    \"a\": 1,\n    \"server\": {\n      \"secret_key\": \"KEY\"\n    }\n  }"},
	{"three deep", "a.b.c", "{\n  \"a\": {\n    \"x\": 1\n  }\n}", "{\n  \"a\": {\n    \"x\": 1,\n    \"b\": {\n      \"c\": \"KEY\"\n    }\n  }\n}"},
}

func TestSet(t *testing.T) {
	for _, tt := range setTests {
		t.Run(tt.name, func(t *testing.T) {
			path := defaultPath
			if tt.path != "" {
				var err error
				if path, err = splitField(tt.path); err != nil {
					t.Fatal(err)
				}
			}
			doc, err := editor{path: path}.parse([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			got, err := doc.set(secret.New(newKey))
			want := strings.ReplaceAll(tt.want, "KEY", newKey)
			if err != nil || string(got) != want {
				t.Errorf("error %v\n got %q\nwant %q", err, got, want)
			}
		})
	}
}

// A key that JSON, HTML or a shell would treat specially is read back as it is.
func TestSetOddKeys(t *testing.T) {
	for _, key := range []string{`a"b\c`, "<script>&amp;", "\u2028\u2029", "tab\there", "\x00", "日本語 😀", `\u0041`, "$HOME `x` %s", " "} {
		for _, text := range []string{`{"server":{"secret_key":"old"}}`, `{"server":{}}`, `{}`} {
			doc, err := editor{path: defaultPath}.parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			next, err := doc.set(secret.New(key))
			if err != nil {
				t.Errorf("key %q into %s: %v", key, text, err)
				continue
			}
			back, err := editor{path: defaultPath}.parse(next)
			if err != nil || back.key.Reveal() != key {
				t.Errorf("key %q into %s: read back %v, %v", key, text, back, err)
			}
		}
	}
}

// Nothing is escaped that need not be: a person may have to read it.
func TestSetKeepsKeyReadable(t *testing.T) {
	const key = "<a>&b/c=é"
	for text, want := range map[string]string{
		`{"tokenization_secret":"old"}`: `{"tokenization_secret":"` + key + `"}`,
		`{"a":1}`:                       `{"a":1,"tokenization_secret":"` + key + `"}`,
	} {
		doc, err := editor{path: []string{"tokenization_secret"}}.parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if next, err := doc.set(secret.New(key)); err != nil || string(next) != want {
			t.Errorf("got %s, %v; want %s", next, err, want)
		}
	}
}

// refusedTests are also seeds of FuzzSet. "zebra" stands for the key, which
// must not come up in an error.
var refusedTests = []struct {
	name, text string
	line       int
	why        string
}{
	{"nothing", "", 1, "not valid JSON: there is nothing"},
	{"white space", " \n\t\n", 3, "not valid JSON: there is nothing"},
	{"truncated", "{\n  \"server\": {\n    \"secret_key\": \"zebra", 3, "not valid JSON: it ends too early"},
	{"not JSON", "{\n  \"server\": {\n    secret_key: zebra\n  }\n}", 3, "not valid JSON"},
	{"a comment", "{\n  // zebra\n  \"server\": {}\n}", 2, "not valid JSON"},
	{"trailing comma", "{\"server\": {\n\"secret_key\": \"zebra\",\n}}", 3, "not valid JSON"},
	{"a raw line end in the key", "{\"server\": {\"secret_key\": \"zebra\n\"}}", 1, "not valid JSON"},
	{"trailing data", "{\"server\": {\"secret_key\": \"x\"}}\n\nzebra", 3, "data behind the JSON value"},
	{"two values", "{\"server\": {\"secret_key\": \"x\"}}\n{}", 2, "data behind the JSON value"},
	{"an array", "\n[{\"server\": 1}]", 2, "the JSON value is not an object"},
	{"object is a string", "{\n\"server\": \"zebra\"}", 2, `the value of "server" is not an object`},
	{"object is null", "{\n\"server\": null}", 2, `the value of "server" is not an object`},
	{"object is an array", "{\n\"server\":\n[]}", 3, `the value of "server" is not an object`},
	{"value is a number", "{\"server\": {\n\"secret_key\": 4711}}", 2, `the value of "server.secret_key" is not a string`},
	{"value is null", "{\"server\": {\n\"secret_key\": null}}", 2, `the value of "server.secret_key" is not a string`},
	{"value is an object", "{\"server\": {\n\"secret_key\": {\"zebra\":\"\"}}}", 2, `the value of "server.secret_key" is not a string`},
	{"object twice", "{\"server\": {\"secret_key\": \"x\"},\n\"server\": {}}", 2, `the name "server" stands there twice, first on line 1`},
	{"object twice in letter cases", "{\"Server\": {},\n\"a\": 1,\n\"sERVER\": {\"secret_key\": \"x\"}}", 3, `the name "server" stands there twice, first on line 1`},
	{"key twice", "{\"server\": {\n\"secret_key\": \"x\",\n\"secret_key\": \"zebra\"}}", 3, `the name "secret_key" stands there twice, first on line 2`},
	{"key twice, escaped", "{\"server\": {\"secret_key\": \"x\",\n\"\\u0053ecret_key\": \"zebra\"}}", 2, `the name "secret_key" stands there twice, first on line 1`},
	{"key twice, Kelvin sign", "{\"server\": {\"secret_key\": \"x\",\n\"secret_\u212aey\": \"zebra\"}}", 2, `the name "secret_key" stands there twice, first on line 1`},
}

func TestRefused(t *testing.T) {
	for _, tt := range refusedTests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := editor{path: defaultPath}.parse([]byte(tt.text))
			var bad *filestore.LineError
			if !errors.As(err, &bad) || bad.Line != tt.line || bad.Why != tt.why {
				t.Errorf("got %+v, want line %d: %s", err, tt.line, tt.why)
			}
		})
	}
}
