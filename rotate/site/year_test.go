package site_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/notify"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/rotate"
	"github.com/blnkctl/blnkctl/rotate/site"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// A year is a Vault and a server in memory, and a clock that may be wrong; its state
// folder and its audit log are real.
type year struct {
	t      *testing.T
	key    secret.Key // in Vault
	live   secret.Key // of the server
	asleep bool       // Vault gives no answer
	broken bool       // a restart fails, and the server goes on as it is
	ahead  time.Duration

	dir    *state.Dir
	target *target.Target
	after  site.After
	env    rotate.Env
	intent rotate.Intent
	inbox  string
	late   []string // the days on which the key was overdue
	wrote  []string // what came of the days on which there was something
}

var (
	_ store.Store      = (*year)(nil)
	_ proof.Asker      = server{}
	_ target.Restarter = server{}
)

func (*year) String() string { return "vault:secret/blnk" }

func (y *year) Get(context.Context) (secret.Key, store.Version, error) {
	if y.asleep {
		return secret.Key{}, "", errors.New("vault:secret/blnk: no answer")
	}
	return y.key, store.Version(y.key.Fingerprint()), nil
}

func (y *year) Put(_ context.Context, next secret.Key, at store.Version) (store.Version, error) {
	if at != store.Version(y.key.Fingerprint()) {
		return "", store.ErrConflict
	}
	y.key = next
	return store.Version(next.Fingerprint()), nil
}

type server struct{ *year }

func (server) String() string { return "http://127.0.0.1:5001" }

func (s server) Ask(_ context.Context, key secret.Key) (blnk.Answer, error) {
	if key.Equal(s.live) {
		return blnk.Live, nil
	}
	return blnk.Rejected, nil
}

func (s server) Restart(context.Context) error {
	if s.broken {
		return errors.New("the unit is masked")
	}
	s.live = s.key
	return nil
}

func (y *year) now() time.Time { return time.Now().UTC().Add(y.ahead) }

func newYear(t *testing.T, p policy.Policy, proved time.Time) *year {
	y := &year{t: t, inbox: filepath.Join(t.TempDir(), "inbox"), key: key(t)}
	y.live = y.key
	var err error
	if y.dir, err = state.Open(filepath.Join(t.TempDir(), "state")); err != nil {
		t.Fatal(err)
	}
	folder, log := y.dir.Target("year"), audit.Open(y.dir.Path(), y.now)
	if err := folder.SaveHistory(state.History{Key: y.key.Fingerprint(), ProvedAt: proved}); err != nil {
		t.Fatal(err)
	}
	y.target = &target.Target{
		Spec: target.Spec{Stores: []string{y.String()}, Restart: []string{"systemd:blnk"}, Servers: []string{"http://127.0.0.1:5001"}, Timeout: time.Minute, RestartTimeout: time.Minute},
		Set:  store.Set{y}, Servers: []*proof.Server{{Asker: server{y}}}, Drivers: []target.Driver{{Restarter: server{y}, WorkersProved: true}},
		WorkersProved: true, State: folder,
	}
	y.intent = rotate.Intent{
		Event: rotate.Rotate, NewKey: func() (secret.Key, error) { return key(t), nil }, Policy: p, IfDue: true,
		IfUnknown: rotate.AdoptUnknown, Weak: keygen.SecretKey.Weakness,
	}
	y.env = rotate.Env{Lock: func(context.Context) (func(), error) { return func() {}, nil }, Recorder: log, Now: y.now,
		Compromised: y.dir.Compromised(), Progress: func(rotate.Progress) {}, Keys: func(...secret.Key) {}, AtWork: func() string { return "" },
		Settle: func(context.Context, time.Duration, func(string, ...any)) error { return nil },
	}
	y.after = site.After{
		Teller: notify.Open([]config.Notice{{To: "command:tell"}}, notify.Options{
			Dir: t.TempDir(), Env: os.Environ(), State: folder, Log: log, Store: y.String(), Now: y.now,
			Command: func(string) (config.Command, error) {
				return config.Command{Run: []string{"sh", "-c", `echo "$BLNKCTL_HOOK_TIME $BLNKCTL_HOOK_EVENT" >>"$0"`, y.inbox}}, nil
			},
		}),
		Now: y.now, Command: "rotate", Target: "year", Policy: p, Folder: folder,
	}
	return y
}

func key(t *testing.T) secret.Key {
	k, err := keygen.ForUse(keygen.SecretKey, "", keygen.DefaultBits)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// cron is one run from cron.
func (y *year) cron() {
	r, err := rotate.Run(y.t.Context(), y.target, y.intent, y.env)
	if err == nil {
		err = r.Err()
	}
	code := map[bool]int{err != nil: 1, errors.Is(err, rotate.ErrUndone): 3, errors.Is(err, rotate.ErrWaiting): 6}[true]
	if failed := y.after.Do(y.t.Context(), y.after.Event(r, err, code, "")); len(failed) > 0 {
		y.t.Errorf("%s: %q", y.now(), failed)
	}
	what := string(r.Outcome)
	if errors.Is(err, rotate.ErrWaiting) {
		what = "waits"
	}
	if what != "not_due" {
		y.wrote = append(y.wrote, time.Now().UTC().Format("01-02")+" "+what)
	}
}

// look is what a monitor sees right after it.
func (y *year) look() {
	history, err := y.target.State.LoadHistory()
	if err != nil {
		y.t.Fatal(err)
	}
	due, err := rotate.Clock{History: history, Key: y.key, Target: y.target.Spec, Now: y.now()}.Ask(y.intent)
	if err != nil {
		y.t.Fatal(err)
	}
	if !due.At.IsZero() && y.now().After(due.At) {
		y.late = append(y.late, time.Now().UTC().Format("01-02")+" overdue")
	}
}

// told are the notices, as day and kind.
func (y *year) told() (all []string) {
	text, err := os.ReadFile(y.inbox)
	if err != nil {
		y.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		at, kind, _ := strings.Cut(strings.TrimSpace(line), " ")
		all = append(all, at[len("2000-"):len(time.DateOnly)]+" "+kind)
	}
	return all
}

// days are the days from one to another, with what happens on each.
func days(what, from, to string) (all []string) {
	at, _ := time.Parse("01-02", from)
	for ; at.Format("01-02") <= to; at = at.AddDate(0, 0, 1) {
		all = append(all, at.Format("01-02")+" "+what)
	}
	return all
}

// A year of cron, each night, with a window on Sundays: restarts fail in the first half
// of March, Vault sleeps when the next rotation is due, and the clock is a year ahead for
// one night in summer, and 200 days behind for another.
func TestAYear(t *testing.T) {
	w, err := policy.ParseWindow("Sun 02:00-05:00 UTC")
	if err != nil {
		t.Fatal(err)
	}
	p := policy.Policy{MaxAge: 90 * 24 * time.Hour, Windows: []policy.Window{w}}
	synctest.Test(t, func(t *testing.T) { // which begins on Saturday, January 1st of 2000
		y := newYear(t, p, time.Date(1999, 12, 2, 3, 0, 0, 0, time.UTC))
		first := y.key
		for day := range 366 {
			<-time.After(time.Until(time.Date(2000, 1, 1+day, 2, 30, 0, 0, time.UTC)))
			today := time.Now().UTC().Format("01-02")
			y.broken = today >= "03-01" && today <= "03-15"
			y.asleep = today >= "06-17" && today <= "06-20"
			y.ahead = map[string]time.Duration{"07-30": 364 * 24 * time.Hour, "09-12": -200 * 24 * time.Hour}[today]
			y.cron()
			y.look()
			if !y.key.Equal(y.live) {
				t.Fatalf("%s: the server has another key than Vault", today)
			}
		}
		want := slices.Concat(
			[]string{"03-05 rolled_back"}, days("waits", "03-06", "03-11"), []string{"03-12 rolled_back"}, days("waits", "03-13", "03-18"), []string{"03-19 rotated"},
			days("refused", "06-17", "06-20"), []string{"06-25 rotated", "07-30 rotated", "08-06 rotated", "11-05 rotated"},
		)
		if !slices.Equal(y.wrote, want) {
			t.Errorf("came of it:\n%s\nwant\n%s", strings.Join(y.wrote, "\n"), strings.Join(want, "\n"))
		}
		if y.key.Equal(first) {
			t.Error("the key is the first one")
		}
		// What fails is told every day, its end once; so is a key that is past its day.
		told := slices.Concat(
			days("failure", "03-05", "03-18"), []string{"03-19 recovered"}, days("failure", "06-17", "06-20"), []string{"06-21 recovered"},
			days("overdue", "06-21", "06-24"), []string{"06-25 recovered", "07-29 success", "08-06 success", "11-05 success"},
		)
		if got := y.told(); !slices.Equal(got, told) {
			t.Errorf("told:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(told, "\n"))
		}
		if want := slices.Concat(days("overdue", "03-05", "03-18"), days("overdue", "06-18", "06-24")); !slices.Equal(y.late, want) {
			t.Errorf("overdue:\n%s\nwant\n%s", strings.Join(y.late, "\n"), strings.Join(want, "\n"))
		}
	})
}
