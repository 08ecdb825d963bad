package cmd_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/creack/pty"
)

// A terminal is a pseudo-terminal from the person's side: all that it has shown
// so far.
type terminal struct {
	master *os.File

	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

// openTerminal runs a program as the leader of a session on a terminal of its
// own. What the leader has not set is on the terminal. When the leader ends the
// kernel hangs up, and drops what nobody has read yet: who needs its last words
// lets a shell lead.
func openTerminal(leader *exec.Cmd) (*terminal, error) {
	master, tty, err := pty.Open()
	if err != nil {
		return nil, err
	}
	defer tty.Close()
	leader.Stdin, leader.Stderr = tty, tty
	if leader.Stdout == nil {
		leader.Stdout = tty
	}
	leader.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := leader.Start(); err != nil {
		return nil, errors.Join(err, master.Close())
	}
	s := &terminal{master: master, more: make(chan struct{}, 1)}
	go s.collect()
	return s, nil
}

func (s *terminal) collect() {
	buffer := make([]byte, 4096)
	for {
		n, err := s.master.Read(buffer)
		s.mu.Lock()
		s.text.Write(buffer[:n])
		s.mu.Unlock()
		select {
		case s.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (s *terminal) screen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until the screen is as wanted, and tells whether it came to that.
func (s *terminal) await(wanted func(screen string) bool) bool {
	limit := time.After(patience)
	for !wanted(s.screen()) {
		select {
		case <-s.more:
		case <-limit:
			return false
		}
	}
	return true
}

// onTerminal is the program behind `onterminal QUESTION FILE PROGRAM ARG...`: it
// runs PROGRAM as a person does who answers it. PROGRAM's stdin and stderr are
// a terminal; its stdout is that of onterminal. When the terminal shows
// something that matches QUESTION, FILE is typed, once, and then the end of the
// input. At the end onterminal writes to its stderr what the terminal has shown,
// and exits as PROGRAM did.
//
// testscript's ttyin does not do for this: it takes what is on the terminal
// when the program has ended, which now and then is not all that was written.
func onTerminal() int {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: onterminal QUESTION FILE PROGRAM ARG...")
		return 2
	}
	question := regexp.MustCompile(os.Args[1])
	answer, err := os.ReadFile(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "onterminal:", err)
		return 127
	}
	shown, status, err := converse(question, string(answer)+"\x04", os.Args[3:])
	fmt.Fprint(os.Stderr, shown)
	if err != nil {
		fmt.Fprintln(os.Stderr, "onterminal:", err)
		return 127
	}
	return status
}

// ended is the last word of the shell that leads: what is before it on the
// terminal is all that the program said.
var ended = regexp.MustCompile(`<exit status (\d+)>`)

func converse(question *regexp.Regexp, answer string, program []string) (shown string, status int, err error) {
	leader := exec.Command("sh", append([]string{"-c", `"$@"; echo "<exit status $?>" >&2; read -r _`, "sh"}, program...)...)
	leader.Stdout = os.Stdout
	s, err := openTerminal(leader)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = errors.Join(leader.Process.Kill(), leader.Wait(), s.master.Close()) }()
	asked := s.await(func(screen string) bool { return question.MatchString(screen) || ended.MatchString(screen) })
	if asked && !ended.MatchString(s.screen()) {
		if _, err := s.master.WriteString(answer); err != nil {
			return s.screen(), 0, err
		}
	}
	if !s.await(ended.MatchString) {
		return s.screen(), 0, errors.New("the program does not end")
	}
	at := ended.FindStringSubmatchIndex(s.screen())
	shown = s.screen()[:at[0]]
	status, err = strconv.Atoi(s.screen()[at[2]:at[3]])
	return shown, status, err
}
