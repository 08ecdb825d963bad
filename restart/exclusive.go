package restart

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/blnkctl/blnkctl/internal/flock"
)

// ErrAtWork: a command of an earlier restart has not ended, and nobody knows
// what it will still do. Nothing was restarted.
var ErrAtWork = errors.New("a restart command of an earlier run is still at work")

// Exclusive waits until no command that an earlier restart ran is at work any more,
// and keeps others waiting until the file is closed and every command that
// inherited it has ended. The file is nil, which may be closed too, where
// Options.Lock names none.
func (o Options) Exclusive(ctx context.Context) (*os.File, error) {
	if o.Lock == "" {
		return nil, nil
	}
	f, err := flock.Share(ctx, o.Lock, 0)
	held, ok := errors.AsType[*flock.HeldError](err)
	if !ok {
		return f, err
	}
	who := held.Holder
	if who == "" {
		who = "fuser " + o.Lock + " finds it"
	}
	if o.Say != nil {
		o.Say("waiting for a restart command that an earlier run left at work: " + who)
	}
	f, err = flock.Share(ctx, o.Lock, math.MaxInt64)
	if _, held := errors.AsType[*flock.HeldError](err); held || err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %s", ErrAtWork, who)
	}
	return f, err // a lock that was got in the last instant is held, too
}
