package audit_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/blnkctl/blnkctl/audit"
	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
)

const nobody = 65534

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for mounts and other users")
	}
}

// TestFullDisk appends until the disk is full. What failed leaves a log that is
// right, and goes in once there is room.
func TestFullDisk(t *testing.T) {
	needs.Namespaces().For(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	p := &place{audit.Open(dir, clock()), t, dir}
	ballast := filepath.Join(dir, "ballast")
	record := func(i int) audit.Record {
		return audit.Record{Event: "rotate", Rotation: fmt.Sprintf("r%d", i), Outcome: "rotated", Reason: strings.Repeat("x", 1500)}
	}
	if err := errors.Join(p.Check(), p.Append(t.Context(), record(0)), p.Check()); err != nil {
		t.Fatal(err)
	}
	// One free page: for the anchor's copy, or for the log to grow into.
	if err := os.WriteFile(ballast, make([]byte, 240<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	failed := 0
	for i := 1; failed == 0; i++ {
		err := p.Append(t.Context(), record(i))
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		if err != nil {
			failed = i
		}
	}
	for range 3 {
		if err := p.Append(t.Context(), record(failed)); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("again: %v, want ENOSPC", err)
		}
		report, err := p.Verify()
		if err != nil || report.Problem != nil {
			t.Fatalf("after a failure: %+v, %v", report.Problem, err)
		}
	}
	if err := errors.Join(os.Remove(ballast), p.Append(t.Context(), record(failed)), p.Append(t.Context(), record(failed+1))); err != nil {
		t.Fatal(err)
	}
	p.expect("with room again", "", failed+2)
}

// TestFullInsideALine: the disk takes the first bytes of a line only. A limit
// on the size of files cuts a write in the same way.
func TestFullInsideALine(t *testing.T) {
	p := filled(t, 2)
	before := p.read(p.Path())
	for room := 0; room < 200; room += 10 {
		cmd := child(t, "limited", p.dir, strconv.Itoa(len(before)+room))
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "too large" {
			t.Fatalf("with %d bytes of room: %s, %v", room, out, err)
		}
		if p.read(p.Path()) != before {
			t.Fatalf("with %d bytes of room: a piece of the line is left", room)
		}
		p.expect("cut write", "", 2)
	}
	p.add(3)
	p.expect("without the limit", "", 3)
}

func TestAsAnotherUser(t *testing.T) {
	needRoot(t)
	top, err := os.MkdirTemp("/tmp", "audit")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(top) })
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	folder := func(name string, mode fs.FileMode, owner int) string {
		dir := filepath.Join(top, name)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, owner, owner), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	roots := folder("roots-log", 0o700, nobody)
	if err := os.WriteFile(filepath.Join(roots, "audit.log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, want string }{
		{folder("root", 0o700, 0), "check permission, append permission, verify permission, records permission"},
		{folder("shared", 0o755, 0), "check unsafe, append unsafe, verify unsafe, records unsafe"},
		{filepath.Join(top, "none"), "check permission, append permission, verify ok, records ok"},
		{folder("own", 0o700, nobody), "check ok, append ok, verify ok, records ok"},
		{folder("fixed", 0o500, nobody), "check permission, append permission, verify ok, records ok"},
		{roots, "check permission, append permission, verify permission, records permission"},
	} {
		cmd := child(t, "try", c.dir, "")
		// The path of the test binary may be closed to that user, this one is not.
		cmd.Path = "/proc/self/exe"
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.dir, got, err, c.want)
		}
	}
}

// TestRecordsReadTheEnd: each run looks at the last records, which must not cost more
// with each year.
func TestRecordsReadTheEnd(t *testing.T) {
	p := filled(t, 3)
	if err := p.Append(t.Context(), audit.Record{Event: "rotate", Outcome: "rotated", Reason: strings.Repeat("long ", 4000)}); err != nil {
		t.Fatal(err)
	}
	p.add(5)
	for last := 1; last < 7; last++ {
		all, err := p.records(last)
		if err != nil || len(all) != min(last, 5) || all[0].Seq != max(1, 6-last) {
			t.Errorf("the last %d: %d records, the first of them %d, %v", last, len(all), all[0].Seq, err)
		}
	}
	whole := p.read(p.Path())
	p.write(p.Path(), whole[:len(whole)-1]) // as a crash may leave it
	if all, err := p.records(1); err != nil || len(all) != 1 || all[0].Seq != 5 {
		t.Errorf("of a log without an end of the last line: %v, %v", all, err)
	}

	const size = 8 << 20
	p.write(p.Path(), strings.Repeat(strings.Repeat("x", 1023)+"\n", size>>10)+whole)
	before := bytesRead(t)
	if all, err := p.records(2); err != nil || len(all) != 2 || all[1].Seq != 5 {
		t.Errorf("behind other lines: %v, %v", all, err)
	}
	if n := bytesRead(t) - before; n > size/4 {
		t.Errorf("for two records %d bytes were read", n)
	}
	p.write(p.Path(), "")
	if all, err := p.records(2); err != nil || len(all) != 0 {
		t.Errorf("of an empty log: %v, %v", all, err)
	}
}

// bytesRead is what this process has read so far, from wherever (proc_pid_io(5)).
func bytesRead(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(text), "rchar: %d", &n); err != nil {
		t.Fatal(err)
	}
	return n
}
