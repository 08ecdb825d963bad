package cmd_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A session is a terminal with processes on it.
type session struct {
	*terminal
	t      *testing.T
	leader *exec.Cmd
}

// startSession runs a program as the leader of a session on a terminal of its
// own, in a folder with a key.json.
func startSession(t *testing.T, program string, args ...string) *session {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"key.json": `{"server": {"secret_key": "1mQ8xT2vLr5ZkY0bNc7WdJ4hSg9PfE3uAqXoR6iVtKz"}}`,
		"child.sh": ttyChild, "late.sh": lateChild,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	leader := exec.Command(program, args...)
	leader.Dir = dir
	leader.Env = append(os.Environ(), "HOME="+dir, "BLNKCTL_STATE_DIR="+filepath.Join(dir, "state"), "PS1=")
	s, err := openTerminal(leader)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = leader.Process.Kill()
		_ = leader.Wait()
		s.master.Close() // hangs up on all that is left
	})
	return &session{terminal: s, t: t, leader: leader}
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

// shows waits until the screen has had a text so many times.
func (p *session) shows(text string, times int) {
	p.t.Helper()
	if !p.await(func(screen string) bool { return strings.Count(screen, text) >= times }) {
		p.t.Fatalf("%q is not %d times on:\n%s", text, times, p.screen())
	}
}

func (p *session) types(text string) {
	p.t.Helper()
	if _, err := p.master.WriteString(text); err != nil {
		p.t.Fatal(err)
	}
}

// had fails where the screen has a text more or less often.
func (p *session) had(text string, times int) {
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
	p := startSession(t, "sh", "-mc", `
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
	p := startSession(t, "blnkctl", "exec", "--store", "blnkjson:key.json", "--", "sh", "child.sh")
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
	if _ = p.leader.Wait(); p.leader.ProcessState.ExitCode() != 9 { // the trap's: "<TERM>" itself may be lost with the leader
		t.Errorf("%v, want exit status 9", p.leader.ProcessState)
	}
}

// A restart gives the terminal to the next command, and a job in the background
// does not take it.
func TestExecKeepsTheTerminal(t *testing.T) {
	p := startSession(t, "sh", "-mc", `
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
	p := startSession(t, bash, "-mc", `
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
