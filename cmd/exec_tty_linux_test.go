package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// A pty is a terminal with a session on it, from the person's side.
type pty struct {
	t      *testing.T
	master *os.File
	leader *exec.Cmd

	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

// onTerminal runs a program as the leader of a session on a terminal of its
// own, in a folder with a key.json.
func onTerminal(t *testing.T, program string, args ...string) *pty {
	t.Helper()
	dir := t.TempDir()
	master, slave := openPTY(t)
	p := &pty{t: t, master: master, more: make(chan struct{}, 1)}
	p.leader = exec.Command(program, args...)
	p.leader.Dir = dir
	p.leader.Env = append(os.Environ(), "HOME="+dir, "BLNKCTL_STATE_DIR="+filepath.Join(dir, "state"), "PS1=")
	p.leader.Stdin, p.leader.Stdout, p.leader.Stderr = slave, slave, slave
	p.leader.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	for name, text := range map[string]string{
		"key.json": `{"server": {"secret_key": "1mQ8xT2vLr5ZkY0bNc7WdJ4hSg9PfE3uAqXoR6iVtKz"}}`,
		"child.sh": ttyChild, "late.sh": lateChild,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.leader.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	go p.collect()
	t.Cleanup(func() {
		_ = p.leader.Process.Kill()
		_ = p.leader.Wait()
		master.Close() // hangs up on all that is left
	})
	return p
}

// ttyChild tells whether it has the terminal, and what reaches it: signals, and
// lines that are typed.
const ttyChild = `
read -r _ _ _ _ group _ _ front _ </proc/$$/stat
if test $group = $front; then echo "<in front>"; fi
case $(grep SigIgn /proc/$$/status) in
*[2367abef]?????) echo "<SIGTTOU ignored>" ;; # the bit 1<<21
esac
trap 'echo "<INT>"' INT
trap 'echo "<TERM>"; exit 9' TERM
echo "<ready $PPID>"
while :; do
	if read line; then echo "<got $line>"; fi
	if test "$line" = bye; then exit 3; fi
done
`

// lateChild begins when blnkctl has the terminal.
const lateChild = `
echo "<waiting>"
until read -r _ _ _ _ group _ _ front _ </proc/$PPID/stat; test $group = $front; do sleep 0.02; done
exec sh child.sh
`

func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	var number, lock int32
	for request, at := range map[uintptr]*int32{syscall.TIOCSPTLCK: &lock, syscall.TIOCGPTN: &number} {
		if _, _, no := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(at))); no != 0 {
			t.Fatal(no)
		}
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func (p *pty) collect() {
	buffer := make([]byte, 4096)
	for {
		n, err := p.master.Read(buffer)
		p.mu.Lock()
		p.text.Write(buffer[:n])
		p.mu.Unlock()
		select {
		case p.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (p *pty) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// shows waits until the screen has had a text so many times.
func (p *pty) shows(text string, times int) {
	p.t.Helper()
	limit := time.After(patience)
	for strings.Count(p.screen(), text) < times {
		select {
		case <-p.more:
		case <-limit:
			p.t.Fatalf("%q is not %d times on:\n%s", text, times, p.screen())
		}
	}
}

func (p *pty) types(text string) {
	p.t.Helper()
	if _, err := p.master.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

// had fails where the screen has a text more or less often.
func (p *pty) had(text string, times int) {
	p.t.Helper()
	if n := strings.Count(p.screen(), text); n != times {
		p.t.Errorf("%q is %d times, want %d, on:\n%s", text, n, times, p.screen())
	}
}

const (
	ctrlC = "\x03"
	ctrlZ = "\x1a"
)

// Below a shell with job control the command is what a job is: it has the
// terminal, ^C reaches it once, ^Z stops it and gives the terminal back.
func TestExecIsAJob(t *testing.T) {
	p := onTerminal(t, "sh", "-mc", `
blnkctl exec --store blnkjson:key.json -- sh child.sh
echo "<stopped $?>"
read line; echo "<shell got $line>"
fg >/dev/null
echo "<ended $?>"
read line; echo "<shell got $line>"`)
	p.shows("<ready ", 1)
	p.types("one\n")
	p.shows("<got one>", 1)
	p.types(ctrlC)
	p.shows("<INT>", 1)
	p.types("two\n")
	p.shows("<got two>", 1)

	p.types(ctrlZ)
	p.shows("<stopped ", 1)
	p.types("three\n")
	p.shows("<shell got three>", 1)
	p.types("four\n")
	p.shows("<got four>", 1)
	p.types(ctrlC)
	p.shows("<INT>", 2)

	p.types("bye\n")
	p.shows("<ended 3>", 1)
	p.types("five\n")
	p.shows("<shell got five>", 1)
	p.had("<INT>", 2)
	p.had("<in front>", 1)
}

// Without such a shell, as process 1 of `docker run -it`, nobody would continue
// what ^Z has stopped. What is sent to blnkctl alone reaches the command too.
func TestExecHasTheTerminal(t *testing.T) {
	p := onTerminal(t, "blnkctl", "exec", "--store", "blnkjson:key.json", "--", "sh", "child.sh")
	p.shows(fmt.Sprintf("<ready %d>", p.leader.Process.Pid), 1)
	p.types(ctrlZ)
	p.types("one\n")
	p.shows("<got one>", 1)
	p.types(ctrlC)
	p.shows("<INT>", 1)
	if err := p.leader.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	p.shows("<INT>", 2)
	p.types("two\n")
	p.shows("<got two>", 1)
	p.had("<INT>", 2)
	p.had("<in front>", 1)
	if err := p.leader.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.shows("<TERM>", 1)
	if _ = p.leader.Wait(); p.leader.ProcessState.ExitCode() != 9 {
		t.Errorf("%v, want exit status 9", p.leader.ProcessState)
	}
}

// A restart gives the terminal to the next command, and a job in the background
// does not take it.
func TestExecKeepsTheTerminal(t *testing.T) {
	p := onTerminal(t, "sh", "-mc", `
blnkctl exec --store blnkjson:key.json --watch --interval 1s -- sh child.sh
echo "<ended $?>"
blnkctl exec --store blnkjson:key.json -- sh child.sh &
read line; echo "<shell got $line>"
fg >/dev/null
echo "<ended $?>"`)
	p.shows("<ready ", 1)
	change := exec.Command("blnkctl", "keygen", "--force", "--store", "blnkjson:"+filepath.Join(p.leader.Dir, "key.json"))
	change.Env = p.leader.Env
	if out, err := change.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p.shows("<ready ", 2)
	p.types("one\n")
	p.shows("<got one>", 1)
	p.types(ctrlC)
	p.shows("<INT>", 1)
	p.types("bye\n")
	p.shows("<ended 3>", 1)

	p.shows("<ready ", 3)
	p.types("two\n")
	p.shows("<shell got two>", 1)
	p.types("three\n")
	p.shows("<got three>", 1)
	p.types("bye\n")
	p.shows("<ended 3>", 2)
	p.had("<INT>", 1)
	p.had("<in front>", 2)
	p.had("<SIGTTOU ignored>", 0)
}

// bash puts a job into the foreground without a word to it where it runs
// already: the first that it hears of that is SIGTTIN.
func TestExecIsFetched(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash here")
	}
	p := onTerminal(t, bash, "-mc", `
blnkctl exec --store blnkjson:key.json -- sh late.sh &
read line; echo "<shell got $line>"
fg >/dev/null
echo "<ended $?>"`)
	p.shows("<waiting>", 1)
	p.types("one\n")
	p.shows("<ready ", 1)
	p.types("two\n")
	p.shows("<got two>", 1)
	p.types(ctrlC)
	p.shows("<INT>", 1)
	p.types("bye\n")
	p.shows("<ended 3>", 1)
	p.had("<INT>", 1)
}
