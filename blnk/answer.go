// Package blnk is what we know of a Blnk server, in pure functions: the names
// of its settings, which source of a setting wins, and what an answer to a
// request proves about a key. It opens no file and no connection and reads no
// environment of its own.
package blnk

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/secret"
)

// OraclePath is the resource whose answer tells the master key from all other
// keys: GET /hooks needs it (Blnk api/middleware/auth.go; from 0.14.3 on it
// answers 403 to everything else that is let in).
const OraclePath = "/hooks"

// KeyHeader carries the key (Blnk api/middleware/auth.go).
const KeyHeader = "X-Blnk-Key"

// ErrLimited: the server, or what stands before it, limits how often it is asked.
var ErrLimited = hint.Add(errors.New("429 rate limited"), "run this again later; a rotation waits as long as --timeout says")

// An Answer is what the oracle's reply proves about the key that was sent.
type Answer int

const (
	// Nothing: no answer, a rate limit, a failing server, somebody else's
	// page. It proves neither acceptance nor rejection.
	Nothing Answer = iota
	// Live: this is the master key. (Up to Blnk 0.14.2 also an answer to
	// scoped keys with hooks:read; with secure mode off, to every key.)
	Live
	// Rejected: the server knows no such key.
	Rejected
	// Lesser: let in, but not as the master key: a living scoped key, or
	// secure mode is off. A random key tells the two apart.
	Lesser
	// Scoped: let in as a scoped key. No server says so of a key that was never
	// issued.
	Scoped
	// Expired: refused as a scoped key that expired. This neither.
	Expired
)

// String names the answer for people.
func (a Answer) String() string {
	known := map[Answer]string{Live: "accepted as the master key", Rejected: "rejected", Lesser: "let in, but not as the master key",
		Scoped: "let in as a scoped key", Expired: "refused as an expired scoped key"}
	return cmp.Or(known[a], "no usable answer")
}

// Judge reads the reply to GET /hooks. Only a body that Blnk itself would write
// about a key counts: a proxy in front has 401 and 403 pages of its own, in JSON too,
// and they say nothing about it. Nor does the answer to a request whose key never
// arrived (SawNoKey).
func Judge(status int, body []byte) Answer {
	switch said := errorOf(body); {
	case status == 200 && json.Unmarshal(body, new([]struct{})) == nil: // a list of hooks, or null where there is none
		return Live
	case status == 401 && said.is("AUTH_INVALID_API_KEY", "invalid api key"):
		return Rejected
	case status == 401 && said.is("AUTH_EXPIRED_API_KEY", "api key is expired"):
		return Expired
	case status == 403 && said.is("AUTH_MASTER_KEY_REQUIRED", "requires master key"):
		return Lesser
	case status == 403 && said.is("AUTH_INSUFFICIENT_PERMISSIONS", "AUTH_UNKNOWN_RESOURCE", "insufficient permissions", "unknown resource"):
		return Scoped
	}
	return Nothing
}

// SawNoKey says whether a 401 is about a request without a key: where one was
// sent, something on the way dropped the header.
func SawNoKey(body []byte) bool {
	return errorOf(body).is("AUTH_MISSING_API_KEY", "authentication required")
}

// A fault is the body of an error of Blnk: {"error":"…"} in all versions, with a code
// in "error_detail" since 0.15.0.
type fault struct {
	Error  string `json:"error"`
	Detail struct {
		Code string `json:"code"`
	} `json:"error_detail"`
}

func errorOf(body []byte) (f fault) {
	if json.Unmarshal(body, &f) != nil {
		return fault{}
	}
	return f
}

// is says whether it has one of the codes; where it has none, only the text tells.
func (f fault) is(these ...string) bool {
	return slices.ContainsFunc(these, func(this string) bool {
		return f.Detail.Code == this || f.Detail.Code == "" && strings.Contains(strings.ToLower(f.Error), this)
	})
}

// CodeOf is the code of an error of Blnk; "" where there is none, or what stands
// there is none: it may be sent by anybody.
func CodeOf(body []byte) string {
	code := errorOf(body).Detail.Code
	if len(code) > 40 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		return ""
	}
	return code
}

// Sendable says whether an HTTP client can send the key in KeyHeader so that
// the server sees exactly the same: white space at the ends is cut off on the
// way, and control characters are not allowed in a header (RFC 9110, 5.5). A
// server that was started with a key that is not sendable locks everyone out.
func Sendable(key secret.Key) bool {
	value := key.Reveal()
	control := func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
	return value != "" && value == strings.Trim(value, " \t") && !strings.ContainsFunc(value, control)
}

// ErrUnsendable: a key is not Sendable, so no client could ever use it.
var ErrUnsendable = errors.New("an HTTP header cannot carry this key (white space at an end, or a control character)")
