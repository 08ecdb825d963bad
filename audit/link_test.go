package audit

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// FuzzQuickLink: the quick way takes a line only where package json would, and
// reads the same of it.
func FuzzQuickLink(f *testing.F) {
	hash := strings.Repeat("a", hashDigits)
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
	if l, ok := quickLink(line); !ok || l != (link{7, full.Prev, full.Hash}) {
		f.Errorf("its own line is not read: %+v, %v", l, ok)
	}
	f.Add(line)
	for _, text := range []string{
		`{"seq":1,"time":"2026-03-01T11:01:00Z","event":"rotate"`, `{"seq":01`, `{"seq":1,"event":"a`, `{"seq":1,"prev":"\\"`, `{"seq":1,"stores":[]`,
		`{"seq":1,"stores":["a",]`, `{"seq":1,"compromised":false`, `{"seq":1,"seq":2`, `{"seq":1,"Seq":2`, `{"seq":-1`, `{"seq":1e1`, `{"time":"2026-3-1T1:01:00Z"`,
		`{"seq":1,"time":"\u0032026-03-01T11:01:00Z"`, `{"seq":1,"event":"\x01"`, `{"seq":1,"repeated":99999999999999999999`, `{`, `{"seq":1,"other":{}`,
		`{"event":"a","seq":1,"event":"b"`, `{"prev":"a","seq":2`, `{"seq":1,"prev":"a","prev":"b"`, `{"seq":1,"hash":"a"`, `{"seq":1,"se\u0071":2`,
	} {
		f.Add([]byte(text + `,"hash":"` + hash + `"}`))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		l, ok := quickLink(line)
		if !ok {
			return
		}
		r, _, err := decode(line)
		if err != nil || l != (link{r.Seq, r.Prev, r.Hash}) {
			t.Errorf("%q: %+v, but decode says %+v, %v", line, l, r, err)
		}
	})
}
