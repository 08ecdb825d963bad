package cmd_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What only kills needs no strace, which stops all threads at each of their thousands
// of calls: the kernel tells a watcher of the calls in question, and of no others
// (seccomp_unotify(2)), and they wait for its answer.

// filtered are the calls of each kind, in Go's own programs.
var filtered = map[string][]uint32{
	"rename":   {unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2},
	"unlink":   {unix.SYS_UNLINKAT},
	"open":     {unix.SYS_OPENAT},
	"write":    {unix.SYS_WRITE, unix.SYS_PWRITE64},
	"fsync":    {unix.SYS_FSYNC},
	"truncate": {unix.SYS_FTRUNCATE},
	"connect":  {unix.SYS_CONNECT},
}

// struckVariable has the PID of the process that is to be killed.
const struckVariable = "TEST_STRUCK_BY_BLNKCTL"

// becomeFiltered turns this process into the program, which is killed when it is about
// to make the call.
func becomeFiltered(kind, path string, program []string) error {
	binary, err := exec.LookPath(program[0])
	if err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	watcher := exec.Command(os.Args[0], watchArg, strconv.Itoa(os.Getpid()), path)
	watcher.ExtraFiles = []*os.File{os.NewFile(uintptr(pair[1]), "channel")}
	watcher.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := errors.Join(watcher.Start(), os.Setenv(struckVariable, strconv.Itoa(os.Getpid()))); err != nil {
		return err
	}
	runtime.LockOSThread() // a filter is a thread's, and of all that come of it
	listener, err := filter(filtered[kind])
	if err != nil {
		return err
	}
	if err := unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(listener), nil, 0); err != nil {
		return err
	}
	return syscall.Exec(binary, program, os.Environ())
}

// filter has the calls wait for whoever has the file that it returns.
func filter(calls []uint32) (listener int, err error) {
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	code := []unix.SockFilter{load(0)} // the number of the call
	for i, call := range calls {
		code = append(code, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jt: uint8(len(calls) - i)})
	}
	code = append(code,
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_USER_NOTIF})
	fd, _, no := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER,
		uintptr(unsafe.Pointer(&unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})))
	runtime.KeepAlive(code)
	if no != 0 {
		return 0, fmt.Errorf("seccomp: %w", no)
	}
	return int(fd), nil
}

// watchArg makes strike the watcher of a process.
const watchArg = "-watch"

// watch lets everybody go on but the process when that is about to make the call: it
// kills it. Servers that it has started by then have its filter, so this goes on until
// nobody has it any more.
func watch(pid int, path string) error {
	space := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(3, make([]byte, 1), space, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(space[:n])
	if err != nil || len(messages) != 1 {
		return errors.Join(errors.New("no filter"), err)
	}
	got, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	for listener := got[0]; ; {
		ready := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if ready[0].Revents&unix.POLLIN == 0 && ready[0].Revents != 0 {
			return nil
		}
		var asked [80]byte // struct seccomp_notif: id, pid, flags, nr, arch, ip, args
		if _, _, no := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&asked))); no != 0 {
			continue // whoever asked is gone
		}
		thread := fmt.Sprintf("/proc/%d/task/%d", pid, binary.NativeEndian.Uint32(asked[8:]))
		if exists(thread) == nil { // else it is another process
			if c := filteredCall(thread, asked[:]); path == "-" || c == path || c == filepath.Base(path) {
				if err := unix.Kill(pid, unix.SIGKILL); err != nil {
					return err
				}
				pid = -1
				continue
			}
		}
		var answer [24]byte // struct seccomp_notif_resp: id, val, error, flags
		copy(answer[:8], asked[:8])
		binary.NativeEndian.PutUint32(answer[20:], unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE)
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&answer)))
	}
}

// filteredCall is the path that a call is about.
func filteredCall(thread string, asked []byte) string {
	arg := func(n int) uintptr { return uintptr(binary.NativeEndian.Uint64(asked[32+8*n:])) }
	switch int(binary.NativeEndian.Uint32(asked[16:])) {
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		return readPath(thread, arg(3))
	case unix.SYS_UNLINKAT, unix.SYS_OPENAT:
		return readPath(thread, arg(1))
	case unix.SYS_CONNECT:
		return ""
	}
	return strings.TrimSuffix(readFD(thread, arg(0)), " (deleted)")
}
