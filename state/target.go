package state

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/ownfile"
	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/secret"
)

var (
	// ErrDamaged means that a file of the state is not as blnkctl wrote it.
	ErrDamaged = errors.New("damaged")
	// ErrOtherVersion means that a file of the state was written by a version
	// of blnkctl that this one does not understand.
	ErrOtherVersion = errors.New("written by another version of blnkctl")
)

const (
	targetsName = "targets"
	lockName    = "lock"
	restartName = "restart"
	journalName = "journal"
	historyName = "facts" // its name on the disk, which other programs read
	toldName    = "told"

	// sealVersion is raised when a file of the state can no longer be read by
	// older versions.
	sealVersion = 1
	// passing is far more than PurgePrevious has the lock, of whichever target: jobs of
	// many targets start at the same second, when the keys of all of them end.
	passing = 250 * time.Millisecond
	// mostBytes is far more than a journal with the keys of many stores.
	mostBytes = 16 << 20
)

// A Target is the part of the state that belongs to one target: what a
// rotation replaces a key of, named after its first store.
//
// Its methods may be called by several processes; who changes something holds
// the lock.
type Target struct {
	dir  *Dir
	path string
}

// Target returns the target that a canonical reference with absolute paths names, so
// that one target is always the same folder. Nothing is made yet.
func (d *Dir) Target(reference string) *Target {
	place := ref.Verbatim(reference)
	sum := sha256.Sum256([]byte(place))
	name := slug(place) + "-" + hex.EncodeToString(sum[:4])
	return &Target{dir: d, path: filepath.Join(d.path, targetsName, name)}
}

// slug is the part of a folder's name that a person recognizes. It keeps the
// end of a place, which says more than its beginning.
func slug(place string) string {
	const longest = 60
	clean := strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789._", r) {
			return r
		}
		return '-'
	}, strings.ToLower(place))
	return strings.Trim(clean[max(0, len(clean)-longest):], "-.")
}

// Path is the target's folder, which may not exist.
func (t *Target) Path() string { return t.path }

// RestartFile is the path of a file that names the command that restarts the target
// (restart.Work). It need not exist.
func (t *Target) RestartFile() string { return t.file(restartName) }

func (t *Target) file(name string) string { return filepath.Join(t.path, name) }

// make makes the folders down to the target's.
func (t *Target) make() error {
	if err := t.dir.Make(); err != nil {
		return err
	}
	if err := atomicfile.MakeDir(t.path); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	return nil
}

// Check says whether this user may write the journal, and the history can be read,
// which is written anew at the end. It changes nothing.
func (t *Target) Check() error {
	_, err := t.LoadHistory()
	return cmp.Or(err, checkWritable(t.path))
}

// Lock keeps other blnkctl processes away from the target until unlock is
// called or the process ends. It waits at most wait, but always for who only passes; a
// lock that somebody else holds for longer is flock.ErrHeld. What a crash left of a half
// written journal or previous key is removed: whoever has the lock next may have none to
// write. A target of which nothing was saved, as where its reference was mistyped, is gone
// again after unlock.
func (t *Target) Lock(ctx context.Context, wait time.Duration) (unlock func(), err error) {
	release, err := func() {}, fs.ErrNotExist
	for errors.Is(err, fs.ErrNotExist) { // whoever had the lock took the folder with it
		if err := t.make(); err != nil {
			return nil, err
		}
		release, err = flock.Lock(ctx, t.file(lockName), max(wait, passing))
	}
	if err == nil {
		if err = t.within(func(folder *atomicfile.Dir) error {
			return errors.Join(folder.Discard(journalName), folder.Discard(previousName))
		}); err != nil {
			release()
		}
	}
	if err != nil {
		return nil, notLocked(err)
	}
	return func() {
		t.removeUnused()
		release()
	}, nil
}

// removeUnused removes the target's folder where it holds nothing but the lock,
// which is held. Whoever waits for that sees that the file is gone (package
// flock), and makes another.
func (t *Target) removeUnused() {
	entries, err := os.ReadDir(t.path)
	if err == nil && len(entries) == 1 && entries[0].Name() == lockName {
		_ = os.Remove(t.file(lockName))
		_ = os.Remove(t.path) // fails where something has appeared
	}
}

// LockExisting is Lock for who may change nothing: where the target has never
// been locked there is nobody to keep away, and nothing is made.
func (t *Target) LockExisting(ctx context.Context, wait time.Duration) (unlock func(), err error) {
	return t.lockExisting(ctx, max(wait, passing))
}

func (t *Target) lockExisting(ctx context.Context, wait time.Duration) (unlock func(), err error) {
	unlock = func() {}
	if _, err = os.Lstat(t.file(lockName)); err == nil {
		unlock, err = flock.Lock(ctx, t.file(lockName), wait)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return func() {}, nil
	case err != nil:
		return nil, notLocked(err)
	}
	return unlock, nil
}

func notLocked(err error) error {
	if errors.Is(err, flock.ErrHeld) {
		return fmt.Errorf("another blnkctl is at work on this target: %w", err)
	}
	return fmt.Errorf("lock target: %w", err)
}

// Holder is flock.Holder of the target's lock.
func (t *Target) Holder() string { return flock.Holder(t.file(lockName)) }

// LoadJournal returns what SaveJournal saved, nil where there is no journal,
// ErrDamaged or ErrOtherVersion (wrapped) where there is one that cannot be
// read as it was written.
func (t *Target) LoadJournal() ([]byte, error) { return t.load(journalName) }

// SaveJournal replaces the journal. When it returns nil the journal is on the
// disk; after an error there is the one that stood there before, or none, or,
// where only the folder could not be synced, the new one.
func (t *Target) SaveJournal(body []byte) error { return t.save(journalName, body) }

// ForgetJournal removes the journal, and what a crash while saving one may
// have left beside it. It is no error where there is none. The removal is
// durable when it returns nil.
func (t *Target) ForgetJournal() error { return t.forget(journalName) }

// A History is what is remembered of a target between rotations. Times are UTC;
// the zero time means never. There is no key in it: see Previous.
type History struct {
	// Key is the Mark of the key that the history speaks of; "" where none is known.
	Key string `json:"key,omitempty"`
	// ProvedAt is when the last rotation to Key was proved. The clock of "is a
	// rotation due" starts here.
	ProvedAt time.Time `json:"proved_at,omitzero"`
	// SeenAt is when a Key that blnkctl did not make was first seen
	// (adopted), and its clock started.
	SeenAt time.Time `json:"seen_at,omitzero"`
	// Rotation is the ID of the last rotation that ended.
	Rotation string `json:"rotation,omitempty"`
	// Failures counts the rotations that were put back since the last proved
	// one, FailedAt is when the last of them ended, and FailedRefs a digest of
	// the references it was run with: other ones reset the waiting.
	Failures   int       `json:"failures,omitempty"`
	FailedAt   time.Time `json:"failed_at,omitzero"`
	FailedRefs string    `json:"failed_refs,omitempty"`
	// RolledBackAt is when a person went back to Key from the one after it, and
	// RetiredAt when the one before Key was ended: there is no way back from Key.
	RolledBackAt time.Time `json:"rolled_back_at,omitzero"`
	RetiredAt    time.Time `json:"retired_at,omitzero"`
	// Unwritten are the references of write-only copies that could not be written
	// and so may hold another key.
	Unwritten []string `json:"unwritten,omitempty"`
}

// Of says whether the history speaks of a key, which takes as long as Marks.
func (h History) Of(key secret.Key) bool { return Marks(h.Key, key) }

// Since is when the clock of a key started, and what happened then; zero where the history
// does not speak of it.
func (h History) Since(key secret.Key) (since time.Time, how string) {
	since, how = h.ProvedAt, "rotated"
	if since.IsZero() {
		since, how = h.SeenAt, "first seen"
	}
	if !since.IsZero() && !h.Of(key) {
		since = time.Time{}
	}
	return since, how
}

// LoadHistory returns what SaveHistory saved; the zero History where there is
// nothing; ErrDamaged or ErrOtherVersion (wrapped) where the file cannot be
// read as it was written.
func (t *Target) LoadHistory() (History, error) {
	return loadJSON[History](t, historyName)
}

// SaveHistory replaces the history, durably.
func (t *Target) SaveHistory(history History) error { return t.saveJSON(historyName, history) }

// LoadTold returns what SaveTold saved; its errors are those of LoadJournal.
func (t *Target) LoadTold() ([]byte, error) { return t.load(toldName) }

// SaveTold replaces what is remembered of the notices that were given of the target,
// durably. Who calls it need not hold the lock: of two at a time, one is lost.
func (t *Target) SaveTold(body []byte) error { return t.save(toldName, body) }

// saveJSON is save of a document.
func (t *Target) saveJSON(name string, document any) error {
	body, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	return t.save(name, append(body, '\n'))
}

// loadJSON is load of a document, the zero one where there is none.
func loadJSON[T any](t *Target, name string) (document T, err error) {
	body, err := t.load(name)
	if err != nil || body == nil {
		return document, err
	}
	if json.Unmarshal(body, &document) != nil { // its error may quote the file
		return *new(T), t.damaged(name)
	}
	return document, nil
}

// save writes a sealed file of the target, whole or not at all.
func (t *Target) save(name string, body []byte) error {
	err := t.make()
	if err == nil {
		err = atomicfile.Replace(t.file(name), seal(name, body))
	}
	if err != nil {
		return fmt.Errorf("save %s: %w", name, err)
	}
	return nil
}

// load reads a sealed file: nil where there is none, never nil where there is
// one.
func (t *Target) load(name string) ([]byte, error) {
	data, err := ownfile.Read(t.file(name), mostBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", name, err)
	}
	body, err := unseal(name, data)
	if errors.Is(err, ErrDamaged) && name != journalName { // for that one package rotate knows more
		return nil, t.damaged(name)
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %s: %w", name, t.file(name), err)
	}
	return append([]byte{}, body...), nil
}

// damaged is ErrDamaged of a file without which everything goes on.
func (t *Target) damaged(name string) error {
	return hint.Add(fmt.Errorf("load %s: %s: %w", name, t.file(name), ErrDamaged),
		"put it away, and with it what blnkctl remembers there (%s): %s",
		map[string]string{historyName: "the age of the key, failures", toldName: "what was told", previousName: "the previous key"}[name],
		hint.Command("mv", t.file(name), t.file(name)+".damaged"))
}

// seal puts a line before the body by which a cut, a flipped bit and another
// version are told apart:
//
//	blnkctl journal 1 sha256:…
func seal(name string, body []byte) []byte {
	sum := sha256.Sum256(body)
	line := fmt.Sprintf("blnkctl %s %d sha256:%s\n", name, sealVersion, hex.EncodeToString(sum[:]))
	return append([]byte(line), body...)
}

// unseal returns the body of a sealed file. Its errors hold nothing of the
// file but its version.
func unseal(name string, data []byte) ([]byte, error) {
	line, body, ok := bytes.Cut(data, []byte("\n"))
	word := bytes.Split(line, []byte(" "))
	if !ok || len(word) < 3 || string(word[0]) != "blnkctl" || string(word[1]) != name {
		return nil, ErrDamaged
	}
	version, err := strconv.Atoi(string(word[2]))
	if err != nil || version < 1 {
		return nil, ErrDamaged
	}
	if version != sealVersion {
		return nil, fmt.Errorf("%w (format %d, this one reads %d)", ErrOtherVersion, version, sealVersion)
	}
	if !bytes.Equal(data, seal(name, body)) {
		return nil, ErrDamaged
	}
	return body, nil
}
