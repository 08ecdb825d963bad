package blnktest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// drainLimit is how long Blnk's server waits for open requests (cmd/server.go).
const drainLimit = 30 * time.Second

// errForced is the exit status 1 of a server that had to cut requests off.
var errForced = errors.New("server forced to shutdown")

// runServer is `blnk start`: it returns when the process shall end.
func runServer(dir string, opt Options) error {
	config, err := Load(dir, os.LookupEnv)
	if err != nil {
		return fmt.Errorf("error loading config: %w", err)
	}
	data := OpenData(stateDir(dir))
	return serve(config.Server.Port, NewServer(config, data, opt), opt)
}

// serve opens the port and answers until a signal, then as Blnk does: it
// closes the port, waits for open requests, and is gone.
func serve(port string, h http.Handler, opt Options) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if opt.Die {
		return errors.New("told to die at start")
	}
	if opt.StartDelay > 0 {
		say("the port opens in", opt.StartDelay)
		select {
		case <-time.After(opt.StartDelay):
		case <-signals:
			return nil
		}
	}
	listener, err := listen(port)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: logged(h)}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	if err := ready(listener.Addr()); err != nil {
		return err
	}
	for {
		select {
		case s := <-signals:
			if !opt.IgnoreTerm {
				say(s, "received")
				return end(server, listener, opt)
			}
			say(s, "ignored")
		case err := <-failed:
			return err
		}
	}
}

// end is what happens after the signal.
func end(server *http.Server, listener net.Listener, opt Options) error {
	<-time.After(opt.Linger)
	if opt.Drain > 0 {
		listener.Close()
		say("draining")
		<-time.After(opt.Drain)
	}
	limit := opt.DrainLimit
	if limit == 0 {
		limit = drainLimit
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil && !errors.Is(err, net.ErrClosed) {
		return errForced
	}
	say("ended gracefully")
	return nil
}

// say writes to the log of the process.
func say(words ...any) { fmt.Fprintln(os.Stderr, words...) }

// listen takes a port on this machine only. "0" is one that is free and no
// other process gets by chance (see FreePort).
func listen(port string) (net.Listener, error) {
	if port == "0" {
		n, err := FreePort()
		if err != nil {
			return nil, err
		}
		port = fmt.Sprint(n)
	}
	host := os.Getenv("STANDIN_HOST")
	if host == "" {
		host = "127.0.0.1"
	}
	return net.Listen("tcp", net.JoinHostPort(host, port))
}

// ready tells who waits for it that the port is open: the file that
// STANDIN_ADDR_FILE names gets the address, and the pipe of the supervisor is
// written to.
func ready(addr net.Addr) error {
	if file := os.Getenv("STANDIN_ADDR_FILE"); file != "" {
		temp := file + ".new"
		if err := os.WriteFile(temp, []byte(addr.String()), 0o600); err != nil {
			return err
		}
		if err := os.Rename(temp, file); err != nil {
			return err
		}
	}
	say("listening on", addr)
	if os.Getenv(readyVariable) != "" {
		pipe := os.NewFile(readyFD, "ready")
		_, _ = pipe.WriteString("ready\n") // nobody may wait any more
		return pipe.Close()
	}
	return nil
}

// logged writes a line for each request to standard error, as Blnk does (logrus, text),
// and another one to the file that STANDIN_ACCESS_LOG names: never a key.
func logged(h http.Handler) http.Handler {
	path := os.Getenv("STANDIN_ACCESS_LOG")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &statusWriter{ResponseWriter: w, status: 200}
		defer func() {
			say(fmt.Sprintf("time=%q level=info msg=%q client_ip=%s error_count=0 latency_ms=0 method=%s path=%s response_len=0 status=%d",
				time.Now().Format(time.RFC3339), "http request", clientIP(r), r.Method, logValue(r.URL.Path), seen.status))
			if path == "" {
				return
			}
			if f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
				fmt.Fprintf(f, "method=%s path=%q status=%d pid=%d\n", r.Method, r.URL.Path, seen.status, os.Getpid())
				f.Close()
			}
		}()
		h.ServeHTTP(seen, r)
	})
}

// clientIP believes X-Forwarded-For of anybody, as gin does where it is not told whom
// to trust.
func clientIP(r *http.Request) string {
	first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
	if ip := net.ParseIP(strings.TrimSpace(first)); ip != nil {
		return ip.String()
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	return host
}

// logValue is quoted where logrus quotes.
func logValue(text string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+"
	if strings.Trim(text, plain) == "" {
		return text
	}
	return strconv.Quote(text)
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// stateDir is where the stand-in keeps files of its own.
func stateDir(dir string) string {
	if own := os.Getenv("STANDIN_STATE"); own != "" {
		return own
	}
	return filepath.Join(dir, ".standin")
}

// migrate is `blnk migrate up`: it loads the configuration, and there is
// nothing to migrate.
func migrate(dir string) error {
	if _, err := Load(dir, os.LookupEnv); err != nil {
		return fmt.Errorf("error loading config: %w", err)
	}
	return nil
}
