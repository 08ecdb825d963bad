//go:build !linux

package listener

import "errors"

// Find returns errors.ErrUnsupported.
func Find(int) ([]Process, error) { return nil, errors.ErrUnsupported }

// Look returns false.
func Look(int) (Process, bool) { return Process{}, false }

// Blnk returns false.
func Blnk(int) (Process, bool) { return Process{}, false }

// All returns none.
func All() []Process { return nil }
