package supervise

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Errors about the command, which have exit codes of their own, as with env(1)
// and docker run.
var (
	// ErrNotFound: there is no such program.
	ErrNotFound = errors.New("there is no such program")
	// ErrNotExecutable: it is there and cannot be run.
	ErrNotExecutable = errors.New("it cannot be executed")
)

// program finds a program as execvp(3) does. It is looked up at each start: an
// update may have put another one there. Entries of PATH that are no absolute
// paths are skipped, for the reason that package os/exec gives: nobody means to
// hand the key to a program that happens to lie in the working directory.
func program(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil // execve says what is wrong with it
	}
	denied := false
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) || name == "" {
			continue
		}
		file := filepath.Join(dir, name)
		info, err := os.Stat(file)
		switch {
		case err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0:
			return file, nil
		case err == nil, errors.Is(err, os.ErrPermission):
			denied = true
		}
	}
	if denied {
		return "", ErrNotExecutable
	}
	return "", ErrNotFound
}

// startError gives the error of an execve its meaning. What is neither is a
// failure to fork: ours, not the program's.
func startError(err error) error {
	var no syscall.Errno
	if !errors.As(err, &no) {
		return err
	}
	switch no {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG:
		return fmt.Errorf("%w (%w)", ErrNotFound, no)
	case syscall.EACCES, syscall.EPERM, syscall.ENOEXEC, syscall.ETXTBSY, syscall.EISDIR, syscall.EINVAL:
		return fmt.Errorf("%w (%w)", ErrNotExecutable, no)
	}
	return no
}
