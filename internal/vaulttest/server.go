package vaulttest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// startLimit is how long a server may take to start; it takes half a second.
const startLimit = 5 * time.Minute

// Options are what a server may be besides the plainest one.
type Options struct {
	// Dir is where the files of certificates go. TLS needs it.
	Dir string
	// TLS: the server speaks https, with a certificate for 127.0.0.1,
	// localhost and vault.test that Server.CACert signed.
	TLS bool
	// ClientCerts: and takes only clients that show Server.ClientCert.
	ClientCerts bool
	// Standby: a second server of the same cluster answers at Server.Standby.
	Standby bool
}

// A Server is a running Vault server, initialized and unsealed. It has a KV
// store of version 2 at secret/, one of version 1 at kv1/, and the logins
// approle, jwt, kubernetes and userpass at auth/NAME, not configured.
type Server struct {
	Address   string // http(s)://127.0.0.1:PORT
	Standby   string // the second server's, where there is one
	RootToken string
	UnsealKey string // of both
	// Files of PEM, where TLS is spoken.
	CACert, ClientCert, ClientKey string

	cmd   *exec.Cmd
	alive io.Closer // its standard input: the server ends when it is closed
	log   *log
	done  chan struct{} // closed when the process has ended
	stop  sync.Once
	http  *caller
}

// Start launches a server that lives as long as the test.
func Start(t testing.TB, opt Options) *Server {
	t.Helper()
	if opt.Dir == "" {
		opt.Dir = t.TempDir()
	}
	s, err := Launch(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("what the Vault server said:\n%s", s.Log())
		}
	})
	return s
}

// Launch starts a server. It ends with Stop, or when this process does.
func Launch(ctx context.Context, opt Options) (*Server, error) {
	program, err := Program()
	if err != nil {
		return nil, err
	}
	s := &Server{log: &log{}, done: make(chan struct{})}
	var args []string
	if opt.TLS || opt.ClientCerts {
		if args, err = s.certify(opt); err != nil {
			return nil, fmt.Errorf("make certificates for the Vault server: %w", err)
		}
	}
	if opt.Standby {
		args = append(args, "-standby")
	}
	if s.http, err = newCaller(s); err != nil {
		return nil, err
	}
	if err := s.run(program, args); err != nil {
		return nil, fmt.Errorf("start the Vault server: %w", err)
	}
	if err := s.furnish(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("furnish the Vault server: %w", err)
	}
	return s, nil
}

// run starts the process and waits for the line in which it says how it can be
// reached.
func (s *Server) run(program string, args []string) error {
	s.cmd = exec.Command(program, args...)
	// No VAULT_* variable of the test's own is for the server.
	s.cmd.Env = []string{"HOME=/nonexistent", "PATH=" + os.Getenv("PATH")}
	s.cmd.Stderr = s.log
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.alive = stdin
	line := make(chan []byte, 1)
	go func() {
		text, _ := bufio.NewReader(stdout).ReadBytes('\n')
		line <- text
		_ = s.cmd.Wait() // it is killed
		close(s.done)
	}()
	select {
	case text := <-line:
		if err := s.read(text); err != nil {
			s.Stop()
			return fmt.Errorf("%w: %s", err, s.Log())
		}
		return nil
	case <-time.After(startLimit):
		s.Stop()
		return fmt.Errorf("not ready within %s: %s", startLimit, s.Log())
	}
}

func (s *Server) read(line []byte) error {
	var ready struct {
		Address   string `json:"address"`
		Standby   string `json:"standby"`
		RootToken string `json:"root_token"`
		UnsealKey string `json:"unseal_key"`
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		return errors.New("it ended at its start")
	}
	s.Address, s.Standby = ready.Address, ready.Standby
	s.RootToken, s.UnsealKey = ready.RootToken, ready.UnsealKey
	return nil
}

// Stop ends the server at once; what it held is gone. It may be called more
// than once.
func (s *Server) Stop() {
	s.stop.Do(func() {
		_ = s.alive.Close()
		_ = s.cmd.Process.Kill()
		<-s.done
	})
}

// Log returns what the server said on its standard error.
func (s *Server) Log() string { return s.log.text() }

// A log keeps what a process writes.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
