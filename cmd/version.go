package cmd

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

type versionInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // VCS
	Time     string `json:"time,omitempty"`     // of the revision, RFC 3339
	Modified bool   `json:"modified"`           // built from a tree that differs from the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func newVersionCmd(a *app) *cobra.Command {
	cmd := newCmd("", "version", func(*cobra.Command) error { return runVersion(a) })
	brief(cmd)
	return cmd
}

func runVersion(a *app) error {
	build, _ := debug.ReadBuildInfo()
	v := describeBuild(build)
	if a.json() {
		return a.printJSON(v)
	}
	return a.print("blnkctl " + v.text() + " " + v.Go + " " + v.Platform + "\n")
}

// text is the version, with the revision where the version does not hold it.
func (v versionInfo) text() string {
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

// describeBuild reads what the Go tool wrote into the binary: `go install`
// leaves the module's version, `go build` the revision of the work tree.
func describeBuild(build *debug.BuildInfo) versionInfo {
	v := versionInfo{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
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
