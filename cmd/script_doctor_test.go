package cmd_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// doctorCmds are what scripts about doctor have besides:
//
//	put KEY BLNKJSON         make this the master key, as an editor would; @FILE names
//	                         a file that holds it
//	history TIME|AGE         the last rotation was proved then (or so long ago: 2160h), as
//	                         a blnkctl that keeps it would write it
//	stranger ADDRESS URL     GET /ledgers with a key that is none must answer 401; the
//	                         client says that its address is this one
func doctorCmds() map[string]scriptCmd {
	return map[string]scriptCmd{"put": cmdPut, "history": cmdHistory, "stranger": cmdStranger}
}

func cmdStranger(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "stranger ADDRESS URL")
	request, err := http.NewRequest(http.MethodGet, args[1]+"/ledgers", http.NoBody)
	ts.Check(err)
	request.Close = true
	request.Header.Set("X-Blnk-Key", "no-key-of-anybody")
	request.Header.Set("X-Forwarded-For", args[0])
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		ts.Fatalf("status %d", response.StatusCode)
	}
}

func cmdPut(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 2, "put KEY|@FILE BLNKJSON")
	key := args[0]
	if file, ok := strings.CutPrefix(key, "@"); ok {
		key = strings.TrimSuffix(ts.ReadFile(file), "\n")
	}
	quoted, err := json.Marshal(key)
	ts.Check(err)
	text := regexp.MustCompile(`("secret_key": *)"[^"]*"`).ReplaceAllStringFunc(ts.ReadFile(args[1]), func(old string) string {
		name, _, _ := strings.Cut(old, ":")
		return name + ": " + string(quoted)
	})
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

func cmdHistory(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) == 1, "history TIME|AGE")
	if age, err := time.ParseDuration(args[0]); err == nil {
		args = []string{time.Now().Add(-age).UTC().Format(time.RFC3339)}
	}
	files, err := filepath.Glob(filepath.Join(ts.Getenv("WORK"), "state", "targets", "*", "facts"))
	ts.Check(err)
	for _, file := range files {
		line, body, _ := strings.Cut(ts.ReadFile(file), "\n")
		body = regexp.MustCompile(`("proved_at": *)"[^"]*"`).ReplaceAllString(body, `${1}"`+args[0]+`"`)
		sealed := fmt.Sprintf("%ssha256:%x\n%s", line[:strings.Index(line, "sha256:")], sha256.Sum256([]byte(body)), body)
		ts.Check(os.WriteFile(file, []byte(sealed), 0o600))
	}
}
