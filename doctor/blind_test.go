package doctor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/accesslog"
	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/target"
)

// known makes facts of which none is gathered: what is not given does not exist.
func known(t *testing.T, stores []Store, processes []restart.Process, all []Running) *Facts {
	t.Helper()
	needs.Git().For(t)
	dir := t.TempDir()
	if text, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	f := &Facts{Sources: Sources{Dir: dir, Env: []string{"PATH=" + t.TempDir()}, Now: time.Now}}
	give(&f.stores, stores, nil)
	give(&f.target, &target.Target{}, nil)
	give(&f.view, reach.View{Processes: processes}, nil)
	give(&f.live, proof.Result{}, nil)
	give(&f.running, all, nil)
	give(&f.containers, nil, nil)
	return f
}

func give[T any](f *fact[T], value T, err error) {
	*f = fact[T]{}
	_, _ = f.get(func() (T, error) { return value, err })
}

// blind checks that rules say that they could not look.
func blind(t *testing.T, f *Facts, rules rulesOf) {
	t.Helper()
	for name, check := range rules {
		if found, err := tell(t, f, check); err == nil || errors.Is(err, ErrNothing) || err.Error() == "" {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
}

type rulesOf = map[string]check

// tell is what a rule tells; ErrNothing where what it is about is not there.
func tell(t *testing.T, f *Facts, check check) ([]Finding, error) {
	t.Helper()
	r := Result{Rule: Rule{Severity: Warning}}
	check(t.Context(), f, &r)
	if r.err == nil && !r.seen && len(r.Findings) == 0 {
		return nil, ErrNothing
	}
	return r.Findings, r.err
}

// A process whose environment is not known may have any setting.
func TestUnknownEnvironment(t *testing.T) {
	p := &restart.Process{Name: "unit blnk.service", PID: 1, Server: true}
	f := known(t, nil, nil, []Running{{Place: "unit blnk.service", Process: p, Path: "/srv/blnk.json", Text: []byte("{}")}})
	blind(t, f, rulesOf{"secureMode": secureMode, "sslFlag": sslFlag, "dataTLS": dataTLS, "portsClosed": portsClosed, "noStockPassword": noStockPassword})
	f = known(t, nil, nil, nil)
	blind(t, f, rulesOf{"portsClosed": portsClosed, "sslFlag": sslFlag})
}

// A blnk.json that is there and cannot be read may say anything.
func TestUnreadConfig(t *testing.T) {
	f := known(t, nil, nil, nil)
	path := filepath.Join(f.Dir, blnk.FileName)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	give(&f.view, reach.View{Processes: []restart.Process{{Name: "unit blnk.service", Restarts: true, Server: true, Config: path, Env: map[string]string{}}}}, nil)
	f.running = fact[[]Running]{}
	blind(t, f, rulesOf{"secureMode": secureMode, "readAsMeant": readAsMeant, "metricsToken": metricsToken, "gitClean": gitClean})
	if found, _ := tell(t, f, secureMode); len(found) > 0 {
		t.Errorf("%v", found)
	}
}

// Where a driver tells of its processes and another one cannot, not all are seen.
func TestUnseenProcess(t *testing.T) {
	key := secret.New("0123456789abcdefghijklmnopqrstuv")
	p := &restart.Process{Name: "unit blnk.service", Server: true}
	e, err := blnk.Resolve([]byte(`{"server":{"secure":true,"secret_key":"`+key.Reveal()+`"}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := known(t, []Store{{Ref: "s", Key: key}}, nil, []Running{{Place: "unit blnk.service", Process: p, Path: "/srv/blnk.json", Effective: e}})
	give(&f.view, reach.View{}, errors.New("docker cannot be asked"))
	blind(t, f, rulesOf{"sameKey": sameKey, "noTwin": noTwin, "secureMode": secureMode})
}

// A server that does not say why it does not answer is not checked all the same.
func TestNoWords(t *testing.T) {
	f := known(t, nil, nil, nil)
	give(&f.live, proof.Result{Servers: []proof.ServerSays{{URL: "http://a", Keys: []proof.Verdict{proof.Unknown}}}, Keys: proof.Questions{{}}}, nil)
	blind(t, f, rulesOf{"randomRefused": randomRefused, "liveKey": liveKey})
}

// Without a key to look for, nothing is found.
func TestNoKeyKnown(t *testing.T) {
	f := known(t, []Store{{Ref: "vault:a", Err: errors.New("the vault is sealed")}}, nil, nil)
	blind(t, f, rulesOf{"written": written, "copies": copies, "gitClean": gitClean, "typed": typed, "arguments": arguments})
}

// A store's file that cannot be reached is not one that is not there.
func TestUnreachableFile(t *testing.T) {
	dir := t.TempDir()
	loop, good := filepath.Join(dir, "loop"), filepath.Join(dir, "good.json")
	if err := errors.Join(os.Symlink(loop, loop), os.WriteFile(good, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	f := known(t, []Store{{Ref: "l", Path: loop}, {Ref: "g", Path: good}}, nil, nil)
	blind(t, f, rulesOf{"modes": modes, "folders": folders, "baked": baked})
}

// Who can replace a link can replace what it leads to.
func TestFolderOfLink(t *testing.T) {
	open, dir := t.TempDir(), t.TempDir()
	link, file := filepath.Join(open, blnk.FileName), filepath.Join(dir, "real.json")
	if err := errors.Join(os.Chmod(open, 0o777), os.WriteFile(file, nil, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	f := known(t, []Store{{Ref: "l", Path: link}}, nil, nil)
	found, err := tell(t, f, folders)
	if err != nil || len(found) == 0 || found[0].Place != open {
		t.Errorf("%v, %v", found, err)
	}
}

// An ignore list that cannot be read may leave nothing out.
func TestUnreadIgnoreList(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, blnk.FileName)
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.WriteFile(filepath.Join(dir, "Dockerfile"), nil, 0o600), os.Mkdir(filepath.Join(dir, ".dockerignore"), 0o700)); err != nil {
		t.Fatal(err)
	}
	blind(t, known(t, []Store{{Ref: "l", Path: path}}, nil, nil), rulesOf{"baked": baked})
}

// A tool that prints a log and then fails has told of clients.
func TestLogOfFailingTool(t *testing.T) {
	f := known(t, nil, nil, nil)
	bin := t.TempDir()
	now := time.Now()
	line := `time="` + now.UTC().Format(time.RFC3339) + `" level=info msg="http request" client_ip=9.9.9.9 method=GET path=/ledgers status=401`
	if err := os.WriteFile(filepath.Join(bin, "docker"), []byte("#!/bin/sh\necho '"+line+"'\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/bin:/usr/bin")
	log, err := accesslog.Read(t.Context(), accesslog.Look{Processes: []restart.Process{{Name: "container blnk", Server: true}}, Now: now, Env: os.Environ()})
	give(&f.access, log, err)
	found, err := tell(t, f, refused)
	if err == nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
}

// Where Docker cannot tell of all containers, there may be an older Blnk.
func TestUnseenContainers(t *testing.T) {
	f := known(t, nil, nil, nil)
	give(&f.containers, []Container{{Place: "container a", Image: "jerryenebeli/blnk:" + blnk.Newest, Role: restart.Role{Server: true}}}, errors.New("compose.yaml cannot be read"))
	blind(t, f, rulesOf{"noRisks": noRisks, "hooksNeedMaster": hooksNeedMaster})
}

// A log that is gone was not there before it was needed.
func TestAuditGone(t *testing.T) {
	dir, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	f := known(t, []Store{{Ref: "s"}}, nil, nil)
	f.State = dir
	give(&f.history, state.History{Rotation: "rot_1"}, nil)
	if found, err := tell(t, f, auditWhole); err != nil || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
	give(&f.history, state.History{}, nil)
	if found, err := tell(t, f, auditWhole); !errors.Is(err, ErrNothing) {
		t.Errorf("%v, %v", found, err)
	}
}

// A first store without a key hides no difference between the others.
func TestDriftBehindNone(t *testing.T) {
	f := known(t, []Store{{Ref: "none"}, {Ref: "a", Key: secret.New("a-key-that-is-long")}, {Ref: "b", Key: secret.New("another-key-as-long")}}, nil, nil)
	if found, err := tell(t, f, noDrift); err != nil || len(found) != 1 || found[0].Place != "b" {
		t.Errorf("%v, %v", found, err)
	}
}

// What names no version is none that is too old.
func TestNoVersion(t *testing.T) {
	f := known(t, nil, nil, nil)
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "docker"), []byte("#!/bin/sh\necho '<no value>'\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/bin:/usr/bin")
	give(&f.containers, []Container{{Place: "service server"}}, nil)
	found, err := tell(t, f, dockerMaintained)
	if err == nil || len(found) > 0 {
		t.Errorf("%v, %v", found, err)
	}
}

// What more clients than are shown did is no worse than what they did.
func TestMoreClients(t *testing.T) {
	log, names := &accesslog.Log{See: []string{"journalctl"}, Clients: map[string]*accesslog.Client{}}, []string(nil)
	for i := range mostShown + 2 {
		names = append(names, fmt.Sprint("10.0.0.", i))
		log.Clients[names[i]] = &accesslog.Client{}
	}
	for sure, want := range map[string]Severity{"": Note, names[0]: Note, names[mostShown+1]: Warning} {
		r := Result{Rule: Rule{Severity: Warning}}
		r.addClients(log, names, "", func(name string) (string, Severity) {
			return "", map[bool]Severity{true: Warning, false: Note}[name == sure]
		})
		if last := r.Findings[len(r.Findings)-1]; len(r.Findings) != mostShown+1 || last.Severity != want {
			t.Errorf("%q: %d findings, the last %+v", sure, len(r.Findings), last)
		}
	}
}

// What cannot be read is told of once, although several things are looked for in it.
func TestUnreadOnce(t *testing.T) {
	broken := errors.New("blnk.json:2: not valid JSON")
	f := known(t, []Store{{Ref: "s", Err: broken}}, nil, nil)
	give(&f.live, proof.Result{}, errors.Join(errors.New("no server is known"), broken))
	f.StateErr = broken
	for name, check := range (rulesOf{"liveKey": liveKey, "lastSucceeded": lastSucceeded}) {
		if _, err := tell(t, f, check); err == nil || strings.Count(err.Error(), broken.Error()) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
