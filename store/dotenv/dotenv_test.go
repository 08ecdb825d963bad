package dotenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/storetest"
)

const (
	oldKey = "blnk_sk_oldKq7ZpW3xVb9THc5RmY8dLf2NJx4GtS6wQz1P"
	newKey = "blnk_sk_newKq7ZpW3xVb9THc5RmY8dLf2NJx4GtS6wQz1P"
)

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := New(store.Ref{Scheme: Scheme, Place: path, Field: "KEY"}, store.Options{Dir: "/", CopyDir: filepath.Join(filepath.Dir(path), "copies")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openText(t *testing.T, text string) *Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return open(t, path)
}

func textOf(t *testing.T, s *Store) string {
	t.Helper()
	text, err := os.ReadFile(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestStore(t *testing.T) {
	again := func(t *testing.T, s store.Store) store.Store {
		ref, err := ref.Parse(s.String())
		if err != nil {
			t.Fatal(err)
		}
		if s, err = Open(ref, store.Options{Dir: "/"}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("missing file", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store { return open(t, filepath.Join(t.TempDir(), ".env")) }, again)
	})
	for i, text := range []string{"", "A=1\r\n", "A=1", "KEY=", "export KEY=\"\" # none", "KEY=''\n"} {
		t.Run(fmt.Sprint("text ", i), func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) store.Store { return openText(t, text) }, again)
		})
	}
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		ref, defaultField, want string // want "" is an error
	}{
		{"dotenv:./.env", "", "dotenv:/srv/.env#BLNK_SERVER_SECRET_KEY"},
		{"dotenv:../x.env#KEY", "", "dotenv:/x.env#KEY"},
		{"dotenv:x.env", "BLNK_TOKENIZATION_SECRET", "dotenv:/srv/x.env#BLNK_TOKENIZATION_SECRET"},
		{"dotenv:x.env#_k1", "BLNK_TOKENIZATION_SECRET", "dotenv:/srv/x.env#_k1"},
		{"dotenv:", "", ""},
		{"dotenv:x.env?y=1", "", ""},
		{"dotenv:x.env#1KEY", "", ""},
		{"dotenv:x.env#server.secret_key", "", ""},
		{"dotenv:x.env#KEY=1", "", ""},
		{"dotenv:x.env#K\n", "", ""},
	} {
		ref, err := ref.Parse(tt.ref)
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(ref, store.Options{Dir: "/srv", DefaultField: tt.defaultField})
		if tt.want == "" {
			if err == nil {
				t.Errorf("%s: taken as %s, want an error", tt.ref, s)
			}
			continue
		}
		if err != nil || s.String() != tt.want {
			t.Errorf("%s: %v, %v; want %s", tt.ref, s, err, tt.want)
		}
	}
}

// "old" and "new" stand for the keys.
var setTests = []struct{ name, text, want string }{
	{"alone", "KEY=old\n", "KEY=new\n"},
	{"no line end", "KEY=old", "KEY=new"},
	{"among others", "# c\n\nA=1\nKEY=old\nB='2'\n", "# c\n\nA=1\nKEY=new\nB='2'\n"},
	{"CRLF", "A=1\r\nKEY=old\r\nB=2\r\n", "A=1\r\nKEY=new\r\nB=2\r\n"},
	{"export", "export KEY=old\n", "export KEY=new\n"},
	{"blanks", "  export\tKEY = old  \n", "  export\tKEY = new  \n"},
	{"colon", "KEY: old\n", "KEY: new\n"},
	{"comment", "KEY=old # that of May\r\n", "KEY=new # that of May\r\n"},
	{"a sharp that is no comment", "KEY=old#more\n", "KEY=new\n"},
	{"single quotes", "KEY='old' # c\n", "KEY='new' # c\n"},
	{"double quotes, comment without blank", "KEY=\"old\"#c\r\n", "KEY=\"new\"#c\r\n"},
	{"escaped dollar", "KEY=\"a\\$b\\\\c\\\"\"\n", "KEY=\"new\"\n"},
	{"a line of another value", "A=\"\nKEY=x\n\"\nKEY=old\n", "A=\"\nKEY=x\n\"\nKEY=new\n"},
	{"a commented one", "#KEY=old\n", "#KEY=old\nKEY=new\n"},
	{"longer and shorter names", "KEYS=1\nKE=2\nkey=3\n", "KEYS=1\nKE=2\nkey=3\nKEY=new\n"},
	{"empty", "KEY=\nA=1\n", "KEY=new\nA=1\n"},
	{"empty, blanks", "KEY= \t\r\nA=1\r\n", "KEY=new\r\nA=1\r\n"},
	{"empty, another kind of blank and a comment", "KEY=\u2003 # c\n", "KEY=new # c\n"},
	{"empty quotes", "KEY=\"\"\n", "KEY=\"new\"\n"},
	{"missing", "A=1\n", "A=1\nKEY=new\n"},
	{"missing, CRLF", "A=1\r\nB=2\r\n", "A=1\r\nB=2\r\nKEY=new\r\n"},
	{"missing, no line end", "A=1\r\nB=2", "A=1\r\nB=2\r\nKEY=new\r\n"},
	{"missing, no line end at all", "A=1", "A=1\nKEY=new\n"},
	{"missing, all exported", "# c\nexport A=1\nexport B=2\n", "# c\nexport A=1\nexport B=2\nexport KEY=new\n"},
	{"missing, one exported", "export A=1\nB=2\n", "export A=1\nB=2\nKEY=new\n"},
	{"missing, only comments", "# c", "# c\nKEY=new\n"},
	{"nothing", "", "KEY=new\n"},
}

func keyed(text string) string {
	return strings.NewReplacer("old", oldKey, "new", newKey).Replace(text)
}

func TestSet(t *testing.T) {
	for _, tt := range setTests {
		t.Run(tt.name, func(t *testing.T) {
			s := openText(t, keyed(tt.text))
			_, at, err := s.Get(t.Context())
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
			if err := s.CheckPut(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := s.Put(t.Context(), secret.New(newKey), at); err != nil {
				t.Fatal(err)
			}
			if got := textOf(t, s); got != keyed(tt.want) {
				t.Errorf("got %q, want %q", got, keyed(tt.want))
			}
		})
	}
}

func TestNewFile(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), ".env"))
	if _, err := s.Put(t.Context(), secret.New(newKey), ""); err != nil {
		t.Fatal(err)
	}
	if got := textOf(t, s); got != "KEY="+newKey+"\n" {
		t.Errorf("new file %q", got)
	}
	if info, err := os.Stat(s.Path()); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

// "zebra" stands for the key, which must not come up in an error.
var refusedTests = []struct {
	name, text string
	line       int
	why        string
	onWrite    bool // read, but not written
}{
	{"no assignment", "A=1\nzebra!\n", 2, "neither a comment nor NAME=VALUE", false},
	{"white space in a name", "A=1\n\nzebra KEY=1\n", 3, "white space in a name", false},
	{"no name", "=zebra\n", 1, "a name is missing", false},
	{"no line end", "A=1\nzebra", 2, "a name without a value, and without a line end", false},
	{"unterminated", "A=1\nKEY='zebra\nB=1\n", 2, "a quote without an end", false},
	{"behind the quote", "\nKEY=\"x\"zebra\n", 2, "something stands behind the closing quote", false},
	{"outside", "A=1\nKEY=$zebra\n", 2, `a "$"`, false},
	{"outside, with a default", "KEY=${A:-zebra}\n", 1, `a "$"`, false},
	{"a dollar", "A=1\nKEY=zebra$$\n", 2, `a "$"`, false},
	{"itself", "KEY=zebra$KEY\n", 1, `a "$"`, false},
	{"linked", "A=zebra\nKEY=$A\n", 2, "KEY takes its value from another variable", false},
	{"linked in quotes", "A=zebra\nKEY=\"x${A}\"\n", 2, "KEY takes its value from another variable", false},
	{"linked, with a default", "A=\nKEY=${A:-zebra}\n", 2, "KEY takes its value from another variable", false},
	{"several lines", "KEY=\"zebra\nzebra\"\n", 1, "a value on several lines", false},
	{"an escape", "\nKEY=\"zebra\\n\"\n", 2, "a backslash that compose and a shell read differently", false},
	{"an escaped quote", "KEY='zebra\\'s'\n", 1, "a backslash before a single quote", false},
	{"passed through", "A=zebra\nKEY\n", 2, "it takes that of the environment", false},
	{"a comment or not", "KEY= # zebra\n", 1, `a "#" behind a blank`, false},
	{"twice", "KEY=zebra\nA=1\nKEY=zebra\n", 3, "KEY is set more than once, on lines 1, 3", true},
	{"passed through, and set", "KEY\nKEY=zebra\n", 2, "KEY is set more than once, on lines 1, 2", true},
	{"a lone carriage return", "\nKEY=zebra\rA=1\n", 2, "a carriage return in the middle of a line", false},
}

func TestRefused(t *testing.T) {
	for _, tt := range refusedTests {
		t.Run(tt.name, func(t *testing.T) {
			s := openText(t, tt.text)
			_, at, err := s.Get(t.Context())
			errs := map[string]error{"check": s.CheckPut(t.Context())}
			if !tt.onWrite {
				errs["get"] = err
			} else if err != nil {
				t.Errorf("get: %v", err)
			}
			_, errs["put"] = s.Put(t.Context(), secret.New(newKey), at)
			for act, err := range errs {
				if !errors.Is(err, store.ErrNotSafe) || !strings.Contains(err.Error(), fmt.Sprintf("%s:%d: ", s.Path(), tt.line)) || !strings.Contains(err.Error(), tt.why) {
					t.Errorf("%s: %v; want ErrNotSafe on line %d: %s", act, err, tt.line, tt.why)
				}
				if err != nil && strings.Contains(err.Error(), "zebra") {
					t.Errorf("%s: the error quotes the file: %v", act, err)
				}
			}
			if textOf(t, s) != tt.text {
				t.Error("the file was changed")
			}
		})
	}
}

// Where another variable of the file holds the key, the hint names it.
func TestLinkIsNamed(t *testing.T) {
	s := openText(t, "A=zebra\nKEY=\"${A:-zebra}\"\n")
	_, _, err := s.Get(t.Context())
	if want := "--store 'dotenv:" + s.Path() + "#A'"; !strings.HasSuffix(hint.Of(err), want) {
		t.Errorf("hint %q, want %s", hint.Of(err), want)
	}
	if _, _, err = openText(t, "A=1\nKEY=zebra$B\n").Get(t.Context()); hint.Of(err) != "" {
		t.Errorf("what may be a part of the key is in the hint: %q", hint.Of(err))
	}
}

// A key that no quotes can hold is refused, and what cannot be put back is
// seen before the first effect.
func TestKeysThatCannotStand(t *testing.T) {
	for _, key := range []string{"a\nb", "a\tb", "\x7f", "a\u0085b", "'`", "\xff", ""} {
		s := openText(t, "KEY="+oldKey+"\n")
		_, err := s.Put(t.Context(), secret.New(key), store.VersionOf(secret.New(oldKey)))
		if err == nil || key != "" && key != "\xff" && !errors.Is(err, store.ErrNotSafe) {
			t.Errorf("put of %q: %v, want ErrNotSafe", key, err)
		}
		if textOf(t, s) != "KEY="+oldKey+"\n" {
			t.Errorf("put of %q changed the file", key)
		}
	}
	for _, text := range []string{"KEY=\"a\nb\"\n", "KEY=\"'`\"\n", "KEY=\"a\\tb\"\n"} {
		s := openText(t, text)
		if err := s.CheckPut(t.Context()); !errors.Is(err, store.ErrNotSafe) {
			t.Errorf("CheckPut where %q could not be put back: %v", text, err)
		}
	}
}

// What is written, a shell reads as compose does; docker, which knows no
// quotes, too where there are none.
func TestShellAgrees(t *testing.T) {
	for _, text := range []string{"", "KEY=old # c\n", "KEY='old'\n", "KEY=\"old\"\n"} {
		for _, key := range []string{newKey, "a+/b==", "=a", "with blank", "#a", "~", `a\`, `\\`, `\n`, "$HOME", "$$", "a'b", `'"\$x${HOME}\\`, "`id`", "a;b&c|d<e>f(g)*?[h]!{i,j}", "é日本 😀"} {
			s := openText(t, text)
			_, at, err := s.Get(t.Context())
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			}
			if _, err := s.Put(t.Context(), secret.New(key), at); err != nil {
				t.Fatalf("%q in %q: %v", key, text, err)
			}
			out, err := exec.CommandContext(t.Context(), "sh", "-c", `. "$1" && printf %s "$KEY"`, "sh", s.Path()).CombinedOutput()
			if err != nil || string(out) != key {
				t.Errorf("%q: a shell reads %q, %v; want %q", textOf(t, s), out, err, key)
			}
			if isPlain(key) && text == "" && textOf(t, s) != "KEY="+key+"\n" {
				t.Errorf("%q: docker would take the quotes for a part of %q", textOf(t, s), key)
			}
		}
	}
}

// A neighbour that somebody else changes between Get and Put is no conflict,
// and survives.
func TestForeignEditSurvives(t *testing.T) {
	s := openText(t, "KEY="+oldKey+"\nA=1\n")
	_, at, err := s.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path(), []byte("A=2\n# new\nKEY='"+oldKey+"'\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), secret.New(newKey), at); err != nil {
		t.Fatal(err)
	}
	if want := "A=2\n# new\nKEY='" + newKey + "'\n"; textOf(t, s) != want {
		t.Errorf("got %q, want %q", textOf(t, s), want)
	}
	if info, err := os.Stat(s.Path()); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v; want 0640", info.Mode(), err)
	}
}

func TestIdentity(t *testing.T) {
	s := openText(t, "A=1\n")
	link := filepath.Join(t.TempDir(), "link.env")
	if err := os.Symlink(s.Path(), link); err != nil {
		t.Fatal(err)
	}
	if s.Identity() != open(t, link).Identity() {
		t.Error("one variable by two paths counts as two places")
	}
	other, err := New(store.Ref{Scheme: Scheme, Place: link, Field: "key"}, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Identity() == other.Identity() {
		t.Error("two variables of one file count as the same place")
	}
	if _, err := open(t, link).Put(t.Context(), secret.New(newKey), ""); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 || textOf(t, s) != "A=1\nKEY="+newKey+"\n" {
		t.Errorf("put through a link: %v, %q", err, textOf(t, s))
	}
}

// What was added is taken out again, so that every byte is as it was.
func TestErase(t *testing.T) {
	for _, tt := range setTests {
		s := openText(t, keyed(tt.text))
		if _, _, err := s.Get(t.Context()); !errors.Is(err, store.ErrNotFound) || strings.HasPrefix(tt.name, "empty, ") { // odd blanks do not come back
			continue
		}
		second, err := New(store.Ref{Scheme: Scheme, Place: s.Path(), Field: "SECOND"}, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		both := []*Store{s, second}
		var absent []string
		for _, one := range both {
			absence, err := one.Absence(t.Context())
			if err != nil || absence == "" {
				t.Fatalf("%s: %q, %v", tt.name, absence, err)
			}
			absent = append(absent, absence)
		}
		for _, one := range both {
			if _, err := one.Put(t.Context(), secret.New(newKey), ""); err != nil {
				t.Fatal(err)
			}
		}
		for _, i := range []int{1, 0} {
			if err := both[i].Erase(t.Context(), store.VersionOf(secret.New(newKey)), absent[i]); err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
		}
		if got, _ := os.ReadFile(s.Path()); string(got) != keyed(tt.text) {
			t.Errorf("%s: %q became %q", tt.name, tt.text, got)
		}
	}
}
