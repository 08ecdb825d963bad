package rotate

import (
	"context"
	"sync"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/secret"
)

// agreeing is how many fresh connections must agree before an address counts
// as proved: behind one address there may be several servers that take turns.
const agreeing = 20

// sample asks for the wanted key n times more: proved where it is taken each
// time. Server.AtOnce questions are under way at a time, which also spreads
// them over the servers behind a balancer.
func sample(ctx context.Context, s Server, want secret.Key, n int) (verdict, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		workers sync.WaitGroup
		once    sync.Once
		found   = proved
		reason  error
	)
	turns := make(chan struct{}, n)
	for range n {
		turns <- struct{}{}
	}
	close(turns)
	ask := func() {
		for range turns {
			answer, err := askOn(ctx, s, want)
			if answer == blnk.Live {
				continue
			}
			once.Do(func() {
				found, reason = mixed, nil
				if answer == blnk.Nothing {
					found, reason = silent, err
				}
				cancel() // the others need not go on
			})
			return
		}
	}
	for range max(s.AtOnce, 1) - 1 {
		workers.Go(ask)
	}
	ask()
	workers.Wait()
	return found, reason
}
