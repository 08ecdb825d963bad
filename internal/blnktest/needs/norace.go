//go:build !race

package needs

// Raced says that the race detector is at work. Then what is exhaustive is a sample,
// and what runs nothing concurrent is left to the plain tests.
const Raced = false
