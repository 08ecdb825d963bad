package audit

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// What decodeLink reads of a line is what package json reads of it, and a line that is not
// as encode writes it is not taken for one.
func FuzzDecodeLink(f *testing.F) {
	full := Record{
		Seq: 7, Time: time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC), Event: "rotate", Rotation: "r", Outcome: "rotated", Old: "o", New: "n",
		Compromised: true, Stores: []string{"a", "b"}, Servers: []string{"s"}, Actor: Actor{"h", "u", "s"}, Reason: "a\"b\\\n", Error: "Ä",
		Warnings: []string{"w"}, Prev: strings.Repeat("b", hashDigits),
	}
	line, err := encode(&full)
	if err != nil {
		f.Fatal(err)
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	if l, intact, err := decodeLink(line); err != nil || !intact || l != (link{7, full.Prev, full.Hash}) {
		f.Errorf("its own line is not read: %+v, %v, %v", l, intact, err)
	}
	f.Add(line)
	prev := `,"prev":"` + full.Prev + `"`
	for _, text := range []string{
		`{"seq":1,"event":"rotate"`, `{"seq":1`, `{"seq":2` + prev, `{"seq":2,"event":"a"` + prev, `{"seq":1` + prev, `{"seq":2,"event":"a"`,
		`{"seq":2` + prev + `,"event":"a"`, `{"event":"a","seq":2` + prev, `{"prev":"a","seq":2`, `{"seq":2,"error":",\"prev\":\"` + full.Prev + `"`,
		`{"seq":01`, `{"seq":-1`, `{"seq":1e1`, `{"seq":99999999999999999999`, `{`, `{"seq":`, `{"seq":2,"other":{}` + prev,
	} {
		f.Add([]byte(text + hashBefore + sumOf([]byte(text+"}")) + hashAfter))
		f.Add([]byte(text + hashBefore + full.Hash + hashAfter))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		l, intact, err := decodeLink(line)
		r, same, wrong := decode(line)
		if wrong == nil && (err != nil || intact != same || l != (link{r.Seq, r.Prev, r.Hash})) || wrong != nil && !intact && err == nil {
			t.Errorf("%q: %+v, %v, %v, but decode says %+v, %v, %v", line, l, intact, err, r, same, wrong)
		}
	})
}
