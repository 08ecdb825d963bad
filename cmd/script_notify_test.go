package cmd_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdReceiver is `receiver VAR FILE`: a webhook, whose address goes into VAR. What it
// gets is a line of FILE; the status that it answers with stands in FILE.code, and is 200
// where that is not there.
func cmdReceiver(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "receiver VAR FILE")
	file := ts.MkAbs(args[1])
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		code := http.StatusOK
		if text, err := os.ReadFile(file + ".code"); err == nil {
			code, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		w.Header().Set("Retry-After", "3600") // no second try
		body, _ := io.ReadAll(r.Body)
		if f, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600); err == nil && code < 300 {
			_, _ = f.Write(append(body, '\n'))
			_ = f.Close()
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, r.URL.Path)
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL+"/services/T0123/privateTokenOf"+args[0])
}
