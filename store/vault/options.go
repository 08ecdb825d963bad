package vault

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/https"
	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// maxSecret limits a file or an input that holds a token: more than any JWT
// has.
const maxSecret = 64 << 10

// A method is one way to get a token.
type method struct {
	path    string   // of the login below auth/, unless auth-mount says otherwise; "" for no login
	plain   []string // options that are no secrets
	secrets []source
}

// A source is a secret that a login needs, and where it comes from unless the
// reference has the option NAME-file or NAME-env.
type source struct {
	name string
	env  string
	file string // "~/" is the home folder
}

// methods are the ways to get a token, by the value of the option auth.
var methods = map[string]method{
	"token": {secrets: []source{{name: "token", env: "VAULT_TOKEN", file: "~/.vault-token"}}},
	"none":  {}, // a Vault Agent adds it
	"approle": {path: "approle",
		secrets: []source{{name: "role-id", env: "VAULT_ROLE_ID"}, {name: "secret-id", env: "VAULT_SECRET_ID"}}},
	// A pod finds the token of its service account there (kubernetes.io,
	// "Configure Service Accounts for Pods").
	"kubernetes": {path: "kubernetes", plain: []string{"role"},
		secrets: []source{{name: "jwt", file: "/var/run/secrets/kubernetes.io/serviceaccount/token"}}},
	// GitLab puts an ID token into a variable that the job names, by custom
	// VAULT_ID_TOKEN. GitHub Actions hands one out on request.
	"jwt": {path: "jwt", plain: []string{"role", "jwt-audience"},
		secrets: []source{{name: "jwt", env: "VAULT_ID_TOKEN"}}},
}

// options are those of the reference, with the surroundings they are read in.
type options struct {
	env    map[string]string
	stdin  io.Reader
	proxy  string
	given  url.Values // as in the reference, files with absolute paths
	auth   string
	method method
	agent  bool     // the address is that of VAULT_AGENT_ADDR
	url    *url.URL // where requests go; a socket's is http://localhost
	addr   string   // normalized, for people
	origin string   // the same for what is surely the same address
}

func newOptions(ref store.Ref, opt store.Options) (*options, error) {
	o := &options{env: map[string]string{}, stdin: opt.Stdin, proxy: opt.Proxy, given: url.Values{}, auth: "token"}
	for _, v := range opt.Env {
		name, value, _ := strings.Cut(v, "=")
		o.env[name] = value
	}
	for name, values := range ref.Options {
		if len(values) != 1 || values[0] == "" {
			return nil, fmt.Errorf("option %q: want one value", name)
		}
		o.given.Set(name, values[0])
	}
	if auth := o.given.Get("auth"); auth != "" {
		o.auth = auth
	}
	var ok bool
	if o.method, ok = methods[o.auth]; !ok {
		return nil, fmt.Errorf("option \"auth\": unknown login (known: %s)", strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
	}
	if err := o.check(opt.Dir); err != nil {
		return nil, err
	}
	if agent := o.env["VAULT_AGENT_ADDR"]; agent != "" {
		if err := o.setAddress(agent); err != nil {
			return nil, err
		}
	}
	agent := o.addr
	err := o.setAddress(o.first("address", "VAULT_AGENT_ADDR", "VAULT_ADDR", "https://127.0.0.1:8200")) // as for Vault's own command
	o.agent = o.addr == agent
	return o, err
}

// check refuses options that the login does not know, and makes paths of files
// absolute.
func (o *options) check(dir string) error {
	known := slices.Concat([]string{"address", "namespace", "auth"}, o.method.plain)
	if o.method.path != "" {
		known = append(known, "auth-mount")
	}
	inputs := 0
	for _, s := range o.method.secrets {
		file, env := s.name+"-file", s.name+"-env"
		known = append(known, file, env)
		if o.given.Has(file) && o.given.Has(env) {
			return fmt.Errorf("options %q and %q: want one of them", file, env)
		}
		if o.given.Has(env) && !run.IsVariable(o.given.Get(env)) {
			return fmt.Errorf("option %q: want the name of a variable", env)
		}
		if path := o.given.Get(file); path == "-" {
			inputs++
		} else if path != "" && !filepath.IsAbs(path) {
			o.given.Set(file, filepath.Join(dir, path))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.given)) {
		if !slices.Contains(known, name) {
			return o.unknown(name, known)
		}
	}
	switch {
	case o.auth == "kubernetes" && !o.given.Has("role"):
		return errors.New("auth=kubernetes needs the option \"role\"")
	case o.given.Has("auth-mount") && checkSegments(o.authMount()) != nil:
		return errors.New("option \"auth-mount\": want names with single '/' between them, none of them '.', '..' or '+'")
	case inputs > 1:
		return errors.New("two secrets cannot both come from the standard input")
	}
	return nil
}

// unknown says of a secret in the reference where it belongs. It may be written
// as in Vault's API (secret_id).
func (o *options) unknown(name string, known []string) error {
	secret := strings.ReplaceAll(name, "_", "-")
	var with []string
	for auth, m := range methods {
		if slices.ContainsFunc(m.secrets, func(s source) bool { return s.name == secret }) {
			with = append(with, auth)
		}
	}
	if len(with) == 0 {
		return fmt.Errorf("unknown option %q (with auth=%s: %s)", name, o.auth, strings.Join(known, ", "))
	}
	how := fmt.Sprintf("a secret is never part of a reference; %[1]s-file=PATH or %[1]s-env=VARIABLE says where it is", secret)
	if !slices.Contains(with, o.auth) {
		slices.Sort(with)
		how += " (with auth=" + strings.Join(with, " or ") + ")"
	}
	return fmt.Errorf("option %q: %s", name, how)
}

// setAddress takes http(s)://HOST[:PORT][/BASE] or unix://SOCKET.
func (o *options) setAddress(raw string) error {
	if socket, ok := strings.CutPrefix(raw, "unix://"); ok && filepath.IsAbs(socket) {
		o.url, o.addr, o.origin = &url.URL{Scheme: "http", Host: "localhost"}, raw, raw
		return nil
	}
	u, err := https.ParseURL(raw)
	if err != nil {
		return fmt.Errorf("the address of Vault: %w", err)
	}
	u.RawPath = ""
	o.url, o.addr = u, u.String()
	o.origin = fmt.Sprintf("%s://%s:%d%s", u.Scheme, strings.ToLower(u.Hostname()), https.Port(u), u.Path)
	return nil
}

// first returns an option, or the first variable that is set, or the default.
func (o *options) first(option, variable, other, usual string) string {
	for _, v := range []string{o.given.Get(option), o.env[variable], o.env[other]} {
		if v != "" {
			return v
		}
	}
	return usual
}

func (o *options) namespace() string {
	return strings.Trim(o.first("namespace", "VAULT_NAMESPACE", "", ""), "/")
}

func (o *options) authMount() string {
	return strings.Trim(o.first("auth-mount", "", "", o.method.path), "/")
}

// canonical returns the options that lead to the same place later: those of
// the reference, and where Vault is.
func (o *options) canonical() url.Values {
	c := maps.Clone(o.given)
	if o.auth == "token" {
		c.Del("auth")
	}
	c.Set("address", o.addr)
	if ns := o.namespace(); ns != "" {
		c.Set("namespace", ns)
	}
	return c
}

// missing is the hint for a secret that is not there or cannot be read.
func (o *options) missing(s source) string {
	env, file := s.name+"-env", s.name+"-file"
	switch place := o.given.Get(file); {
	case o.given.Has(env):
		return fmt.Sprintf("set %s, which %s= names, to the %s", o.given.Get(env), env, s.name)
	case place == "-":
		return fmt.Sprintf("give the %s on the standard input, as %s=- says", s.name, file)
	case place != "":
		return fmt.Sprintf("put the %s into %s, which %s= names, where this user can read it", s.name, place, file)
	}
	text := fmt.Sprintf("say in the reference where the %s is, with %s=PATH or %s=VARIABLE", s.name, file, env)
	if s.env != "" {
		text = "set " + s.env + ", or " + text
	}
	return text
}

// secret reads one of the secrets of the login, each time again: a file may
// have been replaced. The zero Key where there is none.
func (o *options) secret(s source) (secret.Key, error) {
	place, text, err := o.find(s)
	if err == nil && hasControl(text) {
		// What Vault's client or a proxy would say of it leads elsewhere.
		err = fmt.Errorf("the %s in %s holds a line break or another control character", s.name, place)
	}
	if err != nil {
		return secret.Key{}, err
	}
	return secret.New(text), nil
}

func (o *options) find(s source) (place, text string, err error) {
	if name := o.given.Get(s.name + "-env"); name != "" {
		if o.env[name] == "" {
			err = fmt.Errorf("the variable %s is not set", name)
		}
		return name, o.env[name], err
	}
	if path := o.given.Get(s.name + "-file"); path != "" {
		text, err = o.readFile(path)
		if err == nil && text == "" {
			err = fmt.Errorf("%s is empty", path)
		}
		return path, text, err
	}
	if text = o.env[s.env]; text != "" {
		return s.env, text, nil
	}
	path := s.file
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if o.env["HOME"] == "" {
			return "", "", nil
		}
		path = filepath.Join(o.env["HOME"], rest)
	}
	if path != "" {
		text, err = o.readFile(path)
	}
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return path, text, err
}

// readFile reads a secret without the white space around it. The standard input
// can be read only once, and is kept.
func (o *options) readFile(path string) (string, error) {
	in := o.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	} else if in == nil {
		return "", errors.New("nothing on the standard input")
	}
	data, err := io.ReadAll(io.LimitReader(in, maxSecret))
	if path == "-" {
		o.stdin = strings.NewReader(string(data))
	}
	return strings.TrimSpace(string(data)), err
}
