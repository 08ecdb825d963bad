package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/state"
)

func TestClassify(t *testing.T) {
	held := fmt.Errorf("lock /srv: %w", flock.ErrHeld)
	for _, test := range []struct {
		err  error
		code int
		hint bool
	}{
		{errors.New("something"), exitFailed, false},
		{fmt.Errorf("open: %w", fs.ErrPermission), exitFailed, true},
		{fmt.Errorf("lock: %w", held), exitHeld, false},
		{fmt.Errorf("%w: %w", held, context.Canceled), exitInterrupted, false},
		{fmt.Errorf("server: %w", https.ErrPlaintext), exitUsage, true},
		{fmt.Errorf("state: %w", hint.Add(state.ErrUnsafe, "chmod")), exitUsage, true},
		{usage("", "wrong"), exitUsage, false},
		{usage("do it so", "wrong"), exitUsage, true},
		// A command's own word comes before the table's.
		{fail(exitStuck, held, ""), exitStuck, false},
		{fail(0, held, "wait"), exitHeld, true},
		{fmt.Errorf("more: %w", fail(exitCheck, errors.New("differs"), "")), exitCheck, false},
	} {
		code, hint := classify(test.err)
		if code != test.code || (hint != "") != test.hint {
			t.Errorf("%v: exit status %d, hint %q; want %d, %v", test.err, code, hint, test.code, test.hint)
		}
	}
}
