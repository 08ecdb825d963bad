package hint

import (
	"errors"
	"fmt"
	"testing"
)

func TestOf(t *testing.T) {
	cause := errors.New("cause")
	inner := Add(cause, "run %s", "it")
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""}, {cause, ""}, {inner, "run it"}, {fmt.Errorf("more: %w", inner), "run it"},
		{Add(inner, "better"), "better"}, {Add(cause, ""), ""}, {errors.Join(cause, inner), "run it"},
	} {
		if got := Of(c.err); got != c.want {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
	if Add(nil, "x") != nil || !errors.Is(inner, cause) {
		t.Error("an error is lost, or made of none")
	}
}

func TestAs(t *testing.T) {
	kind, cause := errors.New("kind"), errors.New("cause")
	if err := As(kind, "in %s words: %w", "own", cause); err.Error() != "in own words: cause" || !errors.Is(err, kind) || !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
}

func TestCommand(t *testing.T) {
	if got := Command("docker", "x", "a b", "it's", ""); got != `docker x 'a b' 'it'\''s' ''` {
		t.Error(got)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"audit", "completion", "help", "keygen", "rotate", "verify", "version"}
	for word, want := range map[string]string{
		"keygne": "keygen", "rotat": "rotate", "ver": "verify", "vers": "version", "helpp": "help",
		"frobnicate": "", "x": "", "": "", "doctor": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
