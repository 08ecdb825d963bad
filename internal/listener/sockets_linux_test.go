package listener

import (
	"maps"
	"net"
	"testing"
)

// Both ways to ask must agree, for sockets that share a port too.
func TestNetlinkAndTablesAgree(t *testing.T) {
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	addr := first.Addr().(*net.TCPAddr)
	want := 1
	for _, also := range []string{"127.0.0.2", "::1"} {
		if l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(also), Port: addr.Port}); err == nil {
			defer l.Close()
			want++
		}
	}
	conn, err := net.Dial("tcp", addr.String()) // has the port, and does not listen
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, port := range []int{addr.Port, 1} {
		tables, err := readTables(port)
		if err != nil {
			t.Fatal(err)
		}
		asked, err := askNetlink(port)
		if err != nil {
			t.Skipf("no netlink here: %v", err)
		}
		if !maps.Equal(asked, tables) {
			t.Errorf("port %d: netlink says %v, the tables %v", port, asked, tables)
		}
		if port == addr.Port && len(asked) != want {
			t.Errorf("port %d: %d sockets, want %d", port, len(asked), want)
		}
	}
}
