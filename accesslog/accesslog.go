// Package accesslog reads the access log of the Blnk servers of this host, where their
// standard error goes (the journal, docker logs, a file), and counts by client address
// who was let in and who was refused: who goes on with a key that was rotated away shows
// nowhere else, since that log names no key.
//
// It does not promise to see every request: what was rotated away, or went with a
// container, is not read, and of a server that logs elsewhere (a terminal, a pipe)
// nothing is known, which is an error.
package accesslog

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
)

const (
	aDay        = 24 * time.Hour
	mostLog     = 64 << 20 // bytes of a log, from its end: some 300,000 requests
	mostLines   = 300_000
	mostClients = 10_000 // addresses: a client may make them up
	mostParts   = 200    // of the API, which has some 20
)

// A Look says what is read, and how.
type Look struct {
	// Processes are those of one Blnk, also others than servers, which have no such log.
	Processes []restart.Process
	// Proved is when the last rotation was proved; zero where there was none.
	Proved time.Time
	Now    time.Time // the day before it is read
	// Dir and Env are those of the commands that print a log; Keys are masked in what
	// they say of a failure.
	Dir  string
	Env  []string
	Keys []secret.Key
}

// A Log is what the access logs tell.
//
// A client is the address that Blnk writes there, and Blnk believes the header
// X-Forwarded-For of anybody: behind no proxy of one's own, a client chooses what
// stands there, and may hide in many addresses or behind somebody else's.
type Log struct {
	Places   []string // where they were read
	See      []string // a command each that shows what was read
	First    time.Time
	Requests int
	Clients  map[string]*Client
	Servers  int       // processes whose log was looked for
	Proved   time.Time // of Look

	uncounted int // requests of clients beyond mostClients
	since     time.Time
	lastLine  string
}

// A Client is one address, and what became of its requests for what needs a key.
type Client struct {
	Refused int // 401
	Last    time.Time
	// Before, After: let in before the last proved rotation, and after.
	Before, After bool

	here               bool // the address is that of all clients of this host
	hooks, hooksPassed int
	// parts are what came of each part of the API since the last proved rotation.
	parts   map[string]*part
	minutes map[int64]*[2]int // refusals of each minute, those of /hooks apart
}

// A part of the API: how often it was refused, and how often of that once somebody with
// the same address had been let in.
type part struct {
	refused, again int
	passed         bool
}

// stillRefused is how often it was refused since the last proved rotation where nobody with
// that address was let in since: to the same part of the API, where blnkctl asks from there,
// too. shared: somebody was, and refusals came after that.
func (c *Client) stillRefused() (n int, shared bool) {
	again := 0
	for _, p := range c.parts {
		if again += p.again; !p.passed && (c.here || c.hooks > 0 || !c.After) {
			n += p.refused
		}
	}
	if n == 0 {
		return again, again > 0
	}
	return n, false
}

// Own says that its questions to /hooks are those of blnkctl, which asks there with
// random keys, and gets an answer for each key that lives. Who claims that address hides
// three times as many refusals at most.
func (c *Client) Own() bool { return c.hooks <= 3*c.hooksPassed }

// Counted are its refusals but for those of blnkctl.
func (c *Client) Counted() int {
	if c.Own() {
		return c.Refused - c.hooks
	}
	return c.Refused
}

// Burst is the most of them in one minute.
func (c *Client) Burst() (most int) {
	for _, n := range c.minutes {
		counted := n[0]
		if !c.Own() {
			counted += n[1]
		}
		most = max(most, counted)
	}
	return most
}

// Read reads the logs of the servers among the processes. The error says which of them
// could not be read, or hold no request of that day; the Log is never nil, and has what
// the others tell.
func Read(ctx context.Context, look Look) (*Log, error) {
	l := &Log{Clients: map[string]*Client{}, since: look.Now.Add(-aDay), Proved: look.Proved}
	var failed error
	for _, p := range look.Processes {
		if !p.Server {
			continue
		}
		l.Servers++
		before := l.Requests
		err := l.readLog(ctx, look, p)
		if err == nil && l.Requests == before && len(l.Places) == l.Servers {
			err = fmt.Errorf("%s: no line of Blnk's access log of the last day", l.Places[len(l.Places)-1])
		}
		failed = errors.Join(failed, err)
	}
	if l.uncounted > 0 {
		failed = errors.Join(failed, fmt.Errorf("more than %d addresses asked: %d requests of others are not counted", mostClients, l.uncounted))
	}
	return l, failed
}

// An Old client goes on with the key of before the last proved rotation, or may.
type Old struct {
	Address string    `json:"address"`
	Refused int       `json:"refused"` // since the rotation
	Last    time.Time `json:"last"`    // UTC
	// Sure: it was let in before, and nobody with its address since: else it may be somebody
	// who never had a key.
	Sure bool `json:"sure"`
	// Shared: others with its address have the new key, so that it is not told apart from them.
	Shared bool `json:"-"`
}

// Whole says that the log goes back to before the last proved rotation: else who came
// before is not known.
func (l *Log) Whole() bool { return l.First.Before(l.Proved) }

// StillOld are the clients that were refused since the last proved rotation and never
// let in since, or again after that, who was refused most first; none where no rotation
// was proved.
func (l *Log) StillOld() (all []Old) {
	if l.Proved.IsZero() {
		return nil
	}
	for _, name := range l.Those(func(c *Client) bool { return c.Before || !l.Whole() && c.Counted() > 0 }) {
		c := l.Clients[name]
		if n, shared := c.stillRefused(); n > 0 {
			all = append(all, Old{name, n, c.Last.UTC(), c.Before && !shared, shared})
		}
	}
	return all
}

// Those are the addresses of the clients that something holds of, who was refused most
// first.
func (l *Log) Those(is func(*Client) bool) (names []string) {
	for name, c := range l.Clients {
		if is(c) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(x, y string) int {
		return cmp.Or(l.Clients[y].Refused-l.Clients[x].Refused, strings.Compare(x, y))
	})
	return names
}

// readLog finds where a server's standard error goes, which is its log, and reads it.
func (l *Log) readLog(ctx context.Context, look Look, p restart.Process) error {
	standard := fmt.Sprintf("/proc/%d/fd/2", p.PID)
	if info, err := os.Stat(standard); err == nil && info.Mode().IsRegular() {
		name, _ := os.Readlink(standard)
		return l.readFile(standard, name)
	}
	goesTo, err := os.Readlink(standard)
	group, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", p.PID))
	for _, name := range append(slices.Clone(p.Aliases), p.Name) {
		if container, ok := strings.CutPrefix(name, "container "); ok {
			return l.container(ctx, look, container)
		}
	}
	if id := regexp.MustCompile(`docker[-/]([0-9a-f]{64})`).FindSubmatch(group); id != nil {
		return l.container(ctx, look, string(id[1]))
	}
	unit, _, _ := strings.Cut(string(group[strings.LastIndexByte(string(group), ':')+1:]), "\n")
	isUsers, unit := strings.Contains(unit, "/user@"), path.Base(unit)
	if strings.HasSuffix(p.Name, ".service") {
		unit = strings.TrimPrefix(p.Name, "unit ")
	} else if !strings.HasPrefix(goesTo, "socket:") || !strings.HasSuffix(unit, ".service") {
		return fmt.Errorf("the log of %s is not read: %w", p.Place(), cmp.Or(err, errors.New("its standard error goes to "+goesTo)))
	}
	args := []string{"journalctl", "--unit=" + unit}
	if isUsers || strings.Contains(p.Reference, "user=true") {
		args = []string{"journalctl", "--user", "--unit=" + unit}
	}
	args = append(args, "--output=cat", "--since=-24h")
	return l.stream(ctx, look, "the journal of "+unit, hint.Command(args...), append(args, "--quiet", "--no-pager", fmt.Sprint("--lines=", mostLines))...)
}

func (l *Log) container(ctx context.Context, look Look, name string) error {
	args := []string{"docker", "logs", "--since=24h"}
	see := hint.Command(append(args, name)...) + " 2>&1"
	return l.stream(ctx, look, "the log of container "+name, see, append(args, fmt.Sprint("--tail=", mostLines), "--", name)...)
}

// readFile reads the end of a file. path is opened, name is what it is called.
func (l *Log) readFile(path, name string) error {
	if slices.Contains(l.Places, name) {
		return nil
	}
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a process may put a FIFO there meanwhile
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil {
		_, err = file.Seek(max(0, info.Size()-mostLog), io.SeekStart)
	}
	if err != nil {
		return err
	}
	l.read(file)
	l.Places, l.See = append(l.Places, name), append(l.See, hint.Command("cat", name))
	return nil
}

// stream reads what a command prints, and ends it where that is too much.
func (l *Log) stream(ctx context.Context, look Look, name, see string, args ...string) error {
	if slices.Contains(l.Places, name) {
		return nil
	}
	from, to, err := os.Pipe()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		_, err := run.Cmd{Args: args, Dir: look.Dir, Env: look.Env, Out: to, Err: to, Timeout: time.Minute}.Run(ctx)
		_ = to.Close()
		ended <- err
	}()
	l.lastLine = ""
	whole := l.read(from)
	_ = from.Close()
	l.Places, l.See = append(l.Places, name), append(l.See, see) // of what it printed, whatever comes
	if err := <-ended; err != nil && whole {
		return fmt.Errorf("%s cannot be read: %w: %s", name, err, run.Mask(l.lastLine, look.Keys...))
	}
	if !whole {
		return fmt.Errorf("%s is longer than %d MB: the rest of it was not read", name, mostLog>>20)
	}
	return nil
}

// read takes lines in; false where there was more than mostLog of them.
func (l *Log) read(from io.Reader) (whole bool) {
	limited := &io.LimitedReader{R: from, N: mostLog}
	lines := bufio.NewReaderSize(limited, 2<<20) // twice what Go's server takes for a path
	for {
		line, err := lines.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			line = nil // no line of Blnk's is as long
			_, err = lines.ReadSlice('\n')
		}
		if at, r, ok := parse(line); ok {
			l.count(at, r)
		} else if text := bytes.TrimSpace(line); len(text) > 0 {
			l.lastLine = string(text[:min(len(text), 200)])
		}
		if err != nil {
			return limited.N > 0
		}
	}
}

// A request is a line of the access log: logrus text, as Blnk writes it to standard
// error ([run] on 0.15.2).
type request struct{ client, path, status string }

// parse reads NAME=VALUE…, where a value with other than usual characters is quoted: a
// path that says status=401 is no status.
func parse(line []byte) (at time.Time, r request, ok bool) {
	if !bytes.Contains(line, []byte(`msg="http request"`)) {
		return at, r, false
	}
	rest := strings.TrimRight(string(line), "\r\n")
	message := ""
	for rest != "" {
		var name, value string
		if name, rest, ok = strings.Cut(strings.TrimLeft(rest, " "), "="); !ok {
			break
		}
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			rest = rest[len(quoted):]
			value, _ = strconv.Unquote(quoted)
		} else {
			value, rest, _ = strings.Cut(rest, " ")
		}
		switch name[strings.LastIndexByte(name, ' ')+1:] { // behind what a tool puts in front
		case "time":
			at, _ = time.Parse(time.RFC3339, value)
		case "msg":
			message = value
		case "client_ip":
			r.client = value
		case "path":
			r.path = value
		case "status":
			r.status = value
		}
	}
	return at, r, message == "http request" && !at.IsZero() && r.client != "" && r.status != ""
}

// count adds a request.
func (l *Log) count(at time.Time, r request) {
	if at.Before(l.since) {
		return
	}
	l.Requests++
	if l.First.IsZero() || at.Before(l.First) {
		l.First = at
	}
	refused := r.status == "401"
	if slices.Contains([]string{"/", "/health", "/metrics"}, r.path) || r.status == "429" {
		return // they say nothing about the key
	}
	c := l.Clients[r.client]
	switch {
	case c == nil && len(l.Clients) >= mostClients:
		l.uncounted++
		return
	case c == nil:
		address, _ := netip.ParseAddr(r.client)
		c = &Client{here: address.IsLoopback(), minutes: map[int64]*[2]int{}, parts: map[string]*part{}}
		l.Clients[r.client] = c
	}
	hooks := r.path == blnk.OraclePath
	switch after := at.After(l.Proved); {
	case hooks && c.here: // blnkctl asks from here, too, with keys of all ages
	case after:
		c.After = c.After || !refused
		c.inPart(r.path, refused)
	case !refused:
		c.Before = true
	}
	switch {
	case !refused && hooks:
		c.hooksPassed++
	case refused:
		c.refuse(at, hooks)
	}
}

func (c *Client) refuse(at time.Time, hooks bool) {
	c.Refused++
	if at.After(c.Last) {
		c.Last = at
	}
	minute := at.Unix() / 60
	if c.minutes[minute] == nil {
		c.minutes[minute] = &[2]int{}
	}
	if hooks {
		c.hooks++
		c.minutes[minute][1]++
	} else {
		c.minutes[minute][0]++
	}
}

// inPart keeps what came of a request to a part of the API: the first word of its path.
func (c *Client) inPart(path string, refused bool) {
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	p := c.parts[name]
	switch {
	case p == nil && len(c.parts) >= mostParts:
		return
	case p == nil:
		p = &part{}
		c.parts[name] = p
	}
	if p.passed = p.passed || !refused; refused {
		p.refused++
	}
	if refused && p.passed {
		p.again++
	}
}
