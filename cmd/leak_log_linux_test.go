package cmd_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// An act is a line of strace: a process executes a program, writes something, or
// connects a socket.
type act struct {
	who  string // the name of the program
	call string
	// fd and to are where a write goes: a path, "pipe:[N]", "socket:[N]".
	fd int
	to string
	// texts are the strings in it: what is written, or a program with its
	// arguments and its environment.
	texts []string
	rest  string
}

var (
	actLine = regexp.MustCompile(`^\d+<([^>]*)>\s+([a-z0-9_]+)\((.*)$`)
	actFD   = regexp.MustCompile(`^(\d+)(?:<((?:[^>\\]|\\.)*)>)?`)
)

// readActs reads what strace wrote.
func readActs(path string) ([]act, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var acts []act
	for line := range strings.Lines(string(data)) {
		m := actLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue // the second half of a call: its strings stand in the first
		}
		a := act{who: m[1], call: m[2], fd: -1, rest: m[3]}
		if fd := actFD.FindStringSubmatch(m[3]); fd != nil && !strings.HasPrefix(a.call, "execve") {
			a.fd, _ = strconv.Atoi(fd[1])
			a.to = fd[2]
			a.rest = strings.TrimPrefix(a.rest, fd[0])
		}
		if a.texts, err = quoted(a.rest); err != nil {
			return nil, fmt.Errorf("%s: %w: %.200s", path, err, line)
		}
		acts = append(acts, a)
	}
	return acts, nil
}

// quoted returns the strings of a line, without what strace escapes.
func quoted(line string) ([]string, error) {
	var all []string
	for {
		_, after, ok := strings.Cut(line, `"`)
		if !ok {
			return all, nil
		}
		text, rest, err := unescape(after)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(rest, "...") {
			return nil, fmt.Errorf("strace has cut a string short")
		}
		all, line = append(all, text), rest
	}
}

var number = regexp.MustCompile(`^(?:(x)([0-9a-f]{2})|([0-7]{1,3}))`)

// unescape reads a string up to its closing quote.
func unescape(s string) (text, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], nil
		case c != '\\':
			b.WriteByte(c)
			continue
		}
		i++
		if i == len(s) {
			break
		}
		if n := number.FindStringSubmatch(s[i:min(len(s), i+3)]); n != nil {
			base, digits := 8, n[3]
			if n[1] != "" {
				base, digits = 16, n[2]
			}
			code, err := strconv.ParseUint(digits, base, 8)
			if err != nil {
				return "", "", err
			}
			b.WriteByte(byte(code))
			i += len(n[0]) - 1
			continue
		}
		plain, ok := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'v': '\v', 'f': '\f', '"': '"', '\\': '\\'}[s[i]]
		if !ok {
			return "", "", fmt.Errorf("unknown escape \\%c", s[i])
		}
		b.WriteByte(plain)
	}
	return "", "", fmt.Errorf("a string has no end")
}

var unread = regexp.MustCompile(`^, 0x[0-9a-f]+, [1-9]`)

// hidden: strace was kept from reading what is written.
func (a *act) hidden() bool { return unread.MatchString(a.rest) }

var peerPort = regexp.MustCompile(`sin6?_port=htons\((\d+)\)`)

// port is the port that a connect goes to.
func (a *act) port() string {
	if m := peerPort.FindStringSubmatch(a.rest); m != nil {
		return m[1]
	}
	return ""
}
