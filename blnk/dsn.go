package blnk

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// An Address is where a data source name leads, and how.
type Address struct {
	Host, Port string // Host is "" or a path for a socket of this host
	Password   secret.Key
	// Plain says that what is sent there is not encrypted.
	Plain bool
}

// PostgresAddress reads a DSN as lib/pq does: a URL, or NAME=VALUE pairs. What it lacks
// comes from the environment. TLS is off where sslmode says so, and only there: without
// one it is "require" (lib/pq 1.10.9, seen); "prefer" and "allow" insist on nothing
// where another version knows them. false where it is no DSN.
func PostgresAddress(dsn secret.Key, env map[string]string) (a Address, ok bool) {
	text := dsn.Reveal()
	values := map[string]string{"host": env["PGHOST"], "port": env["PGPORT"], "password": env["PGPASSWORD"], "sslmode": env["PGSSLMODE"]}
	set := func(name, value string) {
		if value != "" {
			values[name] = value
		}
	}
	if strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://") {
		u, err := url.Parse(text)
		if err != nil || misread(u, text) {
			return a, false
		}
		password, _ := u.User.Password()
		set("host", u.Hostname())
		set("port", u.Port())
		set("password", password)
		for name := range u.Query() {
			set(name, u.Query().Get(name))
		}
	} else {
		if !strings.Contains(text, "=") {
			return a, false
		}
		for pair := range strings.FieldsSeq(text) {
			name, value, _ := strings.Cut(pair, "=")
			set(name, strings.Trim(value, "'"))
		}
	}
	mode := values["sslmode"]
	return Address{values["host"], cmp.Or(values["port"], "5432"), secret.New(values["password"]), mode == "disable" || mode == "allow" || mode == "prefer"}, true
}

// RedisAddress reads a DSN as Blnk does (its config and redis packages, seen with
// 0.15.2): HOST:PORT is plain, but for Azure's names, and so is redis://; rediss:// is
// TLS. false where it is none of these.
func RedisAddress(dsn secret.Key) (a Address, ok bool) {
	text := dsn.Reveal()
	if !strings.Contains(text, "://") {
		host, port, found := strings.Cut(text, ":")
		found = found && !strings.ContainsAny(text, "@/") && !strings.Contains(port, ":")
		return Address{Host: host, Port: port, Plain: !strings.HasSuffix(host, ".redis.cache.windows.net")}, found
	}
	return byURL(text, "redis", "rediss", "6379", "6379")
}

// TypesenseAddress reads the URL of Typesense, which is asked with its API key.
func TypesenseAddress(dsn secret.Key) (a Address, ok bool) {
	return byURL(dsn.Reveal(), "http", "https", "80", "443")
}

// byURL reads a URL with one of two schemes, each with its usual port.
func byURL(text, plain, tls, plainPort, tlsPort string) (a Address, ok bool) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != plain && u.Scheme != tls || misread(u, text) {
		return a, false
	}
	if a = (Address{Host: u.Hostname(), Port: u.Port(), Plain: u.Scheme == plain}); a.Plain {
		a.Port = cmp.Or(a.Port, plainPort)
	}
	a.Port = cmp.Or(a.Port, tlsPort)
	return a, true
}

// misread says that a part of a password may have become the host: one that is not
// escaped, with a character that ends it.
func misread(u *url.URL, text string) bool { return u.User == nil && strings.Contains(text, "@") }
