package cmd_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// mountCmds need root:
//
//	tmpfs DIR SIZE    make the folder, with a small disk of its own (64k, 1m)
//	filldisk DIR      leave no room on that disk; what takes it is DIR/ballast
//	mountfile FILE    mount the file on itself, as compose does with a blnk.json
func mountCmds() map[string]scriptCmd {
	return map[string]scriptCmd{"tmpfs": cmdTmpfs, "filldisk": cmdFilldisk, "mountfile": cmdMountfile}
}

func cmdTmpfs(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "tmpfs DIR SIZE")
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+args[1]))
	unmountAtEnd(ts, dir)
}

func cmdMountfile(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "mountfile FILE")
	file := ts.MkAbs(args[0])
	ts.Check(syscall.Mount(file, file, "", syscall.MS_BIND, ""))
	unmountAtEnd(ts, file)
}

// unmountAtEnd takes the processes of the script away first: they would not be
// found any more.
func unmountAtEnd(ts *testscript.TestScript, place string) {
	work := ts.Getenv("WORK")
	_, err := fmt.Fprintln(toGuard, place)
	ts.Check(err)
	ts.Defer(func() {
		stopStandins(work)
		_ = syscall.Unmount(place, syscall.MNT_DETACH)
	})
}

func cmdFilldisk(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "filldisk DIR")
	file, err := os.Create(filepath.Join(ts.MkAbs(args[0]), "ballast"))
	ts.Check(err)
	defer file.Close()
	if _, err := io.Copy(file, io.LimitReader(zeroes{}, 64<<20)); !errors.Is(err, syscall.ENOSPC) {
		ts.Fatalf("%s: %v, want %v", args[0], err, syscall.ENOSPC)
	}
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
