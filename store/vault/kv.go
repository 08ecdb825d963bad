package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// A mount is a KV secrets engine and the path of our secret in it.
type mount struct {
	path    string // without a slash at its end
	rest    string
	version int
}

// data is where the fields are read and written.
func (m mount) data() string {
	if m.version == 1 {
		return m.path + "/" + m.rest
	}
	return m.path + "/data/" + m.rest
}

func (m mount) destroy() string { return m.path + "/destroy/" + m.rest }

// findMount asks once which engine the place belongs to. Every token may ask
// that has any right in it.
func (s *Store) findMount(ctx context.Context) (mount, error) {
	if s.mount != nil {
		return *s.mount, nil
	}
	r := request{act: "find the mount of " + s.place, path: "sys/internal/ui/mounts/" + s.place, needs: "read"}
	a, err := s.conn.do(ctx, r)
	var denied *DeniedError
	if errors.As(err, &denied) {
		return mount{}, s.conn.because(r, s.noMount(ctx))
	}
	if err != nil {
		return mount{}, err
	}
	path, _ := a.dig("path").(string)
	kind, _ := a.dig("type").(string)
	path = strings.Trim(path, "/")
	rest, below := strings.CutPrefix(s.place, path+"/")
	switch {
	case path == "" || kind == "":
		return mount{}, s.conn.because(r, ErrOdd)
	case kind != "kv" && kind != "generic": // as version 1 was called before Vault 0.8
		return mount{}, s.conn.because(r, fmt.Errorf("%w: %s/ is of the type %q", ErrNotKV, path, kind))
	case !below:
		return mount{}, s.conn.because(r, fmt.Errorf("%w: the path ends at the mount %s/", ErrRefused, path))
	}
	m := mount{path: path, rest: rest, version: 1}
	if a.dig("options", "version") == "2" {
		m.version = 2
	}
	s.mount = &m
	return m, nil
}

// noMount tells a missing mount from a missing right: Vault answers to both in
// the same way, but knows what the token may do where nothing is.
func (s *Store) noMount(ctx context.Context) error {
	guess := guessMount(s.place)
	caps, err := s.capabilities(ctx, s.place, guess.data())
	if err != nil {
		return err
	}
	for _, granted := range caps {
		if len(granted) > 0 {
			return ErrNoMount
		}
	}
	return &DeniedError{Path: s.place, Capability: "read", Maybe: true}
}

// guessMount is what a mount usually looks like.
func guessMount(place string) mount {
	first, rest, _ := strings.Cut(place, "/")
	return mount{path: first, rest: rest, version: 2}
}

// An entry is one version of a secret.
type entry struct {
	mount   mount
	number  int            // of KV version 2; 0: there is none
	gone    bool           // deleted or destroyed: its fields cannot be read
	exists  bool           // a write is an update
	fields  map[string]any // numbers as they stand in the JSON
	key     secret.Key
	created time.Time // of KV version 2
	deletes time.Time // when Vault deletes it by itself; zero: never
	dead    bool      // destroyed: nobody can bring it back
}

// version is what Get and Put return; "" where there is no key.
func (e entry) version() store.Version {
	switch {
	case e.key.IsZero():
		return ""
	case e.mount.version == 1:
		return hashOf(e.key)
	}
	return store.Version(strconv.Itoa(e.number))
}

// hashOf a weak key gives it away to who guesses: a Version is compared, never
// shown.
func hashOf(key secret.Key) store.Version {
	sum := sha256.Sum256([]byte(key.Reveal()))
	return store.Version(hex.EncodeToString(sum[:]))
}

// read reads a version of the secret, 0 the current one. A secret or version
// that is not there is an entry without a number.
func (s *Store) read(ctx context.Context, number int) (entry, error) {
	m, err := s.findMount(ctx)
	if err != nil {
		return entry{}, err
	}
	e := entry{mount: m}
	r := request{act: "read " + m.data(), path: m.data(), needs: "read"}
	if number > 0 {
		r.params = url.Values{"version": {strconv.Itoa(number)}}
	}
	a, err := s.conn.do(ctx, r)
	if err != nil {
		return entry{}, err
	}
	if a.secret == nil && a.status != http.StatusNotFound {
		return entry{}, s.conn.because(r, ErrOdd)
	}
	if m.version == 1 {
		if a.status != http.StatusNotFound {
			e.exists, e.fields = true, a.secret.Data
		}
	} else if err := e.readVersioned(a); err != nil {
		return entry{}, s.conn.because(r, err)
	}
	e.key, err = s.keyIn(e.fields)
	if err != nil {
		return e, s.conn.because(r, err)
	}
	return e, nil
}

// readVersioned: a deleted version comes with status 404 and its metadata.
func (e *entry) readVersioned(a answer) error {
	meta, _ := a.dig("metadata").(map[string]any)
	e.number = int(number(meta["version"]))
	if e.number == 0 {
		if a.status == http.StatusNotFound {
			return nil
		}
		return ErrOdd
	}
	e.exists = true
	e.gone = a.status == http.StatusNotFound
	e.dead, _ = meta["destroyed"].(bool)
	e.fields, _ = a.dig("data").(map[string]any)
	for name, t := range map[string]*time.Time{"created_time": &e.created, "deletion_time": &e.deletes} {
		if text, _ := meta[name].(string); text != "" {
			var err error
			if *t, err = time.Parse(time.RFC3339Nano, text); err != nil {
				return ErrOdd
			}
		}
	}
	return nil
}

// keyIn returns the zero Key where the field is missing or empty.
func (s *Store) keyIn(fields map[string]any) (secret.Key, error) {
	value, ok := fields[s.field]
	if !ok || value == nil {
		return secret.Key{}, nil
	}
	text, ok := value.(string)
	if !ok {
		return secret.Key{}, fmt.Errorf("%w: the field %q is not a string", store.ErrNotSafe, s.field)
	}
	return secret.New(text), nil
}

// missing says why there is no key.
func (s *Store) missing(e entry) error {
	why := fmt.Sprintf("no field %q", s.field)
	switch {
	case !e.exists:
		why = "no such secret"
		if first, _, _ := strings.Cut(e.mount.rest, "/"); e.mount.version == 2 && first == "data" {
			why += `; the path of a reference goes without "data/"`
		}
	case e.gone:
		why = fmt.Sprintf("version %d is deleted", e.number)
	}
	return fmt.Errorf("%s at %s: %w: %s", e.mount.data(), s.conn.addr, store.ErrNotFound, why)
}

// write sets the key in what e holds. KV version 2 takes it only if e is still
// the current version. The number is 0 with version 1.
func (s *Store) write(ctx context.Context, e entry, next secret.Key) (int, error) {
	fields := map[string]any{}
	maps.Copy(fields, e.fields)
	fields[s.field] = next.Reveal()
	path := e.mount.data()
	r := request{act: "write " + path, path: path, needs: "update", quiet: true, body: fields}
	if !e.exists {
		r.needs = "create"
	}
	if e.mount.version == 2 {
		r.body = map[string]any{"data": fields, "options": map[string]any{"cas": e.number}}
	}
	a, err := s.conn.do(ctx, r)
	if err != nil || e.mount.version == 1 {
		return 0, err
	}
	n := int(number(a.dig("version")))
	if n == 0 {
		return 0, unknown{s.conn.because(r, ErrOdd)}
	}
	return n, nil
}
