package supervise

import (
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/secret"
)

// Mark is the variable that tells a rotation, which looks into the environment
// of a server, where the key in it came from: the reference of the store. A
// variable that wins over blnk.json stops a rotation, but not one that will be
// read anew from a store that is rotated.
const Mark = "BLNKCTL_EXEC_STORE"

// environ makes the environment of the command: that of the caller, with the
// key in the variable name, and the reference of its store in Mark.
//
// All else is passed on, settings of Blnk too: the command is Blnk itself, and
// gets what it would get without blnkctl. Only the doubled name of the variable
// is taken out (blnk.Setting), since it would win over the key. Variables of
// blnkctl end here: they may name places that are none of the command's
// business.
func environ(caller []string, name string, key secret.Key, from string) []string {
	drop := []string{name}
	for _, s := range blnk.Settings() {
		if s.Env == name {
			drop = append(drop, s.Twin)
		}
	}
	env := slices.DeleteFunc(slices.Clone(caller), func(v string) bool {
		n, _, _ := strings.Cut(v, "=")
		return slices.Contains(drop, n) || strings.HasPrefix(n, "BLNKCTL_")
	})
	return append(env, Mark+"="+from, name+"="+key.Reveal())
}

// lookup finds a variable; of several of one name the last counts.
func lookup(env []string, name string) string {
	for _, v := range slices.Backward(env) {
		if n, value, ok := strings.Cut(v, "="); ok && n == name {
			return value
		}
	}
	return ""
}
