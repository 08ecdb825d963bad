package textfile

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestGlance(t *testing.T) {
	dir := t.TempDir()
	file, fifo, link := filepath.Join(dir, "f"), filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	writeFile(t, file, "text", 0o600)
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{file: "text", link: "text", fifo: "", dir: "", "/dev/zero": "", "/proc/self/maps": ""} {
		if text, err := Glance(path, 4); string(text) != want || err != nil && path != "/proc/self/maps" {
			t.Errorf("%s: %q, %v; want %q", path, text, err, want)
		}
	}
	if text, err := Glance(file, 3); text != nil || err != nil {
		t.Errorf("longer than most: %q, %v", text, err)
	}
	if _, err := Glance(filepath.Join(dir, "none"), 4); !os.IsNotExist(err) {
		t.Errorf("none: %v", err)
	}
}
