package vault

import (
	"cmp"
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

// maxSecret limits a file or an input that holds a token: more than any JWT has.
const maxSecret = 64 << 10

// A method is one way to get a token.
type method struct {
	path    string   // of the login below auth/, unless auth-mount says otherwise; "" for no login
	plain   []string // options that are no secrets
	secrets []source
}

// A source is a secret that a login needs: in a variable, else in a file, by the
// option NAME-env or NAME-file where the reference has one.
type source struct{ name, env, file, option string }

// methods are the ways to get a token, by the value of the option auth.
var methods = map[string]method{
	"token": {secrets: []source{{name: "token", env: "VAULT_TOKEN", file: "~/.vault-token"}}},
	"none":  {}, // a Vault Agent adds it
	"approle": {path: "approle",
		secrets: []source{{name: "role-id", env: "VAULT_ROLE_ID"}, {name: "secret-id", env: "VAULT_SECRET_ID"}}},
	"kubernetes": {path: "kubernetes", plain: []string{"role"}, // a pod finds the token of its service account there
		secrets: []source{{name: "jwt", file: "/var/run/secrets/kubernetes.io/serviceaccount/token"}}},
	"jwt": {path: "jwt", plain: []string{"role", "jwt-audience"}, // GitLab's variable, by custom; GitHub is asked for one
		secrets: []source{{name: "jwt", env: "VAULT_ID_TOKEN"}}},
}

// options are those of the reference, with the surroundings they are read in.
type options struct {
	env     map[string]string
	stdin   io.Reader
	proxy   string
	given   url.Values // as in the reference, files with absolute paths
	auth    string
	method  method
	secrets []source // of the method, as the reference wants them
	url     *url.URL // where requests go; a socket's is http://localhost
	addr    string   // the same for people
}

func newOptions(ref store.Ref, opt store.Options) (*options, error) {
	o := &options{env: map[string]string{}, stdin: opt.Stdin, proxy: opt.Proxy, given: url.Values{}}
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
	o.auth = cmp.Or(o.given.Get("auth"), "token")
	var ok bool
	if o.method, ok = methods[o.auth]; !ok {
		return nil, fmt.Errorf("option \"auth\": unknown login (known: %s)", strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
	}
	if err := o.check(opt.Dir); err != nil {
		return nil, err
	}
	raw := cmp.Or(o.given.Get("address"), o.env["VAULT_AGENT_ADDR"], o.env["VAULT_ADDR"], "https://127.0.0.1:8200") // as for Vault's own command
	if socket, ok := strings.CutPrefix(raw, "unix://"); ok && filepath.IsAbs(socket) {
		o.url, o.addr = &url.URL{Scheme: "http", Host: "localhost"}, raw
		return o, nil
	}
	u, err := https.ParseURL(raw)
	if err != nil {
		return nil, fmt.Errorf("the address of Vault: %w", err)
	}
	o.url, o.addr = u, u.String()
	return o, nil
}

// check refuses options that the login does not know, makes paths of files
// absolute, and finds out where the secrets are.
func (o *options) check(dir string) error {
	known := slices.Concat([]string{"address", "namespace", "auth"}, o.method.plain)
	if o.method.path != "" {
		known = append(known, "auth-mount")
	}
	inputs := 0
	for _, s := range o.method.secrets {
		env, file := s.name+"-env", s.name+"-file"
		known = append(known, file, env)
		variable, path := o.given.Get(env), o.given.Get(file)
		switch {
		case variable != "" && path != "":
			return fmt.Errorf("options %q and %q: want one of them", file, env)
		case variable != "" && !run.IsVariable(variable):
			return fmt.Errorf("option %q: want the name of a variable", env)
		case variable != "":
			s = source{name: s.name, env: variable, option: env}
		case path != "":
			if path == "-" {
				inputs++
			} else if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			o.given.Set(file, path)
			s = source{name: s.name, file: path, option: file}
		}
		o.secrets = append(o.secrets, s)
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
	with := map[string]string{"token": "token", "role-id": "approle", "secret-id": "approle", "jwt": "jwt or kubernetes"}[secret]
	if with == "" {
		return fmt.Errorf("unknown option %q (with auth=%s: %s)", name, o.auth, strings.Join(known, ", "))
	}
	if with = " (with auth=" + with + ")"; slices.Contains(known, secret+"-file") {
		with = ""
	}
	return fmt.Errorf("option %q: a secret is never part of a reference; %[2]s-file=PATH or %[2]s-env=VARIABLE says where it is%s", name, secret, with)
}

func (o *options) namespace() string {
	return strings.Trim(cmp.Or(o.given.Get("namespace"), o.env["VAULT_NAMESPACE"]), "/")
}

func (o *options) authMount() string {
	return strings.Trim(cmp.Or(o.given.Get("auth-mount"), o.method.path), "/")
}

// byAgent: a Vault Agent may add a token where there is none.
func (o *options) byAgent() bool {
	return o.auth == "none" || o.auth == "token" && strings.TrimRight(o.env["VAULT_AGENT_ADDR"], "/") == o.addr
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

// hint says what to do about a secret that is not there or cannot be read.
func (s source) hint() string {
	switch {
	case s.option == "":
		text := fmt.Sprintf("say in the reference where the %[1]s is, with %[1]s-file=PATH or %[1]s-env=VARIABLE", s.name)
		if s.env != "" {
			text = "set " + s.env + ", or " + text
		}
		return text
	case s.env != "":
		return fmt.Sprintf("set %s, which %s= names, to the %s", s.env, s.option, s.name)
	case s.file == "-":
		return fmt.Sprintf("give the %s on the standard input, as %s=- says", s.name, s.option)
	}
	return fmt.Sprintf("put the %s into %s, which %s= names, where this user can read it", s.name, s.file, s.option)
}

// secret reads one of the secrets of the login, each time again: a file may
// have been replaced. The zero Key where there is none and none was named.
func (o *options) secret(s source) (secret.Key, error) {
	place, text := s.env, o.env[s.env]
	var err error
	if text == "" && s.file != "" {
		place = s.file
		if text, err = o.readFile(s.file); s.option == "" && errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	switch {
	case err != nil:
	case text == "" && s.option != "":
		err = fmt.Errorf("there is no %s in %s", s.name, place)
	case hasControl(text): // what Vault's client or a proxy would say of it leads elsewhere
		err = fmt.Errorf("the %s in %s holds a line break or another control character", s.name, place)
	}
	if err != nil {
		return secret.Key{}, err
	}
	return secret.New(text), nil
}

// readFile reads a secret without the white space around it. The standard input
// can be read only once, and is kept.
func (o *options) readFile(path string) (string, error) {
	in := o.stdin
	if path != "-" {
		if rest, ok := strings.CutPrefix(path, "~/"); ok {
			if path = filepath.Join(o.env["HOME"], rest); !filepath.IsAbs(path) {
				return "", os.ErrNotExist
			}
		}
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
