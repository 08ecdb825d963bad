package blnktest

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/blnk"
)

// Keys of the table.
const (
	master = "blnk_sk_masterOfTheTable0123456789abcdefghij"
	other  = "blnk_sk_anotherOfTheTable0123456789abcdefghi"
	never  = "blnk_sk_neverIssuedToAnybody0123456789abcdef"
)

const dsns = `"data_source":{"dns":"{{DB}}"},"redis":{"dns":"{{REDIS}}"}`

// server is a blnk.json with these lines in section "server".
func server(lines string) string {
	if lines != "" {
		lines += ","
	}
	return `{"server":{` + lines + `"port":"{{PORT}}"},` + dsns + `}`
}

const secure = `"secure":true,"secret_key":"` + master + `"`

// Answers that stand often in the table.
func live(key string) want     { return want{key: key, status: 200} }
func rejected(key string) want { return want{key: key, status: 401, code: "AUTH_INVALID_API_KEY"} }
func openTo(key string) want {
	return want{key: key, status: 403, code: "AUTH_MASTER_KEY_REQUIRED"}
}

// A row is a server that is started, and what it then does.
type row struct {
	name  string
	file  string                                      // of blnk.json; "" is server(secure), "-" none
	env   []string                                    // variables of the process
	args  []string                                    // behind `start`
	place func(t *testing.T, dir string, cmd *launch) // makes the folder odd
	stops string                                      // it ends with status 1, saying this
	wants []want
	then  func(t *testing.T, s subject, dir string, p *process)
	port  string // "" is a free one
	// alone: the resolver of package blnk is not asked, since more than file
	// and environment is at work.
	alone bool
}

// A launch is what place may change of a process that is about to start.
type launch struct{ asNobody bool }

// whereTheKeyLives is that section of what is true of a Blnk server, line by
// line.
func whereTheKeyLives() []row {
	return []row{
		{name: "master key and secure mode in blnk.json", wants: []want{live(master), rejected(never), rejected(other)}},
		{name: "secure mode is off without a word of it", file: server(`"secret_key":"` + master + `"`), wants: []want{openTo(master), openTo(never), openTo("")}},
		{name: "secure mode by variable", file: server(`"secure":false,"secret_key":"` + master + `"`), env: []string{"BLNK_SERVER_SECURE=true"},
			wants: []want{live(master), rejected(never)}},
		{name: "the stock file of blnk-init.sh is open", file: server(""), wants: []want{openTo(master), openTo("")}},
		{name: "the key is not trimmed by the server", file: server(`"secure":true,"secret_key":"` + master + ` "`),
			wants: []want{rejected(master), rejected(master + " ")}}, // HTTP trims what is sent
		{name: "the key with a space inside", file: server(`"secure":true,"secret_key":"two words"`), wants: []want{live("two words"), rejected("twowords")}},

		{name: "port by variable", file: server(secure + `,"port":"1"`), env: []string{"BLNK_SERVER_PORT={{PORT}}"}, wants: []want{live(master)}},
		{name: "port with white space", file: `{"server":{` + secure + `,"port":" {{PORT}} "},` + dsns + `}`, wants: []want{live(master)}},
		{name: "TLS settings have no effect", file: server(secure + `,"ssl":true,"domain":"blnk.example"`), wants: []want{live(master)}},
		{name: "TLS variables have no effect", env: []string{"BLNK_SERVER_SSL=true", "BLNK_SERVER_SSL_DOMAIN=blnk.example"}, wants: []want{live(master)}},
		{name: "port 5001 by default", file: `{"server":{` + secure + `},` + dsns + `}`, port: "5001", wants: []want{live(master)}},
		{name: "an empty variable brings the default port back", env: []string{"BLNK_SERVER_PORT="}, port: "5001", wants: []want{live(master)}},
		{name: "tokenization secret of 32 bytes", file: strings.Replace(server(secure), "{", `{"tokenization_secret":"`+thirtyTwo+`",`, 1), then: tokenizes(200, "")},
		{name: "tokenization secret by variable", env: []string{"BLNK_TOKENIZATION_SECRET=" + thirtyTwo}, then: tokenizes(200, "")},
		{name: "tokenization secret of another length", env: []string{"BLNK_TOKENIZATION_SECRET=" + thirtyTwo + "x"}, wants: []want{live(master)}, then: tokenizes(403, "IDT_TOKENIZATION_DISABLED")},
		{name: "no tokenization secret", then: tokenizes(403, "IDT_TOKENIZATION_DISABLED")},

		{name: "database is required", file: `{"server":{` + secure + `,"port":"{{PORT}}"},"redis":{"dns":"{{REDIS}}"}}`, stops: "data source DNS is required"},
		{name: "redis is required", file: `{"server":{` + secure + `,"port":"{{PORT}}"},"data_source":{"dns":"{{DB}}"}}`, stops: "redis DNS is required"},
		{name: "database by variable", file: `{"server":{` + secure + `,"port":"{{PORT}}"},"redis":{"dns":"{{REDIS}}"}}`,
			env: []string{"BLNK_DATA_SOURCE_DNS={{DB}}"}, wants: []want{live(master)}},
		{name: "a variable can wipe the database", env: []string{"BLNK_DATA_SOURCE_DNS="}, stops: "data source DNS is required"},

		{name: "blnk.json of the working directory, whatever --config says", args: []string{"--config", "/no/such/file.json"}, wants: []want{live(master)}},
		{name: "read once, at start", then: readOnce},
		{name: "a variable wins over the file", env: []string{"BLNK_SERVER_SECRET_KEY=" + other}, wants: []want{live(other), rejected(master)}},
		{name: "a variable that is set but empty wipes the key", env: []string{"BLNK_SERVER_SECRET_KEY="}, wants: []want{rejected(master), rejected(never),
			{status: 401, code: "AUTH_MISSING_API_KEY"}}},
		{name: "the doubled name wins over both", env: []string{"BLNK_SERVER_SECRET_KEY=" + never, "BLNK_SERVER_BLNK_SERVER_SECRET_KEY=" + other},
			wants: []want{live(other), rejected(master), rejected(never)}},
		{name: "the doubled name can wipe too", env: []string{"BLNK_SERVER_SECRET_KEY=" + other, "BLNK_SERVER_BLNK_SERVER_SECRET_KEY="}, wants: []want{rejected(other), rejected(master)}},
		{name: "the doubled name turns authentication off", env: []string{"BLNK_SERVER_SECURE=true", "BLNK_SERVER_BLNK_SERVER_SECURE=false"}, wants: []want{openTo(master), openTo(never)}},
		{name: "doubled names of other sections", file: "-", env: []string{"BLNK_DATASOURCE_BLNK_DATA_SOURCE_DNS={{DB}}", "BLNK_REDIS_BLNK_REDIS_DNS={{REDIS}}",
			"BLNK_SERVER_BLNK_SERVER_PORT={{PORT}}", "BLNK_SERVER_BLNK_SERVER_SECURE=1", "BLNK_SERVER_BLNK_SERVER_SECRET_KEY=" + other}, wants: []want{live(other), rejected(never)}},
		{name: "an empty bool stops the start", env: []string{"BLNK_SERVER_SSL="}, stops: "BLNK_SERVER_SSL"},
		{name: "an odd bool stops the start", env: []string{"BLNK_SERVER_SECURE=yes"}, stops: "BLNK_SERVER_SECURE"},
		{name: "a bool with white space stops the start", env: []string{"BLNK_SERVER_SECURE=true "}, stops: "BLNK_SERVER_SECURE"},
		{name: "bools of one letter", env: []string{"BLNK_SERVER_SECURE=T"}, wants: []want{live(master), rejected(never)}},

		{name: "no blnk.json: open", file: "-", env: environmentOnly(), wants: []want{openTo(master), openTo(""), {path: "/ledgers", status: 200}}},
		{name: "dangling link: open", file: "-", env: environmentOnly(), place: danglingLink, wants: []want{openTo(master)}},
		{name: "no access to its folder: open", env: environmentOnly(), place: closedFolder, alone: true, wants: []want{openTo(master)}},
		{name: "no access to the file itself stops the start", env: environmentOnly(), place: closedFile, alone: true, stops: "permission denied"},
		{name: "a folder named blnk.json stops the start", file: "-", env: environmentOnly(), alone: true, stops: "is a directory",
			place: func(t *testing.T, dir string, _ *launch) { must(t, os.Mkdir(filepath.Join(dir, ConfigName), 0o755)) }},

		{name: "names match in any letter case", file: `{"SERVER":{"Secure":true,"SECRET_key":"` + master + `","Port":"{{PORT}}"},` + dsns + `}`, wants: []want{live(master), rejected(never)}},
		{name: "of a duplicated name the last wins", file: server(secure + `,"secret_key":"` + other + `"`), wants: []want{live(other), rejected(master)}},
		{name: "of a duplicated name the last wins, in another letter case", file: server(secure + `,"Secret_Key":"` + other + `"`), wants: []want{live(other), rejected(master)}},
		{name: "a duplicated section adds to the first", file: `{"server":{` + secure + `},"server":{"port":"{{PORT}}"},` + dsns + `}`, wants: []want{live(master), rejected(never)}},
		{name: "a null changes nothing", file: server(secure + `,"secret_key":null`), wants: []want{live(master), rejected(never)}},
		{name: "what follows the first value is ignored", file: server(secure) + ` and {"server": whatever`, wants: []want{live(master)}},
		{name: "a truncated file stops the start", file: `{"server":{` + secure + `,"po`, stops: "error loading config: unexpected EOF"},
		{name: "an empty file stops the start", file: " ", stops: "error loading config: EOF"},
		{name: "a byte order mark stops the start", file: "\ufeff" + server(secure), stops: "error loading config: invalid character"},
		{name: "a port that is a number stops the start", file: `{"server":{` + secure + `,"port":5001},` + dsns + `}`, stops: "cannot unmarshal number"},
		{name: "a key that is a number stops the start", file: server(`"secure":true,"secret_key":12345`), stops: "cannot unmarshal number"},
	}
}

// environmentOnly is what a server needs without a file.
func environmentOnly() []string {
	return []string{"BLNK_DATA_SOURCE_DNS={{DB}}", "BLNK_REDIS_DNS={{REDIS}}", "BLNK_SERVER_PORT={{PORT}}"}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func danglingLink(t *testing.T, dir string, _ *launch) {
	must(t, os.Symlink(filepath.Join(dir, "gone.json"), filepath.Join(dir, ConfigName)))
}

// closedFolder moves the file into a folder that the process may not enter.
func closedFolder(t *testing.T, dir string, l *launch) {
	closed := filepath.Join(dir, "closed")
	must(t, os.Mkdir(closed, 0o700))
	must(t, os.Rename(filepath.Join(dir, ConfigName), filepath.Join(closed, ConfigName)))
	must(t, os.Symlink(filepath.Join(closed, ConfigName), filepath.Join(dir, ConfigName)))
	if l.asNobody = os.Getuid() == 0; !l.asNobody {
		must(t, os.Chmod(closed, 0))
		t.Cleanup(func() { must(t, os.Chmod(closed, 0o700)) })
	}
}

func closedFile(t *testing.T, dir string, l *launch) {
	must(t, os.Chmod(filepath.Join(dir, ConfigName), 0))
	l.asNobody = os.Getuid() == 0
}

const thirtyTwo = "0123456789abcdefghijklmnopqrstuv"

// tokenizes asks for a field of an identity to be tokenized.
func tokenizes(status int, code string) func(*testing.T, subject, string, *process) {
	return func(t *testing.T, _ subject, _ string, p *process) {
		made, body := p.ask(t, want{method: "POST", path: "/identities", key: master,
			body: `{"first_name":"Ada","last_name":"L","identity_type":"individual","email_address":"ada@blnk.example","phone_number":"+4412345678"}`})
		var identity struct {
			ID string `json:"identity_id"`
		}
		if err := json.Unmarshal([]byte(body), &identity); made != 201 || err != nil {
			t.Fatalf("POST /identities: %d %s", made, body)
		}
		p.expect(t, want{method: "POST", path: "/identities/" + identity.ID + "/tokenize/FirstName", key: master, status: status, code: code})
	}
}

func readOnce(t *testing.T, s subject, dir string, p *process) {
	port := strings.TrimPrefix(p.url, "http://127.0.0.1:")
	s.write(t, dir, server(`"secure":true,"secret_key":"`+other+`"`), port)
	p.expect(t, live(master), rejected(other))
	if code := p.stop(t, sigterm); code != 0 {
		t.Errorf("exit status %d after SIGTERM, want 0", code)
	}
	p = start(t, s.command(dir, nil, "start"), port)
	p.awaitOpen(t)
	p.expect(t, live(other), rejected(master))
}

func TestRows(t *testing.T) {
	forSubjects(t, func(t *testing.T, s subject) {
		for _, r := range append(whereTheKeyLives(), howARequestIsAuthenticated()...) {
			t.Run(r.name, func(t *testing.T) { r.run(t, s) })
		}
	})
}

func (r row) run(t *testing.T, s subject) {
	dir, port := t.TempDir(), r.port
	if port == "" {
		port = freePort(t)
	} else if l, err := net.Listen("tcp", "127.0.0.1:"+port); err != nil {
		t.Skipf("somebody listens on port %s of this machine", port)
	} else {
		must(t, l.Close())
	}
	if r.file == "" {
		r.file = server(secure)
	}
	if r.file != "-" {
		s.write(t, dir, r.file, port)
	}
	env := make([]string, len(r.env))
	for i, v := range r.env {
		env[i] = s.fill(v, port)
	}
	if !r.alone {
		r.askResolver(t, s, env, port)
	}
	var l launch
	if r.place != nil {
		r.place(t, dir, &l)
	}
	cmd := s.command(dir, env, append([]string{"start"}, r.args...)...)
	if l.asNobody {
		must(t, os.Chmod(filepath.Dir(dir), 0o755)) // testing makes it 0700
		must(t, nobody(cmd))
	}
	p := start(t, cmd, port)
	if r.stops != "" {
		if code := p.awaitGone(t); code != 1 || !strings.Contains(p.output(), r.stops) {
			t.Errorf("exit status %d, want 1 with %q:\n%s", code, r.stops, p.output())
		}
		return
	}
	p.awaitOpen(t)
	p.expect(t, r.wants...)
	if r.then != nil {
		r.then(t, s, dir, p)
	}
}

// askResolver holds package blnk against the row: whether the server starts,
// on which port, whether it is secure, and with which key.
func (r row) askResolver(t *testing.T, s subject, env []string, port string) {
	t.Helper()
	var file []byte
	if r.file != "-" {
		file = []byte(s.fill(r.file, port))
	}
	vars := map[string]string{}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	e, err := blnk.Resolve(file, vars)
	// The two that Blnk requires.
	missing := e.Value(blnk.Database).Text.IsZero() || e.Value(blnk.Redis).Text.IsZero()
	starts := err == nil && !missing
	if err != nil && !errors.Is(err, blnk.ErrNoStart) {
		t.Errorf("resolver: %v is not ErrNoStart", err)
	}
	if starts != (r.stops == "") {
		t.Errorf("resolver: starts %v (%v, missing %v), but the table has %q", starts, err, missing, r.stops)
	}
	if !starts {
		return
	}
	if e.Port() != port {
		t.Errorf("resolver: port %q, want %q", e.Port(), port)
	}
	for _, w := range r.wants {
		if w.method != "" || w.path != "" || w.key == "" || w.status == http.StatusTooManyRequests {
			continue
		}
		isMaster := e.Secure() && e.SecretKey().Reveal() == w.key && strings.TrimSpace(w.key) == w.key
		if isMaster != (w.status == http.StatusOK) {
			t.Errorf("resolver: key %q is the master key: %v, but the table has %d", w.key, isMaster, w.status)
		}
		if open := w.code == "AUTH_MASTER_KEY_REQUIRED"; open == e.Secure() {
			t.Errorf("resolver: secure %v, but the table has %d %s", e.Secure(), w.status, w.code)
		}
	}
}
