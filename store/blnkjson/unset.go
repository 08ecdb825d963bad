package blnkjson

import (
	"fmt"

	"github.com/blnkctl/blnkctl/store/filestore"
)

// Absence says how a text looks that holds no key: how far the way to it leads, and
// what stands in an object without members.
func (e editor) Absence(text []byte) string {
	d, err := e.parse(text)
	switch {
	case err != nil || text == nil:
		return ""
	case d.value.to > 0:
		return filestore.Empty
	}
	inner := ""
	if last := d.objects[len(d.objects)-1]; len(last.members) == 0 {
		inner = string(text[last.from+1 : last.to-1])
	}
	return fmt.Sprintf("%d objects%q", len(d.objects), inner)
}

// Unset are the texts that the value may have been added to.
func (e editor) Unset(text []byte) (before [][]byte) {
	d, err := e.parse(text)
	if err != nil || d.value.to == 0 {
		return nil
	}
	cut := func(from, to int, instead string) {
		before = append(before, append(append(append([]byte{}, text[:from]...), instead...), text[to:]...))
	}
	nothing := `""`
	if e.truth {
		nothing = "null"
	}
	cut(d.value.from, d.value.to, nothing)
	for i := len(d.objects) - 1; i >= 0; i-- {
		obj, n := d.objects[i], len(d.objects[i].members)
		m, _ := d.only(obj, e.path[i])
		switch {
		case n == 1: // see addition
			cut(obj.from+1, m.value.to, "")
			cut(obj.from+1, obj.to-1, "")
			continue // the object may have been added with it
		case *m == obj.members[n-1]:
			cut(obj.members[n-2].value.to, m.value.to, "")
		default:
			for j, next := range obj.members[1:] {
				if obj.members[j] == *m {
					cut(m.at.from, next.at.from, "")
				}
			}
		}
		break
	}
	return before
}
