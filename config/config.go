// Package config reads blnkctl.yaml: what belongs to a place and not to one
// run, so that a bare `blnkctl rotate` works where the file stands.
//
// The file holds no key, but it names commands that are run, often by root. So
// one that somebody else owns or may write is refused, and so is a link to it
// that somebody else owns.
//
// It does not promise that what the file names exists or makes sense; who opens
// it says so.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Name is what the file is called.
const Name = "blnkctl.yaml"

// SystemFile is where it is looked for last.
const SystemFile = "/etc/blnkctl/" + Name

// Errors that a caller takes a decision on. All mean that the file is not used.
var (
	// ErrUnsafe: somebody else owns the file or may write it.
	ErrUnsafe = errors.New("the configuration file is not safe")
	// ErrInvalid: the file is not what it should be.
	ErrInvalid = errors.New("the configuration file is not valid")
)

// A File is what blnkctl.yaml says. The zero File is that there is none.
type File struct {
	// Path is where it was found, absolute; Dir its folder, where relative
	// paths in it start.
	Path, Dir string
	// Stores, Restart and Servers are references and URLs, as on the command
	// line.
	Stores, Restart, Servers []string
	// StateDir is absolute, or "".
	StateDir string
	// Commands are what command:NAME stands for.
	Commands map[string]Command
}

// A Command is a program with its arguments for each thing that it can do.
type Command struct {
	// Read, Write and Exists serve a store, Run a restart.
	Read, Write, Exists, Run []string
}

// maxSize is far more than any such file needs.
const maxSize = 1 << 20

// Find returns the path of the file that counts: explicit where it is not "",
// else the one in dir, else SystemFile; "" where there is none.
func Find(explicit, dir string) (string, error) {
	if explicit != "" {
		return explicit, nil
	}
	for _, path := range []string{filepath.Join(dir, Name), SystemFile} {
		switch _, err := os.Lstat(path); {
		case err == nil:
			return path, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("look for the configuration file: %w", err)
		}
	}
	return "", nil
}

// Load reads the file at path, which must be absolute. An error names the file
// and, where it is about its text, the line.
func Load(path string) (File, error) {
	f, err := open(path)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return File{}, fmt.Errorf("read the configuration file: %w", err)
	}
	if err := safe(path, info); err != nil {
		return File{}, err
	}
	data := make([]byte, info.Size())
	n, err := f.ReadAt(data, 0)
	if n < len(data) {
		return File{}, fmt.Errorf("read the configuration file %s: %w", path, err)
	}
	file, err := parse(data)
	if err != nil {
		return File{}, fmt.Errorf("%w: %s: %w", ErrInvalid, path, err)
	}
	file.Path, file.Dir = path, filepath.Dir(path)
	if file.StateDir != "" && !filepath.IsAbs(file.StateDir) {
		file.StateDir = filepath.Join(file.Dir, file.StateDir)
	}
	return file, nil
}

// maxLinks is how many links may lead from one to the next, as on Linux.
const maxLinks = 40

// open follows links one by one, and only ours and root's: who owns a link
// chooses which file is read, and a safe one that was meant for another place
// could do harm here.
func open(path string) (*os.File, error) {
	for range maxLinks {
		f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
		if !errors.Is(err, syscall.ELOOP) {
			if err != nil {
				err = fmt.Errorf("read the configuration file: %w", err)
			}
			return f, err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return nil, fmt.Errorf("read the configuration file: %w", err)
		}
		if err := owned("the link "+path, info); err != nil {
			return nil, err
		}
		target, err := os.Readlink(path)
		if err != nil {
			return nil, fmt.Errorf("read the configuration file: %w", err)
		}
		if !filepath.IsAbs(target) {
			// Not filepath.Join: behind a folder that is a link, ".." is elsewhere.
			target = filepath.Dir(path) + "/" + target
		}
		path = target
	}
	return nil, fmt.Errorf("read the configuration file: %w", &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP})
}

// owned refuses what belongs to another user than root and us.
func owned(what string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%w: the owner of %s cannot be found out", ErrUnsafe, what)
	}
	if owner := int(stat.Uid); owner != 0 && owner != os.Geteuid() {
		return fmt.Errorf("%w: %s belongs to user %d", ErrUnsafe, what, owner)
	}
	return nil
}

// safe refuses a file that another user could have made say anything.
func safe(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is no regular file", ErrInvalid, path)
	}
	if info.Size() > maxSize {
		return fmt.Errorf("%w: %s is larger than 1 MiB", ErrInvalid, path)
	}
	if err := owned(path, info); err != nil {
		return err
	}
	const others = 0o022
	if info.Mode().Perm()&others != 0 {
		return fmt.Errorf("%w: others may write %s (mode %04o)", ErrUnsafe, path, info.Mode().Perm())
	}
	return nil
}
