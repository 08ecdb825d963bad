package audit

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// A Syslog is the log of the system, on this host: each record goes there too, so that
// who may write to the state folder cannot make it unsaid. journald listens at the same
// socket. A repeated attempt, which is counted and no record, does not go there.
//
// It does not promise that the system keeps what it was sent, and holds nobody up for
// longer than a second.
type Syslog struct {
	Path string // of the socket, /dev/log on Linux
	// Warn is told once why a record is not there.
	Warn func(err error)
	once sync.Once
}

// syslogWait is for a system whose log is not emptied as fast as it is filled.
const syslogWait = time.Second

// Priorities (RFC 3164, 4.1.1): of facility 10, which is for what only some may read.
const (
	priorityNotice  = 10<<3 | 5
	priorityWarning = 10<<3 | 4
	priorityError   = 10<<3 | 3
)

// add sends a line of the log, as the C library's syslog would write it.
func (s *Syslog) add(r Record, line []byte) {
	priority := priorityNotice
	switch r.Outcome {
	case Stuck:
		priority = priorityError
	case Refused, "rolled_back":
		priority = priorityWarning
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.Path, Net: "unixgram"})
	if err == nil {
		defer conn.Close()
		err = conn.SetWriteDeadline(time.Now().Add(syslogWait))
	}
	if err == nil {
		_, err = fmt.Fprintf(conn, "<%d>%s blnkctl[%d]: %s", priority, r.Time.Local().Format(time.Stamp), os.Getpid(), bytes.TrimSpace(line))
	}
	if err != nil && s.Warn != nil {
		s.once.Do(func() { s.Warn(fmt.Errorf("the audit record is not in the log of the system: %w", err)) })
	}
}
