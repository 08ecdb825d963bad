package run

import (
	"regexp"
	"testing"
)

func TestIsVariable(t *testing.T) {
	want := regexp.MustCompile(`\A[A-Za-z_][A-Za-z0-9_]*\z`)
	names := []string{"", "BLNK_SERVER_SECRET_KEY", "_", "_9", "ä", "A\n"}
	for c := range 256 {
		names = append(names, string([]byte{byte(c)}), string([]byte{'A', byte(c)}))
	}
	for _, name := range names {
		if got := IsVariable(name); got != want.MatchString(name) {
			t.Errorf("IsVariable(%q) = %v", name, got)
		}
	}
}
