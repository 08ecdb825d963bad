package oracle

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	compose "github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/sirupsen/logrus"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/dotenv"
)

const name = "KEY"

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard) // a warning for each variable that is not set
	os.Exit(m.Run())
}

// composeReads reads a text as compose does, in an environment in which every
// variable that the text does not set has the value given; unset with "-".
func composeReads(text, environment string) (map[string]string, error) {
	vars := map[string]string{}
	err := compose.ParseWithFormat(strings.NewReader(text), ".env", vars, func(k string) (string, bool) {
		_, set := vars[k]
		return environment, !set && environment != "-"
	}, "")
	return vars, err
}

// place writes text to a file in dir and opens its variable.
func place(t *testing.T, dir, text string) *dotenv.Store {
	t.Helper()
	path := filepath.Join(dir, ".env")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := dotenv.New(store.Ref{Scheme: dotenv.Scheme, Place: path, Field: name}, store.Options{Dir: "/"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judge asserts that we read what compose reads, or refuse, and that compose
// reads the new key and all else as before once it was put.
func judge(t *testing.T, dir, text, next string) {
	t.Helper()
	s := place(t, dir, text)
	key, at, err := s.Get(t.Context())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		if !errors.Is(err, store.ErrNotSafe) {
			t.Fatalf("%q: get: %v", text, err)
		}
		if _, err := s.Put(t.Context(), secret.New(next), ""); next != "" && err == nil {
			t.Fatalf("%q: refused by get, but put", text)
		}
		return
	}
	for _, environment := range []string{"-", "", "theirs"} {
		want, err := composeReads(text, environment)
		if err != nil {
			if !aboutVariables(err) {
				t.Fatalf("%q: read, but compose refuses it: %v", text, err)
			}
			continue
		}
		if want[name] != key.Reveal() {
			t.Fatalf("%q: read %q, compose reads %q where others are %q", text, key.Reveal(), want[name], environment)
		}
	}
	if next == "" {
		return
	}
	if _, err := s.Put(t.Context(), secret.New(next), at); err != nil {
		if s.CheckPut(t.Context()) == nil && writable(next) {
			t.Fatalf("%q: CheckPut allows what put refuses: %v", text, err)
		}
		if !errors.Is(err, store.ErrNotSafe) && strings.ToValidUTF8(next, "") == next {
			t.Fatalf("%q: put: %v", text, err)
		}
		return
	}
	if err := s.CheckPut(t.Context()); err != nil {
		t.Fatalf("%q: CheckPut after a put: %v", text, err)
	}
	edited, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	sameButKey(t, text, string(edited), next)
}

// sameButKey compares what compose reads before and after.
func sameButKey(t *testing.T, text, edited, next string) {
	t.Helper()
	want, err := composeReads(text, "-")
	if err != nil {
		return
	}
	got, err := composeReads(edited, "-")
	if err != nil {
		t.Fatalf("%q became %q: compose refuses it: %v", text, edited, err)
	}
	if got[name] != next {
		t.Fatalf("%q became %q: compose reads %q, want %q", text, edited, got[name], next)
	}
	if strings.Contains(text, "$") && strings.Count(text, name) > 1 {
		return // a variable that holds the key follows it
	}
	delete(want, name)
	delete(got, name)
	if !maps.Equal(want, got) {
		t.Fatalf("%q became %q: others were %q, are %q", text, edited, want, got)
	}
	if strings.Contains(text, "\n") && strings.Count(text, "\n") == strings.Count(text, "\r\n") && strings.Count(edited, "\n") != strings.Count(edited, "\r\n") {
		t.Fatalf("%q became %q: line ends are mixed", text, edited)
	}
}

// writable are keys that no file may refuse.
func writable(key string) bool {
	return key == strings.Map(func(r rune) rune {
		if strings.ContainsRune("ABCXYZabcxyz0189_", r) {
			return r
		}
		return -1
	}, key)
}

// aboutVariables says whether compose refuses a text for variables that
// another line asks for: whether those are there is not the text's business.
func aboutVariables(err error) bool {
	var missing *template.MissingRequiredError
	var bad *template.InvalidTemplateError
	return errors.As(err, &missing) || errors.As(err, &bad)
}

// texts are what people write, and what a parser stumbles over.
var texts = []string{
	"", "\n", "KEY=old\n", "KEY=old", "KEY=\n", "KEY=", "KEY= \t\n", "KEY=  \r\nA=1\r\n", "KEY=\"\"\n", "KEY=''",
	"A=1\nKEY=old\nB=2\n", "A=1\r\nKEY=old\r\nB=2\r\n", "A=1\r\nKEY=old\r\n", "A=1", "A=1\r\nB=2", "# only\n", "# KEY=old", "\n\n  A=1\n\n",
	"export KEY=old\n", "export\tKEY=old\n", "  export  KEY = old\n", "export A=1\nexport B=2\n", "export=1\nKEY=old\n", "exportKEY=1\n", "export\nKEY=old\n", "export export KEY=old\n",
	"KEY: old\n", "KEY:old", "KEY :old", "KEY:=old\n", "KEY==old\n",
	"KEY=old # comment\n", "KEY=old# none\n", "KEY=old #\r\n", "KEY= # comment\n", "KEY=#old\n", "KEY=old\t# none\n", "KEY='old' # c\n", "KEY=\"old\"# c\n", "KEY=\u2003 # c\n", "KEY=\u00a0old\u2003\n",
	"KEY='old'\n", `KEY="old"`, `KEY="o\"l\\d"`, `KEY='o\'l\\d'`, `KEY='old\\'`, `KEY="a\nb\tc\$d\ce\qf"`, `KEY="\0101\012\08\0\0777\0377"`, `KEY="\\n\\\\\"x"`, `KEY="$A\\$A"`,
	"KEY=\"one\ntwo\"\nA=1\n", "KEY='one\r\ntwo'\r\nA=1\r\n", "A=\"x\nKEY=inside\n\"\nKEY=old\n", "A='KEY=inside'\nKEY=old\n",
	"KEY=\"old", "KEY='old\nA=1\n", "KEY='old\\'\n", `KEY="old"A=1`, `KEY="old" A=1`, `KEY="old"x`, "A='1'KEY=old\n", `KEY=o"l"d`, `KEY=old"`, `KEY=\old\n`,
	"KEY=one\nKEY=two\n", "KEY=one\nKEY\n", "KEY\nKEY=two\n", "KEY\n", "KEY", "A\nKEY=old\n", "A\n", "A", "KEY \n",
	"A=1\nKEY=$A\n", "A=1\nKEY=x${A}y\n", "KEY=$A\nA=1\n", "KEY=$KEY\n", "KEY=a\nKEY=$KEY$KEY\n", "A=\nKEY=${A:-d}\n", "A=\nKEY=${A-d}\n", "A=1\nKEY=${A:+d}\n", "A=\nKEY=${A:+d}\n", "A=\nKEY=${A+d}\n", "A=1\nKEY=${A?e}${A:?e}\n", "A=\nKEY=${A:?e}\n", "KEY=${A:-d}\n",
	"KEY=a$$b\n", "KEY=a$$$$b$\n", "KEY='$A'\n", `KEY="\$A"`, "KEY=$1\n", "KEY=$ A\n", "KEY=${}\n", "KEY=${1}\n", "KEY=${A\n", "KEY=${A:b}\n", "A=${\nKEY=old\n", "A=${B}\nKEY=old\n", "A=${B:-${C}}\nKEY=old\n", "A=1\nKEY=${A:-${B:-x}}\n", "A=1\nKEY=${A:-x} ${A:-y}\n", "A=1\nKEY=${A:-{x}} }\n", "A=1\nKEY=\"${A:-x\n}\"\n", "A=1\nKEY=${a}${A}\n", "KEY=$\u017f\n", "\u017f=1\nKEY=$\u017f${\u017f}\n",
	"A=$HOME\nKEY=$A\n", "A=$HOME\nKEY=old\n", "A\nKEY=$A\n", "A=1\nA\nKEY=$A\n", "A=${B?missing}\nKEY=old\n",
	"A B=1\nKEY=old\n", "A\tB=1\nKEY=old\n", "=1\nKEY=old\n", "A!=1\nKEY=old\n", "KEY=old\n!\n", "1A=1\nKEY=old\n", "A.b-c[0]=1\nKEY=old\n", "é=1\nKEY=old\n", "\xff=1\nKEY=old\n", "A=\xff\nKEY=old\xff\n",
	"KEY=a\rB=2\n", "A=1\rKEY=old\r", "KEY=old\r\r\n", "KEY=old\v\f\n", "KEY=o\x00ld\n", "\u0085\u00a0KEY\u0085=\u00a0old\u0085\n", "KEY=old\n   ", "KEY=old\\\nA=1\n", "key=1\nKey=2\n", "KEYS=1\nAKEY=2\n",
	"A=$KEY\nKEY=old\nB=$KEY\n", "A=" + strings.Repeat("x", 100) + "\nKEY=old # " + strings.Repeat("c", 100) + "\n",
}

// keys are what may have to be written.
var keys = []string{
	"blnk_sk_Kq7ZpW3xVb9THc5RmY8dLf2NJx4GtS6wQz1P", "a+b/c==", "=x", "with blank", " x ", "#x", "a#b", "a #b", "a'b", `a"b`, `a\b`, `a\`, `a\\`, `a\\\`, "$A", "a$b", "$$", `\$`, `\\$`, "${A}", `\n`, `\0101`, `\"`, "`id`", "'`", "é日本 😀", "~", "!x", "a;b", "a&b|c", "x\ny", "\x7f", "\u0085x", "\u00a0x", "\u2028", "export A", "A=1", "'", `"`, `'"`, `'\`, `'\\`, `'$A\$`, "\xff",
}

func TestTexts(t *testing.T) {
	for _, text := range texts {
		judge(t, t.TempDir(), text, "")
		for _, key := range []string{keys[0], "a'b", `a"$b\`, "with blank"} {
			judge(t, t.TempDir(), text, key)
		}
	}
}

func TestKeys(t *testing.T) {
	for _, text := range []string{"", "KEY=old\n", "KEY=old # c\r\n", "KEY='old'", `KEY="old"# c`, "KEY=\n"} {
		for _, key := range keys {
			judge(t, t.TempDir(), text, key)
		}
	}
}

// What people do write must be read, not refused.
func TestTakenTexts(t *testing.T) {
	taken := 0
	for _, text := range texts {
		if _, _, err := place(t, t.TempDir(), text).Get(t.Context()); err == nil || errors.Is(err, store.ErrNotFound) {
			taken++
		} else if _, err := composeReads(text, "-"); err == nil {
			t.Logf("compose reads, we refuse: %q", text)
		}
	}
	t.Logf("%d of %d are read", taken, len(texts))
	if taken < len(texts)/2 {
		t.Error("too many are refused")
	}
}

func FuzzText(f *testing.F) {
	for i, text := range texts {
		f.Add(text, keys[i%len(keys)])
	}
	// The name of a fuzz input's own folder would have a "#".
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text, next string) { judge(t, dir, text, next) })
}
