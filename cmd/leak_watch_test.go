package cmd_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// A scriptT runs scripts as subtests of a test, and keeps everything that each
// of them shows: what it ran, and the output of that.
type scriptT struct {
	*testing.T
	said *strings.Builder
	// folder is where the keys of the script are noted, where somebody does
	// that.
	folder *string
	// leak is told of each key that is found where it should not be. nil: the
	// script has failed.
	leak func(what string)
}

func (s scriptT) Run(name string, f func(testscript.T)) {
	s.T.Run(name, func(t *testing.T) {
		one := scriptT{T: t, said: &strings.Builder{}, folder: new(string), leak: s.leak}
		if one.leak == nil {
			one.leak = func(what string) { t.Error(what) }
		}
		defer func() {
			if !t.Failed() && !t.Skipped() {
				searchOutput(one)
			}
		}()
		f(one)
	})
}

// Verbose has testscript keep what belongs to parts of a script that went well.
func (s scriptT) Verbose() bool { return true }

// Log leaves that out again.
func (s scriptT) Log(args ...any) {
	text := fmt.Sprint(args...)
	if s.said != nil {
		s.said.WriteString(text)
	}
	s.Helper()
	if !testing.Verbose() {
		text = lastPart(text)
	}
	s.T.Log(text)
}

// lastPart is the headings of a script's log, and all of it from the last one.
func lastPart(log string) string {
	last := strings.LastIndex(log, "\n# ")
	if last < 0 {
		return log
	}
	var b strings.Builder
	for line := range strings.Lines(log[:last+1]) {
		if strings.HasPrefix(line, "# ") {
			b.WriteString(line)
		}
	}
	return b.String() + log[last+1:]
}
