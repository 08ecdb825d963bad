//go:build !linux

package listener

import "errors"

// Find returns errors.ErrUnsupported.
func Find(int) ([]Process, error) { return nil, errors.ErrUnsupported }
