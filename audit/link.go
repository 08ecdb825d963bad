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

// quickLink reads a line in the very form that encode writes, and says no to every
// other, be it right or wrong. Package json takes ten times as long.
func quickLink(line []byte) (l link, ok bool) {
	s := scanner{line}
	if !isSealed(line) || !s.take("{") {
		return link{}, false
	}
	for _, begin := range [...]string{ // the fields of a Record but Repeats, which are rare
		`"seq":`, `"time":"`, `"event":"`, `"rotation":"`, `"outcome":"`, `"old":"`, `"new":"`, `"compromised":true`,
		`"stores":[`, `"servers":[`, `"restart":[`, `"host":"`, `"user":"`, `"sudo_user":"`, `"reason":"`, `"error":"`, `"warnings":[`,
		`"prev":"`, `"hash":"`,
	} {
		if !s.take(begin) {
			continue
		}
		var value []byte
		ok, plain := true, true
		switch begin[len(begin)-1] {
		case '"':
			value, plain, ok = s.text()
		case '[':
			for more := true; ok && more; more = s.take(",") {
				if ok = s.take(`"`); ok {
					_, _, ok = s.text()
				}
			}
			ok = ok && s.take("]")
		}
		switch begin {
		case `"seq":`:
			l.Seq, ok = s.number()
		case `"time":"`:
			ok = new(time.Time).UnmarshalText(value) == nil
		case `"prev":"`:
			l.Prev, ok = string(value), ok && plain
		case `"hash":"`:
			l.Hash = string(value)
			return l, ok && plain && l.Seq > 0 && len(value) == hashDigits && string(s.rest) == "}"
		}
		if !ok || !s.take(",") {
			break
		}
	}
	return link{}, false
}

// A scanner takes from the front of a line.
type scanner struct{ rest []byte }

func (s *scanner) take(text string) (there bool) {
	s.rest, there = bytes.CutPrefix(s.rest, []byte(text))
	return there
}

// text takes what stands before the quote that ends a string. plain: it says what
// stands there.
func (s *scanner) text() (text []byte, plain, ok bool) {
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
func (s *scanner) number() (n int, ok bool) {
	digits := s.rest[:min(len(s.rest), 10)]
	digits = digits[:max(0, bytes.IndexByte(digits, ','))]
	n, err := strconv.Atoi(string(digits))
	s.rest = s.rest[len(digits):]
	return n, err == nil && digits[0] > '0' && digits[0] <= '9'
}
