package rotate

import (
	"os"
	"runtime/debug"
	"testing"
	"time"
)

// The sweeps begin a rotation tens of thousands of times, and nothing of it
// lives long: to collect that less often saves a quarter of their time.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1600)
	time.Local = time.UTC // in which texts for people are compared
	os.Exit(m.Run())
}
