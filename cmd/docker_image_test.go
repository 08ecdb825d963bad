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
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/blnktest/needs"
)

// libraries are what a program is linked with: none where it is static.
func libraries(program string) (paths []string) {
	out, _ := exec.Command("ldd", program).Output() // it fails for a static one
	for word := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(word, "/") {
			paths = append(paths, word)
		}
	}
	return paths
}

// standinImage makes an image of this test binary, which is the stand-in as
// blnk and blnkctl itself, and of the shells. It needs no registry, no builder
// and no compiler.
func standinImage(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string]string{"bin/busybox": needs.Busybox, "bin/dash": needs.Dash, "bin/blnk": self}
	for _, library := range append(libraries(needs.Dash), libraries(self)...) {
		programs[strings.TrimPrefix(library, "/")] = library
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
	if err := w.WriteHeader(&tar.Header{Name: "bin/blnkctl", Typeflag: tar.TypeLink, Linkname: "bin/blnk", Mode: 0o755}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o777}), w.Close()); err != nil {
		t.Fatal(err)
	}
	image := fmt.Sprintf("%s-image:%d", containersOf(os.Getenv(runVariable)), rand.IntN(1_000_000))
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
