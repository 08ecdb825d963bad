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
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/blnkctl/blnkctl/internal/ownfile"
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
	data, err := read(path)
	switch {
	case errors.Is(err, ownfile.ErrForeign):
		return File{}, fmt.Errorf("%w: %w", ErrUnsafe, err)
	case errors.Is(err, ownfile.ErrShape):
		return File{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	case errors.Is(err, ErrUnsafe):
		return File{}, err
	case err != nil:
		return File{}, fmt.Errorf("read the configuration file: %w", err)
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

// read refuses a file that another user could have made say anything.
func read(path string) ([]byte, error) {
	const most = 1 << 20 // far more than any such file needs
	real, err := ownfile.Resolve(path)
	if err != nil {
		return nil, err
	}
	f, info, err := ownfile.Open(real, most)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	const others = 0o022
	if info.Mode().Perm()&others != 0 {
		return nil, fmt.Errorf("%w: others may write %s (mode %04o)", ErrUnsafe, path, info.Mode().Perm())
	}
	return io.ReadAll(io.LimitReader(f, most))
}
