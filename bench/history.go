package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	historyBytes  = 512 << 20 // of objects, as git cat-file prints them
	historyFiles  = 160
	historyCached = ".cache/bench/history-1" // git ignores it; the number is of what is written below
)

// A history writes a repository as git fast-import reads it: files of source code with
// tables of hex and base64 in them, and pictures, a few of which change with each commit.
type history struct {
	out   *bufio.Writer
	rand  *rand.Rand
	files [][]string // their lines
	bytes int
}

// makeHistory makes the repository once, and returns its folder. leaked stands in one
// version of one file only.
func makeHistory(leaked string) (string, error) {
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
		h.commit(commit, leaked)
	}
	if err := errors.Join(h.out.Flush(), in.Close(), cmd.Wait()); err != nil {
		return "", err
	}
	return dir, os.Rename(half, dir)
}

func (h *history) commit(n int, leaked string) {
	message := fmt.Sprintf("change %d", n)
	fmt.Fprintf(h.out, "commit refs/heads/main\ncommitter a <a@example.com> %d +0000\ndata %d\n%s\n", 1_700_000_000+n, len(message), message)
	for i := range h.files {
		switch {
		case n == 1:
			for range 200 + h.rand.IntN(2000) {
				h.files[i] = append(h.files[i], h.line())
			}
		case h.rand.IntN(20) > 0 && (i > 0 || n > 21):
			continue
		}
		for range 1 + h.rand.IntN(8) {
			h.files[i][h.rand.IntN(len(h.files[i]))] = h.line()
		}
		lines := h.files[i]
		if n == 20 && i == 0 { // it is gone in the next
			lines = append([]string{"secret_key: " + leaked}, lines...)
		}
		h.file(fmt.Sprintf("src/%d/file%d.go", i%9, i), strings.Join(lines, "\n")+"\n")
	}
	if n%10 == 0 {
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
