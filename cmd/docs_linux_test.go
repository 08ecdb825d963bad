package cmd_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/blnkctl/blnkctl/internal/blnktest"
	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
)

// The pages of the documentation show what was really printed. A block that begins
// with ```console is what a person sees in a terminal of 80 columns: behind "$ " stands
// what is typed, and below it what came. All blocks of a page are run, one after
// another, on a host of their own (namespaces) where the stand-in is Blnk and the
// scripts' systemctl is systemd: in /srv/blnk, as root on ledger-1. An HTML comment
// that begins with "setup" holds commands that a reader is spared, and one that begins
// with "picture FILE" those whose screen FILE shows.
//
//	make docs       runs them, and writes what they print into the pages
//	go test ./cmd   fails where they print something else; times, keys and IDs may differ

var update = flag.Bool("update", false, "TestDocs writes what the commands of the pages print into them")

// A docBlock is one part of a page that is run, with where its text stands.
type docBlock struct {
	Kind       string // console, setup, or picture and the file
	Text       string
	Screen     string // what came of it
	Picture    string // of a picture: an SVG
	Failed     string
	start, end int
}

var docBlocks = regexp.MustCompile("(?ms)^```(console)\n(.*?)^```$|^<!-- (setup|picture \\S+)\n(.*?)^-->$")

func blocksOf(page string) (all []docBlock) {
	for _, at := range docBlocks.FindAllStringSubmatchIndex(page, -1) {
		if at[2] < 0 {
			at = append(at[:2:2], at[6:]...)
		}
		all = append(all, docBlock{Kind: page[at[2]:at[3]], Text: page[at[4]:at[5]], start: at[4], end: at[5]})
	}
	return all
}

// TestDocs runs the blocks of each page.
func TestDocs(t *testing.T) {
	needs.Namespaces().For(t)
	t.Parallel()
	pages, _ := filepath.Glob("../docs/*.md")
	for _, path := range append(pages, "../README.md") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		page := string(data)
		if blocks := blocksOf(page); len(blocks) > 0 {
			t.Run(filepath.Base(path), func(t *testing.T) {
				t.Parallel()
				checkPage(t, path, page, blocks)
			})
		}
	}
}

func checkPage(t *testing.T, path, page string, blocks []docBlock) {
	ran := runPage(t, blocks)
	var names, wasNames names
	for i, b := range slices.Backward(ran) {
		old := blocks[i]
		if b.Failed != "" {
			t.Errorf("%s\n%s\n%s", b.Text, b.Screen, b.Failed)
		}
		if *update && b.Kind == "console" {
			page = page[:old.start] + b.Screen + page[old.end:]
		}
	}
	for i, b := range ran {
		shown, was := b.Screen, blocks[i].Text
		file, isPicture := strings.CutPrefix(b.Kind, "picture ")
		if file = filepath.Join(filepath.Dir(path), file); isPicture {
			picture, _ := os.ReadFile(file)
			shown, was = pictureText(b.Picture), pictureText(string(picture))
		} else if b.Kind != "console" {
			continue
		}
		if got, want := names.like(shown), wasNames.like(was); got != want && !*update {
			t.Errorf("%s\nis printed now:\n%s\ncompared as\n%s\n%s", was, shown, want, got)
		}
		if *update && isPicture {
			if err := os.WriteFile(file, []byte(b.Picture), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// names give what is another one in each run (keys, IDs, times) the same name in the
// same order. Where a line is broken depends on how long they are, so it does not count.
type names map[string]string

var differs = regexp.MustCompile(`sha256:[0-9a-f]+\b|blnk_sk_\w+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{16,}\b|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?Z| [A-Z]{3,4})?|\b\d+(\.\d+)? ?(ms|µs|s)\b|"ms": [0-9.]+|\brot_\w+|\b(PID|pid|process) \d+|\bjust now\b|\b\d+ minutes? ago\b`)

func (n *names) like(text string) string {
	if *n == nil {
		*n = names{}
	}
	text = differs.ReplaceAllStringFunc(text, func(found string) string {
		if kind, _, isKey := strings.Cut(found, ":"); !isKey || kind != "sha256" {
			return "~"
		}
		if (*n)[found] == "" {
			(*n)[found] = fmt.Sprintf("~%d", len(*n)+1)
		}
		return (*n)[found]
	})
	return strings.Join(strings.Fields(text), " ")
}

// runPage runs the blocks of a page on a host of their own.
func runPage(t *testing.T, blocks []docBlock) (ran []docBlock) {
	t.Helper()
	given, err := json.Marshal(blocks)
	if err != nil {
		t.Fatal(err)
	}
	host := exec.Command("docs-page")
	host.Stdin = strings.NewReader(string(given))
	host.Stderr = os.Stderr
	host.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := host.Output()
	if err == nil {
		err = json.Unmarshal(out, &ran)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ran
}

// docsHost is the program docs-page, that runs the blocks: it gets them as JSON, and returns them.
func docsHost() int {
	var blocks []docBlock
	err := json.NewDecoder(os.Stdin).Decode(&blocks)
	if err == nil {
		err = makeHost()
	}
	for i := range blocks {
		if err == nil {
			blocks[i].run()
		}
	}
	if err == nil {
		_ = blnktest.Down("/srv/blnk", patience)
		err = json.NewEncoder(os.Stdout).Encode(blocks)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "docs-page:", err)
		return 1
	}
	return 0
}

// makeHost makes of the namespaces a host: with the programs, an empty /srv/blnk, a
// loopback interface and a name.
func makeHost() error {
	program, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer program.Close()
	steps := []error{unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), unix.Mount("proc", "/proc", "proc", 0, ""), unix.Sethostname([]byte("ledger-1"))}
	for _, dir := range []string{"/run", "/srv", "/var/lib", "/var/spool", "/usr/local", "/root", "/tmp"} {
		steps = append(steps, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"))
	}
	for _, dir := range []string{"/run/etc", "/run/work", "/run/scripts", "/srv/blnk", "/usr/local/bin", "/var/spool/cron"} {
		steps = append(steps, os.Mkdir(dir, 0o755))
	}
	steps = append(steps, unix.Mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir=/run/etc,workdir=/run/work"), upLoopback())
	if err := errors.Join(steps...); err != nil {
		return err
	}
	const first = "/usr/local/bin/blnkctl"
	copied, err := os.OpenFile(first, os.O_CREATE|os.O_WRONLY, 0o755)
	if err == nil {
		_, err = io.Copy(copied, program)
		err = errors.Join(err, copied.Close())
	}
	for _, name := range []string{"blnk", "blnk-standin", "fake-systemd", "systemctl", "journalctl", "gh", "glab"} {
		err = errors.Join(err, os.Link(first, filepath.Join(filepath.Dir(first), name)))
	}
	err = errors.Join(err, os.WriteFile("/usr/local/bin/sudo", []byte("#!/bin/sh\nSUDO_USER=alice SUDO_UID=1000 exec \"$@\"\n"), 0o755))
	os.Clearenv()
	for name, value := range map[string]string{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "USER": "root", "LOGNAME": "root",
		"TERM": "xterm-256color", "RUN": "/run/scripts", "LANG": "C.UTF-8", "TZ": "UTC",
	} {
		err = errors.Join(err, os.Setenv(name, value))
	}
	return errors.Join(err, os.Chdir("/srv/blnk"))
}

func upLoopback() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, lo)
}

// run types each command of the block, and keeps what is on the screen.
func (b *docBlock) run() {
	if b.Kind == "setup" {
		if out, err := exec.Command("sh", "-ec", b.Text).CombinedOutput(); err != nil {
			b.Screen, b.Failed = string(out), err.Error()
		}
		return
	}
	var shown canvas
	for line := range strings.Lines(b.Text) {
		command, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "$ ")
		if !ok {
			continue
		}
		text, err := typed(command)
		if err != nil {
			b.Failed += command + ": " + err.Error() + "\n"
		}
		shown.write("$ \x1b[1m" + command + "\x1b[0m\r\n" + text)
	}
	b.Screen, b.Picture = shown.text(), shown.svg()
}

// typed is what the terminal shows when a command is typed, and each question is
// answered with yes.
func typed(command string) (string, error) {
	leader := exec.Command("sh", "-c", `stty cols 80 rows 24; eval "$1"; echo "<exit status $?>" >&2; read -r _`, "sh", command)
	s, err := openTerminal(leader)
	if err != nil {
		return "", err
	}
	defer func() { _ = errors.Join(leader.Process.Kill(), leader.Wait(), s.master.Close()) }()
	for asked := 0; ; asked = len(s.screen()) {
		if !s.await(func(text string) bool {
			return strings.HasSuffix(text, "[y/N] ") && len(text) > asked || ended.MatchString(text)
		}) {
			return s.screen(), errors.New("the command does not end")
		}
		if at := ended.FindStringIndex(s.screen()); at != nil {
			return s.screen()[:at[0]], nil
		}
		if _, err := s.master.WriteString("y\n"); err != nil {
			return s.screen(), err
		}
	}
}

// A canvas is a screen as far as blnkctl uses one: lines that may be written anew, and
// colours.
type canvas struct {
	lines  [][]cell
	column int
}

type cell struct {
	char   rune
	colour string // the SGR number
}

var escape = regexp.MustCompile(`\x1b\[([0-9;]*)([A-Za-z])`)

func (c *canvas) write(text string) {
	if len(c.lines) == 0 {
		c.lines = [][]cell{nil}
	}
	colour := ""
	for len(text) > 0 {
		row := &c.lines[len(c.lines)-1]
		if at := escape.FindStringSubmatch(text); at != nil && strings.HasPrefix(text, at[0]) {
			switch text = text[len(at[0]):]; at[2] {
			case "m":
				colour = strings.TrimPrefix(at[1], "0")
			case "K":
				*row = (*row)[:min(c.column, len(*row))]
			}
			continue
		}
		char := []rune(text)[0]
		text = text[len(string(char)):]
		switch char {
		case '\r':
			c.column = 0
		case '\n':
			c.lines = append(c.lines, nil)
		default:
			for len(*row) <= c.column {
				*row = append(*row, cell{' ', ""})
			}
			(*row)[c.column] = cell{char, colour}
			c.column++
		}
	}
}

// text is what stands on the canvas.
func (c *canvas) text() string {
	var b strings.Builder
	for _, row := range c.lines {
		line := ""
		for _, one := range row {
			line += string(one.char)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// svg is the canvas as a picture of a terminal.
func (c *canvas) svg() string {
	const height, width, margin = 18, 8.4, 16
	colours := map[string]string{"": "#d0d7de", "1": "#ffffff", "31": "#ff7b72", "32": "#7ee787", "33": "#f2cc60"}
	rows := c.lines
	for len(rows) > 0 && len(rows[len(rows)-1]) == 0 {
		rows = rows[:len(rows)-1]
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">`+"\n",
		80*width+2*margin, len(rows)*height+2*margin)
	b.WriteString(`<rect width="100%" height="100%" rx="8" fill="#0d1117"/>` + "\n")
	for i, row := range rows {
		fmt.Fprintf(&b, `<text x="%d" y="%d" xml:space="preserve">`, margin, margin+(i+1)*height-5)
		for from := 0; from < len(row); {
			to := from
			part := ""
			for ; to < len(row) && row[to].colour == row[from].colour; to++ {
				part += string(row[to].char)
			}
			fmt.Fprintf(&b, `<tspan fill="%s">%s</tspan>`, colours[row[from].colour], html.EscapeString(part))
			from = to
		}
		b.WriteString("</text>\n")
	}
	return b.String() + "</svg>\n"
}

// pictureText is the text of such a picture.
func pictureText(svg string) string {
	return html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(svg, ""))
}
