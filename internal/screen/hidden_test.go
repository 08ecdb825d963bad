package screen_test

import (
	"bufio"
	"strings"
	"testing"

	"github.com/creack/pty"

	"github.com/blnkctl/blnkctl/internal/screen"
)

func TestHideTyping(t *testing.T) {
	person, tty, err := pty.Open()
	if err != nil {
		t.Skip(err)
	}
	defer person.Close()
	defer tty.Close()
	show, err := screen.HideTyping(tty)
	if err != nil {
		t.Fatal(err)
	}
	typed := bufio.NewReader(tty)
	answer := func(line string) {
		t.Helper()
		if _, err := person.WriteString(line); err != nil {
			t.Fatal(err)
		}
		if got, err := typed.ReadString('\n'); got != line {
			t.Fatalf("read %q (%v), want %q", got, err, line)
		}
	}
	answer("hidden\n")
	if err := show(); err != nil {
		t.Fatal(err)
	}
	answer("shown\n")
	echo, err := bufio.NewReader(person).ReadString('\n')
	if strings.TrimSpace(echo) != "shown" {
		t.Errorf("the terminal shows %q (%v)", echo, err)
	}
}
