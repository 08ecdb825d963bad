package audit

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// A link is what makes records a chain.
type link struct {
	Seq        int
	Prev, Hash string
}

// decodeLink is decode for who wants the link only.
func decodeLink(line []byte) (l link, intact bool, err error) {
	if l, ok := quickLink(line); ok {
		return l, isIntact(line, l.Hash), nil
	}
	r, intact, err := decode(line)
	return link{r.Seq, r.Prev, r.Hash}, intact, err
}

// quickLink reads a line in the form that encode writes, whatever the order of its
// fields, and says no to every other, be it right or wrong. Package json takes ten
// times as long.
func quickLink(line []byte) (l link, ok bool) {
	s, prev := scanner{line}, false
	if !isSealed(line) || !s.take("{") {
		return link{}, false
	}
	for {
		name, _, ok := s.text()
		if !ok || !s.take(":") {
			return link{}, false
		}
		value, plain := []byte(nil), false
		switch string(name) {
		case "seq":
			ok = l.Seq == 0 && s.number(&l.Seq)
		case "time":
			value, _, _ = s.text()
			ok = new(time.Time).UnmarshalText(value) == nil
		case "prev":
			value, plain, ok = s.text()
			l.Prev, prev, ok = string(value), true, ok && plain && !prev
		case "hash":
			value, plain, ok = s.text()
			l.Hash = string(value)
			return l, ok && plain && l.Seq > 0 && len(value) == hashDigits && string(s.rest) == "}"
		case "compromised":
			ok = s.take("true")
		case "event", "rotation", "outcome", "old", "new", "host", "user", "sudo_user", "reason", "error":
			_, _, ok = s.text()
		case "stores", "servers", "restart", "warnings":
			ok = s.take("[")
			for more := true; ok && more; more = s.take(",") {
				_, _, ok = s.text()
			}
			ok = ok && s.take("]")
		default: // Repeats, which are rare, and what only a later version knows
			ok = false
		}
		if !ok || !s.take(",") {
			return link{}, false
		}
	}
}

// A scanner takes from the front of a line.
type scanner struct{ rest []byte }

func (s *scanner) take(text string) (there bool) {
	s.rest, there = bytes.CutPrefix(s.rest, []byte(text))
	return there
}

// text takes a string. plain: it says what stands there.
func (s *scanner) text() (text []byte, plain, ok bool) {
	if !s.take(`"`) {
		return nil, false, false
	}
	plain = true
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			text, s.rest = s.rest[:i], s.rest[i+1:]
			return text, plain, true
		case c == '\\' && i+1 < len(s.rest) && strings.IndexByte(`"\/bfnrt`, s.rest[i+1]) >= 0: // \u has digits
			plain = false
			i++
		case c < ' ' || c == '\\':
			return nil, false, false
		case c > '~':
			plain = false
		}
	}
	return nil, false, false
}

// number takes one that is not 0 and fits into an int.
func (s *scanner) number(n *int) bool {
	digits := s.rest[:min(len(s.rest), 10)]
	digits = digits[:max(0, bytes.IndexByte(digits, ','))]
	s.rest = s.rest[len(digits):]
	var err error
	*n, err = strconv.Atoi(string(digits))
	return err == nil && digits[0] > '0' && digits[0] <= '9'
}
