//go:build !linux

package run

import (
	"errors"
	"os"
)

// nameless: no other system has this.
func nameless(string) (*os.File, error) { return nil, errors.ErrUnsupported }
