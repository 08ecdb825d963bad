package probe

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/interrupt"
	"github.com/blnkctl/blnkctl/internal/ref"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/secret"
)

// Methods are those that a Request may have.
var Methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// ErrAnswer: the server answered, but not with success, or not with what was asked
// for. Errors that wrap it say what it answered.
var ErrAnswer = errors.New("")

// A Request is one that a person makes, for Server.Send. Its texts are as they were
// typed; Check looks at them.
type Request struct {
	Method  string
	Path    string   // with its query, below the address of the server
	Headers []string // each NAME: VALUE
	Body    io.Reader
	Size    int64 // of Body in bytes; -1 where nobody knows
	// Include writes the status line and the headers too, Paginate gets the further
	// pages of a list and makes one of them.
	Include, Paginate bool
	// Timeout is how long nothing may come from the server, or go to it.
	Timeout time.Duration
	// Out gets the answer, and Terminal says that a person looks at it.
	Out      io.Writer
	Terminal bool

	path, query   string // what Path is made of, escaped
	header        http.Header
	limit, offset int // of Paginate
}

// Check refuses what could lead the key elsewhere, or put it where it does not
// belong. The server is not asked.
func (r *Request) Check() error {
	if !slices.Contains(Methods, r.Method) {
		err := fmt.Errorf("METHOD%s: want one of %s", secret.Shown(r.Method), strings.Join(Methods, ", "))
		if near := hint.Nearest(r.Method, Methods); near != "" {
			err = hint.Add(err, "did you mean %s?", near)
		}
		return err
	}
	r.path, r.query, _ = strings.Cut(r.Path, "?")
	if err := r.checkPath(); err != nil {
		return err
	}
	r.header = http.Header{"Accept": {"application/json"}, "User-Agent": {"blnkctl"}}
	if r.Body != nil {
		r.header.Set("Content-Type", "application/json")
	}
	given := http.Header{}
	for _, line := range r.Headers {
		name, value, err := parseHeader(line)
		if err != nil {
			return err
		}
		given.Add(name, value)
		r.header[textproto.CanonicalMIMEHeaderKey(name)] = given.Values(name)
	}
	return r.checkPaging()
}

// Open takes a body: text, or @FILE, or @- for stdin, which is nil where it holds the key.
// abs makes a path absolute.
func (r *Request) Open(ctx context.Context, body string, stdin io.Reader, abs func(string) (string, error)) error {
	name, isFile := strings.CutPrefix(body, "@")
	switch {
	case !isFile:
		r.Body, r.Size = strings.NewReader(body), int64(len(body))
		return nil
	case name == "-" && stdin == nil:
		return errors.New("the body and the key cannot both come from stdin")
	case name == "-":
		r.Body, r.Size = stdin, -1
		return nil
	case name == "":
		return errors.New("no file behind the @")
	}
	if err := ref.CheckValue(name); err != nil {
		return err
	}
	path, err := abs(name)
	var file *os.File
	if err == nil {
		file, err = interrupt.Await(ctx, func() (*os.File, error) { return os.Open(path) }) // a FIFO waits for who writes
	}
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder", name)
	}
	if r.Body, r.Size = file, -1; err == nil && info.Size() > 0 && info.Mode().IsRegular() { // in /proc all have 0
		r.Size = info.Size()
	}
	return err
}

func (r *Request) checkPath() error {
	plain, err := url.PathUnescape(r.path)
	_, wrong := url.ParseQuery(r.query)
	refuse := func(help, why string) error {
		return hint.Add(fmt.Errorf("PATH%s: %s", secret.Shown(r.path), why), "%s", help)
	}
	switch control := func(c rune) bool { return c < ' ' || c == 0x7f }; {
	case strings.Contains(r.path, "://"):
		help := "name the server with --server, and here what follows its address, as /ledgers"
		if u, err := url.Parse(r.Path); err == nil && u.User == nil && secret.Shown(u.Host) != "" {
			help = fmt.Sprintf("name the server with --server %s, and here %s", hint.Command(u.Scheme+"://"+u.Host), hint.Command(u.RequestURI()))
		}
		return refuse(help, "a whole URL; want the path alone")
	case strings.HasPrefix(r.path, "//"):
		return refuse("", "it would name another host; want one slash before it")
	case strings.ContainsFunc(r.Path, func(c rune) bool { return c <= ' ' || c > '~' }):
		return refuse("percent-encode it, a space as %20", "white space, a control character, or none of ASCII stands in it")
	case strings.ContainsAny(r.Path, `\#`):
		return refuse(`percent-encode it: \ is %5C, # is %23`, "a backslash or a # stands in it")
	case strings.Contains(r.path, "@"):
		return refuse("percent-encode it: @ is %40", "an @ stands in it, which may name another host")
	case err != nil, wrong != nil:
		return refuse("percent-encode it: % is %25, ; is %3B", "a % without two hexadecimal digits behind it, or a ; in the query")
	case slices.Contains(strings.FieldsFunc(plain, func(c rune) bool { return c == '/' || c == '\\' }), ".."):
		return refuse("write out where it leads", "a .. stands in it")
	case strings.ContainsFunc(plain, control), strings.Contains(plain, `\`):
		return refuse("", "an encoded control character or backslash stands in it")
	case !strings.HasPrefix(r.path, "/"):
		help := ""
		if word := secret.Shown(r.path); word != "" {
			help = "did you mean /" + r.path + "?"
		}
		return refuse(help, "want one that begins with a slash")
	}
	return nil
}

// ownHeaders are not for a person to set: they say where a request ends, or whom it
// is for.
var ownHeaders = []string{"Connection", "Content-Length", "Expect", "Host", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// parseHeader repeats no value: it may be a secret.
func parseHeader(line string) (name, value string, err error) {
	name, value, ok := strings.Cut(line, ":")
	// Some servers read "_" as "-".
	canonical := textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(strings.TrimSpace(name), "_", "-"))
	switch control := func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }; {
	case canonical == blnk.KeyHeader:
		return "", "", hint.Add(fmt.Errorf("--header %s: the key is never an argument", blnk.KeyHeader),
			"it is read from --store, or from --key-file FILE (- for stdin); where others may have seen the line, rotate --compromised")
	case strings.ContainsFunc(line, control):
		return "", "", errors.New("--header: a line break or another control character stands in it")
	case !ok || name == "" || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/;<=>?@[\]{}`, c) }):
		return "", "", errors.New("--header: want 'NAME: VALUE'")
	case slices.Contains(ownHeaders, canonical):
		return "", "", fmt.Errorf("--header %s: blnkctl sets it itself", canonical)
	}
	return name, strings.Trim(value, " \t"), nil
}

// Writes says whether the request may change something. GET /backup does: it has the
// server write a copy of the database into its folder (seen, Blnk 0.15.2).
func (r *Request) Writes() bool {
	return !slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, r.Method) || strings.HasPrefix(r.path, "/backup")
}

// What names the request for people and records: without its query, which may be
// about persons.
func (r *Request) What() string { return r.Method + " " + r.path }

// Send makes the request, over a connection of its own, and repeats and follows
// nothing. The answer is written as it comes, byte for byte, but for two things: on
// a terminal nothing in it is obeyed, and a strong key that the server sends back
// (echoed) is masked, wherever it goes: no answer of Blnk has it, and no reader needs
// it. A weak one is not: it would be found in other words.
//
// Another status than 2xx is ErrAnswer; its body is written all the same.
func (s *Server) Send(ctx context.Context, key secret.Key, r *Request) (echoed bool, err error) {
	e := &exchange{Server: s, Request: r, key: key, out: newStream(r.Out, r.Terminal, key)}
	if e.refused = e.out; r.Paginate {
		err = e.pages(ctx)
	} else {
		err = e.once(ctx, r.query, func(response *http.Response) error {
			_, err := io.Copy(e.out, response.Body)
			return err
		})
	}
	if lost := e.out.close(); err == nil {
		err = lost
	}
	return e.out.echoed, err
}

// An exchange is a Request on its way.
type exchange struct {
	*Server
	*Request
	key     secret.Key
	out     *stream
	refused io.Writer // gets the body of an answer that is no success
}

// once makes one request, and gives an answer of success to take.
func (e *exchange) once(ctx context.Context, query string, take func(*http.Response) error) error {
	if err := e.wait(ctx); err != nil {
		return e.fail("%w", err)
	}
	var sent atomic.Bool
	within, end := context.WithCancelCause(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }}))
	defer end(nil)
	silence := time.AfterFunc(e.Timeout, func() { end(context.DeadlineExceeded) })
	defer silence.Stop()
	start, stop := func() { silence.Reset(e.Timeout) }, func() { silence.Stop() }
	request := e.request(within, e.Method, e.path, query, e.header.Clone())
	if e.Body != nil && e.Size != 0 {
		request.Body, request.ContentLength = watched{io.NopCloser(given{within, e.Body}), stop, start}, e.Size
	}
	request.Header.Set(blnk.KeyHeader, e.key.Reveal())
	response, err := e.transport.RoundTrip(request)
	stop()
	if err == nil {
		defer response.Body.Close()
		response.Body = watched{response.Body, start, stop}
		e.pace.heard(response.StatusCode, response.Header)
		if e.Include {
			e.out.head(response)
		}
		if response.StatusCode < 200 || response.StatusCode > 299 {
			return e.refusal(response)
		}
		err = take(response)
	}
	switch {
	case err == nil || e.out.err != nil || errors.Is(err, ErrAnswer):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(context.Cause(within), context.DeadlineExceeded):
		err = hint.Add(fmt.Errorf("nothing came for %s", e.Timeout), "--timeout gives it longer")
	default:
		err = e.reason(err, e.Timeout)
	}
	if sent.Load() && e.Writes() {
		err = hint.Add(err, "nobody knows whether the server did it: look before you send it again")
	}
	return e.fail("%w", err)
}

func (e *exchange) fail(format string, args ...any) error {
	return fmt.Errorf("%s of %s: %w", e.What(), e.Server, fmt.Errorf(format, args...))
}

// refusal is the error of an answer that is no success. Its body is written: what it
// says counts, not whether it ends.
func (e *exchange) refusal(response *http.Response) error {
	var first bytes.Buffer
	const enough = 64 << 10 // for an error of Blnk
	_, _ = io.CopyN(io.MultiWriter(e.refused, &first), response.Body, enough)
	_, _ = io.Copy(e.refused, response.Body)
	text, help := fmt.Sprintf("HTTP %d", response.StatusCode), ""
	if code := blnk.CodeOf(first.Bytes()); code != "" {
		text += " " + code
	}
	location := response.Header.Get("Location")
	switch status := response.StatusCode; {
	case status < 400 && location != "":
		location = fmt.Sprintf("%.200s", run.Mask(location, e.key))
		text += fmt.Sprintf(", a redirect to %s, not followed with the key", location)
		help = cmp.Or(e.there(location), "name where it leads with --server")
	case status == http.StatusUnauthorized && blnk.SawNoKey(first.Bytes()):
		text += ": the server saw no key: something in front of it drops the header " + blnk.KeyHeader
	case status == http.StatusUnauthorized:
		help = "`blnkctl verify` asks which key it takes"
	case status == http.StatusTooManyRequests:
		help = "it limits how often it is asked; try again later"
	}
	return hint.Add(e.fail("%w", hint.As(ErrAnswer, "%s", text)), "%s", help)
}

// there is the command that asks for a location; "" where that is no path of the server.
func (e *exchange) there(location string) string {
	to, err := e.base.Parse(location)
	if err != nil || to.Scheme != e.base.Scheme || !strings.EqualFold(to.Host, e.base.Host) {
		return ""
	}
	asked := Request{Method: e.Method}
	path, below := strings.CutPrefix(to.RequestURI(), e.base.EscapedPath())
	if asked.Path = path; !below || asked.Check() != nil {
		return ""
	}
	return "ask for that: " + hint.Command("blnkctl", "api", e.Method, path)
}

// A watched reader says when a read begins and ends.
type watched struct {
	io.ReadCloser
	begin, end func()
}

func (w watched) Read(p []byte) (int, error) {
	w.begin()
	defer w.end()
	return w.ReadCloser.Read(p)
}

// given is a body that a person may type: net/http waits for a read of it, whatever
// ends.
type given struct {
	ctx  context.Context
	from io.Reader
}

func (g given) Read(p []byte) (int, error) {
	data, err := interrupt.Await(g.ctx, func() ([]byte, error) {
		data := make([]byte, len(p)) // p is the caller's again when the context ends
		n, err := g.from.Read(data)
		return data[:n], err
	})
	return copy(p, data), err
}
