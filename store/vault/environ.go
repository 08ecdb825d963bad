package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// environ is an environment as data.
type environ map[string]string

func newEnviron(env []string) environ {
	e := environ{}
	for _, v := range env {
		if name, value, ok := strings.Cut(v, "="); ok {
			e[name] = value
		}
	}
	return e
}

// flag reads a variable as Vault's own command does. An error shows its name
// only.
func (e environ) flag(name string) (bool, error) {
	if e[name] == "" {
		return false, nil
	}
	v, err := strconv.ParseBool(e[name])
	if err != nil {
		return false, fmt.Errorf("%s: want true or false", name)
	}
	return v, nil
}

// duration reads seconds, or a number with a unit.
func (e environ) duration(name string, usual time.Duration) (time.Duration, error) {
	text := e[name]
	if text == "" {
		return usual, nil
	}
	if _, err := strconv.Atoi(text); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%s: want a number of seconds", name)
	}
	return d, nil
}

func (e environ) count(name string, usual int) (int, error) {
	if e[name] == "" {
		return usual, nil
	}
	n, err := strconv.ParseUint(e[name], 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%s: want a number", name)
	}
	return int(n), nil
}

// headers are those of VAULT_HEADERS. Vault's own are not for a person to set.
func (e environ) headers() (http.Header, error) {
	h := http.Header{api.RequestHeaderName: {"true"}} // Vault Agent asks for it
	if e["VAULT_HEADERS"] == "" {
		return h, nil
	}
	var more map[string]string
	if err := json.Unmarshal([]byte(e["VAULT_HEADERS"]), &more); err != nil {
		return nil, errors.New("VAULT_HEADERS: want a JSON object of strings")
	}
	for name, value := range more {
		if strings.HasPrefix(strings.ToLower(name), "x-vault-") {
			return nil, fmt.Errorf("VAULT_HEADERS: %q is Vault's own", name)
		}
		h.Set(name, value)
	}
	return h, nil
}

// tls names files only; they are read by the caller.
func (e environ) tls() (*api.TLSConfig, error) {
	insecure, err := e.flag("VAULT_SKIP_VERIFY")
	return &api.TLSConfig{
		CACert:        e["VAULT_CACERT"],
		CACertBytes:   []byte(e["VAULT_CACERT_BYTES"]),
		CAPath:        e["VAULT_CAPATH"],
		ClientCert:    e["VAULT_CLIENT_CERT"],
		ClientKey:     e["VAULT_CLIENT_KEY"],
		TLSServerName: e["VAULT_TLS_SERVER_NAME"],
		Insecure:      insecure,
	}, err
}

// setAddress takes http(s)://HOST[:PORT][/BASE] or unix://SOCKET. It never
// shows what stands before an '@': it may be a password.
func (o *options) setAddress(raw string) error {
	if strings.Contains(raw, "@") {
		return errors.New("the address of Vault: a user name or password in it is not supported")
	}
	if i := strings.IndexAny(raw, "?#"); i >= 0 { // what is behind it could be a token
		return fmt.Errorf("the address of Vault, %q: want https://HOST:PORT and nothing behind it", raw[:i]+"…")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("the address of Vault, %q: want https://HOST:PORT", raw)
	}
	if u.Scheme == "unix" && u.Host == "" && path.IsAbs(u.Path) {
		o.addr, o.origin = "unix://"+u.Path, "unix://"+u.Path
		return nil
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return fmt.Errorf("the address of Vault, %q: want https://HOST:PORT", raw)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	o.addr = u.String()
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	o.origin = u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port + u.Path
	return nil
}

// isLoopback judges the name alone. That localhost leads to this machine is
// checked once more at the dial.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
