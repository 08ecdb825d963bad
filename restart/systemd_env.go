package restart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// environment are the properties that say what a unit's process will see.
var environment = []string{"Environment", "EnvironmentFiles", "PassEnvironment", "UnsetEnvironment", "ExecStart", "ExecStartPre", "WorkingDirectory",
	"RootDirectory", "RootImage", "BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem"}

// Environments returns what the main process of each unit will see, as systemd
// puts it together (systemd.exec(5)): the manager's own variables,
// PassEnvironment=, Environment=, then the env files, and UnsetEnvironment=.
// Unit and drop-ins are those that are loaded: a restart does not read them
// anew. The env files are read now, as it will. One that this user may not read
// is left out (see Remarks). What a command of the unit sets itself, before it
// becomes Blnk, is not known.
func (s *systemd) Environments(ctx context.Context) ([]Environment, error) {
	m, err := s.manager(ctx)
	if err != nil {
		return nil, err
	}
	states, err := s.show(ctx, environment...)
	if err != nil {
		return nil, err
	}
	var all []Environment
	for _, st := range states {
		env, _, err := st.environment(m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", st.Id, err)
		}
		all = append(all, env)
	}
	return all, nil
}

// A manager is what systemd says of itself.
type manager struct {
	version int // as 252; 0 is unknown
	vars    map[string]string
	own     map[string]string // what it was started with, as far as that may be read
}

// manager asks systemd about itself.
func (s *systemd) manager(ctx context.Context) (manager, error) {
	m := manager{vars: map[string]string{}, own: map[string]string{}}
	text, err := s.ask(ctx, "show", "--property=Version,Environment")
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch name {
		case "Version":
			digits := value[:len(value)-len(strings.TrimLeft(value, "0123456789"))]
			m.version, _ = strconv.Atoi(digits) // unknown: as one of today
		case "Environment":
			if err := assign(m.vars, value); err != nil {
				return m, fmt.Errorf("environment of systemd: %w", err)
			}
		}
	}
	// PassEnvironment= hands on what PID 1 was started with; only root can see
	// that. For everybody else it stays unknown.
	if data, err := os.ReadFile("/proc/1/environ"); err == nil && !s.user {
		for entry := range strings.SplitSeq(string(data), "\x00") {
			if name, value, ok := strings.Cut(entry, "="); ok {
				m.own[name] = value
			}
		}
	}
	return m, nil
}

// environment puts the unit's environment together. unread are the env files
// that this user may not read.
func (st unitState) environment(m manager) (env Environment, unread []string, err error) {
	env = Environment{Process: st.Id, Vars: map[string]string{}, Sources: map[string]Source{}}
	r := st.role()
	env.Server, env.Workers, env.Execs, env.Config = r.server, r.workers, r.execs, st.config()
	for name, value := range m.vars {
		env.Vars[name] = value
	}
	for name := range strings.FieldsSeq(st.value("PassEnvironment")) {
		if value, ok := m.own[name]; ok {
			env.Vars[name] = value
		}
	}
	if err := assign(env.Vars, st.value("Environment")); err != nil {
		return env, nil, fmt.Errorf("its Environment=: %w", err)
	}
	for name := range env.Vars {
		env.Sources[name] = Source{Fixed: true} // of what is loaded, a restart reads nothing anew
	}
	for _, place := range st.values("EnvironmentFiles") {
		denied, err := env.addFiles(place, m.version)
		if err != nil {
			return env, nil, err
		}
		unread = append(unread, denied...)
	}
	unset, err := words(st.value("UnsetEnvironment"))
	if err != nil {
		return env, nil, fmt.Errorf("its UnsetEnvironment=: %w", err)
	}
	for _, entry := range unset {
		name, value, exactly := strings.Cut(entry, "=")
		if !exactly || env.Vars[name] == value {
			delete(env.Vars, name)
			delete(env.Sources, name)
		}
	}
	return env, unread, nil
}

// addFiles adds what the env files of one EnvironmentFile= set, as `systemctl
// show` names them: "PATH (ignore_errors=no)". PATH may be a pattern, of which
// all files that match are read.
func (env Environment) addFiles(place string, version int) (unread []string, err error) {
	path, ignore := strings.CutSuffix(place, " (ignore_errors=yes)")
	path = strings.TrimSuffix(path, " (ignore_errors=no)")
	found := matches(path)
	if len(found) == 0 && !ignore {
		return nil, fmt.Errorf("its EnvironmentFile=%s: %w; systemd would not start it", path, fs.ErrNotExist)
	}
	for _, file := range found {
		data, err := os.ReadFile(file)
		switch {
		case errors.Is(err, fs.ErrPermission):
			unread = append(unread, file)
			continue
		case err != nil && ignore:
			return unread, nil // systemd, too, leaves the rest of them
		case err != nil:
			return unread, fmt.Errorf("its EnvironmentFile=: %w; systemd would not start it", err)
		}
		vars, err := parseEnvFile(string(data), version)
		if err != nil && !ignore {
			return unread, fmt.Errorf("its EnvironmentFile=%s: %w; systemd would not start it", file, err)
		}
		if err != nil {
			return unread, nil
		}
		for name, value := range vars {
			env.Vars[name], env.Sources[name] = value, Source{File: file, Name: name}
		}
	}
	return unread, nil
}

// matches returns the files that a pattern stands for, as glob(3) finds them:
// a dot at the beginning of a name must stand in the pattern. A path that is
// no pattern stands for itself.
func matches(pattern string) []string {
	found, err := filepath.Glob(pattern)
	if err != nil || !strings.ContainsAny(pattern, `*?[\`) {
		return []string{pattern}
	}
	parts := strings.Split(pattern, "/")
	return slices.DeleteFunc(found, func(path string) bool {
		for i, part := range strings.Split(path, "/") {
			if strings.HasPrefix(part, ".") && i < len(parts) && !strings.HasPrefix(strings.TrimPrefix(parts[i], `\`), ".") {
				return true
			}
		}
		return false
	})
}

// assign sets the variables of a list as `systemctl show` writes it.
func assign(vars map[string]string, list string) error {
	entries, err := words(list)
	for _, entry := range entries {
		if name, value, ok := strings.Cut(entry, "="); ok {
			vars[name] = value
		}
	}
	return err
}

// errQuotes: a list that systemctl did not write.
var errQuotes = errors.New("systemctl show quoted it in an unknown way")

// words splits a list as `systemctl show` writes it: words with spaces between
// them, one with odd characters in double quotes or in $'…', with the escapes
// of C inside (systemd src/basic/escape.c, shell_maybe_quote).
func words(list string) (all []string, err error) {
	for list = strings.TrimLeft(list, " "); list != ""; list = strings.TrimLeft(list, " ") {
		var word string
		switch {
		case strings.HasPrefix(list, `"`):
			word, list, err = quotedWord(list[1:], '"')
		case strings.HasPrefix(list, "$'"):
			word, list, err = quotedWord(list[2:], '\'')
		default:
			end := strings.IndexByte(list+" ", ' ')
			word, list = list[:end], list[end:]
		}
		if err != nil || list != "" && list[0] != ' ' {
			return nil, errQuotes
		}
		all = append(all, word)
	}
	return all, nil
}

// quotedWord reads up to the closing quote, and returns what stands behind it.
func quotedWord(text string, quote byte) (word, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case quote:
			return b.String(), text[i+1:], nil
		case '\\':
			char, n := unescape(text[i+1:])
			if n == 0 {
				return "", "", errQuotes
			}
			b.WriteByte(char)
			i += n
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", errQuotes
}

// unescape reads one escape behind its backslash, and returns how long it is.
// A sign that is no letter or digit stands for itself.
func unescape(text string) (char byte, n int) {
	if text == "" {
		return 0, 0
	}
	const letters, chars = "abfnrtvs", "\a\b\f\n\r\t\v "
	if i := strings.IndexByte(letters, text[0]); i >= 0 {
		return chars[i], 1
	}
	base, digits, from := 8, 3, 0
	switch {
	case text[0] == 'x':
		base, digits, from = 16, 2, 1
	case text[0] >= '0' && text[0] <= '7':
	case strings.ContainsRune("\"\\`$'!", rune(text[0])):
		return text[0], 1
	default:
		return 0, 0
	}
	if len(text) < from+digits {
		return 0, 0
	}
	v, err := strconv.ParseUint(text[from:from+digits], base, 8)
	if err != nil {
		return 0, 0
	}
	return byte(v), from + digits
}
