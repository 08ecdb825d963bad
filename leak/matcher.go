package leak

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// A Known key is one at hand that is searched for.
type Known struct {
	Name string // for people: "the live key"
	Key  secret.Key
}

// A Match is a key that stands in a text. What it holds cannot be printed; it is
// kept so that a server can be asked whether the key is alive.
type Match struct {
	Known
	Own  bool // found by its own checksum, not because it was at hand
	Line int  // of the text, from 1; 0 where nobody asked
}

// OwnName is the Name of a key that was found by its checksum alone.
const OwnName = "a key that blnkctl made"

// SearchBits is the estimated strength, in bits, from which a key at hand is
// searched for. A weaker one ("password", "your_strong_secret_key") stands in texts
// that have nothing to do with it. It is less than secret.MinBits: a key that can be
// guessed with effort still stands nowhere by chance.
const SearchBits = 64

const (
	// window is how many bytes of each pattern are looked at first: as many as
	// one comparison takes, and no more than Prefix has.
	window = 8
	// chunk is how much of a text is read at a time, in bytes; it fits the caches.
	chunk = 256 << 10
	// mostOwn is more than the bytes that one of our own keys takes in the longest
	// encoding: the longest that package keygen makes has 186.
	mostOwn = 512
	// mostBroken is how many times as long a word gets by white space: lines of 20 characters
	// that are indented by 60.
	mostBroken = 4
)

// A Matcher finds keys in texts of any size: keys at hand in every shape of
// secret.Key.Encodings, and those of our own form by their checksum, as
// they are, in base64, hex and UTF-16. Encoded, a key may be broken by white space, as YAML
// folds it. It finds none that is encrypted, encoded twice, or compressed: of git's objects
// those that gzip made are read. Several goroutines may use it.
//
// The search is Wu's and Manber's ("A fast algorithm for multi-pattern searching",
// 1994): the last two bytes of a window say how far it can move without passing a
// pattern, which is seven bytes mostly.
type Matcher struct {
	keys     []Known
	weak     []string
	patterns []pattern
	shift    [1 << 16]uint8 // by two bytes; 0: a pattern's window may end in them
	slots    []int32        // open addressing, by slot: a pattern, from 1
	mask     uint64
	overlap  int // no match is longer
}

// A pattern is a text to find, which is as secret as its key.
type pattern struct {
	text   string
	at     int  // where its window begins
	breaks bool // white space may stand in it: encoders break lines, and who indents them adds more
	key    int  // of Matcher.keys; for our own form ownKey
	own    func(data []byte, at int) string
}

const ownKey = -1

// New makes a Matcher. Keys that are none are left out; those too weak are not
// searched for (Weak).
func New(keys ...Known) *Matcher {
	m := &Matcher{overlap: mostOwn}
	for i, known := range keys {
		if known.Key.IsZero() || slices.ContainsFunc(keys[:i], func(k Known) bool { return k.Key.Equal(known.Key) }) {
			continue
		}
		if known.Key.Bits() < SearchBits {
			m.weak = append(m.weak, known.Name)
			continue
		}
		for _, shape := range known.Key.Encodings() {
			// The end tells more than the beginning, which may be Prefix.
			one := pattern{text: shape, at: len(shape) - window, key: len(m.keys), breaks: shape != known.Key.Reveal()}
			m.add(one)
			if one.breaks && one.at >= window { // a line may end in one of two windows
				one.at -= window
				m.add(one)
			}
		}
		m.keys = append(m.keys, known)
	}
	for _, mark := range marks {
		mark.key = ownKey
		m.add(mark)
		if mark.at = len(mark.text) - window; mark.breaks {
			m.add(mark)
		}
	}
	m.index()
	return m
}

func (m *Matcher) add(p pattern) {
	m.patterns = append(m.patterns, p)
	if m.overlap = max(m.overlap, len(p.text)); p.breaks {
		m.overlap = max(m.overlap, mostBroken*len(p.text))
	}
}

// Weak returns the names of those keys that are too weak to be searched for.
func (m *Matcher) Weak() []string { return m.weak }

// index makes the tables.
func (m *Matcher) index() {
	for i := range m.shift {
		m.shift[i] = window - 1
	}
	size := 1
	for size < 4*len(m.patterns) {
		size *= 2
	}
	m.slots, m.mask = make([]int32, size), uint64(size-1)
	for i, p := range m.patterns {
		head := p.text[p.at : p.at+window]
		for end := 2; end <= window; end++ {
			pair := binary.LittleEndian.Uint16([]byte(head[end-2 : end]))
			m.shift[pair] = min(m.shift[pair], uint8(window-end))
		}
		slot := hash([]byte(head)) & m.mask
		for m.slots[slot] != 0 {
			slot = (slot + 1) & m.mask
		}
		m.slots[slot] = int32(i + 1)
	}
}

func hash(head []byte) uint64 {
	const golden = 0x9e3779b97f4a7c15 // Fibonacci hashing: 2^64 over the golden ratio
	return binary.LittleEndian.Uint64(head) * golden >> 32
}

// find tells hit of every pattern in data, by where it begins, in no order. Each step
// waits for the one before, so that two walks at a time are nearly twice as fast.
func (m *Matcher) find(data []byte, hit func(p *pattern, at int)) {
	half := len(data) / 2
	i, j := window, max(window, half+1)
	for i <= half && j <= len(data) {
		a, b := m.step(data, i), m.step(data, j)
		if a == 0 {
			a = m.look(data, i, hit)
		}
		if b == 0 {
			b = m.look(data, j, hit)
		}
		i, j = i+a, j+b
	}
	m.walk(data, i, half, hit)
	m.walk(data, j, len(data), hit)
}

func (m *Matcher) walk(data []byte, from, to int, hit func(p *pattern, at int)) {
	for from <= to {
		step := m.step(data, from)
		if step == 0 {
			step = m.look(data, from, hit)
		}
		from += step
	}
}

// step is how far a window that ends there can move, 0 where it has to be looked at.
func (m *Matcher) step(data []byte, end int) int {
	return int(m.shift[binary.LittleEndian.Uint16(data[end-2:])])
}

// look looks at a window, and returns how far to move then.
func (m *Matcher) look(data []byte, end int, hit func(p *pattern, at int)) int {
	for slot := hash(data[end-window:]) & m.mask; m.slots[slot] != 0; slot = (slot + 1) & m.mask {
		p := &m.patterns[m.slots[slot]-1]
		if at, ok := p.around(data, end); ok {
			hit(p, at)
		}
	}
	return 1
}

// around says where a pattern begins whose window ends there, if all of it stands there.
func (p *pattern) around(data []byte, end int) (at int, ok bool) {
	gap := func(i int) bool { return p.breaks && strings.IndexByte(blanks, data[i]) >= 0 }
	at = end - window
	for i := p.at - 1; i >= 0; {
		if at--; at < 0 {
			return 0, false
		} else if data[at] == p.text[i] {
			i--
		} else if !gap(at) {
			return 0, false
		}
	}
	for i := p.at + window; i < len(p.text); end++ {
		if end == len(data) {
			return 0, false
		} else if data[end] == p.text[i] {
			i++
		} else if !gap(end) {
			return 0, false
		}
	}
	return at, true
}

// blanks break a word in YAML, which may end a line with a backslash.
const blanks = " \t\r\n\\"

// In returns the keys in a text, each once, where it stands first.
func (m *Matcher) In(text []byte) (found []Match) {
	m.collect(text, &found, true, 0)
	return found
}

func (m *Matcher) buffer() int { return chunk + m.overlap }

// scan reads so many bytes, -1 for all there are; in has a buffer of m.buffer().
func (m *Matcher) scan(in *bufio.Reader, size int64, lines bool) (found []Match, err error) {
	for before := 0; size != 0; {
		want := m.buffer()
		if size >= 0 {
			want = int(min(size, int64(want)))
		}
		data, err := in.Peek(want)
		m.collect(data, &found, lines, before)
		done := len(data)
		if err == nil && int64(done) != size {
			done -= m.overlap // what does not stand whole in data does so in what comes next
		}
		if lines {
			before += bytes.Count(data[:done], []byte("\n"))
		}
		_, _ = in.Discard(done) // it is in the buffer
		if size > 0 {
			size -= int64(done)
		}
		switch {
		case errors.Is(err, io.EOF) && size < 0:
			return found, nil
		case errors.Is(err, io.EOF):
			return found, io.ErrUnexpectedEOF
		case err != nil:
			return found, err
		}
	}
	return found, nil
}

// mostPacked is how far what gzip made is read: a file of a few kilobytes may have no end.
const mostPacked = 256 << 20

// errPacked: what gzip made could not be read to its end.
var errPacked = errors.New("gzip")

// object is scan for an object of git. What gzip made, a backup of a folder say, is
// searched as it was before, errPacked where not all of it could be.
func (m *Matcher) object(in *bufio.Reader, size int64, lines bool) ([]Match, error) {
	const header = "\x1f\x8b\x08" // RFC 1952: it is gzip, and deflate
	if size < 18 {
		return m.scan(in, size, lines)
	}
	if begin, err := in.Peek(len(header)); err != nil || string(begin) != header {
		return m.scan(in, size, lines)
	}
	packed := &io.LimitedReader{R: in, N: size}
	var found []Match
	plain, failed := gzip.NewReader(packed)
	if failed == nil {
		found, failed = m.scan(bufio.NewReaderSize(io.LimitReader(plain, mostPacked), m.buffer()), -1, false)
		if n, _ := plain.Read(make([]byte, 1)); failed == nil && n > 0 {
			failed = errPacked
		}
	}
	if _, err := io.Copy(io.Discard, packed); err != nil {
		return found, err
	}
	if packed.N > 0 {
		return found, io.ErrUnexpectedEOF
	}
	if failed != nil {
		return found, errPacked
	}
	return found, nil
}

// collect adds the keys in data, behind so many lines, to those that were found.
func (m *Matcher) collect(data []byte, found *[]Match, lines bool, before int) {
	type hit struct {
		*pattern
		at int
	}
	var hits []hit
	m.find(data, func(p *pattern, at int) { hits = append(hits, hit{p, at}) })
	slices.SortStableFunc(hits, func(a, b hit) int { return a.at - b.at })
	for _, h := range hits {
		match, ok := m.match(h.pattern, data, h.at)
		if !ok || slices.ContainsFunc(*found, func(f Match) bool { return f.Key.Equal(match.Key) }) {
			continue
		}
		if lines {
			match.Line = 1 + before + bytes.Count(data[:h.at], []byte("\n"))
		}
		*found = append(*found, match)
	}
}

// match says which key it is that a pattern was found of.
func (m *Matcher) match(p *pattern, data []byte, at int) (Match, bool) {
	if p.key != ownKey {
		return Match{Known: m.keys[p.key]}, true
	}
	key, ok := secret.Own(p.own(data[:min(len(data), at+mostOwn)], at))
	if !ok || slices.Contains(published, key.Fingerprint()) {
		return Match{}, false
	}
	for _, known := range m.keys {
		if known.Key.Equal(key) {
			return Match{Known: known}, true
		}
	}
	return Match{Known: Known{OwnName, key}, Own: true}, true
}

// published are fingerprints of keys of our own form that anybody can read in the
// documentation and the tests of blnkctl. Where one is at hand it is searched for all
// the same.
var published = []string{"sha256:aee968ca8232"}

// marks are secret.Prefix in each encoding that our own keys are found in, with what
// decodes a key that begins there.
var marks = []pattern{
	{text: secret.Prefix, own: func(data []byte, at int) string { return string(data[at:]) }},
	{text: secret.Wide(secret.Prefix), own: func(data []byte, at int) string {
		var narrow []byte
		for ; at+1 < len(data) && data[at+1] == 0; at += 2 {
			narrow = append(narrow, data[at])
		}
		return string(narrow)
	}},
	{text: hex.EncodeToString([]byte(secret.Prefix)), own: fromHex},
	{text: strings.ToUpper(hex.EncodeToString([]byte(secret.Prefix))), own: fromHex},
	{text: "Ymxua19za1", own: fromBase64(0, 0), breaks: true},
	{text: "Jsbmtfc2tf", own: fromBase64(1, 2), breaks: true},
	{text: "ibG5rX3NrX", own: fromBase64(2, 3), breaks: true},
}

func fromHex(data []byte, at int) string {
	raw := make([]byte, len(data[at:])/2)
	n, _ := hex.Decode(raw, data[at:at+2*len(raw)]) // as far as it goes
	return string(raw[:n])
}

// fromBase64 decodes what stands behind so many bytes in a group, whose first whole
// character is that far in it.
func fromBase64(behind, in int) func([]byte, int) string {
	return func(data []byte, at int) string {
		for skip := in; skip > 0; { // of the group that the mark begins in
			if at--; at < 0 {
				return ""
			} else if strings.IndexByte(blanks, data[at]) < 0 {
				skip--
			}
		}
		text := strings.Map(func(r rune) rune {
			switch {
			case r == '-':
				return '+'
			case r == '_':
				return '/'
			case strings.ContainsRune(blanks, r):
				return -1
			}
			return r
		}, string(data[at:]))
		if end := strings.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune(secret.Base62+"+/", r) }); end >= 0 {
			text = text[:end]
		}
		raw, _ := base64.RawStdEncoding.DecodeString(text)
		if len(raw) < behind {
			return ""
		}
		return string(raw[behind:])
	}
}
