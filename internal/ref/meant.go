package ref

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/blnkctl/blnkctl/internal/hint"
)

// examples are places of the schemes that their names alone stand for.
var examples = map[string]string{
	"blnkjson": "./blnk.json", "dotenv": "./.env", "vault": "secret/blnk",
	"docker": "server", "systemd": "blnk.service", "sh": "COMMAND", "command": "NAME",
}

// words are what else people call a scheme.
var words = map[string]string{
	"json": "blnkjson", "blnk": "blnkjson", "config": "blnkjson", "env": "dotenv", "envfile": "dotenv", "env-file": "dotenv", "kv": "vault",
	"systemctl": "systemd", "service": "systemd", "unit": "systemd", "container": "docker", "docker-compose": "compose",
	"shell": "sh", "bash": "sh", "exec": "sh", "cmd": "sh", "script": "sh",
}

// Unknown is the error for a reference of a scheme that is not among the known ones.
func Unknown(kind, text, scheme string, known []string) error {
	slices.Sort(known)
	return Meant(fmt.Errorf("%s %q: unknown scheme %q (known: %s)", kind, redact(text), scheme, strings.Join(known, ", ")), text, known)
}

// Meant adds to the error for a text the references that were probably meant by it:
// the scheme is one of the known in another spelling, or what stands there is only
// the place.
func Meant(err error, text string, known []string) error {
	if mayBeKey(text) {
		return err
	}
	text = redact(text)
	name, place := text, ""
	if i := strings.IndexAny(text, ":="); i >= 0 {
		name, place = text[:i], strings.TrimPrefix(text[i+1:], "//")
	}
	name = strings.ToLower(strings.TrimSpace(name))
	schemes := []string{cmp.Or(words[name], hint.Nearest(name, known))}
	if alone := place == ""; !slices.Contains(known, schemes[0]) {
		if alone {
			place = text
		}
		schemes = ofPlace(place, alone)
	}
	var refs []string
	for _, scheme := range schemes {
		if slices.Contains(known, scheme) {
			refs = append(refs, hint.Command(scheme+":"+written(scheme, cmp.Or(place, examples[scheme]))))
		}
	}
	if len(refs) == 0 || refs[0] == hint.Command(text) {
		return err
	}
	return hint.Add(err, "did you mean %s", strings.Join(refs, " or "))
}

// ofPlace are the schemes that may have such a place.
func ofPlace(place string, alone bool) []string {
	base := path.Base(place)
	switch ext := path.Ext(base); {
	case ext == ".json":
		return []string{"blnkjson"}
	case ext == ".env", strings.HasPrefix(base, ".env"):
		return []string{"dotenv"}
	case strings.ContainsFunc(place, unicode.IsSpace):
		return []string{"sh"}
	case ext == ".yaml", ext == ".yml":
		return []string{"compose"}
	case ext == ".service", ext == ".target":
		return []string{"systemd"}
	case strings.HasPrefix(place, "secret/"), strings.HasPrefix(place, "kv/"):
		return []string{"vault"}
	case strings.Contains(place, "/") && (alone || strings.ContainsAny(place[:1], "./")):
		return []string{"sh"}
	case alone:
		return []string{"docker", "systemd"}
	}
	return nil
}

// written is a place as it should be: a file of the working directory with "./", and
// the path of a secret without a slash too many.
func written(scheme, place string) string {
	if scheme == "vault" {
		return strings.Trim(path.Clean("/"+place), "/")
	}
	file := scheme == "blnkjson" || scheme == "dotenv" || scheme == "compose"
	if file && place != "" && !strings.ContainsAny(place[:1], "/~") && !strings.HasPrefix(place, "./") && !strings.HasPrefix(place, "../") {
		return "./" + place
	}
	return place
}
