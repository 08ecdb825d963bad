// Policy is a test: the floors of the house in this file, its conventions in
// house_test.go. Both are data first; a new package or dependency is a line.
package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/blnkctl/blnkctl"

// floors: an import points to a lower floor, never sideways, never up. A
// package that stands nowhere here fails the test; one that stands here need
// not exist yet. Within a floor of the house there may be steps: what stands
// on an idea stands one step above it.
var floors = [][]string{
	{"secret", "internal/hint"},
	{"internal/atomicfile", "internal/flock", "internal/ownfile", "internal/run", "internal/listener", "internal/interrupt", "internal/build", "internal/coredump"},
	{"internal/textfile", "internal/screen", "internal/page", "internal/ref", "internal/git", "internal/ghactions", "policy"},
	{
		"internal/https",
		"fleet", // one command for many targets
	},
	{"keygen", "blnk", "state", "config", "exposure", "leak", "schedule"},
	{"store", "restart"},
	{"store/filestore"}, // what the stores in files share
	{
		"store/blnkjson", "store/dotenv", "store/vault", "store/kubernetes", "store/command",
		"restart/sh", "restart/systemd", "restart/docker", "restart/kubernetes", "restart/command", "restart/wait", "restart/manual",
		"probe", "audit", "apikey",
	},
	{"restart/compose"}, // compose's containers are docker's
	{"reach", "proof", "accesslog", "notify"},
	{"target"},
	{"schedule/host"}, // schedules, in their places
	{"rotate", "doctor", "supervise"},
	{
		"rotate/site", // rotate, with all that it needs of this host
		"status",      // over the facts of doctor, and what rotate knows of an open rotation
	},
	{"cmd"},
	{""}, // main
}

// support is for tests, demonstration and measurement: it may import anything
// of the module, with all below it, and nothing that ships may import it.
var support = []string{"store/storetest", "internal/blnktest", "internal/vaulttest", "bench"}

// thirdParty says which packages may import a module that is not ours, by
// import path prefix. The list is empty where only tests may.
var thirdParty = map[string][]string{
	"github.com/spf13/cobra":          {"cmd"},
	"github.com/spf13/pflag":          {"cmd"},
	"golang.org/x/sys":                {"internal/atomicfile", "internal/flock", "internal/textfile", "internal/listener", "internal/screen"},
	"github.com/hashicorp/vault/api":  {"store/vault"},
	"go.yaml.in/yaml/v3":              {"config"},
	"github.com/rogpeppe/go-internal": {},
}

// only says which packages may import a package of the standard library.
var only = map[string][]string{
	"net/http": {"notify", "probe", "store/vault", "internal/https"},
	"os/exec":  {"internal/run"},
	"unsafe":   {"internal/textfile", "supervise"}, // system calls that package syscall lacks
	"C":        {},
}

// never says what must not be reached from a package, not even through
// others.
var never = map[string][]string{
	"rotate": {
		"net/http", "os/exec", "github.com/spf13/cobra",
		module + "/restart", module + "/probe", module + "/store/blnkjson", module + "/internal/run",
	},
	"target": {"net/http", "os/exec", module + "/restart", module + "/probe", module + "/store/blnkjson"}, // openers are handed in
	"blnk":   {"net", "os/exec", "net/http"},
	"secret": {"os/exec", "net/http"},
	"":       {"testing", module + "/internal/blnktest", module + "/store/storetest"},
}

// A pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath   string
	Imports      []string
	Deps         []string
	TestImports  []string
	XTestImports []string
	GoFiles      []string
	Doc          string
}

// name is the path inside the module: "" for main.
func (p pkg) name() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// list asks for all packages of the module as they are built for one system.
func list(t *testing.T, goos string) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,Deps,TestImports,XTestImports,GoFiles,Doc", "./...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func floorOf(name string) int {
	return slices.IndexFunc(floors, func(f []string) bool { return slices.Contains(f, name) })
}

// within says whether path is one of the prefixes or lies below it.
func within(path string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool {
		return path == p || strings.HasPrefix(path, p+"/")
	})
}

func TestImports(t *testing.T) {
	for _, goos := range []string{"linux", "darwin"} {
		for _, p := range list(t, goos) {
			if p.Doc == "" && len(p.GoFiles) > 0 {
				t.Errorf("%s: %s has no package comment", goos, p.ImportPath)
			}
			for _, fault := range faults(p) {
				t.Errorf("%s: %s", goos, fault)
			}
		}
	}
}

// faults says what is wrong with the imports of a package.
func faults(p pkg) []string {
	var found []string
	fault := func(text ...string) { found = append(found, p.ImportPath+" "+strings.Join(text, "")) }
	if within(p.name(), support...) {
		return nil
	}
	floor := floorOf(p.name())
	if floor < 0 && len(p.GoFiles) > 0 {
		fault("stands on no floor: give it one in deps_test.go and .golangci.yml")
		return found
	}
	for _, path := range p.Imports {
		ours, isOurs := strings.CutPrefix(path, module+"/")
		switch {
		case isOurs && within(ours, support...):
			fault("imports ", path, ", which is for tests")
		case isOurs && floorOf(ours) < 0:
			fault("imports ", path, ", which stands on no floor")
		case isOurs && floorOf(ours) >= floor:
			fault("imports ", path, ", which is no lower floor")
		case isOurs:
		case strings.Contains(path, "."): // only the standard library has no dot in its first element
			if !mayImport(p.name(), path) {
				fault("imports ", path, ", which is not for it")
			}
		default:
			if users, ok := only[path]; ok && !slices.Contains(users, p.name()) {
				fault("imports ", path, ", which is only for: ", strings.Join(users, ", "))
			}
		}
	}
	for _, path := range p.Deps {
		ours := strings.HasPrefix(path, module+"/")
		if slices.Contains(never[p.name()], path) || ours && within(path, never[p.name()]...) {
			fault("reaches ", path, ", which it must not")
		}
	}
	return found
}

func mayImport(name, path string) bool {
	for prefix, users := range thirdParty {
		if within(path, prefix) {
			return slices.Contains(users, name)
		}
	}
	return false
}

// The table itself is tested: a rule that cannot fail is none.
func TestFaultsAreFound(t *testing.T) {
	for _, c := range []struct {
		name    string
		imports string
		deps    string
		want    string
	}{
		{"store", module + "/secret", "", ""},
		{"keygen", module + "/store", "", "no lower floor"},
		{"reach", module + "/proof", "", "no lower floor"},
		{"secret", module + "/store", "", "no lower floor"},
		{"restart", module + "/probe", "", "no lower floor"},
		{"newcomer", "fmt", "", "stands on no floor"},
		{"cmd", module + "/newcomer", "", "stands on no floor"},
		{"cmd", module + "/internal/blnktest/deeper", "", "for tests"},
		{"cmd", "github.com/spf13/cobra/doc", "", ""},
		{"rotate", "github.com/spf13/cobra", "", "not for it"},
		{"cmd", "github.com/hashicorp/vault/api", "", "not for it"},
		{"cmd", "github.com/rogpeppe/go-internal/testscript", "", "not for it"},
		{"cmd", "example.com/new", "", "not for it"},
		{"cmd", "net/http", "", "only for: notify"},
		{"restart", "os/exec", "", "only for: internal/run"},
		{"rotate", "fmt", "net/http", "must not"},
		{"rotate", "fmt", module + "/probe", "must not"},
		{"", module + "/cmd", module + "/internal/blnktest", "must not"},
		{"internal/blnktest/blnkstandin", "net/http", "testing", ""},
	} {
		p := pkg{ImportPath: strings.TrimSuffix(module+"/"+c.name, "/"), GoFiles: []string{"x.go"}, Imports: []string{c.imports}, Deps: []string{c.deps}}
		got := strings.Join(faults(p), "\n")
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%q importing %s, reaching %q: %q, want %q", c.name, c.imports, c.deps, got, c.want)
		}
	}
}

func TestDirectDependenciesSayWhy(t *testing.T) {
	data, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range withoutWhy(string(data)) {
		t.Errorf("go.mod: %s", fault)
	}
	const bad = "require (\n\ta.example/x v1.0.0\n\tb.example/y v1.0.0 // indirect\n\tc.example/z v1.0.0 // to test\n)\nrequire d.example/w v1.0.0 //\n"
	if got := withoutWhy(bad); len(got) != 2 {
		t.Errorf("of two dependencies without a why, found %q", got)
	}
}

// withoutWhy returns the direct dependencies that have no "// why" behind them.
func withoutWhy(gomod string) []string {
	var found []string
	inside := false
	for line := range strings.Lines(gomod) {
		line = strings.TrimSpace(line)
		switch {
		case line == "require (":
			inside = true
			continue
		case line == ")":
			inside = false
			continue
		case strings.HasPrefix(line, "require "):
			line = strings.TrimPrefix(line, "require ")
		case !inside || line == "" || strings.HasPrefix(line, "//"):
			continue
		}
		requirement, why, _ := strings.Cut(line, "//")
		if why = strings.TrimSpace(why); why == "" {
			found = append(found, "no reason behind "+strings.TrimSpace(requirement))
		}
	}
	return found
}
