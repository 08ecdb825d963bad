package main

import (
	"slices"
	"time"
)

// warmUp is how many runs of each side are thrown away: the first ones read
// the program from the disk.
const warmUp = 3

// interleave runs a and b in turn and returns the median of each.
func interleave(runs int, a, b func() error) (medians [2]time.Duration, err error) {
	var took [2][]time.Duration
	for i := range warmUp + runs {
		for side, f := range []func() error{a, b} {
			start := time.Now()
			if err := f(); err != nil {
				return medians, err
			}
			if i >= warmUp {
				took[side] = append(took[side], time.Since(start))
			}
		}
	}
	return [2]time.Duration{median(took[0]), median(took[1])}, nil
}

func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}
