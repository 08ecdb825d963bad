// Package audit keeps a record of every attempt to replace a key, and of every write
// that blnkctl makes with one, and tells whether somebody changed it later.
//
// The log is a file of JSON lines that only grows. Each line holds the hash of
// the one before, and a small file beside the log (the anchor) holds the hash
// of the last one, so that a changed, a missing and a cut-off record are told
// apart. It holds fingerprints, never keys.
//
// It does not promise to withstand somebody who may write to the folder and
// knows how the log is made: such a person can make a whole new log with its
// anchor, or remove both. A copy of the anchor kept elsewhere shows that too. How often
// the last attempts came again stands in the anchor, and is sealed with it; only the next
// record puts that into the chain.
package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/blnkctl/blnkctl/secret"
)

// Outcomes of an attempt that changed nothing. The same one again is counted;
// every other outcome is an end, and recorded once for a rotation.
const (
	Refused = "refused"
	Stuck   = "stuck"
)

// Requested is the outcome of an api event, which is recorded before it is known what
// comes of it. It is no end, and no attempt.
const Requested = "requested"

// An Actor is who made an attempt, and where. SudoUser is who became User with
// sudo: what its variable says, which root can change.
type Actor struct {
	Host     string `json:"host,omitempty"`
	User     string `json:"user,omitempty"`
	SudoUser string `json:"sudo_user,omitempty"`
}

// Who is the user with a number on this host.
func Who(uid int, sudoUser string) Actor {
	a := Actor{Host: "unknown host", User: "user " + strconv.Itoa(uid), SudoUser: fmt.Sprintf("%.64s", sudoUser)}
	if host, err := os.Hostname(); err == nil {
		a.Host = host
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		a.User = u.Username
	}
	return a
}

// A Record is one entry of the log. Append fills in Seq, Time, Prev, Repeats and
// Hash. None of its texts may hold a key; one of our own form is masked.
type Record struct {
	Seq         int       `json:"seq"` // counts from 1
	Time        time.Time `json:"time"`
	Event       string    `json:"event"`              // what was attempted: rotate, rollback, retire, init, sync, keygen, api
	Request     string    `json:"request,omitempty"`  // method and path of an api event
	Rotation    string    `json:"rotation,omitempty"` // ID of the rotation; "" where none was begun
	Outcome     string    `json:"outcome,omitempty"`
	Old         string    `json:"old,omitempty"` // fingerprint of the key before, or of the one that was used
	New         string    `json:"new,omitempty"` // fingerprint of the key after
	Compromised bool      `json:"compromised,omitempty"`
	Stores      []string  `json:"stores,omitempty"`
	Servers     []string  `json:"servers,omitempty"`
	Restart     []string  `json:"restart,omitempty"`
	Actor
	Reason   string   `json:"reason,omitempty"`
	Error    string   `json:"error,omitempty"` // the first one
	Warnings []string `json:"warnings,omitempty"`
	// Repeated and Last are for who reads: how often the same attempt came again,
	// and when the last time. In the file they stand in Repeats of a later record.
	Repeated int       `json:"repeated,omitempty"`
	Last     time.Time `json:"last,omitzero"`
	Changed  bool      `json:"changed,omitempty"` // for who reads, too: it is not what its hash says
	// Repeats counts earlier attempts that came again before this record.
	Repeats []Repeat `json:"repeats,omitempty"`
	Prev    string   `json:"prev,omitempty"` // Hash of the record before, "" in the first
	// Hash is the SHA-256, in hexadecimal digits, of the line without it:
	// without the text that stands from `,"hash":` up to the last brace.
	Hash string `json:"hash,omitempty"`
}

// A Repeat says how often the attempt with a number came again.
type Repeat struct {
	Seq   int       `json:"seq"`
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
}

// errNotRecord means that a line is none that Append writes.
var errNotRecord = errors.New("not a record")

const (
	maxLine    = 1 << 20 // far more than any record
	hashDigits = 2 * sha256.Size
	hashBefore = `,"hash":"`
	hashAfter  = `"}`
	hashLength = len(hashBefore) + hashDigits + len(hashAfter)
)

// marshal writes a record as it is hashed.
func marshal(r Record) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // people read this
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("encode audit record: %w", err)
	}
	return []byte(secret.MaskOwn(string(bytes.TrimSuffix(buf.Bytes(), []byte("\n"))))), nil
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// encode seals the record and writes it as a line, with its line end.
func encode(r *Record) ([]byte, error) {
	r.Hash = ""
	content, err := marshal(*r)
	if err != nil {
		return nil, err
	}
	r.Hash = sumOf(content)
	return append(content[:len(content)-1], hashBefore+r.Hash+hashAfter+"\n"...), nil
}

// Attempts are the events that bring a key into force, or try to.
var Attempts = []string{"rotate", "sync", "init", "rollback"}

func (r *Record) isAttempt() bool { return r.Outcome == Refused || r.Outcome == Stuck }

// same says whether two records tell the same.
func same(a, b Record) bool {
	for _, r := range []*Record{&a, &b} {
		r.Seq, r.Time, r.Prev, r.Hash, r.Repeats = 0, time.Time{}, "", "", nil
	}
	one, err := marshal(a)
	other, otherErr := marshal(b)
	return err == nil && otherErr == nil && bytes.Equal(one, other)
}

// decode reads a line without its line end. intact says whether the hash in it
// is that of its content. The content is taken as the bytes that stand there,
// so that fields that a later version adds do not matter.
func decode(line []byte) (r Record, intact bool, err error) {
	if !isSealed(line) || json.Unmarshal(line, &r) != nil || r.Seq < 1 {
		return Record{}, false, errNotRecord
	}
	return r, isIntact(line, r.Hash), nil
}

// A link is what makes records a chain.
type link struct {
	Seq        int
	Prev, Hash string
}

// decodeLink is decode for who wants the link only. Of an intact line as encode writes it,
// only both ends are read, and that all of it is JSON: to decode it takes four times as
// long. Whoever put a field of another kind between them made a hash for it, too. Any
// other line is for decode to judge.
func decodeLink(line []byte) (l link, intact bool, err error) {
	const prevBefore, prevAfter = `,"prev":"`, `"`
	first, _, _ := bytes.Cut(line, []byte(","))
	number, begins := bytes.CutPrefix(first, []byte(`{"seq":`))
	if begins && isSealed(line) {
		rest, hash := line[:len(line)-hashLength], line[len(line)-len(hashAfter)-hashDigits:]
		if at := len(rest) - len(prevBefore) - hashDigits - len(prevAfter); at > 0 && bytes.HasPrefix(rest[at:], []byte(prevBefore)) {
			l.Prev = string(rest[at+len(prevBefore) : len(rest)-len(prevAfter)])
		}
		l.Seq, err = strconv.Atoi(string(number))
		l.Hash = string(hash[:hashDigits])
		if err == nil && l.Seq > 0 && (l.Seq == 1) == (l.Prev == "") && isIntact(line, l.Hash) && json.Valid(line) {
			return l, true, nil
		}
	}
	r, intact, err := decode(line)
	return link{r.Seq, r.Prev, r.Hash}, intact, err
}

// isSealed says whether a line ends with a hash, as each of ours does.
func isSealed(line []byte) bool {
	cut := len(line) - hashLength
	return cut > 0 && bytes.HasPrefix(line[cut:], []byte(hashBefore)) && bytes.HasSuffix(line, []byte(hashAfter))
}

// isIntact says whether a sealed line has that hash.
func isIntact(line []byte, hash string) bool {
	cut := len(line) - hashLength
	line[cut] = '}' // as it stood there when it was hashed, for a moment and without a copy
	sum := sha256.Sum256(line[:cut+1])
	line[cut] = ','
	var digits [hashDigits]byte
	hex.Encode(digits[:], sum[:])
	return hash == string(digits[:])
}
