package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
)

// SystemDir is the state folder of root, and of everybody where it exists.
const SystemDir = "/var/lib/blnkctl"

// ErrUnsafe means that the state folder is open to others or belongs to
// somebody else, so that neither the secrets in it nor what they say would be
// safe.
var ErrUnsafe = errors.New("not a private folder")

// DefaultDir says where the state lives when nobody said otherwise: SystemDir
// for root and where it exists, else $XDG_STATE_HOME/blnkctl, else
// ~/.local/state/blnkctl, on macOS too. uid is the user's number. A SystemDir
// that exists but is closed to this user is still the answer: another folder
// would hide an open rotation.
//
// An XDG_STATE_HOME that is not absolute is ignored (XDG Base Directory
// Specification 0.8). Without it and without a HOME there is an error.
func DefaultDir(getenv func(string) string, uid int) (string, error) {
	if uid == 0 {
		return SystemDir, nil
	}
	// Any answer but "not there" means that something is there.
	if _, err := os.Lstat(SystemDir); !errors.Is(err, fs.ErrNotExist) {
		return SystemDir, nil
	}
	if xdg := getenv("XDG_STATE_HOME"); filepath.IsAbs(xdg) {
		return filepath.Join(xdg, "blnkctl"), nil
	}
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", errors.New("find the state folder: neither XDG_STATE_HOME nor HOME is an absolute path")
	}
	return filepath.Join(home, ".local", "state", "blnkctl"), nil
}

// A Dir is the state folder. It may not exist yet: the first write makes it.
type Dir struct{ path string }

// Open takes the folder at dir. It changes nothing. A folder that does not
// exist is fine; one that cannot be listed and entered is an error (wrapping
// fs.ErrPermission where that is why), one that others can enter or that
// belongs to neither this user nor root is ErrUnsafe.
func Open(dir string) (*Dir, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open state folder: %w", err)
	}
	d := &Dir{path: path}
	if err := d.look(); err != nil {
		return nil, err
	}
	return d, nil
}

// look refuses a folder that is not ours alone. A link to a folder is
// followed: what counts is what it leads to.
func (d *Dir) look() error {
	folder, err := os.Open(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open state folder: %w", err)
	}
	defer func() { _ = folder.Close() }()
	info, err := folder.Stat()
	if err != nil {
		return fmt.Errorf("open state folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("open state folder %s: %w: it is no folder", d.path, ErrUnsafe)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 && int(owner) != os.Geteuid() {
		return fmt.Errorf("open state folder %s: %w: it belongs to user %d", d.path, ErrUnsafe, owner)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return fmt.Errorf("open state folder %s: %w: its mode is %04o, want 0700", d.path, ErrUnsafe, perm)
	}
	// Listing needs the right to read, a look at something inside the right
	// to enter.
	if _, err := os.Lstat(filepath.Join(d.path, targetsName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open state folder: %w", err)
	}
	return nil
}

// Path is the absolute path of the folder.
func (d *Dir) Path() string { return d.path }

// SpareDir is where stores keep the copy of a file that they write in place.
// It may not exist.
func (d *Dir) SpareDir() string { return filepath.Join(d.path, "spare") }

// OpenTargets are the targets that have a journal, be it one that cannot be
// read. None, and no error, where the folder does not exist.
func (d *Dir) OpenTargets() ([]*Target, error) {
	folder := filepath.Join(d.path, targetsName)
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for open rotations: %w", err)
	}
	var open []*Target
	for _, e := range entries {
		t := &Target{dir: d, path: filepath.Join(folder, e.Name())}
		if _, err := os.Lstat(t.file(journalName)); err == nil {
			open = append(open, t)
		}
	}
	return open, nil
}

// Make creates the folder (0700, durable) where it does not exist, and refuses
// one that became unsafe since Open.
func (d *Dir) Make() error {
	if err := makeDir(d.path); err != nil {
		return fmt.Errorf("make state folder: %w", err)
	}
	return d.look()
}

// Check says whether a journal could be written: whether this user may, and
// whether the disk has room for it. It changes nothing. A quota is not seen.
func (d *Dir) Check() error {
	return checkWritable(filepath.Join(d.path, targetsName))
}

// CheckFile says, as Check does, whether a file directly in the folder could be
// written: made, or, where it is there, opened for writing.
func (d *Dir) CheckFile(name string) error {
	path := filepath.Join(d.path, name)
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("check state folder: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("check state folder: %s is no regular file", path)
	default:
		if err := syscall.Access(path, mayWrite); err != nil {
			return fmt.Errorf("check state folder: write to %s: %w", path, err)
		}
	}
	return checkWritable(d.path)
}

// makeDir is os.MkdirAll whose folders survive a crash of the machine.
func makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDir(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // what stands there is judged by who uses it
	}
	if err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}
