package vault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/blnkctl/blnkctl/internal/hint"
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
	got, err := s.conn.do(ctx, r)
	switch {
	case errors.Is(err, ErrDenied):
		return mount{}, s.conn.because(r, s.noMount(ctx))
	case err != nil:
		return mount{}, err
	}
	found := dataOf(got)
	path, _ := found["path"].(string)
	kind, _ := found["type"].(string)
	options, _ := found["options"].(map[string]any)
	path = strings.Trim(path, "/")
	rest, below := strings.CutPrefix(s.place, path+"/")
	switch {
	case path == "" || kind == "":
		err = ErrOdd
	case kind != "kv" && kind != "generic": // as version 1 was called before Vault 0.8
		err = fmt.Errorf("%w: %s/ is of the type %q", ErrNotKV, path, kind)
	case !below:
		err = fmt.Errorf("%w: the path ends at the mount %s/", ErrRefused, path)
	}
	if err != nil {
		return mount{}, s.conn.because(r, err)
	}
	s.mount = &mount{path: path, rest: rest, version: 1}
	if options["version"] == "2" {
		s.mount.version = 2
	}
	return *s.mount, nil
}

// noMount tells a missing mount from a missing right: Vault answers to both in
// the same way, but knows what the token may do where nothing is.
func (s *Store) noMount(ctx context.Context) error {
	for _, path := range []string{s.place, guessMount(s.place).data()} {
		granted, err := s.capabilities(ctx, path)
		if err != nil {
			return err
		}
		if len(granted) > 0 {
			return ErrNoMount
		}
	}
	return fmt.Errorf("%w, or nothing is mounted there", s.conn.lacks("read", s.place))
}

// guessMount is what a mount usually looks like.
func guessMount(place string) mount {
	first, rest, _ := strings.Cut(place, "/")
	return mount{path: first, rest: rest, version: 2}
}

// An entry is one version of a secret.
type entry struct {
	mount  mount
	exists bool           // a write is an update
	fields map[string]any // nil: deleted or destroyed; numbers as they stand in the JSON
	meta   metadata       // of KV version 2
	key    secret.Key
}

// metadata is what KV version 2 says of a version. Vault's client would decode it too,
// and takes 100 KB for it (mapstructure).
type metadata struct {
	Version      int       `json:"version"`
	CreatedTime  time.Time `json:"created_time"`
	DeletionTime time.Time `json:"deletion_time"` // zero: none is planned
	Destroyed    bool      `json:"destroyed"`
}

func metadataOf(answer *api.Secret) (m metadata, err error) {
	said, _ := answer.Data["metadata"].(map[string]any)
	if said["deletion_time"] == "" {
		delete(said, "deletion_time")
	}
	text, err := json.Marshal(said)
	if err != nil || json.Unmarshal(text, &m) != nil || m.Version == 0 {
		return m, ErrOdd
	}
	return m, nil
}

func (e entry) gone() bool { return e.exists && e.fields == nil }

// read reads a version of the secret, 0 the current one. A secret or version
// that is not there is an entry that does not exist.
func (s *Store) read(ctx context.Context, number int) (entry, error) {
	m, err := s.findMount(ctx)
	if err != nil {
		return entry{}, err
	}
	r := request{act: "read " + m.data(), path: m.data(), needs: "read"}
	if number > 0 {
		r.query = url.Values{"version": {strconv.Itoa(number)}}
	}
	got, err := s.conn.do(ctx, r)
	e := entry{mount: m}
	if err != nil {
		return e, err
	}
	if got == nil {
		return e, s.checkAPIPath(e)
	}
	e.exists, e.fields = true, got.Data
	if m.version == 2 {
		data, ok := got.Data["data"]
		e.fields, _ = data.(map[string]any)
		if e.meta, err = metadataOf(got); err != nil || !ok || data != nil && e.fields == nil {
			return entry{}, s.conn.because(r, ErrOdd)
		}
	}
	switch value := e.fields[s.field].(type) {
	case nil: // missing, or null
	case string:
		e.key = secret.New(value)
		s.conn.shows(e.key)
	default:
		return e, s.conn.because(r, fmt.Errorf("%w: the field %q is not a string", store.ErrNotSafe, s.field))
	}
	return e, nil
}

// checkAPIPath refuses a path that begins as those of the API do, where no such
// secret is: a key that is written there would be found by nobody.
func (s *Store) checkAPIPath(e entry) error {
	kind, rest, _ := strings.Cut(e.mount.rest, "/")
	if e.mount.version != 2 || rest == "" || kind != "data" && kind != "metadata" {
		return nil
	}
	ref := s.ref
	ref.Place = e.mount.path + "/" + rest
	return hint.Add(fmt.Errorf("%s at %s: no such secret; the path of a reference goes without %q", s.place, s.conn.addr, kind+"/"),
		"name the path as vault kv get does: --store %s", hint.Quote(ref.String()))
}

// missing says why there is no key.
func (s *Store) missing(e entry) error {
	why := fmt.Sprintf("no field %q", s.field)
	switch {
	case !e.exists:
		why = "no such secret"
	case e.gone():
		why = fmt.Sprintf("version %d is deleted", e.meta.Version)
	}
	return fmt.Errorf("%s at %s: %w: %s", e.mount.data(), s.conn.addr, store.ErrNotFound, why)
}

// write sets the key in what e holds. KV version 2 takes it only if e is still
// the current version.
func (s *Store) write(ctx context.Context, e entry, next secret.Key) error {
	fields := map[string]any{}
	maps.Copy(fields, e.fields)
	fields[s.field] = next.Reveal()
	m := e.mount
	r := request{act: "write " + m.data(), path: m.data(), body: fields, needs: "update", writes: true}
	if !e.exists {
		r.needs = "create"
	}
	if m.version == 2 {
		r.body = map[string]any{"data": fields, "options": map[string]any{"cas": e.meta.Version}}
	}
	got, err := s.conn.do(ctx, r)
	if err == nil && m.version == 2 && dataOf(got)["version"] == nil { // it is not said that it was done
		err = unknown{s.conn.because(r, fmt.Errorf("%w: HTTP %d", ErrOdd, s.conn.status))}
	}
	return err
}

// dataOf is what an answer holds; nil where there is none.
func dataOf(answer *api.Secret) map[string]any {
	if answer == nil {
		return nil
	}
	return answer.Data
}

// Created says since when Vault has held the key that it holds now: the oldest
// version from which on nothing but other fields changed. Where Vault no longer
// has that one, it is the oldest that it still has, so that the key is at least
// as old. The zero Time where nobody knows: with KV version 1, which keeps no
// time, and where the time is in the future.
func (s *Store) Created(ctx context.Context) (time.Time, error) {
	now, err := s.read(ctx, 0)
	if err == nil && now.key.IsZero() {
		err = s.missing(now)
	}
	if err != nil {
		return time.Time{}, err
	}
	since := now.meta.CreatedTime
	err = s.earlier(ctx, now, func(e entry) bool {
		if !e.key.Equal(now.key) {
			return false
		}
		since = e.meta.CreatedTime
		return true
	})
	if inFuture(since) {
		since = time.Time{}
	}
	return since, err
}

// inFuture allows for two clocks that differ a little.
func inFuture(t time.Time) bool { return time.Until(t) > time.Minute }

// earlier visits the versions before e, the youngest first, until visit returns
// false or Vault has no older one.
func (s *Store) earlier(ctx context.Context, e entry, visit func(entry) bool) error {
	for n := e.meta.Version - 1; n > 0; n-- {
		old, err := s.read(ctx, n)
		if err != nil && !errors.Is(err, store.ErrNotSafe) { // a field that is no string is no key of ours
			return err
		}
		if !old.exists || !visit(old) {
			return nil
		}
	}
	return nil
}

// Previous returns the key of the version before those that hold the current one. Where
// that version is deleted, destroyed or without a key, there is none: an older one is
// another matter.
func (s *Store) Previous(ctx context.Context) (key secret.Key, since time.Time, err error) {
	now, err := s.read(ctx, 0)
	if err == nil && now.key.IsZero() {
		err = s.missing(now)
	}
	if err != nil {
		return key, since, err
	}
	none := "Vault keeps none before it"
	err = s.earlier(ctx, now, func(e entry) bool {
		switch {
		case key.IsZero() && e.key.Equal(now.key):
			return true
		case key.IsZero() && e.key.IsZero():
			none = fmt.Sprintf("version %d, the one before it, is deleted or holds none", e.meta.Version)
			return false
		case key.IsZero():
			key = e.key
		}
		if e.key.Equal(key) {
			since = e.meta.CreatedTime
		}
		return e.key.Equal(key)
	})
	if err == nil && key.IsZero() {
		err = fmt.Errorf("%s at %s: %w: %s", now.mount.data(), s.conn.addr, store.ErrNotFound, none)
	}
	if inFuture(since) {
		since = time.Time{}
	}
	return key, since, err
}

// Purge destroys every version of the secret that holds the dead key, with all
// its other fields, for good; KV version 1 keeps none. The current version it
// never destroys: where that one holds the dead key, nothing is destroyed, and
// the error is store.ErrConflict.
//
// A version that was deleted, but not destroyed, cannot be read, and can be
// brought back. Purge does not touch it, since it may hold nothing but what
// somebody else still wants, and names it in an error.
func (s *Store) Purge(ctx context.Context, dead secret.Key) error {
	now, err := s.read(ctx, 0)
	if err != nil {
		return err
	}
	act := fmt.Sprintf("destroy old versions of %s at %s", s.place, s.conn.addr)
	if now.key.Equal(dead) {
		return fmt.Errorf("%s: %w: the current one holds that key", act, store.ErrConflict)
	}
	var doomed []int
	var hidden []string
	sort := func(e entry) bool {
		switch {
		case e.gone() && !e.meta.Destroyed:
			hidden = append(hidden, strconv.Itoa(e.meta.Version))
		case e.key.Equal(dead) && !dead.IsZero():
			doomed = append(doomed, e.meta.Version)
		}
		return true
	}
	if err := s.earlier(ctx, now, sort); err != nil {
		return err
	}
	sort(now)
	if len(doomed) > 0 {
		r := request{act: fmt.Sprintf("destroy the versions %v of %s", doomed, s.place), path: now.mount.destroy(), body: map[string]any{"versions": doomed}, needs: "update"}
		_, err = s.conn.do(ctx, r) // does no harm where it is repeated
	}
	if err != nil || len(hidden) == 0 {
		return err
	}
	return hint.Add(fmt.Errorf("%s: %w (%s): they can be brought back, and may hold the dead key", act, ErrHidden, strings.Join(hidden, ", ")),
		"%s", hint.Command("vault", "kv", "destroy", "-versions="+strings.Join(hidden, ","), s.place))
}
