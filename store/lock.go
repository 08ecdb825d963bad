package store

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/internal/flock"
)

// LockAll locks the place of every store that has a lock, and returns what
// unlocks them all. Two stores in one folder share one lock: a second one of
// the same process would wait for the first for ever. The order does not depend
// on the order of the stores, so that two processes cannot hold one lock each
// and wait for the other's. A lock that somebody else holds for longer than
// wait is an *flock.HeldError.
func LockAll(ctx context.Context, stores []Store, wait time.Duration) (unlock func(), err error) {
	paths, err := lockPaths(stores)
	if err != nil {
		return nil, err
	}
	var held []func()
	unlock = func() {
		for _, release := range slices.Backward(held) {
			release()
		}
	}
	for _, path := range paths {
		release, err := flock.Lock(ctx, path, wait)
		if err != nil {
			unlock()
			return nil, err
		}
		held = append(held, release)
	}
	return unlock, nil
}

// lockPaths lists each file or folder once, whatever paths lead to it, sorted.
func lockPaths(stores []Store) ([]string, error) {
	var paths []string
	var infos []os.FileInfo
	for _, s := range stores {
		l, ok := s.(Locker)
		if !ok {
			continue
		}
		path, err := l.LockPath()
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", s, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("lock %s: %w", s, err)
		}
		if slices.ContainsFunc(infos, func(i os.FileInfo) bool { return os.SameFile(i, info) }) {
			continue
		}
		infos = append(infos, info)
		paths = append(paths, path)
	}
	slices.SortFunc(paths, strings.Compare)
	return paths, nil
}
