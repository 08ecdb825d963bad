package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/blnkctl/blnkctl/doctor"
	"github.com/blnkctl/blnkctl/keygen"
)

const (
	historyBytes  = 512 << 20 // of objects, as git cat-file prints them
	historyFiles  = 400
	historyCached = ".cache/bench/history-3" // git ignores it; the number is of what is written below

	wantedScan   = 1.3  // times git cat-file
	wantedLead   = 10.0 // times as fast as gitleaks
	wantedMemory = 100  // MB, with git's
)

// searching compares the search of a git repository for keys with what git takes to
// print its objects, and with gitleaks. Both have to find the key that is in it.
func searching(table *tabwriter.Writer, p programs, runs int) error {
	repository, err := makeHistory()
	if err != nil {
		return err
	}
	gitleaks := filepath.Join(p.store, "gitleaks-v8.30.1")
	if _, err := os.Stat(gitleaks); err != nil {
		if err := p.goes("build", "-modfile=tools/gitleaks/go.mod", "-o", gitleaks, "github.com/zricethezav/gitleaks/v8"); err != nil {
			return err
		}
	}
	config, err := filepath.Abs("contrib/gitleaks.toml")
	if err != nil {
		return err
	}
	memory := 0
	doctor := func() error {
		kb, err := p.finds(repository, 6, p.blnkctl, "doctor", "--rule", doctor.GitRule)
		memory = max(memory, kb/1000)
		return err
	}
	bare := func() error {
		return p.run(repository, "", "git", "cat-file", "--batch-all-objects", "--batch")
	}
	scan, err := interleave(runs, doctor, bare)
	if err != nil {
		return err
	}
	fmt.Fprintf(table, "search of git\t%s\t%s git cat-file\t%.2f times\t≤ %.1f times\t%s\n", ms(scan[0]), ms(scan[1]),
		ratio(scan), wantedScan, mark(ratio(scan) <= wantedScan))
	fmt.Fprintf(table, "\t%d MB\t\t\t≤ %d MB\t%s\n", memory, wantedMemory, mark(memory <= wantedMemory))
	// gitleaks takes long: once, between two of ours, of which the slower counts.
	var took [3]time.Duration
	for i, side := range []func() error{doctor, func() error {
		_, err := p.finds(repository, 1, gitleaks, "git", "--no-banner", "--config", config)
		return err
	}, doctor} {
		began := time.Now()
		if err := side(); err != nil {
			return err
		}
		took[i] = time.Since(began)
	}
	lead := float64(took[1]) / float64(max(took[0], took[2]))
	fmt.Fprintf(table, "\t%s\t%s gitleaks, once\t1/%.1f\t≤ 1/%.0f\t%s\n", ms(max(took[0], took[2])), ms(took[1]), lead, wantedLead, mark(lead >= wantedLead))
	return nil
}

// finds runs what has to end with a status that says that a key was found, and returns
// the most memory that it or a program of its own took, in kB.
func (p programs) finds(dir string, status int, path string, args ...string) (kb int, err error) {
	cmd := exec.Command(path, args...)
	var out bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, p.env, &out, &out
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != status {
		return 0, fmt.Errorf("%s: %w, where a key should be found\n%s", filepath.Base(path), err, out.Bytes())
	}
	return int(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss), nil // bytes on a Mac
}

// makeHistory makes the repository once, and returns its folder. A key stands in one
// version of one file only.
func makeHistory() (string, error) {
	leaked, err := keygen.Generate(keygen.Prefixed, keygen.DefaultBits)
	if err != nil {
		return "", err
	}
	dir, err := filepath.Abs(historyCached)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	half := dir + ".half"
	if err := errors.Join(os.RemoveAll(half), os.MkdirAll(half, 0o755)); err != nil {
		return "", err
	}
	if err := exec.Command("git", "init", "-q", "--bare", half).Run(); err != nil {
		return "", err
	}
	cmd := exec.Command("git", "-C", half, "fast-import", "--quiet")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	h := history{out: bufio.NewWriter(in), rand: rand.New(rand.NewPCG(1, 2)), files: make([][]string, historyFiles)}
	for commit := 1; h.bytes < historyBytes; commit++ {
		h.commit(commit, leaked.Reveal())
	}
	if err := errors.Join(h.out.Flush(), in.Close(), cmd.Wait()); err != nil {
		return "", err
	}
	return dir, os.Rename(half, dir)
}

// A history writes a repository as git fast-import reads it: files of source code with
// tables of hex and base64 in them, and pictures. It is like Blnk's own: files of 17 kB,
// four of which change with a commit, in 70 lines.
type history struct {
	out   *bufio.Writer
	rand  *rand.Rand
	files [][]string // their lines
	bytes int
}

func (h *history) commit(n int, leaked string) {
	message := fmt.Sprintf("change %d", n)
	fmt.Fprintf(h.out, "commit refs/heads/main\ncommitter a <a@example.com> %d +0000\ndata %d\n%s\n", 1_700_000_000+n, len(message), message)
	for i := range h.files {
		switch {
		case n == 1:
			for range 100 + h.rand.IntN(500) {
				h.files[i] = append(h.files[i], h.line())
			}
		case h.rand.IntN(historyFiles) > 3 && (i > 0 || n > 21):
			continue
		}
		at := h.rand.IntN(len(h.files[i]))
		for range h.rand.IntN(140) {
			h.files[i][at] = h.line()
			at = (at + h.rand.IntN(3)) % len(h.files[i])
		}
		lines := h.files[i]
		if n == 20 && i == 0 { // it is gone in the next
			lines = append([]string{"secret_key: " + leaked}, lines...)
		}
		h.file(fmt.Sprintf("src/%d/file%d.go", i%30, i), strings.Join(lines, "\n")+"\n")
	}
	if n%50 == 0 {
		picture := make([]byte, 100<<10)
		for at := 0; at < len(picture); at += 8 {
			for i, x := 0, h.rand.Uint64(); i < 8; i++ {
				picture[at+i] = byte(x >> (8 * i))
			}
		}
		h.file("picture.png", string(picture))
	}
}

func (h *history) file(path, text string) {
	h.bytes += len(text)
	fmt.Fprintf(h.out, "M 644 inline %s\ndata %d\n", path, len(text))
	_, _ = io.WriteString(h.out, text) // Flush has the error
}

var words = strings.Fields(`func return if err nil string key for range open read write close the value of token
	server secret config blnk error case switch default struct type map append len context request response`)

func (h *history) line() string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/"
	var line strings.Builder
	switch kind := h.rand.IntN(20); {
	case kind < 2:
		line.WriteString("\t0x")
		for range 64 {
			line.WriteByte(digits[h.rand.IntN(16)])
		}
	case kind < 3:
		for range 76 {
			line.WriteByte(digits[h.rand.IntN(64)])
		}
	default:
		for range 4 + h.rand.IntN(8) {
			line.WriteString(words[h.rand.IntN(len(words))] + []string{" ", ".", "(", ", ", " := "}[h.rand.IntN(5)])
		}
	}
	return line.String()
}
