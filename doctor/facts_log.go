package doctor

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
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/restart"
)

const (
	aDay        = 24 * time.Hour
	mostLog     = 64 << 20 // bytes of a log, from its end: some 300,000 requests
	mostLines   = 300_000
	mostClients = 10_000 // addresses: a client may make them up
)

// An Access is what the servers' access logs of this host tell of the last day, as far
// as they are there: what was rotated away, or went with a container, is not read.
//
// A client is the address that Blnk writes there, and Blnk believes the header
// X-Forwarded-For of anybody: behind no proxy of one's own, a client chooses what
// stands there, and may hide in many addresses or behind somebody else's.
type Access struct {
	Places    []string // where they were read
	See       []string // a command each that shows what was read
	First     time.Time
	Requests  int
	Clients   map[string]*Client
	Uncounted int // refusals of clients beyond mostClients

	since, proved time.Time
	lastLine      string
}

// A Client is one address, and what became of its requests for what needs a key.
type Client struct {
	Refused int // 401
	Last    time.Time
	// Before, After: let in before the last proved rotation, and after; RefusedAfter.
	Before, After bool
	RefusedAfter  int

	hooks, hooksPassed int
	minutes            map[int64]*[2]int // refusals of each minute, those of /hooks apart
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

// Access reads the logs.
func (f *Facts) Access(ctx context.Context) (*Access, error) {
	return f.access.get(func() (*Access, error) {
		_, _ = f.Live(ctx) // so that these questions are in the logs, too: each with its answer
		history, _ := f.History(ctx)
		a := &Access{Clients: map[string]*Client{}, since: f.Now().Add(-aDay), proved: history.ProvedAt}
		var failed error
		servers := 0
		for _, p := range f.Processes(ctx) {
			if !p.Server {
				continue
			}
			servers++
			before := a.Requests
			err := f.readLog(ctx, a, p)
			if err == nil && a.Requests == before && len(a.Places) == servers {
				err = fmt.Errorf("%s: no line of Blnk's access log of the last day", a.Places[len(a.Places)-1])
			}
			failed = errors.Join(failed, err)
		}
		if servers == 0 {
			return a, f.unseen(ctx)
		}
		_, unseen := f.View(ctx)
		return a, errors.Join(failed, unseen)
	})
}

// readLog finds where a server's standard error goes, which is its log, and reads it.
func (f *Facts) readLog(ctx context.Context, a *Access, p restart.Process) error {
	standard := fmt.Sprintf("/proc/%d/fd/2", p.PID)
	if info, err := os.Stat(standard); err == nil && info.Mode().IsRegular() {
		name, _ := os.Readlink(standard)
		return a.readFile(standard, name)
	}
	goesTo, err := os.Readlink(standard)
	group, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", p.PID))
	for _, name := range append(slices.Clone(p.Aliases), p.Name) {
		if container, ok := strings.CutPrefix(name, "container "); ok {
			return f.container(ctx, a, container)
		}
	}
	if id := regexp.MustCompile(`docker[-/]([0-9a-f]{64})`).FindSubmatch(group); id != nil {
		return f.container(ctx, a, string(id[1]))
	}
	unit, _, _ := strings.Cut(string(group[strings.LastIndexByte(string(group), ':')+1:]), "\n")
	isUsers, unit := strings.Contains(unit, "/user@"), path.Base(unit)
	if strings.HasSuffix(p.Name, ".service") {
		unit = strings.TrimPrefix(p.Name, "unit ")
	} else if !strings.HasPrefix(goesTo, "socket:") || !strings.HasSuffix(unit, ".service") {
		return fmt.Errorf("the log of %s is not read: %w", placeOf(p), cmp.Or(err, errors.New("its standard error goes to "+goesTo)))
	}
	args := []string{"journalctl", "--unit=" + unit}
	if isUsers || strings.Contains(p.Reference, "user=true") {
		args = []string{"journalctl", "--user", "--unit=" + unit}
	}
	args = append(args, "--output=cat", "--since=-24h")
	return f.stream(ctx, a, "the journal of "+unit, hint.Command(args...), append(args, "--quiet", "--no-pager", fmt.Sprint("--lines=", mostLines))...)
}

func (f *Facts) container(ctx context.Context, a *Access, name string) error {
	args := []string{"docker", "logs", "--since=24h"}
	see := hint.Command(append(args, name)...) + " 2>&1"
	return f.stream(ctx, a, "the log of container "+name, see, append(args, fmt.Sprint("--tail=", mostLines), "--", name)...)
}

// readFile reads the end of a file. path is opened, name is what it is called.
func (a *Access) readFile(path, name string) error {
	if slices.Contains(a.Places, name) {
		return nil
	}
	file, err := os.Open(path)
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
	a.read(file)
	a.Places, a.See = append(a.Places, name), append(a.See, hint.Command("cat", name))
	return nil
}

// stream reads what a command prints, and ends it where that is too much.
func (f *Facts) stream(ctx context.Context, a *Access, name, see string, args ...string) error {
	if slices.Contains(a.Places, name) {
		return nil
	}
	from, to, err := os.Pipe()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		_, err := run.Cmd{Args: args, Dir: f.Dir, Env: f.Env, Out: to, Err: to, Timeout: time.Minute}.Run(ctx)
		_ = to.Close()
		ended <- err
	}()
	a.lastLine = ""
	whole := a.read(from)
	_ = from.Close()
	a.Places, a.See = append(a.Places, name), append(a.See, see) // of what it printed, whatever comes
	if err := <-ended; err != nil && whole {
		return fmt.Errorf("%s cannot be read: %w: %s", name, err, run.Mask(a.lastLine, f.Keys(ctx)...))
	}
	if !whole {
		return fmt.Errorf("%s is longer than %d MB: the rest of it was not read", name, mostLog>>20)
	}
	return nil
}

// read takes lines in; false where there was more than mostLog of them.
func (a *Access) read(from io.Reader) (whole bool) {
	limited := &io.LimitedReader{R: from, N: mostLog}
	lines := bufio.NewReaderSize(limited, 2<<20) // twice what Go's server takes for a path
	for {
		line, err := lines.ReadSlice('\n')
		for errors.Is(err, bufio.ErrBufferFull) {
			line = nil // no line of Blnk's is as long
			_, err = lines.ReadSlice('\n')
		}
		if at, r, ok := parse(line); ok {
			a.count(at, r)
		} else if text := bytes.TrimSpace(line); len(text) > 0 {
			a.lastLine = string(text[:min(len(text), 200)])
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
func (a *Access) count(at time.Time, r request) {
	if at.Before(a.since) {
		return
	}
	a.Requests++
	if a.First.IsZero() || at.Before(a.First) {
		a.First = at
	}
	refused := r.status == "401"
	if slices.Contains([]string{"/", "/health", "/metrics"}, r.path) || r.status == "429" {
		return // they say nothing about the key
	}
	c := a.Clients[r.client]
	switch {
	case c == nil && len(a.Clients) >= mostClients:
		if refused {
			a.Uncounted++
		}
		return
	case c == nil:
		c = &Client{minutes: map[int64]*[2]int{}}
		a.Clients[r.client] = c
	}
	after := at.After(a.proved)
	hooks := r.path == blnk.OraclePath
	here, _ := netip.ParseAddr(r.client)
	told := !hooks || !here.IsLoopback() // blnkctl asks from here, too, with keys of all ages
	if !refused {
		c.After = c.After || after && told
		c.Before = c.Before || !after && told
		if hooks {
			c.hooksPassed++
		}
		return
	}
	c.Refused++
	if at.After(c.Last) {
		c.Last = at
	}
	if after && told {
		c.RefusedAfter++
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
