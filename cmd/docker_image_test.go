package cmd_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dash is the shell of Debian, and so of Blnk's image. As process 1 it stays
// before its last command; busybox' shell gives its place to that.
const (
	busybox = "/bin/busybox"
	dash    = "/bin/dash"
)

// libraries are what a program is linked with.
func libraries(t *testing.T, program string) (paths []string) {
	t.Helper()
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		t.Fatalf("ldd %s: %v", program, err)
	}
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") {
			paths = append(paths, word)
		}
	}
	return paths
}

// standinImage makes an image of the stand-in as blnk, blnkctl itself, and the
// shells. It needs no registry and no builder.
func standinImage(t *testing.T) string {
	t.Helper()
	programs := map[string]string{"bin/busybox": busybox, "bin/dash": dash}
	for _, library := range libraries(t, dash) {
		programs[strings.TrimPrefix(library, "/")] = library
	}
	for name, source := range map[string]string{"blnk": "../internal/blnktest/blnkstandin", "blnkctl": ".."} {
		program := filepath.Join(t.TempDir(), name)
		build := exec.Command("go", "build", "-o", program, source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
		programs["bin/"+name] = program
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for name, path := range programs {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(data))}), write(w, data)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sh", "sleep", "rm", "test", "cat", "touch"} {
		to := "busybox"
		if name == "sh" {
			to = "dash"
		}
		if err := w.WriteHeader(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o777}), w.Close()); err != nil {
		t.Fatal(err)
	}
	image := fmt.Sprintf("blnkctl-test:%d-%d", os.Getpid(), rand.IntN(1_000_000))
	load := exec.Command("docker", "import", "-c", "ENV PATH=/bin", "-c", "ENV STANDIN_HOST=0.0.0.0", "-c", `CMD ["blnk", "start"]`, "-", image)
	load.Stdin = &layer
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("make an image: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "image", "rm", "-f", image).CombinedOutput(); err != nil {
			t.Logf("remove the image: %v\n%s", err, out)
		}
	})
	return image
}

func write(w io.Writer, data []byte) error {
	_, err := w.Write(data)
	return err
}
