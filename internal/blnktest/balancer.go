package blnktest

import (
	"errors"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
)

// runBalancer hands each connection to the next replica, one after the other,
// and to the one behind it where a replica does not answer. A replica is a
// folder that a server was started in; its address is looked up anew for each
// connection, since it may restart.
func runBalancer(port string, replicas []string) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	listener, err := listen(port)
	if err != nil {
		return err
	}
	if err := ready(listener.Addr()); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- balance(listener, replicas) }()
	select {
	case <-signals:
		return nil
	case err := <-failed:
		return err
	}
}

func balance(listener net.Listener, replicas []string) error {
	var next atomic.Int64
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		turn := int(next.Add(1) - 1)
		go func() {
			defer client.Close()
			server, err := dialReplica(replicas, turn)
			if err != nil {
				return // as a balancer without a replica: the connection ends
			}
			defer server.Close()
			join(client, server)
		}()
	}
}

func dialReplica(replicas []string, turn int) (net.Conn, error) {
	err := errors.New("no replica")
	for i := range replicas {
		dir := replicas[(turn+i)%len(replicas)]
		var addr []byte
		if addr, err = os.ReadFile(filepath.Join(dir, ".standin", "server.addr")); err != nil {
			continue
		}
		var conn net.Conn
		if conn, err = net.Dial("tcp", string(addr)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// join copies both ways until both sides are done.
func join(a, b net.Conn) {
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			if half, ok := pair[0].(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
			done <- struct{}{}
		}()
	}
	<-done
	<-done
}
