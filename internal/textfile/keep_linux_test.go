package textfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
)

func TestWriteKeepsOwnerAndAttributes(t *testing.T) {
	needRoot(t)
	needs.Namespaces().For(t) // trusted.note takes the same right
	path := filepath.Join(t.TempDir(), "f")
	writeFile(t, path, "old", 0o600)
	if err := os.Chown(path, 1234, 2345); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o460); err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{"user.note": []byte("mine"), "trusted.note": {0, 1, 2}, "user.empty": {}, "user.long": bytes.Repeat([]byte("x"), 1000)}
	for name, value := range want {
		if err := syscall.Setxattr(path, name, value, 0); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	before := inode(t, path)
	if err := newFile(t, path).Write([]byte("old"), []byte("new")); err != nil {
		t.Fatal(err)
	}
	wantText(t, path, "new")
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Uid != 1234 || st.Gid != 2345 || st.Mode&0o7777 != 0o460 || st.Ino == before {
		t.Errorf("owner %d:%d, mode %o, inode %d (was %d); want 1234:2345, 460, another", st.Uid, st.Gid, st.Mode&0o7777, st.Ino, before)
	}
	got, err := attributesOf(t, path)
	if err != nil || len(got) != len(want) {
		t.Errorf("attributes %q, %v", got, err)
	}
	for name, value := range want {
		if !bytes.Equal(got[name], value) {
			t.Errorf("%s is %q, want %q", name, got[name], value)
		}
	}
}

func attributesOf(t *testing.T, path string) (map[string][]byte, error) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return attributes(file)
}

// acl is an access control list that gives nobody rights besides the owner
// (acl(5); the layout is the kernel's, linux/posix_acl_xattr.h).
func acl(perm uint16) []byte {
	const any = ^uint32(0)
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 6, any}, {0x02, perm, nobody}, {0x04, 0, any}, {0x10, perm, any}, {0x20, 0, any}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

func setACL(t *testing.T, path, name string, value []byte) {
	t.Helper()
	if err := syscall.Setxattr(path, name, value, 0); err != nil {
		if errors.Is(err, syscall.ENOTSUP) {
			t.Skip("the file system has no access control lists")
		}
		t.Fatal(err)
	}
}

// A default list of the folder would let others read the new file, where it
// did not let them read the old one.
func TestWriteDoesNotInheritACL(t *testing.T) {
	needRoot(t)
	dir := openFolder(t, 0o755)
	path := filepath.Join(dir, "f")
	writeFile(t, path, "old", 0o640) // before the folder has its list
	setACL(t, dir, "system.posix_acl_default", acl(6))
	if err := newFile(t, path).Write([]byte("old"), []byte("new")); err != nil {
		t.Fatal(err)
	}
	created := filepath.Join(dir, "g")
	if err := newFile(t, created).Write(nil, []byte("new")); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		for _, p := range []string{path, created} {
			if _, err := os.ReadFile(p); !errors.Is(err, fs.ErrPermission) {
				t.Errorf("nobody reads %s: %v", p, err)
			}
		}
	})
}

func TestWriteKeepsACL(t *testing.T) {
	needRoot(t)
	path := filepath.Join(openFolder(t, 0o755), "f")
	writeFile(t, path, "old", 0o600)
	setACL(t, path, "system.posix_acl_access", acl(4))
	if err := newFile(t, path).Write([]byte("old"), []byte("new")); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		if data, err := os.ReadFile(path); string(data) != "new" || err != nil {
			t.Errorf("nobody, whom the list lets read: %q, %v", data, err)
		}
	})
}

func TestWriteHardLinks(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "f"), filepath.Join(dir, "g")
	writeFile(t, path, "old", 0o604)
	if err := os.Link(path, other); err != nil {
		t.Fatal(err)
	}
	f := newFile(t, path)
	if err := f.Write([]byte("old"), []byte("the next")); err != nil {
		t.Fatal(err)
	}
	wantText(t, path, "the next")
	wantText(t, other, "the next")
	wantFolder(t, dir, "f", "g")
	wantNoCopy(t, f)
}

// Where a rename is not allowed, or would change the owner, the file is
// written in place by who may write it.
func TestWriteAsAnother(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		name   string
		folder fs.FileMode
		file   fs.FileMode
		owner  int
		works  bool
	}{
		{"folder without write permission", 0o755, 0o600, nobody, true},
		{"neither folder nor file", 0o755, 0o644, 0, false},
		{"sticky folder, another's file", 0o777 | fs.ModeSticky, 0o666, 0, true},
		{"another's file that could be replaced", 0o777, 0o666, 1234, true},
		{"another's file that could only be replaced", 0o777, 0o644, 1234, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := openFolder(t, tt.folder)
			path := filepath.Join(dir, "f")
			writeFile(t, path, "old", tt.file)
			if err := os.Chown(path, tt.owner, tt.owner); err != nil {
				t.Fatal(err)
			}
			f := Open(path, filepath.Join(openFolder(t, 0o777), "copies"))
			before := inode(t, path)
			var check, write error
			asNobody(t, func() {
				check = f.Check()
				write = f.Write([]byte("old"), []byte("the next"))
			})
			want := "the next"
			if !tt.works {
				want = "old"
			}
			for act, err := range map[string]error{"check": check, "write": write} {
				if tt.works && err != nil || !tt.works && !errors.Is(err, ErrUnwritable) {
					t.Errorf("%s: %v", act, err)
				}
			}
			wantText(t, path, want)
			var st syscall.Stat_t
			if err := syscall.Stat(path, &st); err != nil {
				t.Fatal(err)
			}
			if int(st.Uid) != tt.owner || fs.FileMode(st.Mode&0o777) != tt.file || st.Ino != before {
				t.Errorf("owner %d, mode %o, inode %d; want %d, %o, %d", st.Uid, st.Mode&0o777, st.Ino, tt.owner, tt.file, before)
			}
			wantFolder(t, dir, "f")
			wantNoCopy(t, f)
		})
	}
}

// chattr adds a flag of ioctl_iflags(2) for the time of the test.
func chattr(t *testing.T, path string, flag uint32) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	const size = unsafe.Sizeof(uintptr(0)) << 16
	ioctl := func(request uintptr, flags *uintptr) error {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, file.Fd(), request, uintptr(unsafe.Pointer(flags))); errno != 0 {
			return errno
		}
		return nil
	}
	var before uintptr
	if err := ioctl(2<<30|size|'f'<<8|1, &before); err != nil {
		t.Skipf("the file system has no flags: %v", err)
	}
	after := before | uintptr(flag)
	if err := ioctl(1<<30|size|'f'<<8|2, &after); err != nil {
		t.Skipf("the file system has no such flag: %v", err)
	}
	t.Cleanup(func() {
		if err := ioctl(1<<30|size|'f'<<8|2, &before); err != nil {
			t.Error(err)
		}
		_ = file.Close()
	})
}

// Flags stop root too.
func TestWriteFrozen(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		name   string
		flag   uint32
		folder bool // the folder has it, not the file
		works  bool
	}{
		{"immutable file", 0x10, false, false},
		{"append-only file", 0x20, false, false},
		{"immutable folder", 0x10, true, true},
		{"append-only folder", 0x20, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "f")
			writeFile(t, path, "old", 0o600)
			if tt.folder {
				chattr(t, dir, tt.flag)
			} else {
				chattr(t, path, tt.flag)
			}
			f := newFile(t, path)
			want := "new"
			if !tt.works {
				want = "old"
			}
			for act, err := range map[string]error{"check": f.Check(), "write": f.Write([]byte("old"), []byte("new"))} {
				if tt.works && err != nil || !tt.works && !errors.Is(err, ErrUnwritable) {
					t.Errorf("%s: %v", act, err)
				}
			}
			wantText(t, path, want)
			wantFolder(t, dir, "f")
			wantNoCopy(t, f)
		})
	}
}
