package run

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Check says, without running it, whether the program can be found and run. It
// looks into the caller's own PATH, as Run does.
func (c Cmd) Check() error {
	if len(c.Args) == 0 {
		return errors.New("no command")
	}
	name := c.Args[0]
	if strings.ContainsRune(name, filepath.Separator) && !filepath.IsAbs(name) && c.Dir != "" {
		name = filepath.Join(c.Dir, name) // where the kernel looks once it is there
	}
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("program of the command: %w", err)
	}
	return nil
}
