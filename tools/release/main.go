// Command release builds what is published of blnkctl, from the commit that is
// checked out in a repository: for each platform an archive and a list of what is in
// it (SBOM), for Linux a .deb and a .rpm too, and SHA256SUMS of them all. It ships in
// no binary.
//
//	release REPOSITORY DIST
//
// Two runs of one commit with one version of Go make the same bytes, wherever they
// are made: what is built is a clone, times are the commit's, owners are root. It does
// not sign anything, and does not promise that the commit passes its tests.
package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A platform is one that Go builds for, by its names.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "_" + p.arch }

// A tree is what an archive holds, by path.
type tree map[string][]byte

func (t tree) paths() []string { return slices.Sorted(maps.Keys(t)) }

func mode(path string) fs.FileMode {
	if path == "blnkctl" {
		return 0o755
	}
	return 0o644
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: release REPOSITORY DIST")
	}
	all := []platform{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "arm64"}}
	if err := release(os.Args[1], os.Args[2], all...); err != nil {
		log.Fatal("error: ", err)
	}
}

// release builds into dist. In a clone Go finds the version (also where repo is but a
// work tree of a repository), and nothing is found that is not committed.
func release(repo, dist string, platforms ...platform) error {
	work, err := os.MkdirTemp("", "blnkctl-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	source := filepath.Join(work, "source")
	if _, err := output(exec.Command("git", "clone", "--quiet", repo, source)); err != nil {
		return err
	}
	own, err := build(source, platform{runtime.GOOS, runtime.GOARCH}, work)
	if err != nil {
		return err
	}
	common, err := documents(source, own)
	if err != nil {
		return err
	}
	published := tree{}
	for _, p := range platforms {
		if err := publish(published, p, source, work, maps.Clone(common)); err != nil {
			return fmt.Errorf("%v: %w", p, err)
		}
	}
	sums := ""
	for _, name := range published.paths() {
		sums += fmt.Sprintf("%x  %s\n", sha256.Sum256(published[name]), name)
	}
	published["SHA256SUMS"] = []byte(sums)
	return published.write(dist)
}

func (t tree) write(dir string) error {
	for path, data := range t {
		path, perm := filepath.Join(dir, path), mode(path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, perm)); err != nil {
			return err
		}
	}
	return nil
}

// A binary is one of blnkctl, and what Go wrote into it.
type binary struct {
	platform
	path    string
	version string    // v1.2.3
	time    time.Time // of the commit
	golang  string    // go1.26.1
}

func build(source string, p platform, work string) (binary, error) {
	b := binary{platform: p, path: filepath.Join(work, p.String(), "blnkctl")}
	flags, err := os.ReadFile(filepath.Join(source, "tools", "release", "flags")) // make build takes them, too
	if err != nil {
		return b, err
	}
	args := slices.Concat([]string{"build", "-buildvcs=true", "-o", b.path}, strings.Fields(string(flags)), []string{"."})
	if _, err := output(gotool(source, p, args...)); err != nil {
		return b, err
	}
	info, err := buildinfo.ReadFile(b.path)
	if err != nil {
		return b, err
	}
	b.version, b.golang = info.Main.Version, info.GoVersion
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			b.time, err = time.Parse(time.RFC3339, s.Value)
		}
	}
	if b.time.IsZero() {
		err = cmp.Or(err, errors.New("go build found no commit"))
	}
	return b, err
}

// gotool is the Go tool as it works anywhere, whatever its variables say here.
func gotool(dir string, p platform, args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS="+p.os, "GOARCH="+p.arch, "CGO_ENABLED=0",
		"GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off")
	return cmd
}

// output runs a command and returns what it prints.
func output(cmd *exec.Cmd) (string, error) {
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said.Bytes())
	}
	return string(out), err
}

// documents is what is the same on every platform: texts of the repository, man pages
// and completion scripts.
func documents(source string, own binary) (tree, error) {
	t, err := pages(own)
	if err != nil {
		return nil, err
	}
	for shell, name := range map[string]string{"bash": "blnkctl.bash", "zsh": "_blnkctl", "fish": "blnkctl.fish", "powershell": "blnkctl.ps1"} {
		script, err := output(exec.Command(own.path, "completion", shell))
		if err != nil {
			return nil, err
		}
		t["completions/"+name] = []byte(script)
	}
	texts, err := output(exec.Command("git", "-C", source, "ls-files", "LICENSE", "README.md", "CHANGELOG.md", "docs", "contrib"))
	if err != nil {
		return nil, err
	}
	for _, name := range strings.Fields(texts) {
		if t[name], err = os.ReadFile(filepath.Join(source, name)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// publish adds to published what there is for one platform; content is what its archive
// holds besides the program and what is said of that.
func publish(published tree, p platform, source, work string, content tree) error {
	b, err := build(source, p, work)
	if err != nil {
		return err
	}
	if content["blnkctl"], err = os.ReadFile(b.path); err != nil {
		return err
	}
	own, linked, err := modules(source, b)
	if err != nil {
		return err
	}
	content["THIRD-PARTY-LICENSES"] = notices(linked)
	if content["blnkctl.cdx.json"], err = sbom(b, own, linked, content["blnkctl"]); err != nil {
		return err
	}
	name := fmt.Sprintf("blnkctl_%s_%v", strings.TrimPrefix(b.version, "v"), p)
	published[name+".cdx.json"] = content["blnkctl.cdx.json"]
	if published[name+".tar.gz"], err = archive(content, name, b.time); err != nil || p.os != "linux" {
		return err
	}
	return packages(published, b, content, work)
}

func archive(content tree, dir string, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	w := tar.NewWriter(z)
	for _, path := range content.paths() {
		err := w.WriteHeader(&tar.Header{
			Name: dir + "/" + path, Mode: int64(mode(path)), Size: int64(len(content[path])), ModTime: at,
			Uname: "root", Gname: "root", Format: tar.FormatUSTAR,
		})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(content[path]); err != nil {
			return nil, err
		}
	}
	err := errors.Join(w.Close(), z.Close())
	return b.Bytes(), err
}
