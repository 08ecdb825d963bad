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

	"github.com/blnkctl/blnkctl/internal/run"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// maxSecret limits a file or an input that holds a token or a password: more
// than any JWT has.
const maxSecret = 64 << 10

// kubernetesToken is where a pod finds the token of its service account
// (kubernetes.io, "Configure Service Accounts for Pods").
const kubernetesToken = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// A login is one way to get a token.
type login struct {
	mount   string   // where it is mounted unless auth-mount says otherwise; "" where it is none
	plain   []string // options that are no secrets
	needs   []string // those of them that must be there
	secrets []hidden
}

// A hidden is a secret that a login needs, and where it comes from where the
// reference names neither NAME-file nor NAME-env.
type hidden struct {
	name string
	env  string
	file string // "~/" is the home folder
}

// logins are the ways to get a token, by the value of the option auth.
var logins = map[string]login{
	"token": {
		secrets: []hidden{{name: "token", env: "VAULT_TOKEN", file: "~/.vault-token"}},
	},
	"approle": {
		mount:   "approle",
		secrets: []hidden{{name: "role-id", env: "VAULT_ROLE_ID"}, {name: "secret-id", env: "VAULT_SECRET_ID"}},
	},
	"kubernetes": {
		mount: "kubernetes", plain: []string{"role"}, needs: []string{"role"},
		secrets: []hidden{{name: "jwt", file: kubernetesToken}},
	},
	// GitLab puts an ID token into a variable that the job names, by custom
	// VAULT_ID_TOKEN. GitHub Actions hands one out on request.
	"jwt": {
		mount: "jwt", plain: []string{"role", "jwt-audience"},
		secrets: []hidden{{name: "jwt", env: "VAULT_ID_TOKEN"}},
	},
	// With auth-mount=ldap or radius it serves these, too: they take the same.
	"userpass": {
		mount: "userpass", plain: []string{"username"}, needs: []string{"username"},
		secrets: []hidden{{name: "password", env: "VAULT_PASSWORD"}},
	},
}

// options are those of the reference, with the surroundings they are read in.
type options struct {
	env    environ
	stdin  io.Reader
	given  url.Values // as in the reference, files with absolute paths
	auth   string
	login  login
	addr   string // normalized
	origin string // the same for what is surely the same address
}

func newOptions(ref store.Ref, opt store.Options) (*options, error) {
	o := &options{env: newEnviron(opt.Env), stdin: opt.Stdin, given: url.Values{}}
	for name, values := range ref.Options {
		if len(values) != 1 || values[0] == "" {
			return nil, fmt.Errorf("option %q: want one value", name)
		}
		o.given.Set(name, values[0])
	}
	o.auth = o.given.Get("auth")
	if o.auth == "" {
		o.auth = "token"
	}
	var ok bool
	if o.login, ok = logins[o.auth]; !ok {
		return nil, errors.New("option \"auth\": unknown login (known: approle, jwt, kubernetes, token, userpass)")
	}
	if err := o.check(opt.Dir); err != nil {
		return nil, err
	}
	addr := o.first("address", "VAULT_AGENT_ADDR", "VAULT_ADDR")
	if addr == "" {
		addr = "https://127.0.0.1:8200" // as for Vault's own command
	}
	return o, o.setAddress(addr)
}

// check refuses options that the login does not know, and makes paths of files
// absolute.
func (o *options) check(dir string) error {
	known := slices.Concat([]string{"address", "namespace", "auth"}, o.login.plain)
	if o.login.mount != "" {
		known = append(known, "auth-mount")
	}
	inputs := 0
	for _, h := range o.login.secrets {
		file, env := h.name+"-file", h.name+"-env"
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
	if err := o.checkNames(known); err != nil {
		return err
	}
	for _, name := range o.login.needs {
		if !o.given.Has(name) {
			return fmt.Errorf("auth=%s needs the option %q", o.auth, name)
		}
	}
	for _, name := range []string{"auth-mount", "username"} {
		if o.given.Has(name) && checkSegments(strings.Trim(o.given.Get(name), "/")) != nil {
			return fmt.Errorf("option %q: want names with single '/' between them, none of them '.', '..' or '+'", name)
		}
	}
	if inputs > 1 {
		return errors.New("two secrets cannot both come from the standard input")
	}
	return nil
}

// checkNames says of a secret in the reference where it belongs.
func (o *options) checkNames(known []string) error {
	for _, name := range slices.Sorted(maps.Keys(o.given)) {
		if slices.Contains(known, name) {
			continue
		}
		if h, ways := secretNamed(name); len(ways) > 0 {
			how := fmt.Sprintf("a secret is never part of a reference; %s-file=PATH or %s-env=VARIABLE says where it is", h, h)
			if !slices.Contains(ways, o.auth) {
				how += " (with auth=" + strings.Join(ways, " or ") + ")"
			}
			return fmt.Errorf("option %q: %s", name, how)
		}
		return fmt.Errorf("unknown option %q (with auth=%s: %s)", name, o.auth, strings.Join(known, ", "))
	}
	return nil
}

// secretNamed finds the logins that have a secret of that name, which may be
// written as in Vault's API (secret_id).
func secretNamed(name string) (secret string, ways []string) {
	name = strings.ReplaceAll(name, "_", "-")
	for way, l := range logins {
		if slices.ContainsFunc(l.secrets, func(h hidden) bool { return h.name == name }) {
			ways = append(ways, way)
		}
	}
	slices.Sort(ways)
	return name, ways
}

// first returns an option, or the first variable that is set.
func (o *options) first(option string, variables ...string) string {
	if v := o.given.Get(option); v != "" {
		return v
	}
	for _, name := range variables {
		if v := o.env[name]; v != "" {
			return v
		}
	}
	return ""
}

func (o *options) namespace() string {
	return strings.Trim(o.first("namespace", "VAULT_NAMESPACE"), "/")
}

func (o *options) mount() string {
	if m := o.given.Get("auth-mount"); m != "" {
		return strings.Trim(m, "/")
	}
	return o.login.mount
}

// canonical returns the options that lead to the same place later: those of
// the reference, and where Vault is.
func (o *options) canonical() url.Values {
	c := url.Values{"address": {o.addr}}
	for name, values := range o.given {
		if name != "address" && (name != "auth" || o.auth != "token") {
			c[name] = values
		}
	}
	if ns := o.namespace(); ns != "" {
		c.Set("namespace", ns)
	}
	return c
}

// missing says what a person can do about a secret that is not there.
func (o *options) missing(h hidden, err error) error {
	e := &MissingError{Secret: h.name, Env: h.env, Err: err}
	for _, option := range []string{h.name + "-env", h.name + "-file"} {
		if place := o.given.Get(option); place != "" {
			e.Option, e.Place = option, place
		}
	}
	return e
}

// secret reads one of the secrets of the login, anew each time: a file may
// have been replaced. The zero Key where there is none.
func (o *options) secret(h hidden) (secret.Key, error) {
	if name := o.given.Get(h.name + "-env"); name != "" {
		if o.env[name] == "" {
			return secret.Key{}, fmt.Errorf("the variable %s is not set", name)
		}
		return secret.New(o.env[name]), nil
	}
	if path := o.given.Get(h.name + "-file"); path != "" {
		return o.file(path)
	}
	if h.env != "" && o.env[h.env] != "" {
		return secret.New(o.env[h.env]), nil
	}
	if h.file == "" {
		return secret.Key{}, nil
	}
	path := h.file
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if o.env["HOME"] == "" {
			return secret.Key{}, nil
		}
		path = filepath.Join(o.env["HOME"], rest)
	}
	key, err := o.file(path)
	if errors.Is(err, os.ErrNotExist) {
		return secret.Key{}, nil
	}
	return key, err
}

// file reads a secret without the white space around it. The standard input
// can be read only once, and is kept.
func (o *options) file(path string) (secret.Key, error) {
	if path == "-" {
		if o.stdin == nil {
			return secret.Key{}, errors.New("nothing on the standard input")
		}
		data, err := io.ReadAll(io.LimitReader(o.stdin, maxSecret))
		o.stdin = strings.NewReader(string(data))
		return trimmed(data), err
	}
	f, err := os.Open(path)
	if err != nil {
		return secret.Key{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err == nil && len(strings.TrimSpace(string(data))) == 0 {
		err = fmt.Errorf("%s is empty", path)
	}
	return trimmed(data), err
}

func trimmed(data []byte) secret.Key { return secret.New(strings.TrimSpace(string(data))) }
