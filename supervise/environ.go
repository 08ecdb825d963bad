package supervise

import (
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/secret"
)

// Mark is a variable of the command that says, as NAME=REFERENCE, which
// variable holds the key and which store it came from. A rotation looks into
// the environment of servers for variables that win over blnk.json; this one is
// read anew at each start.
const Mark = "BLNKCTL_EXEC"

// Supplied returns what Mark says in the environment of a process: the variable
// that exec set and the reference of the store; "", "" where exec did not start
// it.
func Supplied(env map[string]string) (variable, from string) {
	variable, from, _ = strings.Cut(env[Mark], "=")
	return variable, from
}

// environ makes the environment of the command: that of the caller, with the
// key in the variable name, and Mark.
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
	return append(env, Mark+"="+name+"="+from, name+"="+key.Reveal())
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
