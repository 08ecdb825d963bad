package cmd_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// sumsKey is where a script keeps its sums: map[string]treeSum, by name.
type sumsKey struct{}

// A treeSum is what trees were like: a line for each file, folder and link.
type treeSum struct {
	paths []string // absolute
	lines map[string]entry
}

// An entry is one line: what it holds, and what else would tell that somebody
// was there.
type entry struct{ content, traces string }

func cmdTreesum(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 1, "treesum NAME PATH...")
	var paths []string
	for _, p := range args[1:] {
		paths = append(paths, ts.MkAbs(p))
	}
	lines, err := sumTrees(paths)
	ts.Check(err)
	ts.Value(sumsKey{}).(map[string]treeSum)[args[0]] = treeSum{paths, lines}
}

func cmdTreesame(ts *testscript.TestScript, neg bool, args []string) {
	contentOnly := len(args) > 0 && args[0] == "-content"
	if contentOnly {
		args = args[1:]
	}
	need(ts, len(args) == 1, "[!] treesame [-content] NAME")
	before, ok := ts.Value(sumsKey{}).(map[string]treeSum)[args[0]]
	if !ok {
		ts.Fatalf("treesum %s was not called", args[0])
	}
	now, err := sumTrees(before.paths)
	ts.Check(err)
	changes := compareTrees(before.lines, now, contentOnly)
	if neg {
		if len(changes) == 0 {
			ts.Fatalf("nothing has changed")
		}
		return
	}
	if len(changes) > 0 {
		ts.Fatalf("changed:\n%s", strings.Join(changes, "\n"))
	}
}

func compareTrees(before, now map[string]entry, contentOnly bool) []string {
	var changes []string
	for path, b := range before {
		n, ok := now[path]
		switch {
		case !ok:
			changes = append(changes, "- "+path+" "+b.content)
		case n.content != b.content:
			changes = append(changes, "! "+path+" "+b.content+" -> "+n.content)
		case n.traces != b.traces && !contentOnly:
			changes = append(changes, "! "+path+" "+b.traces+" -> "+n.traces)
		}
	}
	for path, n := range now {
		if _, ok := before[path]; !ok {
			changes = append(changes, "+ "+path+" "+n.content)
		}
	}
	slices.Sort(changes)
	return changes
}

// sumTrees looks at everything below the paths. A path that does not exist is
// an empty tree.
func sumTrees(paths []string) (map[string]entry, error) {
	lines := map[string]entry{}
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && path == root {
				return nil
			}
			// The stand-in writes a line there for each request.
			if log := strings.Contains(path, "/.standin/") && strings.HasSuffix(path, ".log"); err == nil && !log {
				lines[path], err = sumOne(path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return lines, nil
}

func sumOne(path string) (entry, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return entry{}, err
	}
	sys := info.Sys().(*syscall.Stat_t)
	content := fmt.Sprintf("%s %d:%d", info.Mode(), sys.Uid, sys.Gid)
	switch {
	case info.Mode().IsRegular():
		f, err := os.Open(path)
		if err != nil {
			return entry{}, err
		}
		defer f.Close()
		hash := sha256.New()
		if _, err := io.Copy(hash, f); err != nil {
			return entry{}, err
		}
		content += fmt.Sprintf(" %x", hash.Sum(nil)[:8])
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return entry{}, err
		}
		content += " -> " + target
	}
	return entry{content, fmt.Sprintf("inode %d, changed %s", sys.Ino, info.ModTime().Format("15:04:05.000000000"))}, nil
}
