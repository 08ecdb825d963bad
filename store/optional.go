package store

import (
	"context"
	"time"

	"github.com/blnkctl/blnkctl/secret"
)

// A Copy is a place that takes the key and never gives it back (the secrets of a
// CI system, say). So it cannot be compared, is never the source of truth, and is
// written last; what goes wrong with it is said, and stops nothing. Check says,
// without an effect, whether it could be written.
type Copy interface {
	Write(ctx context.Context, key secret.Key) error
	Check(ctx context.Context) error
	String() string
}

// A Holder is a Copy that may be able to say whether there is a key in it, though not
// which. known is false where it cannot.
type Holder interface {
	Holds(ctx context.Context) (there, known bool, err error)
}

// A Dated store knows since when it has held the key that it holds now. That
// counts as a sighting of the key.
type Dated interface {
	Created(ctx context.Context) (time.Time, error)
}

// A Purger keeps old values (the versions of a secret, say) and can destroy
// those that hold a key, for good. It must not destroy the one that is current.
// CheckPurge tells, without an effect, whether it would be allowed to.
type Purger interface {
	CheckPurge(ctx context.Context) error
	Purge(ctx context.Context, dead secret.Key) error
}

// A Keeper keeps old values, and knows which key it held before the one that it holds
// now, and since when it had held that (the zero Time where nobody knows): never one
// from before that. ErrNotFound (wrapped) where it keeps none.
type Keeper interface {
	Previous(ctx context.Context) (secret.Key, time.Time, error)
}

// A Remarker has something to say in the plan: what it cannot promise.
type Remarker interface {
	Remarks(ctx context.Context) ([]string, error)
}

// A Policied store can say the smallest policy, in its own language, that
// allows a rotation of its key and nothing else.
type Policied interface {
	Policy(ctx context.Context) string
}

// An Eraser can be made to hold no key again. Absence says how it looks where it holds
// none, for Erase to bring back: opaque, and never shown; "" where it holds one. Erase
// is a Put of nothing, at the version of what stands there.
type Eraser interface {
	Absence(ctx context.Context) (string, error)
	Erase(ctx context.Context, at Version, absence string) error
}
