package blnktest

import (
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A call is a command of the supervisor with its flags read.
type call struct {
	args           []string // as given, for --async
	words          []string // what is no flag
	dir, keyFile   string
	env, envFile   list
	port           string
	to             list
	noWait, async  bool
	timeout, grace time.Duration
}

// parseCall lets flags stand anywhere among the words.
func parseCall(name string, args []string) (*call, error) {
	c := &call{args: append([]string{name}, args...)}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.StringVar(&c.dir, "dir", ".", "")
	flags.StringVar(&c.keyFile, "key-file", "", "")
	flags.StringVar(&c.port, "port", "0", "")
	flags.Var(&c.env, "env", "")
	flags.Var(&c.envFile, "env-file", "")
	flags.Var(&c.to, "to", "")
	flags.BoolVar(&c.noWait, "no-wait", false, "")
	flags.BoolVar(&c.async, "async", false, "")
	flags.DurationVar(&c.timeout, "timeout", 3*time.Minute, "")
	flags.DurationVar(&c.grace, "grace", time.Minute, "")
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			break
		}
		c.words = append(c.words, flags.Arg(0))
		args = flags.Args()[1:]
	}
	for _, file := range c.envFile {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				c.env = append(c.env, line)
			}
		}
	}
	return c, nil
}

// units opens the roles that were named, or those that the command means
// without names.
func (c *call) units(name string) ([]*unit, error) {
	roles := c.words
	if len(roles) == 0 {
		roles = []string{"server", "worker", "balancer"}
		if name == "up" {
			roles = roles[:2]
		}
	}
	var units []*unit
	for _, role := range roles {
		u, err := openUnit(c.dir, role)
		if err != nil {
			return nil, err
		}
		if len(c.words) > 0 || name == "up" || (u.exists() && (role != "balancer" || name == "down")) {
			units = append(units, u)
		}
	}
	if len(units) == 0 && name == "restart" {
		return nil, errors.New("nothing was started here")
	}
	return units, nil
}

// control is up, down and restart.
func (c *call) control(name string) error {
	if c.async {
		return background(slices.DeleteFunc(slices.Clone(c.args), func(a string) bool { return strings.TrimLeft(a, "-") == "async" }))
	}
	units, err := c.units(name)
	if err != nil {
		return err
	}
	how := spawn{noWait: c.noWait, timeout: c.timeout, grace: c.grace}
	if name != "up" {
		for _, u := range units {
			if err := u.down(how); err != nil {
				return err
			}
		}
	}
	if name == "down" {
		return nil
	}
	for _, u := range units {
		u.setEnv(c.env)
		if u.role == "balancer" && len(c.to) > 0 {
			if err := c.balanceArgs(u); err != nil {
				return err
			}
		}
		if err := u.up(how); err != nil {
			return err
		}
	}
	return nil
}

// balanceArgs fixes the port, so that a restart keeps it.
func (c *call) balanceArgs(u *unit) error {
	if c.port == "0" {
		n, err := FreePort()
		if err != nil {
			return err
		}
		c.port = fmt.Sprint(n)
	}
	u.Args = []string{"balance", "--port", c.port}
	for _, dir := range c.to {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		u.Args = append(u.Args, "--to", abs)
	}
	return nil
}

// one opens the role that was named first, or the usual one, and leaves the
// words behind it.
func (c *call) one(usual string) (*unit, []string, error) {
	if len(c.words) > 0 && slices.Contains([]string{"server", "worker", "balancer"}, c.words[0]) {
		u, err := openUnit(c.dir, c.words[0])
		return u, c.words[1:], err
	}
	u, err := openUnit(c.dir, usual)
	return u, c.words, err
}

func (c *call) next() error {
	u, vars, err := c.one("server")
	if err != nil {
		return err
	}
	return u.queue(append(vars, c.env...))
}

func (c *call) status() error {
	u, _, err := c.one("server")
	if err != nil {
		return err
	}
	if _, ok := u.pid(); !ok {
		return errNo
	}
	return nil
}

func (u *unit) url() (string, error) {
	if _, ok := u.pid(); !ok {
		return "", fmt.Errorf("%s does not run", u.role)
	}
	addr, err := os.ReadFile(u.path("addr"))
	return "http://" + string(addr), err
}

func (c *call) printURL() error {
	u, _, err := c.one("server")
	if err != nil {
		return err
	}
	address, err := u.url()
	if err == nil {
		fmt.Println(address)
	}
	return err
}

// URL is the address of the server in a folder of the stand-in.
func URL(dir string) (string, error) {
	u, err := openUnit(dir, "server")
	if err != nil {
		return "", err
	}
	return u.url()
}

// Down ends all that runs in a folder of the stand-in.
func Down(dir string, grace time.Duration) error {
	c := &call{dir: dir, grace: grace, timeout: 3 * time.Minute}
	return c.control("down")
}

// Signs returns nil where the worker in a folder of the stand-in signs with the
// key in its blnk.json.
func Signs(dir string) error {
	c := &call{dir: dir}
	return c.signs()
}

func (c *call) deliver() error {
	body := `{"event":"transaction.applied","data":{}}`
	if len(c.words) > 0 {
		body = c.words[0]
	}
	return c.toldWorker("", body)
}

// toldWorker makes the worker deliver body, to one address or to all.
func (c *call) toldWorker(to, body string) error {
	u, err := openUnit(c.dir, "worker")
	if err != nil {
		return err
	}
	address, err := u.url()
	if err != nil {
		return err
	}
	ctx, cancel := patience()
	defer cancel()
	address += "/deliver?to=" + url.QueryEscape(to)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("not delivered: %s", bytes.TrimSpace(why))
	}
	return nil
}

// signs has the worker send a webhook to a receiver that checks the signature.
func (c *call) signs() error {
	key, err := c.key()
	if err != nil {
		return err
	}
	good := make(chan bool, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		want := Sign(key, r.Header.Get("X-Blnk-Timestamp"), body)
		good <- hmac.Equal([]byte(want), []byte(r.Header.Get("X-Blnk-Signature")))
	}))
	defer receiver.Close()
	if err := c.toldWorker(receiver.URL, `{"event":"stand-in"}`); err != nil {
		return err
	}
	if !<-good {
		return errNo
	}
	return nil
}

func (c *call) key() (string, error) {
	if c.keyFile != "" {
		f, err := os.Open(c.keyFile)
		if err != nil {
			return "", err
		}
		defer f.Close()
		return readKey(f)
	}
	text, err := os.ReadFile(filepath.Join(c.dir, ConfigName))
	if err != nil {
		return "", err
	}
	var config Config
	err = json.Unmarshal(text, &config)
	return config.Server.SecretKey, err
}
