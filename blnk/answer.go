// Package blnk is what we know of a Blnk server, in pure functions: the names
// of its settings, which source of a setting wins, and what an answer to a
// request proves about a key. It opens no file and no connection and reads no
// environment of its own.
package blnk

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// OraclePath is the resource whose answer tells the master key from all other
// keys: GET /hooks needs it (Blnk api/middleware/auth.go; from 0.14.3 on it
// answers 403 to everything else that is let in).
const OraclePath = "/hooks"

// KeyHeader carries the key (Blnk api/middleware/auth.go).
const KeyHeader = "X-Blnk-Key"

// An Answer is what the oracle's reply proves about the key that was sent.
type Answer int

const (
	// Nothing: no answer, a rate limit, a failing server, somebody else's
	// page. It proves neither acceptance nor rejection.
	Nothing Answer = iota
	// Live: this is the master key. (Up to Blnk 0.14.2 also an answer to
	// scoped keys with hooks:read; with secure mode off, to every key.)
	Live
	// Rejected: the server knows no such key, or a scoped one that expired.
	Rejected
	// Lesser: let in, but not as the master key: a living scoped key, or
	// secure mode is off. A random key tells the two apart.
	Lesser
)

// String names the answer for people.
func (a Answer) String() string {
	known := map[Answer]string{Live: "accepted as the master key", Rejected: "rejected", Lesser: "let in, but not as the master key"}
	return cmp.Or(known[a], "no usable answer")
}

// Judge reads the reply to GET /hooks. Only a body that Blnk itself would
// write counts: a proxy in front has 401 and 403 pages of its own, and they
// say nothing about the key. Nor does the answer to a request whose key never
// arrived (SawNoKey).
func Judge(status int, body []byte) Answer {
	switch status {
	case 200:
		if isHookList(body) {
			return Live
		}
	case 401:
		if isBlnkError(body) && !SawNoKey(body) {
			return Rejected
		}
	case 403:
		if isBlnkError(body) {
			return Lesser
		}
	}
	return Nothing
}

// SawNoKey says whether a 401 is about a request without a key: where one was
// sent, something on the way dropped the header. Before 0.15.0 only the text
// tells.
func SawNoKey(body []byte) bool {
	var reply struct {
		Error  string `json:"error"`
		Detail struct {
			Code string `json:"code"`
		} `json:"error_detail"`
	}
	return json.Unmarshal(body, &reply) == nil &&
		(reply.Detail.Code == "AUTH_MISSING_API_KEY" || reply.Detail.Code == "" && strings.HasPrefix(reply.Error, "Authentication required"))
}

// isHookList: Blnk answers with a JSON array, or null where there is no hook.
func isHookList(body []byte) bool {
	body = bytes.TrimSpace(body)
	if bytes.Equal(body, []byte("null")) {
		return true
	}
	return len(body) > 0 && body[0] == '[' && json.Valid(body)
}

// isBlnkError: {"error":"…"} in all versions, with "error_detail" since 0.15.0.
func isBlnkError(body []byte) bool {
	var reply struct {
		Error *string `json:"error"`
	}
	return json.Unmarshal(body, &reply) == nil && reply.Error != nil && *reply.Error != ""
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
