package doctor

import (
	"bytes"
	"debug/buildinfo"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
)

// An image tells its release by its tag, or its label, where it is Blnk's by its name.
func TestImageVersion(t *testing.T) {
	for _, c := range []struct{ image, label, want string }{
		{"jerryenebeli/blnk:0.15.0", "", "0.15.0"},
		{"jerryenebeli/blnk:v0.15.0", "", "0.15.0"},
		{"localhost:5000/mirror/blnk:0.15.0", "", "0.15.0"},
		{"blnk:0.15.0-debug", "", "0.15.0"},
		{"jerryenebeli/blnk:latest", "", ""},
		{"jerryenebeli/blnk:latest", "0.14.1", "0.14.1"},
		{"jerryenebeli/blnk@sha256:00ff", "v0.14.1", "0.14.1"},
		{"jerryenebeli/blnk:0.15.0@sha256:00ff", "", "0.15.0"},
		{"localhost:5000/blnk", "", ""},
		{"jerryenebeli/blnk:0.15", "", ""},
		{"ours/ledger:0.12.0", "0.12.0", ""}, // its own numbers
		{"ours/notblnk:0.12.0", "", ""},
	} {
		if got := imageVersion(Container{Image: c.image, Version: c.label}); got != c.want {
			t.Errorf("%s, label %q: %q, want %q", c.image, c.label, got, c.want)
		}
	}
}

// A binary of a tag says its release, one of the official image is bound by a library.
func TestReleaseOf(t *testing.T) {
	const module, crypto = "github.com/blnkfinance/blnk", "golang.org/x/crypto"
	dep := func(path, version string) *debug.Module { return &debug.Module{Path: path, Version: version} }
	for name, c := range map[string]struct {
		info           debug.BuildInfo
		oldest, newest string
	}{
		"tag":           {debug.BuildInfo{Main: *dep(module, "v0.15.1")}, "0.15.1", "0.15.1"},
		"after a tag":   {debug.BuildInfo{Main: *dep(module, "v0.15.2-0.20260801000000-abcdefabcdef")}, "0.15.2", "0.15.2"},
		"of the image":  {debug.BuildInfo{Path: "command-line-arguments", Deps: []*debug.Module{dep(module, "(devel)"), dep(crypto, "v0.49.0")}}, "0.14.3", "0.15.1"},
		"another dep":   {debug.BuildInfo{Deps: []*debug.Module{dep(module, "(devel)"), dep(crypto, "v0.99.0")}}, "", ""},
		"another whole": {debug.BuildInfo{Main: *dep("example.com/x", "v0.1.0"), Deps: []*debug.Module{dep(crypto, "v0.45.0")}}, "", ""},
	} {
		if r := releaseOf(&c.info); r.Oldest != c.oldest || r.Newest != c.newest || r.From == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// What is found in a binary is what debug/buildinfo finds, wherever it stands there.
func TestBuildInfo(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	compile, err := exec.Command("go", "tool", "-n", "compile").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{self, strings.TrimSpace(string(compile))} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := buildinfo.Read(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		want.GoVersion = "" // it stands elsewhere
		start := bytes.Index(data, []byte("path\t"+want.Path+"\n"))
		if start < 0 {
			t.Fatalf("no modules in %s", path)
		}
		edge := 1<<20 - start%(1<<20) // then the text begins where a window does
		for _, before := range []int{0, edge - 1, edge, edge + 1, edge + 8, edge + 16, edge + 17} {
			got, err := buildInfo(io.MultiReader(strings.NewReader(strings.Repeat("x", before)), bytes.NewReader(data)))
			if err != nil || got.String() != want.String() {
				t.Errorf("%s after %d bytes: %v\n%v\nwant\n%v", path, before, err, got, want)
			}
		}
		for _, cut := range []int{0, 3, start, start + 4} {
			if got, err := buildInfo(bytes.NewReader(data[:cut])); err == nil {
				t.Errorf("%d bytes of %s: %v", cut, path, got)
			}
		}
	}
}

// A line that gets fixes, and what is newer than this table, lives.
func TestLives(t *testing.T) {
	engine := maintained()["Docker Engine"]
	for version, want := range map[string]bool{
		"29.10.1": true, "30.0.0": true, "25.0.18": true, "28.5.2": false, "25.1.0": false, "20.10.24+dfsg1": false, "": false,
	} {
		if lives(version, engine) != want {
			t.Errorf("%q lives: %v", version, !want)
		}
	}
}

// The table says when it is old.
func TestTableAge(t *testing.T) {
	for days, want := range map[int]int{0: 0, 180: 0, 181: 1} {
		f := &Facts{Sources: Sources{Now: func() time.Time { return blnk.ReleasesSeen().AddDate(0, 0, days) }}}
		if found, err := tell(t, f, tableNew); len(found) != want || err != nil {
			t.Errorf("after %d days: %v, %v", days, found, err)
		}
	}
}

// What is loopback is for this host alone.
func TestPublished(t *testing.T) {
	for on, want := range map[string]bool{"": true, "0.0.0.0": true, "::": true, "192.168.0.7": true, "127.0.0.1": false, "127.1.2.3": false, "::1": false} {
		if (Published{On: on, Port: "1"}).Open() != want {
			t.Errorf("%q open: %v", on, !want)
		}
	}
}
