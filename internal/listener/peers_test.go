package listener_test

import (
	"net"
	"runtime"
	"slices"
	"testing"

	"github.com/blnkctl/blnkctl/internal/listener"
)

func TestPeers(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it reads /proc")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	if got := listener.Peers(port); len(got) > 0 {
		t.Errorf("nobody is connected, and %q are", got)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if other, err := l.Accept(); err != nil { // else it may not be established at its other end
		t.Fatal(err)
	} else {
		defer other.Close()
	}
	if got := listener.Peers(port); !slices.Equal(got, []string{"127.0.0.1"}) {
		t.Errorf("%q", got)
	}
}
