package cmd_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What comes before a call needs no strace, which stops all threads at each of their
// thousands of calls: the kernel tells a watcher of the calls in question, and of no
// others (seccomp_unotify(2)), and they wait for its answer.

// filtered are the calls of each kind, in Go's own programs.
var filtered = map[string][]uint32{
	"rename":   {unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2},
	"unlink":   {unix.SYS_UNLINKAT},
	"open":     {unix.SYS_OPENAT},
	"write":    {unix.SYS_WRITE, unix.SYS_PWRITE64},
	"fsync":    {unix.SYS_FSYNC},
	"truncate": {unix.SYS_FTRUNCATE},
	"connect":  {unix.SYS_CONNECT},
	"chmod":    {unix.SYS_FCHMOD},
}

// struckVariable has the PID of the process that is to be struck.
const struckVariable = "TEST_STRUCK_BY_BLNKCTL"

// becomeFiltered turns this process into the program, which is struck when it is about
// to make the call.
func becomeFiltered(effect, kind, path string, program []string) error {
	binary, err := exec.LookPath(program[0])
	if err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	watcher := exec.Command(os.Args[0], watchArg, fmt.Sprint(effect, " ", os.Getpid()), path)
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

// failing are the effects that are errors of the call, which is not made.
var failing = map[string]unix.Errno{"EIO": unix.EIO, "EPERM": unix.EPERM, "ENOSPC": unix.ENOSPC}

// A watcher lets everybody go on but the process when that is about to make the call:
// it kills it, has the call fail, or holds the thread. Servers that the process has started by then have
// its filter, so it goes on until nobody has it any more.
type watcher struct {
	effect, path  string
	pid, listener int

	mu   sync.Mutex
	held map[uint32][8]byte // by thread: to what it waits for an answer
	over bool               // nothing is struck any more
}

// heldFile is there while a process is held, and has the PID of its watcher.
func heldFile(run string, pid int) string { return filepath.Join(run, fmt.Sprintf("held.%d", pid)) }

func watch(what, path string) error {
	effect, pid, _ := strings.Cut(what, " ")
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
	w := &watcher{effect: effect, path: path, listener: got[0], held: map[uint32][8]byte{}}
	if w.pid, err = strconv.Atoi(pid); err != nil {
		return err
	}
	defer os.Remove(heldFile(os.Getenv("RUN"), w.pid))
	released := make(chan os.Signal, 1)
	signal.Notify(released, syscall.SIGUSR1)
	go func() {
		<-released
		w.release()
	}()
	for {
		ready := []unix.PollFd{{Fd: int32(w.listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if ready[0].Revents&unix.POLLIN == 0 && ready[0].Revents != 0 {
			return nil
		}
		var asked [80]byte // struct seccomp_notif: id, pid, flags, nr, arch, ip, args
		if _, _, no := unix.Syscall(unix.SYS_IOCTL, uintptr(w.listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&asked))); no != 0 {
			continue // whoever asked is gone
		}
		if err := w.answer(asked[:]); err != nil {
			return err
		}
	}
}

func (w *watcher) answer(asked []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	id, tid := [8]byte(asked), binary.NativeEndian.Uint32(asked[8:])
	thread := fmt.Sprintf("/proc/%d/task/%d", w.pid, tid) // not there: it is another process
	if w.over || exists(thread) != nil {
		w.goOn(id)
		return nil
	}
	if call := filteredCall(thread, asked); w.path != "-" && call != w.path && call != filepath.Base(w.path) {
		w.goOn(id)
		return nil
	}
	if w.effect == "KILL" {
		w.over = true
		return unix.Kill(w.pid, unix.SIGKILL)
	}
	if no, ok := failing[w.effect]; ok {
		w.over = true
		w.reply(id, int32(-no), 0)
		return nil
	}
	w.held[tid] = id // a signal has it ask again
	return publish(heldFile(os.Getenv("RUN"), w.pid), os.Getpid())
}

// release lets go what is held.
func (w *watcher) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	for _, id := range w.held {
		w.goOn(id)
	}
	_ = os.Remove(heldFile(os.Getenv("RUN"), w.pid))
}

// goOn lets the call be made. Where the thread has ended meanwhile, nobody waits.
func (w *watcher) goOn(id [8]byte) { w.reply(id, 0, unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE) }

func (w *watcher) reply(id [8]byte, no int32, flags uint32) {
	var answer [24]byte // struct seccomp_notif_resp: id, val, error, flags
	copy(answer[:], id[:])
	binary.NativeEndian.PutUint32(answer[16:], uint32(no))
	binary.NativeEndian.PutUint32(answer[20:], flags)
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(w.listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&answer)))
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
