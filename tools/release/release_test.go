package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sassoftware/go-rpmutils"
	"github.com/xeipuuv/gojsonschema"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
)

var (
	all  = []platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "arm64"}}
	here = platform{"linux", runtime.GOARCH}
	bold = regexp.MustCompile(".\x08") // a terminal of paper
)

// TestRelease releases v1.2.3 of the work tree as it is, committed or not.
func TestRelease(t *testing.T) {
	needs.Git().For(t)
	if !slices.Contains(all, here) || runtime.GOOS != "linux" {
		t.Skip("no package is for this platform")
	}
	repo := repository(t)
	dist := released(t, repo, all...)
	t.Run("the same bytes elsewhere", func(t *testing.T) {
		same(t, released(t, repo, all...), dist)
		// The compiler's cache does not know of folders, so that the second run took
		// all from it but what the linker makes. This one compiles everything.
		t.Setenv("GOCACHE", t.TempDir())
		cold := released(t, repo, here)
		delete(cold, "SHA256SUMS")
		for _, format := range []string{here.String() + ".tar.gz", here.String() + ".cdx.json", ".deb", ".rpm"} {
			find(t, cold, format)
		}
		subset := maps.Clone(dist)
		maps.DeleteFunc(subset, func(name string, _ []byte) bool { return cold[name] == nil })
		same(t, cold, subset)
	})
	t.Run("SHA256SUMS", func(t *testing.T) { checkSums(t, dist) })
	for _, p := range all {
		t.Run(p.String(), func(t *testing.T) { checkArchive(t, dist, p) })
	}
	t.Run("man", func(t *testing.T) { checkPages(t, unpack(t, find(t, dist, here.String()+".tar.gz"))) })
	t.Run("deb", func(t *testing.T) {
		needs.Dpkg().For(t)
		older := filepath.Join(t.TempDir(), "older")
		run(t, "git", "clone", "--quiet", "--branch=v1.2.2", repo, older)
		checkDeb(t, released(t, older, here), dist)
	})
	t.Run("docs/install.md", func(t *testing.T) { checkInstall(t, dist) })
	t.Run("rpm", func(t *testing.T) {
		for _, p := range all[:2] {
			arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[p.arch]
			checkRPM(t, find(t, dist, "1.2.3-1."+arch+".rpm"), unpack(t, find(t, dist, p.String()+".tar.gz")))
		}
	})
}

// repository makes one of the work tree, with two versions.
func repository(t *testing.T) string {
	t.Helper()
	repo := t.TempDir()
	for name := range strings.SplitSeq(run(t, "git", "-C", "../..", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00") {
		data, err := os.ReadFile(filepath.Join("../..", name))
		if name == "" || errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := (tree{name: data}).write(repo); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) {
		run(t, "git", append([]string{"-C", repo, "-c", "user.name=nobody", "-c", "user.email=nobody@example.com", "-c", "commit.gpgsign=false"}, args...)...)
	}
	git("init", "--quiet")
	git("add", "--all", "--force")
	git("commit", "--quiet", "--message=older")
	git("tag", "v1.2.2")
	git("commit", "--quiet", "--allow-empty", "--message=newer")
	git("tag", "v1.2.3")
	return repo
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// released is what a release leaves in its folder.
func released(t *testing.T, repo string, platforms ...platform) tree {
	t.Helper()
	dir, dist := filepath.Join(t.TempDir(), "dist"), tree{}
	if err := release(repo, dir, platforms...); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if dist[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return dist
}

func same(t *testing.T, got, want tree) {
	t.Helper()
	if !slices.Equal(got.paths(), want.paths()) {
		t.Fatalf("%q, want %q", got.paths(), want.paths())
	}
	for name := range want {
		if !bytes.Equal(got[name], want[name]) {
			t.Errorf("%s differs", name)
		}
	}
}

// find is the one file whose name ends so.
func find(t *testing.T, dist tree, end string) []byte {
	t.Helper()
	var found []string
	for name := range dist {
		if strings.HasSuffix(name, end) {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%q end in %s", found, end)
	}
	return dist[found[0]]
}

func checkSums(t *testing.T, dist tree) {
	want := ""
	for _, name := range dist.paths() {
		if name != "SHA256SUMS" {
			want += fmt.Sprintf("%x  %s\n", sha256.Sum256(dist[name]), name)
		}
	}
	if got := string(dist["SHA256SUMS"]); got != want || len(dist) != 3+3+2+2+1 {
		t.Errorf("%s\nof %q", got, dist.paths())
	}
}

// unpack is what an archive holds, below its folder.
func unpack(t *testing.T, data []byte) tree {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	content := tree{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return content
		}
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(h.Name, "/")
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "root" || h.Mode != int64(mode(name)) || h.Typeflag != tar.TypeReg {
			t.Errorf("%+v", h)
		}
		if content[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func checkArchive(t *testing.T, dist tree, p platform) {
	content := unpack(t, find(t, dist, "blnkctl_1.2.3_"+p.String()+".tar.gz"))
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md", "docs/guide.md", "contrib/gitleaks.toml", "man/blnkctl-rotate.1"} {
		if len(content[name]) == 0 {
			t.Errorf("no %s", name)
		}
	}
	for name, word := range map[string]string{"blnkctl.bash": "complete -o", "_blnkctl": "#compdef blnkctl", "blnkctl.fish": "complete -c blnkctl", "blnkctl.ps1": "Register-ArgumentCompleter"} {
		if !bytes.Contains(content["completions/"+name], []byte(word)) {
			t.Errorf("no completion script in %s", name)
		}
	}
	info, err := buildinfo.Read(bytes.NewReader(content["blnkctl"]))
	if err != nil {
		t.Fatal(err)
	}
	settings, linked := map[string]string{}, []string{"std"}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if info.Main.Version != "v1.2.3" || settings["GOOS"] != p.os || settings["GOARCH"] != p.arch || settings["vcs.modified"] != "false" || settings["CGO_ENABLED"] != "0" {
		t.Errorf("%s %v", info.Main.Version, settings)
	}
	for _, d := range info.Deps {
		linked = append(linked, d.Path)
	}
	// What Go wrote into the binary is the judge.
	slices.Sort(linked)
	checkLicenses(t, string(content["THIRD-PARTY-LICENSES"]), linked)
	if listed := checkSBOM(t, content["blnkctl.cdx.json"], fmt.Sprintf("%x", sha256.Sum256(content["blnkctl"]))); !slices.Equal(listed, linked) {
		t.Errorf("the SBOM lists %q, linked are %q", listed, linked)
	}
	if !bytes.Equal(content["blnkctl.cdx.json"], find(t, dist, p.String()+".cdx.json")) {
		t.Error("another SBOM stands beside the archive")
	}
}

func checkLicenses(t *testing.T, text string, linked []string) {
	var named []string
	for _, part := range strings.Split(text, "\n"+strings.Repeat("=", 80)+"\n")[1:] {
		name, rest, _ := strings.Cut(part, "@")
		if named = append(named, name); len(identify(rest)) == 0 {
			t.Errorf("no licence of %s", name)
		}
	}
	if !slices.Equal(named, linked) {
		t.Errorf("licences of %q, linked are %q", named, linked)
	}
}

// checkSBOM holds an SBOM against the schema of CycloneDX, and returns what it lists.
func checkSBOM(t *testing.T, data []byte, program string) (names []string) {
	t.Helper()
	dir := strings.TrimSpace(run(t, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go"))
	schemas := gojsonschema.NewSchemaLoader()
	for _, name := range []string{"spdx.schema.json", "jsf-0.82.schemax.json"} {
		if err := schemas.AddSchemas(gojsonschema.NewReferenceLoader("file://" + filepath.Join(dir, "schema", name))); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := schemas.Compile(gojsonschema.NewReferenceLoader("file://" + filepath.Join(dir, "schema", "bom-1.6.schema.json")))
	if err != nil {
		t.Fatal(err)
	}
	result, err := schema.Validate(gojsonschema.NewBytesLoader(data))
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range result.Errors() {
		t.Error(fault)
	}
	var bom struct {
		Metadata struct {
			Component struct {
				Version string
				Hashes  []struct{ Content string }
			}
		}
		Components []struct{ Name string }
	}
	if err := json.Unmarshal(data, &bom); err != nil {
		t.Fatal(err)
	}
	if c := bom.Metadata.Component; c.Version != "v1.2.3" || len(c.Hashes) != 1 || c.Hashes[0].Content != program {
		t.Errorf("%+v", c)
	}
	for _, c := range bom.Components {
		names = append(names, c.Name)
	}
	return names
}

// TestUnlicensed: what has no licence that is known stops a release.
func TestUnlicensed(t *testing.T) {
	for license, refused := range map[string]bool{
		"": true, "Do what you want.": true,
		"Permission is hereby granted, free of charge, to any person\nobtaining a copy of this software": false,
	} {
		files := tree{
			"go.mod":         []byte("module example.com/main\n\nrequire example.com/dep v1.0.0\n\nreplace example.com/dep => ./dep\n"),
			"main.go":        []byte("package main\n\nimport _ \"example.com/dep/below\"\n\nfunc main() {}\n"),
			"LICENSE":        []byte("Licensed under the Apache License, Version 2.0"),
			"dep/go.mod":     []byte("module example.com/dep\n"),
			"dep/below/a.go": []byte("package below\n"),
		}
		if license != "" {
			files["dep/LICENSE.txt"] = []byte(license)
		}
		dir := t.TempDir()
		if err := files.write(dir); err != nil {
			t.Fatal(err)
		}
		_, _, err := modules(dir, binary{platform: here})
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), "example.com/dep v1.0.0") {
			t.Errorf("%q: %v", license, err)
		}
	}
}

// checkPages: a page for each page of help, with every word of it, and without a fault.
func checkPages(t *testing.T, content tree) {
	needs.Mandoc().For(t)
	dir := t.TempDir()
	if err := content.write(dir); err != nil {
		t.Fatal(err)
	}
	texts, err := filepath.Glob("../../cmd/help/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, path := range texts {
		topic := strings.Split(strings.TrimSuffix(filepath.Base(path), ".txt"), "_")
		if topic[0] == "blnkctl" {
			topic = nil
		}
		page := "man/" + strings.Join(append([]string{"blnkctl"}, topic...), "-") + ".1"
		if want = append(want, page); len(content[page]) == 0 {
			continue
		}
		run(t, "mandoc", "-Tlint", "-Wwarning", filepath.Join(dir, page))
		words := strings.Fields(bold.ReplaceAllString(run(t, "mandoc", "-Tutf8", "-Owidth=200", filepath.Join(dir, page)), ""))
		for _, word := range strings.Fields(strings.ReplaceAll(run(t, filepath.Join(dir, "blnkctl"), append([]string{"help"}, topic...)...), "`", "")) {
			if !slices.Contains(words, word) && !heading.MatchString(word) && !slices.Contains([]string{"Global", "Exit", "Status:"}, word) {
				t.Errorf("%s: no %q of the help", page, word)
			}
		}
	}
	for path := range content {
		if strings.HasPrefix(path, "man/") {
			got = append(got, path)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("pages %q, want %q", got, want)
	}
}

// checkDeb installs a package in an empty Debian, in the place of an older one,
// and removes it.
func checkDeb(t *testing.T, older, newer tree) {
	root := t.TempDir()
	if err := (tree{"var/lib/dpkg/status": nil, "var/lib/dpkg/info/format": []byte("1\n")}).write(root); err != nil {
		t.Fatal(err)
	}
	at := func(path string) string { return filepath.Join(root, path) }
	dpkg := func(args ...string) string {
		return run(t, "dpkg", append([]string{"--root=" + root, "--log=" + at("log")}, args...)...)
	}
	install := func(dist tree, version string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "blnkctl.deb")
		if err := os.WriteFile(path, find(t, dist, "_"+version+"_"+here.arch+".deb"), 0o644); err != nil {
			t.Fatal(err)
		}
		dpkg("--install", path)
		if out := run(t, at("usr/bin/blnkctl"), "version"); !strings.HasPrefix(out, "blnkctl v"+version+" ") {
			t.Errorf("%s: blnkctl version says %s", version, out)
		}
		info, err := os.Stat(at(stateDir))
		if err != nil || info.Mode() != os.ModeDir|0o700 || info.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Fatalf("%s: %v %v", stateDir, info, err)
		}
	}
	kept := func(state string) {
		t.Helper()
		data, err := os.ReadFile(at(stateDir + "/audit.jsonl"))
		if err != nil || string(data) != "evidence" {
			t.Errorf("%s: %q %v", state, data, err)
		}
	}
	gone := func(state string, paths ...string) {
		t.Helper()
		for _, path := range paths {
			if _, err := os.Lstat(at(path)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %s is there (%v)", state, path, err)
			}
		}
	}

	install(older, "1.2.2")
	for _, path := range []string{"usr/share/man/man1/blnkctl.1.gz", "usr/share/bash-completion/completions/blnkctl", "usr/share/zsh/vendor-completions/_blnkctl", "usr/share/fish/vendor_completions.d/blnkctl.fish", "usr/share/doc/blnkctl/copyright", "usr/share/doc/blnkctl/THIRD-PARTY-LICENSES"} {
		if info, err := os.Stat(at(path)); err != nil || info.Size() == 0 || info.Mode() != 0o644 {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}
	// Nothing is started, then or later: no script, no unit, nothing to configure.
	for line := range strings.Lines(dpkg("--listfiles", "blnkctl")) {
		if path := strings.TrimSpace(line); path != "/." && !strings.HasPrefix(path, "/usr") && !strings.HasPrefix(stateDir, path) || strings.Contains(path, "/systemd/") {
			t.Errorf("installed: %s", path)
		}
	}
	if scripts, _ := filepath.Glob(at("var/lib/dpkg/info/blnkctl.*")); len(scripts) != 2 { // list, md5sums
		t.Errorf("%q", scripts)
	}
	if out := dpkg("--verify"); out != "" {
		t.Errorf("not as packed:\n%s", out)
	}
	dpkg("--remove", "blnkctl")
	gone("removed, unused", "usr/bin/blnkctl", stateDir)

	install(older, "1.2.2")
	if err := os.WriteFile(at(stateDir+"/audit.jsonl"), []byte("evidence"), 0o600); err != nil {
		t.Fatal(err)
	}
	install(newer, "1.2.3")
	kept("upgraded")
	dpkg("--remove", "blnkctl")
	kept("removed")
	gone("removed", "usr/bin/blnkctl", "usr/share/man/man1/blnkctl.1.gz", "usr/share/doc/blnkctl")
	install(newer, "1.2.3")
	kept("installed again")
	dpkg("--purge", "blnkctl")
	kept("purged")
	gone("purged", "usr/bin/blnkctl")
}

// checkInstall types what docs/install.md says in a Debian of its own, from top to
// bottom, but for what is for Fedora or for Go.
func checkInstall(t *testing.T, dist tree) {
	needs.Systemd().For(t)
	dir := t.TempDir()
	if err := dist.write(dir); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	script, blocks := "sudo() { \"$@\"; }\ncp /dist/* /root\nexport PATH=/usr/local/bin:$PATH\n", 0
	for _, block := range strings.Split(string(page), "```sh\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		switch {
		case strings.HasPrefix(block, "sudo rpm "), strings.HasPrefix(block, "go "):
			continue
		case strings.HasPrefix(block, "sudo install -D "):
			script += "cd /root/blnkctl_1.2.3_linux_*/\n" + block
		case strings.HasPrefix(block, "tar "): // the package's is not to be hidden by it
			block += "rm /usr/local/bin/blnkctl; hash -r\n"
			fallthrough
		default:
			script += "cd /root\n" + block
		}
		blocks++
	}
	nspawn := exec.Command("systemd-nspawn", "--quiet", "--console=pipe", "--directory="+needs.SystemdTree(), "--volatile=overlay", "--register=no", "--keep-unit",
		fmt.Sprintf("--machine=blnkctl-%08x", rand.Uint32()), "--bind-ro="+dir+":/dist", "sh", "-exc", strings.ReplaceAll(script, "amd64", here.arch))
	var said bytes.Buffer
	nspawn.Stderr = &said
	out, err := nspawn.Output()
	if err != nil || blocks != 5 || strings.Count(string(out), "blnkctl v1.2.3 ") != 2 || !strings.Contains(string(out), ".deb: OK\n") {
		t.Errorf("%v, %d blocks\n%s\n%s", err, blocks, out, said.Bytes())
	}
}

// checkRPM reads a package with another library than the one that wrote it.
func checkRPM(t *testing.T, data []byte, content tree) {
	t.Helper()
	rpm, err := rpmutils.ReadRpm(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []int{rpmutils.PREIN, rpmutils.POSTIN, rpmutils.PREUN, rpmutils.POSTUN, rpmutils.TRIGGERSCRIPTS} {
		if rpm.Header.HasTag(tag) {
			t.Errorf("there is a script: tag %d", tag)
		}
	}
	payload, err := rpm.PayloadReaderExtended()
	if err != nil {
		t.Fatal(err)
	}
	packed := map[string]string{} // type, mode and owner of what is there
	for {
		file, err := payload.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		packed[file.Name()] = fmt.Sprintf("%06o %s:%s", file.Mode(), file.UserName(), file.GroupName())
		inside, err := io.ReadAll(payload)
		if err != nil {
			t.Fatal(err)
		}
		if file.Name() == "/usr/bin/blnkctl" && !bytes.Equal(inside, content["blnkctl"]) {
			t.Error("another program than in the archive")
		}
		if file.Name() != stateDir && !strings.HasPrefix(file.Name(), "/usr/") || strings.Contains(file.Name(), "/systemd/") {
			t.Errorf("there is %s", file.Name())
		}
	}
	// rpm leaves a folder behind that no package has: all that are ours are in it.
	for name := range packed {
		for dir := filepath.Dir(name); strings.HasPrefix(name, "/usr/share/") && strings.Contains(dir, "/blnkctl"); dir = filepath.Dir(dir) {
			if packed[dir] != "040755 root:root" {
				t.Errorf("%s: the folder is %q", dir, packed[dir])
			}
		}
	}
	for name, want := range map[string]string{
		"/usr/bin/blnkctl": "100755 root:root",
		stateDir:           "040700 root:root",
		"/usr/share/man/man1/blnkctl-rotate.1.gz":           "100644 root:root",
		"/usr/share/bash-completion/completions/blnkctl":    "100644 root:root",
		"/usr/share/zsh/site-functions/_blnkctl":            "100644 root:root",
		"/usr/share/fish/vendor_completions.d/blnkctl.fish": "100644 root:root",
		"/usr/share/licenses/blnkctl/LICENSE":               "100644 root:root",
		"/usr/share/licenses/blnkctl/THIRD-PARTY-LICENSES":  "100644 root:root",
		"/usr/share/doc/blnkctl/contrib/gitleaks.toml":      "100644 root:root",
	} {
		if packed[name] != want {
			t.Errorf("%s: %q, want %q", name, packed[name], want)
		}
	}
}
