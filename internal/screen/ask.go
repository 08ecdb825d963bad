package screen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
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
	line, err := t.ask(ctx, in, question+" [y/N] ")
	switch answer := strings.ToLower(line); {
	case err != nil:
		return err
	case answer != "y" && answer != "yes":
		return errors.New("not confirmed; nothing is changed")
	}
	return nil
}

// ask shows a prompt, and returns the line that is typed behind it.
func (t *Talk) ask(ctx context.Context, in io.Reader, prompt string) (string, error) {
	_, _ = io.WriteString(t, prompt)
	line, err := interrupt.Await(ctx, func() (string, error) { return bufio.NewReader(in).ReadString('\n') })
	switch {
	case ctx.Err() != nil:
		_, _ = io.WriteString(t, "\n")
		return "", err
	case err != nil && !errors.Is(err, io.EOF):
		return "", fmt.Errorf("read the answer: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// Choose asks for one of the options, by its number, or for another text, until wrong
// finds no fault with it. none is what the last number stands for, which returns "".
func (t *Talk) Choose(ctx context.Context, in io.Reader, question string, options []string, none string, wrong func(text string) string) (string, error) {
	t.Say(question)
	for i, text := range append(slices.Clone(options), none) {
		t.Say(fmt.Sprintf("  %d  %s", i+1, text))
	}
	for {
		answer, err := t.ask(ctx, in, "Number or text: ")
		n, failed := strconv.Atoi(answer)
		switch {
		case err != nil:
			return "", err
		case answer == "":
			return "", errors.New("no answer; nothing is changed")
		case failed != nil && wrong(answer) == "":
			return answer, nil
		case failed != nil:
			t.Say("  " + wrong(answer))
			continue
		case n >= 1 && n <= len(options):
			return options[n-1], nil
		case n == len(options)+1:
			return "", nil
		}
		t.Say(fmt.Sprintf("  there is no number %d", n))
	}
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
