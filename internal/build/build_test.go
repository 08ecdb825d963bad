package build

import (
	"runtime/debug"
	"testing"
)

func TestOf(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "4f2ed0849bf1d7b82c31bf3e27ecdfc5a29e31bc"}
	pseudo := "v0.0.0-20261123173624-4f2ed0849bf1"
	build := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: settings}
	}
	for name, test := range map[string]struct {
		build *debug.BuildInfo
		line  string
	}{
		"no information":               {nil, "(devel)"},
		"go build without VCS":         {build("(devel)"), "(devel)"},
		"go install of a version":      {build("v1.2.3"), "v1.2.3"},
		"go build of a clean revision": {build(pseudo, revision), pseudo},
		"go build of a tag":            {build("v1.2.3", revision), "v1.2.3 4f2ed0849bf1"},
		"go build of a changed tree": {
			build(pseudo+"+dirty", revision, debug.BuildSetting{Key: "vcs.modified", Value: "true"}),
			pseudo + "+dirty",
		},
		"go build of a changed tree, no version": {
			build("(devel)", revision, debug.BuildSetting{Key: "vcs.modified", Value: "true"}),
			"(devel) 4f2ed0849bf1 (modified)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Of(test.build).String(); got != test.line {
				t.Errorf("%q, want %q", got, test.line)
			}
		})
	}
}
