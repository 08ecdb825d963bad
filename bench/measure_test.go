package main

import (
	"errors"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		all  []time.Duration
		want time.Duration
	}{
		{nil, 0},
		{[]time.Duration{7}, 7},
		{[]time.Duration{9, 1, 5}, 5},
		{[]time.Duration{8, 100, 2, 4}, 6},
	} {
		if got := median(c.all); got != c.want {
			t.Errorf("median of %v = %v, want %v", c.all, got, c.want)
		}
	}
}

func TestInterleave(t *testing.T) {
	var order string
	_, err := interleave(1,
		func() error { order += "a"; return nil },
		func() error { order += "b"; return nil })
	if want := "abababab"; err != nil || order != want {
		t.Errorf("ran %s, %v, want %s", order, err, want)
	}
	broken := errors.New("cannot run")
	if _, err := interleave(1, func() error { return nil }, func() error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}
