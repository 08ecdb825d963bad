// Package build says what a binary was built from.
package build

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// An Info is the version of a binary. It is a document as it stands.
type Info struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // VCS
	Time     string `json:"time,omitempty"`     // of the revision, RFC 3339
	Modified bool   `json:"modified"`           // built from a tree that differs from the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// String is the version, with the revision where the version does not hold it.
func (v Info) String() string {
	text := v.Version
	short := v.Revision[:min(12, len(v.Revision))]
	if !strings.Contains(text, short) {
		text += " " + short
	}
	if v.Modified && !strings.HasSuffix(text, "+dirty") {
		text += " (modified)"
	}
	return text
}

// Of reads what the Go tool wrote into the binary: `go install`
// leaves the module's version, `go build` the revision of the work tree.
func Of(build *debug.BuildInfo) Info {
	v := Info{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if build == nil {
		return v
	}
	if build.Main.Version != "" {
		v.Version = build.Main.Version
	}
	for _, s := range build.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}
