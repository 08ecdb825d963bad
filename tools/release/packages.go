package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/goreleaser/nfpm/v2/rpm"
)

const (
	homepage = "https://github.com/blnkctl/blnkctl"
	// stateDir is where root's blnkctl keeps journal, audit log and state.
	stateDir = "/var/lib/blnkctl"
)

// packages adds the .deb and the .rpm of a platform. They have no scripts, start
// nothing and enable nothing. The state folder is theirs, so that it is there, closed;
// and since dpkg and rpm remove a folder only where it is empty, what is in it outlives
// the package, with dpkg a purge too: the audit log is the operator's evidence, and the
// journal of an open rotation the only copy of a key.
func packages(published tree, b binary, content tree, work string) error {
	for format, packager := range map[string]nfpm.Packager{"deb": deb.Default, "rpm": rpm.DefaultRPM} {
		dir, installed := filepath.Join(work, b.String()+"."+format), tree{}
		contents := files.Contents{{Destination: stateDir, Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Mode: 0o700}}}
		for _, path := range content.paths() {
			to, data := place(path, format), content[path]
			if to == "" {
				continue
			}
			if strings.HasSuffix(to, ".gz") {
				data = zipped(data)
			}
			installed[to] = data
			contents = append(contents, &files.Content{
				Source: filepath.Join(dir, to), Destination: to, FileInfo: &files.ContentFileInfo{Mode: mode(path)},
			})
		}
		for _, own := range ownFolders(installed) {
			contents = append(contents, &files.Content{Destination: own, Type: files.TypeDir, FileInfo: &files.ContentFileInfo{Mode: 0o755}})
		}
		if err := installed.write(dir); err != nil {
			return err
		}
		info := nfpm.WithDefaults(&nfpm.Info{
			Name: "blnkctl", Arch: b.arch, Version: b.version, MTime: b.time, DisableGlobbing: true,
			Section: "admin", Priority: "optional", License: "Apache-2.0", Homepage: homepage,
			Maintainer: "The blnkctl authors <blnkctl@users.noreply.github.com>",
			Description: "Master key of a Blnk ledger server\n" +
				"blnkctl makes, rotates and verifies the master key of a Blnk server: it\n" +
				"changes the key where it is stored, restarts the server and its workers,\n" +
				"and proves that the new key is in force and the old one is dead, or puts\n" +
				"everything back.",
			Overridables: nfpm.Overridables{Contents: contents, RPM: nfpm.RPM{BuildHost: "localhost"}},
		})
		var out bytes.Buffer
		if err := errors.Join(nfpm.PrepareForPackager(info, format), packager.Package(info, &out)); err != nil {
			return fmt.Errorf(".%s: %w", format, err)
		}
		published[packager.ConventionalFileName(info)] = out.Bytes()
	}
	return nil
}

// ownFolders are the folders of the files that are for this program alone: rpm removes
// those only that a package has.
func ownFolders(installed tree) []string {
	own := map[string]bool{}
	for _, file := range installed.paths() {
		for dir := filepath.Dir(file); strings.Contains(dir, "/blnkctl"); dir = filepath.Dir(dir) {
			own[dir] = true
		}
	}
	return slices.Sorted(maps.Keys(own))
}

// place is where a package puts what an archive has at path; "" is nowhere.
func place(path, format string) string {
	zsh, license := "/usr/share/zsh/vendor-completions/", "/usr/share/doc/blnkctl/"
	if format == "rpm" {
		zsh, license = "/usr/share/zsh/site-functions/", "/usr/share/licenses/blnkctl/"
	}
	switch dir, name := filepath.Split(path); {
	case path == "blnkctl":
		return "/usr/bin/blnkctl"
	case dir == "man/":
		return "/usr/share/man/man1/" + name + ".gz"
	case name == "blnkctl.bash":
		return "/usr/share/bash-completion/completions/blnkctl"
	case name == "_blnkctl":
		return zsh + name
	case name == "blnkctl.fish":
		return "/usr/share/fish/vendor_completions.d/" + name
	case name == "blnkctl.ps1":
		return ""
	case path == "LICENSE" && format == "deb":
		return license + "copyright"
	case strings.Contains(name, "LICENSE"):
		return license + name
	}
	return "/usr/share/doc/blnkctl/" + path
}

func zipped(data []byte) []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = z.Write(data)
	_ = z.Close()
	return b.Bytes()
}
