package cmd

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// An age is the value of a flag that takes a duration in days (90d) or weeks
// (12w), as people count the age of a key, or as Go writes it (36h).
type age struct {
	value time.Duration
	set   bool
}

var _ pflag.Value = (*age)(nil)

// String writes whole days as days.
func (a *age) String() string {
	const day = 24 * time.Hour
	switch {
	case !a.set:
		return ""
	case a.value%day == 0:
		return strconv.FormatInt(int64(a.value/day), 10) + "d"
	default:
		return a.value.String()
	}
}

// Type stands in help texts where the value would.
func (*age) Type() string { return "age" }

// Set reads the value.
func (a *age) Set(s string) error {
	wrong := errors.New("want an age such as 90d, 12w or 36h")
	units := map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	value, err := time.ParseDuration(s)
	if err != nil && s != "" {
		n, numErr := strconv.Atoi(strings.TrimRight(s, "dw"))
		unit, known := units[s[len(s)-1:]]
		const most = 36500 // a hundred years: far from where a Duration overflows
		if numErr != nil || !known || n > most {
			return wrong
		}
		value, err = time.Duration(n)*unit, nil
	}
	if err != nil || value <= 0 {
		return wrong
	}
	a.value, a.set = value, true
	return nil
}
