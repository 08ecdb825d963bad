package blnktest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// usage is also the documentation of the program.
const usage = `blnk-standin behaves as a Blnk server for tests.

As the blnk program, in the working directory with ./blnk.json:
  start                   the server, in the foreground
  workers                 the workers, in the foreground
  migrate up              loads the configuration and ends

As what starts, stops and restarts it (ROLE: server, worker, balancer;
files of its own stand in DIR/.standin):
  init [--dir DIR] [--port N] [--open] [--stock] [--webhook URL] [--metrics-token T] <KEY
                          writes DIR/blnk.json; the key comes from stdin,
                          the port is a free one unless given; with --stock as
                          Blnk's installer does: no key, open, mode 0644
  up [ROLE...]            starts in the background; returns when the port is
                          open. Without ROLE: server and worker
  up balancer --port N --to DIR --to DIR...
                          one port before the servers of several folders,
                          each connection goes to the next one
  restart [ROLE...]       SIGTERM, waits for the end, up. Without ROLE: those
                          of server and worker that were started before
  down [ROLE...]          SIGTERM, waits for the end. Without ROLE: all
  next [ROLE] [K=V...]    variables for one later start only; called several
                          times, for the starts after that. Without K=V: a
                          start as usual. Without ROLE: server
  url [ROLE]              prints the address of a running role
  status [ROLE]           exit status 0 where it runs, 1 where not
  deliver [JSON]          the worker sends a webhook to all receivers
  signs [--key-file F]    exit status 0 where the worker signs with the key in
                          F (without it: in DIR/blnk.json), 1 where not
  scope [--key-file F] [SCOPE...]
                          makes the key in F (without it: in DIR/blnk.json) a
                          scoped API key too, with these scopes or ledgers:read

Flags of these:
  --dir DIR               the folder with blnk.json (default .)
  --env K=V               a variable for this start and all later ones; K
                          alone takes it away (up, restart)
  --env-file FILE         the same for each line K=V of FILE (up, restart, next)
  --no-wait               return when the process is started (up, restart)
  --async                 return at once, do it in the background (restart)
  --grace D               between SIGTERM and SIGKILL (default 1m)
  --timeout D             how long the port may take (default 3m)

Variables of start and workers:
  STANDIN_START_DELAY=D   the port opens later
  STANDIN_DIE=1           exits 1 before the port opens
  STANDIN_IGNORE_TERM=1   SIGTERM and SIGINT do nothing
  STANDIN_DRAIN=D         after SIGTERM the port is closed, and open connections
                          (idle ones too) are answered for D
  STANDIN_DRAIN_LIMIT=D   how long open requests may take at the end, before it
                          exits 1 (30s)
  STANDIN_LINGER=D        after SIGTERM everything goes on for D
  STANDIN_ANSWER=A        answers with an HTTP status (429, 503), hang, close or
                          garbage; STANDIN_ANSWER_COUNT=N only the first N times
  STANDIN_HOLD=F          nothing is answered while there is a file F; F.asked
                          appears when a request has come
  STANDIN_VERSION=V       as an older Blnk: before 0.15.0 no error_detail, before
                          0.14.3 /hooks is open to scoped keys
  STANDIN_ADDR_FILE=F     the address is written to F when the port is open
  STANDIN_ACCESS_LOG=F    a line for each request, without keys
  STANDIN_HOST=H          listens on another address than 127.0.0.1
  STANDIN_STATE=DIR       instead of ./.standin
  STANDIN_MONITORING_PORT=N  instead of queue.monitoring_port
`

// errNo is exit status 1 without words: the answer to a question is no.
var errNo = errors.New("no")

// Main is the program blnk-standin: it reads os.Args and returns the exit
// status. A test binary can be that program, as a command of testscript.Main
// under any name.
func Main() int {
	if len(os.Args) < 2 || os.Args[1] == "help" || strings.HasSuffix(os.Args[1], "-help") {
		fmt.Print(usage)
		return 0
	}
	err := command(os.Args[1], os.Args[2:])
	if err == nil {
		return 0
	}
	if !errors.Is(err, errNo) {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}

func command(name string, args []string) error {
	switch name {
	case "start", "workers", "migrate":
		return asBlnk(name)
	case "init":
		return initFolder(args)
	case "balance":
		return asBalancer(args)
	}
	c, err := parseCall(name, args)
	if err != nil {
		return err
	}
	switch name {
	case "up", "down", "restart":
		return c.control(name)
	case "next":
		return c.next()
	case "url":
		return c.printURL()
	case "status":
		return c.status()
	case "deliver":
		return c.deliver()
	case "signs":
		return c.signs()
	case "scope":
		return c.scope()
	}
	return fmt.Errorf("unknown command %q; see blnk-standin help", name)
}

func asBlnk(name string) error {
	opt, err := optionsFrom(os.Getenv)
	if err != nil {
		return err
	}
	switch name {
	case "start":
		return runServer(".", opt)
	case "workers":
		return runWorker(".", opt)
	default:
		return migrate(".")
	}
}

func asBalancer(args []string) error {
	var to list
	flags := flag.NewFlagSet("balance", flag.ContinueOnError)
	port := flags.String("port", "0", "")
	flags.Var(&to, "to", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return runBalancer(*port, to)
}

// A list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// readKey takes one line of stdin; an empty one is no key.
func readKey(r io.Reader) (string, error) {
	text, err := io.ReadAll(r)
	return strings.TrimSuffix(string(text), "\n"), err
}

// patience bounds a request of the program itself.
func patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 3*time.Minute)
}
