//go:build !linux

package atomicfile

import "golang.org/x/sys/unix"

const dirFlags = unix.O_RDONLY

func exchangeAt(int, string, string) error { return unix.ENOTSUP }

func renameNewAt(int, string, string) error { return unix.ENOTSUP }
