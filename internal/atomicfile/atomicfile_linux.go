package atomicfile

import "golang.org/x/sys/unix"

const dirFlags = unix.O_PATH

func exchangeAt(dir int, a, b string) error {
	return unix.Renameat2(dir, a, dir, b, unix.RENAME_EXCHANGE)
}

func renameNewAt(dir int, a, b string) error {
	return unix.Renameat2(dir, a, dir, b, unix.RENAME_NOREPLACE)
}

// Statx is Stat with what only Linux tells: the mount, and the flags of chattr(1).
func (d *Dir) Statx(name string) (st unix.Statx_t, err error) {
	err = retry(func() error { return unix.Statx(d.fd, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &st) })
	return st, err
}
