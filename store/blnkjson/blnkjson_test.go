package blnkjson

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/storetest"
)

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := New(store.Ref{Scheme: Scheme, Place: path}, store.Options{Dir: "/", CopyDir: filepath.Join(filepath.Dir(path), "copies")})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func openText(t *testing.T, text string) *Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blnk.json")
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
		s, err = Open(ref, store.Options{Dir: "/"})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Run("missing file", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store { return open(t, filepath.Join(t.TempDir(), "blnk.json")) }, again)
	})
	t.Run("missing value", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store { return openText(t, "{\n  \"server\": {\"port\": \"5001\"}\n}\n") }, again)
	})
	t.Run("empty value", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store { return openText(t, `{"SERVER":{"secret_key":""}}`) }, again)
	})
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		ref, defaultField, want string // want "" is an error
	}{
		{"blnkjson:./blnk.json", "", "blnkjson:/srv/blnk.json#server.secret_key"},
		{"blnkjson:../x/./b.json", "", "blnkjson:/x/b.json#server.secret_key"},
		{"blnkjson:/etc/b.json#tokenization_secret", "", "blnkjson:/etc/b.json#tokenization_secret"},
		{"blnkjson:b.json", "server.metrics_bearer_token", "blnkjson:/srv/b.json#server.metrics_bearer_token"},
		{"blnkjson:b.json#x.y", "server.metrics_bearer_token", "blnkjson:/srv/b.json#x.y"},
		{"blnkjson:", "", ""},
		{"blnkjson:b.json#a..b", "", ""},
		{"blnkjson:b.json#.a", "", ""},
		{"blnkjson:b.json#a.", "", ""},
		{"blnkjson:b.json?x=1", "", ""},
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
	s, err := New(store.Ref{Scheme: Scheme, Place: "b.json"}, store.Options{Dir: "/srv/a#b"})
	if err != nil || s.String() != "blnkjson:/srv/a%23b/b.json#server.secret_key" {
		t.Errorf("a folder with '#': %s, %v", s, err)
	}
}

func TestNewFile(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "blnk.json"))
	if config, err := s.Config(t.Context()); config != nil || err != nil {
		t.Errorf("config of a missing file: %q, %v; want none", config, err)
	}
	if _, err := s.Put(t.Context(), secret.New(newKey), ""); err != nil {
		t.Fatal(err)
	}
	if want := "{\n  \"server\": {\n    \"secret_key\": \"" + newKey + "\"\n  }\n}\n"; textOf(t, s) != want {
		t.Errorf("new file %q, want %q", textOf(t, s), want)
	}
	if info, err := os.Stat(s.Path()); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
}

// A neighbour that somebody else changes between Get and Put is no conflict,
// and survives.
func TestForeignEditSurvives(t *testing.T) {
	s := openText(t, `{"server":{"secret_key":"`+oldKey+`","port":"5001"}}`)
	_, at, err := s.Get(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Path(), []byte("{\n\"server\": {\"port\": \"6001\", \"secret_key\": \""+oldKey+"\"}, \"new\": 1\n}"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), secret.New(newKey), at); err != nil {
		t.Fatal(err)
	}
	if want := "{\n\"server\": {\"port\": \"6001\", \"secret_key\": \"" + newKey + "\"}, \"new\": 1\n}"; textOf(t, s) != want {
		t.Errorf("got %q, want %q", textOf(t, s), want)
	}
}

// Everything that is refused is refused by each method with file and line, and
// changes nothing; no error holds a part of the file.
func TestRefusedByStore(t *testing.T) {
	tests := refusedTests
	tests = append(tests, struct {
		name, text string
		line       int
		why        string
	}{"byte order mark", "\xef\xbb\xbf{}", 1, "UTF-8 byte order mark"})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := openText(t, tt.text)
			_, _, getErr := s.Get(t.Context())
			_, putErr := s.Put(t.Context(), secret.New(newKey), "")
			for act, err := range map[string]error{"get": getErr, "put": putErr, "check": s.CheckPut(t.Context())} {
				where := s.Path() + ":" + string(rune('0'+tt.line)) + ":"
				if !errors.Is(err, store.ErrNotSafe) || !strings.Contains(err.Error(), where) || !strings.Contains(err.Error(), tt.why) {
					t.Errorf("%s: %v; want ErrNotSafe at %s %s", act, err, where, tt.why)
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

func TestRefusedFiles(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, 10<<20+1); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, large} {
		s := open(t, path)
		_, _, getErr := s.Get(t.Context())
		_, putErr := s.Put(t.Context(), secret.New(newKey), "")
		for act, err := range map[string]error{"get": getErr, "put": putErr, "check": s.CheckPut(t.Context())} {
			if !errors.Is(err, store.ErrNotSafe) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s of %s: %v, want ErrNotSafe", act, path, err)
			}
		}
	}
}

func TestMissingFolder(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "none", "blnk.json"))
	if _, _, err := s.Get(t.Context()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("get: %v, want ErrNotFound", err)
	}
	for act, err := range map[string]error{"check": s.CheckPut(t.Context()), "put": second(s.Put(t.Context(), secret.New(newKey), ""))} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want fs.ErrNotExist", act, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestBadKeyIsNotPut(t *testing.T) {
	const text = `{"server":{"secret_key":""}}`
	s := openText(t, text)
	for _, key := range []string{"", "\xff", "a\xc3"} {
		if _, err := s.Put(t.Context(), secret.New(key), ""); err == nil {
			t.Errorf("key %q was put", key)
		}
	}
	if textOf(t, s) != text {
		t.Errorf("the file became %q", textOf(t, s))
	}
}

func TestIdentity(t *testing.T) {
	s := openText(t, "{}")
	link := filepath.Join(t.TempDir(), "link.json")
	if err := os.Symlink(s.Path(), link); err != nil {
		t.Fatal(err)
	}
	other, err := New(store.Ref{Scheme: Scheme, Place: link, Field: "Server.Secret_KEY"}, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Identity() != other.Identity() {
		t.Errorf("same value by another path: %q and %q", s.Identity(), other.Identity())
	}
	third, err := New(store.Ref{Scheme: Scheme, Place: link, Field: "tokenization_secret"}, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.Identity() == third.Identity() {
		t.Error("two fields of one file count as the same place")
	}
	pathA, errA := s.LockPath()
	pathB, errB := other.LockPath()
	if pathA != pathB || errA != nil || errB != nil {
		t.Errorf("lock %q and %q, %v, %v", pathA, pathB, errA, errB)
	}
}

// A Put through a link writes what the link leads to.
func TestPutThroughLink(t *testing.T) {
	s := openText(t, `{"server":{"secret_key":"`+oldKey+`"}}`)
	link := filepath.Join(t.TempDir(), "blnk.json")
	if err := os.Symlink(s.Path(), link); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, link).Put(t.Context(), secret.New(newKey), store.VersionOf(secret.New(oldKey))); err != nil {
		t.Fatal(err)
	}
	if want := `{"server":{"secret_key":"` + newKey + `"}}`; textOf(t, s) != want {
		t.Errorf("got %q, want %q", textOf(t, s), want)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link is no link any more")
	}
}

func TestRepair(t *testing.T) {
	s := openText(t, `{"server":{"secret_key":"`+oldKey+`"}}`)
	stale := filepath.Join(filepath.Dir(s.Path()), ".blnk.json.blnkctl.tmp")
	if err := os.WriteFile(stale, []byte(`{"server":{"secret_key":"`+newKey+`"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Repair(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if err := s.Repair(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the temporary file of a crashed Put is still there")
	}
	if key, _, err := s.Get(t.Context()); err != nil || key.Reveal() != oldKey {
		t.Errorf("the key is another one: %v", err)
	}
}

// A file with several names is written in place, with the folder for copies that
// the store was opened with.
func TestPutInPlace(t *testing.T) {
	s := openText(t, `{"server":{"secret_key":"`+oldKey+`"}}`)
	other := filepath.Join(filepath.Dir(s.Path()), "other.json")
	if err := os.Link(s.Path(), other); err != nil {
		t.Fatal(err)
	}
	if err := s.CheckPut(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.Put(t.Context(), secret.New(newKey), store.VersionOf(secret.New(oldKey))); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(other); err != nil || string(text) != textOf(t, s) || !strings.Contains(string(text), newKey) {
		t.Errorf("the other name leads to another content: %v", err)
	}
	noCopies, err := New(store.Ref{Scheme: Scheme, Place: other}, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for act, err := range map[string]error{
		"check": noCopies.CheckPut(t.Context()),
		"put":   second(noCopies.Put(t.Context(), secret.New(oldKey), store.VersionOf(secret.New(newKey)))),
	} {
		if !errors.Is(err, textfile.ErrUnwritable) {
			t.Errorf("%s without a folder for copies: %v, want textfile.ErrUnwritable", act, err)
		}
	}
}

// While somebody else does not stop changing the file, a Put goes through or
// gives up with ErrConflict; it says nothing else, and the key is the one it
// says.
func TestPutUnderEdits(t *testing.T) {
	s := openText(t, `{"server":{"secret_key":"`+oldKey+`"}}`)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for mode := fs.FileMode(0o600); ; mode ^= 0o040 {
			select {
			case <-stop:
				return
			default:
				_ = os.Chmod(s.Path(), mode)
			}
		}
	}()
	now, puts := oldKey, 0
	for i := range 50 {
		next := newKey + string(rune('A'+i))
		_, err := s.Put(t.Context(), secret.New(next), store.VersionOf(secret.New(now)))
		if err == nil {
			now, puts = next, puts+1
		} else if !errors.Is(err, store.ErrConflict) {
			t.Errorf("put %d: %v", i, err)
		}
		if got, _, err := s.Get(t.Context()); err != nil || got.Reveal() != now {
			t.Fatalf("after put %d: %v, another key than expected: %v", i, err, got.Reveal() != now)
		}
	}
	close(stop)
	<-done
	t.Logf("%d of 50 went through", puts)
}

func BenchmarkPut(b *testing.B) {
	path := filepath.Join(b.TempDir(), "blnk.json")
	if err := os.WriteFile(path, []byte(`{"server":{"secret_key":"`+oldKey+`"}}`), 0o600); err != nil {
		b.Fatal(err)
	}
	s, err := New(store.Ref{Scheme: Scheme, Place: path}, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	at := store.VersionOf(secret.New(oldKey))
	for b.Loop() {
		if at, err = s.Put(b.Context(), secret.New(newKey), at); err != nil {
			b.Fatal(err)
		}
	}
}
