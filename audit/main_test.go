package audit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/state"
)

// childVar makes the test binary do an errand instead of its tests: several
// writers and crashes need real processes.
const childVar = "AUDIT_TEST_CHILD"

func TestMain(m *testing.M) {
	errand, ok := os.LookupEnv(childVar)
	if !ok {
		time.Local = time.UTC // in which texts for people are compared
		os.Exit(m.Run())
	}
	run := map[string]func(dir, name string) error{"append": appendMany, "try": tryAll, "limited": appendLimited}[errand]
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// appendMany adds records until it has added as many as the number before the
// dash in name says, and says so after each.
func appendMany(dir, name string) error {
	text, _, _ := strings.Cut(name, "-")
	n, err := strconv.Atoi(text)
	log := audit.Open(dir, time.Now)
	for i := 0; err == nil && i < n; i++ {
		rotation := fmt.Sprintf("%s-%d", name, i)
		err = log.Append(context.Background(), audit.Record{Event: "rotate", Rotation: rotation, Outcome: "rotated"})
		if err == nil {
			fmt.Println("appended", i)
		}
	}
	return err
}

// tryAll does what another user would.
func tryAll(dir, _ string) error {
	log := audit.Open(dir, time.Now)
	_, verify := log.Verify()
	records := log.Records(0, func(audit.Record) error { return nil })
	fmt.Printf("check %s, append %s, verify %s, records %s\n",
		kind(log.Check()), kind(log.Append(context.Background(), audit.Record{Event: "rotate"})), kind(verify), kind(records))
	return nil
}

// appendLimited adds a record where no file may get longer than that.
func appendLimited(dir, size string) error {
	limit, err := strconv.ParseUint(size, 10, 64)
	if err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
		return err
	}
	err = audit.Open(dir, time.Now).Append(context.Background(), audit.Record{Event: "rotate", Rotation: "r3"})
	if errors.Is(err, syscall.EFBIG) {
		fmt.Println("too large")
		return nil
	}
	return fmt.Errorf("want EFBIG, got %w", err)
}

func kind(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, state.ErrUnsafe):
		return "unsafe"
	case errors.Is(err, fs.ErrPermission):
		return "permission"
	}
	return err.Error()
}

func child(t *testing.T, errand, dir, name string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, dir, name)
	cmd.Env = append(os.Environ(), childVar+"="+errand)
	return cmd
}

// start runs the errand until it or the test ends, and returns what it prints.
func start(t *testing.T, errand, dir, name string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := child(t, errand, dir, name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd, bufio.NewScanner(out)
}

// clock starts at a fixed time and goes on a minute at each look.
func clock() func() time.Time {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
	return func() time.Time { at = at.Add(time.Minute); return at }
}

// place is a log in a state folder, with what tests do to its files.
type place struct {
	*audit.Log
	t   testing.TB
	dir string
}

func newPlace(t testing.TB) *place {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	return &place{audit.Open(dir, clock()), t, dir}
}

// filled has n records, of the rotations r1, r2, …
func filled(t testing.TB, n int) *place {
	t.Helper()
	p := newPlace(t)
	for i := range n {
		p.add(i + 1)
	}
	return p
}

func (p *place) add(i int) {
	p.t.Helper()
	record := audit.Record{Event: "rotate", Rotation: fmt.Sprintf("r%d", i), Outcome: "rotated", Reason: "test"}
	if err := p.Append(p.t.Context(), record); err != nil {
		p.t.Fatal(err)
	}
}

// records are the last ones; 0: all.
func (p *place) records(last int) (all []audit.Record, err error) {
	err = p.Records(last, func(r audit.Record) error { all = append(all, r); return nil })
	return all, err
}

func (p *place) head() string { return filepath.Join(p.dir, "audit.head") }

func (p *place) read(path string) string {
	p.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

func (p *place) write(path, text string) {
	p.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// expect verifies the log: "" for no problem, else "KIND LINE"; and counts the
// records before it.
func (p *place) expect(what, problem string, records int) {
	p.t.Helper()
	report, err := p.Verify()
	if err != nil {
		p.t.Errorf("%s: %v", what, err)
		return
	}
	got := ""
	if report.Problem != nil {
		got = fmt.Sprintf("%s %d", report.Problem.Kind, report.Problem.Line)
	}
	if got != problem || report.Records != records {
		p.t.Errorf("%s: %q after %d records, want %q after %d (%+v)", what, got, report.Records, problem, records, report.Problem)
	}
}
