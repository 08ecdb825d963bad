package blnktest

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// A Server answers as one Blnk server process does. Its configuration never
// changes: a restart is a new Server.
type Server struct {
	config  Config
	data    *Data
	version version
	odd     *oddities
	limit   *limiter
	asked   atomic.Int64
}

// NewServer makes a server with the configuration that a process would have
// loaded. data may be shared; nil is an empty one of its own.
func NewServer(c Config, data *Data, opt Options) *Server {
	if data == nil {
		data = NewData()
	}
	return &Server{config: c, data: data, version: opt.version(), odd: newOddities(opt), limit: newLimiter(c.RateLimit)}
}

// Asked returns how many requests reached the server, the refused ones too.
func (s *Server) Asked() int { return int(s.asked.Load()) }

// A principal is who asks.
type principal struct {
	master bool
	key    *APIKey // nil: the master key, or secure mode is off
}

// ServeHTTP answers in the order of Blnk's middleware: rate limit, paths
// without authentication, secure mode, master key, scoped key, the route.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	if s.odd.answer(w, r) {
		return
	}
	// gin redirects before any middleware.
	if p := r.URL.Path; len(p) > 1 && strings.HasSuffix(p, "/") && known(strings.TrimSuffix(p, "/")) {
		status := http.StatusMovedPermanently
		if r.Method != http.MethodGet {
			status = http.StatusTemporaryRedirect
		}
		http.Redirect(w, r, strings.TrimSuffix(p, "/"), status)
		return
	}
	if !s.limit.allow(r.URL.Path, w.Header()) {
		s.fail(w, 429, "GEN_RATE_LIMITED", "You have reached maximum request limit.")
		return
	}
	switch r.URL.Path {
	case "/", "/health", "/metrics":
		s.serveOpen(w, r)
		return
	}
	if who, ok := s.authenticate(w, r); ok {
		s.route(w, r, who)
	}
}

// authenticate is Blnk's api/middleware/auth.go.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (principal, bool) {
	if !s.config.Server.Secure {
		return principal{}, true
	}
	sent := r.Header.Get("X-Blnk-Key")
	if sent == "" {
		s.fail(w, 401, "AUTH_MISSING_API_KEY", "Authentication required. Use X-Blnk-Key header")
		return principal{}, false
	}
	master := s.config.Server.SecretKey
	if master != "" && subtle.ConstantTimeCompare([]byte(master), []byte(sent)) == 1 {
		return principal{master: true}, true
	}
	key, ok := s.data.findKey(sent)
	if !ok {
		s.fail(w, 401, "AUTH_INVALID_API_KEY", "Invalid API key")
		return principal{}, false
	}
	if !key.valid() {
		s.fail(w, 401, "AUTH_EXPIRED_API_KEY", "API key is expired or revoked")
		return principal{}, false
	}
	resource := resourceOf(r.URL.Path)
	if resource == "" {
		s.fail(w, 403, "AUTH_UNKNOWN_RESOURCE", "Unknown resource type")
		return principal{}, false
	}
	if action := actionOf(r.Method); !allows(key.Scopes, resource, action) {
		s.fail(w, 403, "AUTH_INSUFFICIENT_PERMISSIONS", "Insufficient permissions for "+resource+":"+action)
		return principal{}, false
	}
	return principal{key: &key}, true
}

// resourceOf is Blnk's getResourceFromPath; "" is no resource.
func resourceOf(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch first {
	case "mocked-account":
		return "accounts"
	case "multi-search":
		return "search"
	case "refund-transaction":
		return "transactions"
	}
	resources := []string{"ledgers", "balances", "accounts", "identities", "transactions", "balance-monitors",
		"hooks", "api-keys", "search", "reconciliation", "metadata", "backup"}
	if slices.Contains(resources, first) {
		return first
	}
	return ""
}

// actionOf is Blnk's methodToAction; "" is allowed to nobody.
func actionOf(method string) string {
	switch method {
	case "GET", "HEAD":
		return "read"
	case "POST", "PUT", "PATCH":
		return "write"
	case "DELETE":
		return "delete"
	}
	return ""
}

func allows(scopes []string, resource, action string) bool {
	return action != "" && slices.ContainsFunc(scopes, func(scope string) bool {
		r, a, ok := strings.Cut(scope, ":")
		return ok && (r == "*" || r == resource) && (a == "*" || a == action)
	})
}

// serveOpen answers the paths that need no key, and prove nothing about one.
func (s *Server) serveOpen(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodGet: // HEAD too: gin has no route for it
		notFound(w)
	case r.URL.Path == "/":
		reply(w, 200, "server running...")
	case r.URL.Path == "/health":
		reply(w, 200, map[string]string{"status": "UP"})
	case !s.config.EnableObservability:
		notFound(w)
	default:
		s.metrics(w, r, "# the stand-in counts nothing\n")
	}
}

// metrics is Blnk's MetricsAuth, also before the worker's /monitoring.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request, text string) {
	token := s.config.Server.MetricsBearerToken
	provided, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case token == "" && s.config.Server.Secure:
		s.fail(w, 403, "AUTH_METRICS_DISABLED", "Metrics endpoint unavailable: metrics_bearer_token must be configured when secure mode is enabled")
	case token == "":
		_, _ = w.Write([]byte(text))
	case !isBearer:
		s.fail(w, 401, "AUTH_METRICS_TOKEN_REQUIRED", "Authorization required for metrics endpoint")
	case subtle.ConstantTimeCompare([]byte(provided), []byte(token)) != 1:
		s.fail(w, 401, "AUTH_INVALID_BEARER_TOKEN", "Invalid bearer token")
	default:
		_, _ = w.Write([]byte(text))
	}
}

// fail writes Blnk's error body; error_detail came with 0.15.0.
func (s *Server) fail(w http.ResponseWriter, status int, code, message string) {
	body := map[string]any{"error": message}
	if s.version.details {
		body["error_detail"] = map[string]string{"code": code, "message": message}
	}
	reply(w, status, body)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	text, _ := json.Marshal(body) // maps and structs of this package
	_, _ = w.Write(text)
}

func notFound(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte("404 page not found"))
}
