package blnktest

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

const sigterm = syscall.SIGTERM

const missing = "AUTH_MISSING_API_KEY"

// howARequestIsAuthenticated is that section of what is true of a Blnk server,
// in its order.
func howARequestIsAuthenticated() []row {
	metrics := func(more string) string {
		return `{"server":{` + secure + more + `,"port":"{{PORT}}"},"enable_observability":true,` + dsns + `}`
	}
	return []row{
		{name: "paths without a key", wants: []want{
			{path: "/", status: 200}, {path: "/", key: never, status: 200},
			{path: "/health", status: 200}, {path: "/health", key: never, status: 200},
			{method: "HEAD", path: "/", status: 404}, {method: "HEAD", path: "/", key: master, status: 404},
			{method: "HEAD", key: master, status: 404}, {method: "HEAD", key: never, status: 401},
			{path: "/hooks/", status: 301}, {path: "/hooks/", key: never, status: 301}}},
		{name: "no metrics without observability", wants: []want{{path: "/metrics", status: 404}, {path: "/metrics", key: master, status: 404}}},
		{name: "metrics in secure mode without a token", file: metrics(""), wants: []want{
			{path: "/metrics", status: 403, code: "AUTH_METRICS_DISABLED"}, {path: "/metrics", key: master, status: 403, code: "AUTH_METRICS_DISABLED"}}},
		{name: "metrics with a token", file: metrics(`,"metrics_bearer_token":"mt"`), wants: []want{
			{path: "/metrics", bearer: "mt", status: 200}, {path: "/metrics", status: 401, code: "AUTH_METRICS_TOKEN_REQUIRED"},
			{path: "/metrics", key: master, status: 401, code: "AUTH_METRICS_TOKEN_REQUIRED"},
			{path: "/metrics", bearer: "no", status: 401, code: "AUTH_INVALID_BEARER_TOKEN"}}},
		{name: "metrics token by variable", file: metrics(""), env: []string{"BLNK_METRICS_BEARER_TOKEN=mv"}, wants: []want{
			{path: "/metrics", bearer: "mv", status: 200}, {path: "/metrics", bearer: "no", status: 401, code: "AUTH_INVALID_BEARER_TOKEN"}}},

		{name: "secure mode off: every request passes", file: server(`"secure":false,"secret_key":"` + master + `"`), wants: []want{
			{path: "/ledgers", status: 200}, {path: "/ledgers", key: never, status: 200}, {path: "/ledgers", key: master, status: 200},
			{path: "/nothing", status: 404}, openTo(master), openTo(never), openTo(""),
			{method: "POST", path: "/hooks", key: master, body: "{}", status: 403, code: "AUTH_MASTER_KEY_REQUIRED"},
			{method: "HEAD", status: 404},
			{path: "/api-keys?owner=o", key: master, status: 401, code: "AUTH_MISSING_PRINCIPAL"}}},

		{name: "no header", wants: []want{{status: 401, code: missing}, {path: "/ledgers", status: 401, code: missing},
			{path: "/nothing", status: 401, code: missing}, {method: "POST", path: "/api-keys", body: "{}", status: 401, code: missing}}},

		{name: "ledgers come in pages", then: ledgerPages},
		{name: "master key: all rights", wants: []want{live(master), {path: "/ledgers", key: master, status: 200},
			{path: "/nothing", key: master, status: 404}, {path: "/api-keys?owner=nobody", key: master, status: 200, has: "null"},
			{path: "/api-keys", key: master, status: 400, code: "APIKEY_OWNER_REQUIRED"}}},
		{name: "no part of the master key will do", wants: []want{rejected(master[:20]), rejected(master + "x"), rejected(strings.ToUpper(master)), rejected(never)}},

		{name: "hooks", then: hooks},
		{name: "scoped keys", then: scopedKeys},
		{name: "a master key that is a scoped key as well", then: scopedMaster},
		{name: "database failure is an unknown key", alone: true, then: databaseFailure},

		{name: "the rate limiter stands before authentication", file: `{"rate_limit":{"requests_per_second":0.001,"burst":2},` + server(secure)[1:], wants: []want{
			live(master), {status: 401, code: missing},
			{key: master, status: 429, code: "GEN_RATE_LIMITED"}, {key: never, status: 429, code: "GEN_RATE_LIMITED"}, {status: 429, code: "GEN_RATE_LIMITED"},
			{path: "/", status: 200}, {path: "/", status: 200}, {path: "/", status: 429, code: "GEN_RATE_LIMITED"}, // each path has its own
			{path: "/ledgers", key: master, status: 200}}},
	}
}

func hooks(t *testing.T, _ subject, _ string, p *process) {
	post := want{method: "POST", path: "/hooks", key: master, body: `{"name":"n","url":"http://127.0.0.1:1/in","type":"POST_TRANSACTION","active":false}`, status: 201}
	status, body := p.ask(t, post)
	var h Hook
	if err := json.Unmarshal([]byte(body), &h); status != 201 || err != nil || h.ID == "" {
		t.Fatalf("POST /hooks: %d %s", status, body)
	}
	p.expect(t, want{key: master, status: 200, has: h.ID},
		want{path: "/hooks/" + h.ID, key: master, status: 200, has: "127.0.0.1:1/in"},
		want{method: "PUT", path: "/hooks/" + h.ID, key: master, status: 200, has: "PRE_TRANSACTION",
			body: `{"name":"n","url":"http://127.0.0.1:1/in","type":"PRE_TRANSACTION"}`},
		want{path: "/hooks?type=PRE_TRANSACTION", key: master, status: 200, has: h.ID},
		want{method: "DELETE", path: "/hooks/" + h.ID, key: never, status: 401, code: "AUTH_INVALID_API_KEY"},
		want{method: "DELETE", path: "/hooks/" + h.ID, key: master, status: 200, has: "deleted"},
		want{path: "/hooks/" + h.ID, key: master, status: 404, code: "HOOK_NOT_FOUND"},
		want{method: "POST", path: "/hooks", key: master, body: `{`, status: 400, code: "HOOK_INVALID"})
	if _, body := p.ask(t, live(master)); strings.Contains(body, h.ID) {
		t.Errorf("the hook is still listed: %s", body)
	}
}

// newScoped makes a scoped key with the master key.
func newScoped(t *testing.T, p *process, expires, scopes string) APIKey {
	t.Helper()
	status, body := p.ask(t, want{method: "POST", path: "/api-keys", key: master,
		body: `{"name":"n","owner":"table","scopes":[` + scopes + `],"expires_at":"` + expires + `"}`})
	var k APIKey
	if err := json.Unmarshal([]byte(body), &k); status != 201 || err != nil || k.Key == "" {
		t.Fatalf("POST /api-keys: %d %s", status, body)
	}
	return k
}

const (
	later   = "2099-01-01T00:00:00Z"
	earlier = "2020-01-01T00:00:00Z"
)

func scopedKeys(t *testing.T, _ subject, _ string, p *process) {
	reader := newScoped(t, p, later, `"ledgers:read","hooks:read"`)
	writer := newScoped(t, p, later, `"ledgers:write","api-keys:read"`)
	all := newScoped(t, p, later, `"*:*"`)
	expired := newScoped(t, p, earlier, `"*:*"`)
	poor := want{key: writer.Key, status: 403, code: "AUTH_INSUFFICIENT_PERMISSIONS"}
	p.expect(t, openTo(reader.Key), openTo(all.Key), poor,
		want{path: "/ledgers", key: reader.Key, status: 200},
		want{method: "POST", path: "/ledgers", key: reader.Key, body: `{"name":"n"}`, status: 403, code: "AUTH_INSUFFICIENT_PERMISSIONS"},
		want{path: "/nothing", key: all.Key, status: 403, code: "AUTH_UNKNOWN_RESOURCE"},
		want{path: "/backup-s3", key: all.Key, status: 403, code: "AUTH_UNKNOWN_RESOURCE"},
		want{key: expired.Key, status: 401, code: "AUTH_EXPIRED_API_KEY"},
		want{path: "/nothing", key: expired.Key, status: 401, code: "AUTH_EXPIRED_API_KEY"},
		rejected(reader.Key[:16]), rejected(reader.Key[:16]+"x"),
		want{method: "POST", path: "/ledgers", key: writer.Key, body: `{"name":"by a scoped key"}`, status: 201, has: `"BLNK_GENERATED_BY":"` + writer.ID + `"`},
		want{method: "POST", path: "/ledgers", key: master, body: `{"name":"by the master key"}`, status: 201},
		want{path: "/api-keys", key: writer.Key, status: 200, has: writer.ID},
		want{path: "/api-keys?owner=other", key: writer.Key, status: 403, code: "AUTH_CROSS_OWNER_ACCESS"},
		want{method: "POST", path: "/api-keys", key: all.Key, body: `{"name":"n","owner":"other","scopes":["ledgers:read"],"expires_at":"` + later + `"}`, status: 403, code: "AUTH_CROSS_OWNER_ACCESS"},
		want{method: "POST", path: "/api-keys", key: master, body: `{"name":"n","scopes":["ledgers:read"],"expires_at":"` + later + `"}`, status: 400, code: "GEN_MALFORMED_REQUEST"})
	_, listed := p.ask(t, want{path: "/api-keys?owner=table", key: master})
	for _, k := range []APIKey{reader, writer, all} {
		if !strings.Contains(listed, k.ID) || strings.Contains(listed, k.Key) {
			t.Errorf("the list lacks %s or shows its plaintext", k.ID)
		}
	}
	p.expect(t, want{method: "DELETE", path: "/api-keys/" + all.ID + "?owner=table", key: master, status: 204},
		want{key: all.Key, status: 401, code: "AUTH_EXPIRED_API_KEY"},
		want{method: "DELETE", path: "/api-keys/none?owner=table", key: master, status: 404, code: "APIKEY_NOT_FOUND"},
		want{path: "/ledgers", key: reader.Key, status: 200})
}

// scopedMaster: after a rotation to another master key, a scoped key goes on.
func scopedMaster(t *testing.T, s subject, dir string, p *process) {
	scoped := newScoped(t, p, later, `"ledgers:read"`)
	port := strings.TrimPrefix(p.url, "http://127.0.0.1:")
	s.write(t, dir, server(`"secure":true,"secret_key":"`+scoped.Key+`"`), port)
	p.stop(t, sigterm)
	p = start(t, s.command(dir, nil, "start"), port)
	p.awaitOpen(t)
	p.expect(t, live(scoped.Key), rejected(master))
	s.write(t, dir, server(`"secure":true,"secret_key":"`+other+`"`), port)
	p.stop(t, sigterm)
	p = start(t, s.command(dir, nil, "start"), port)
	p.awaitOpen(t)
	// The old master key lives on as a scoped key.
	p.expect(t, live(other), want{key: scoped.Key, status: 403, code: "AUTH_INSUFFICIENT_PERMISSIONS"}, want{path: "/ledgers", key: scoped.Key, status: 200})
}

// databaseFailure cuts the server off from its database.
func databaseFailure(t *testing.T, s subject, dir string, p *process) {
	scoped := newScoped(t, p, later, `"*:*"`)
	if !s.real {
		must(t, os.WriteFile(filepath.Join(dir, ".standin", "apikeys.json"), []byte("{"), 0o600))
		p.expect(t, live(master), rejected(scoped.Key), rejected(never))
		return
	}
	p.stop(t, sigterm)
	address, err := url.Parse(s.database)
	must(t, err)
	cut := newCut(t, address.Host)
	address.Host = cut.listener.Addr().String()
	port := strings.TrimPrefix(p.url, "http://127.0.0.1:")
	p = start(t, s.command(dir, []string{"BLNK_DATA_SOURCE_DNS=" + address.String()}, "start"), port)
	p.awaitOpen(t)
	p.expect(t, live(master), openTo(scoped.Key))
	fresh := newScoped(t, p, later, `"*:*"`) // not in the server's cache
	cut.cut()
	p.expect(t, live(master), rejected(fresh.Key), rejected(never))
}

// A cut is a connection to a database that can be interrupted.
type cut struct {
	listener net.Listener

	mu    sync.Mutex
	conns []net.Conn
}

func newCut(t *testing.T, to string) *cut {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c := &cut{listener: listener}
	t.Cleanup(c.cut)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, client, server)
			c.mu.Unlock()
			go join(client, server)
		}
	}()
	return c
}

func (c *cut) cut() {
	c.listener.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
}

// ledgerPages: the newest come first, and more than a hundred are asked for in vain.
func ledgerPages(t *testing.T, _ subject, _ string, p *process) {
	for i := range 22 {
		p.expect(t, want{method: "POST", path: "/ledgers", key: master, body: fmt.Sprintf(`{"name":"page %d"}`, i), status: 201, has: `"meta_data":null`})
	}
	for query, items := range map[string]int{"": 10, "?limit=3": 3, "?limit=100": 22, "?limit=101": 20, "?limit=3&offset=1": 3} {
		_, body := p.ask(t, want{path: "/ledgers" + query, key: master})
		var page []Ledger
		if err := json.Unmarshal([]byte(body), &page); err != nil || len(page) < items || query != "?limit=100" && len(page) > items {
			t.Fatalf("%s: %d items, %v; want %d", query, len(page), err, items)
		}
		if first := map[bool]string{false: "page 21", true: "page 20"}[strings.Contains(query, "offset")]; page[0].Name != first {
			t.Errorf("%s: %s comes first, want %s", query, page[0].Name, first)
		}
	}
	const wrong = "GEN_VALIDATION_ERROR"
	p.expect(t, want{path: "/ledgers?offset=100000", key: master, status: 200, has: "[]"},
		want{path: "/ledgers?limit=0", key: master, status: 400, code: wrong},
		want{path: "/ledgers?limit=x", key: master, status: 400, code: wrong},
		want{path: "/ledgers?offset=-1", key: master, status: 400, code: wrong},
		want{method: "POST", path: "/ledgers", key: master, body: `{}`, status: 400, code: wrong},
		want{method: "POST", path: "/ledgers", key: master, body: `{`, status: 400, code: "GEN_MALFORMED_REQUEST"})
}
