package screen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/blnkctl/blnkctl/internal/interrupt"
)

// LookOf is the look of what is written to a file.
func LookOf(f *os.File, getenv func(string) string) Look {
	fd := int(f.Fd())
	if _, err := unix.IoctlGetTermios(fd, getTermios); err != nil { // tcgetattr(3), as isatty(3) has it
		return Look{}
	}
	columns := func() int {
		size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		if err != nil {
			return 0
		}
		return int(size.Col)
	}
	return Look{Columns: columns, Term: getenv("TERM"), NoColour: getenv("NO_COLOR") != ""}
}

// Confirm asks a question that wants yes or no; anything but y or yes is an error.
func (t *Talk) Confirm(ctx context.Context, in io.Reader, question string) error {
	_, _ = fmt.Fprintf(t, "%s [y/N] ", question)
	line, err := interrupt.Await(ctx, func() (string, error) { return bufio.NewReader(in).ReadString('\n') })
	switch answer := strings.ToLower(strings.TrimSpace(line)); {
	case ctx.Err() != nil:
		_, _ = io.WriteString(t, "\n")
		return err
	case err != nil && !errors.Is(err, io.EOF):
		return fmt.Errorf("read the answer: %w", err)
	case answer != "y" && answer != "yes":
		return errors.New("not confirmed; nothing is changed")
	}
	return nil
}

// AskHidden asks at a terminal for a secret, which is not shown while it is typed.
func (t *Talk) AskHidden(ctx context.Context, in *os.File, prompt string) (line string, err error) {
	show, err := HideTyping(in)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, show()) }()
	_, _ = io.WriteString(t, prompt)
	line, err = interrupt.Await(ctx, func() (string, error) { return bufio.NewReader(in).ReadString('\n') })
	_, _ = io.WriteString(t, "\n") // the one that was typed is not shown either
	if line != "" && errors.Is(err, io.EOF) {
		err = nil
	}
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("read the answer: %w", err)
	}
	return line, err
}
