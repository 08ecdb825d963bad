package restart

import "context"

// Wait restarts nothing: something else does (a platform, an operator, a
// supervisor that watches the store). Nothing is known of the workers.
func Wait() Scheme { return Scheme{Open: openWait} }

type wait struct{}

var _ Driver = wait{}

func openWait(place string, _ Options) (Driver, error) {
	if err := nothingBehind("wait:", place); err != nil {
		return nil, err
	}
	return wait{}, nil
}

// Restart does nothing.
func (wait) Restart(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// String returns the reference.
func (wait) String() string { return "wait:" }
