package cmd_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/secret"
)

// shortestKey is what is searched for at least: a shorter one would be found
// everywhere.
const shortestKey = 6

var (
	prefixed = regexp.MustCompile(`blnk_sk_[0-9A-Za-z]{20,}`)
	keyName  = regexp.MustCompile(`(?i)^(secret_key|tokenization_secret|metrics_bearer_token)$`)
	keyLine  = regexp.MustCompile(`(?m)^\s*(?:export\s+)?\w*(?:SECRET_KEY|TOKENIZATION_SECRET|BEARER_TOKEN)\s*=\s*["']?([^"'\n]+)`)
)

// keysIn finds the keys in a file of a script: in a configuration, an env file,
// a journal, a previous key, a copy of a file, or a file with a key and nothing else (*.key).
func keysIn(name string, data []byte) []string {
	var keys []string
	for _, key := range prefixed.FindAll(data, -1) {
		keys = append(keys, string(key))
	}
	for _, m := range keyLine.FindAllSubmatch(data, -1) {
		keys = append(keys, string(m[1]))
	}
	if strings.HasSuffix(name, ".key") {
		line, _, _ := bytes.Cut(data, []byte("\n"))
		keys = append(keys, string(line))
	}
	if strings.Contains(name, "previous") {
		_, data, _ = bytes.Cut(data, []byte("\n")) // its seal
		var p struct{ Key string }
		_ = json.Unmarshal(data, &p) // may be half written
		keys = append(keys, p.Key)
	}
	if strings.Contains(name, "journal") {
		_, data, _ = bytes.Cut(data, []byte("\n")) // its seal
		var j struct {
			Old []string
			New string
		}
		_ = json.Unmarshal(data, &j) // may be half written
		keys = append(keys, append(j.Old, j.New)...)
	}
	if strings.Contains(name, ".copy") {
		var s struct{ Old, Next []byte }
		_ = json.Unmarshal(data, &s)
		keys = append(keys, append(keysIn("", s.Old), keysIn("", s.Next)...)...)
	}
	var config map[string]any
	if json.NewDecoder(bytes.NewReader(data)).Decode(&config) == nil {
		keys = append(keys, keysOf(config)...)
	}
	return slices.DeleteFunc(keys, func(k string) bool { return len(k) < shortestKey })
}

// keysOf finds the keys in the tree of a configuration: what has the name of
// one, and what is strong enough for one at a place of its own.
func keysOf(tree map[string]any) []string {
	var keys []string
	for name, value := range tree {
		switch v := value.(type) {
		case map[string]any:
			keys = append(keys, keysOf(v)...)
		case string:
			named := keyName.MatchString(name)
			if named || name == "copy" || name == "token" || name == "key" && secret.New(v).Bits() >= secret.MinBits {
				keys = append(keys, v)
			}
		}
	}
	return keys
}

// noteKeys adds the keys that stand below a folder to those in the file "keys".
func noteKeys(folder, work string) error {
	keys, err := keysBelow(work)
	if err != nil {
		return err
	}
	var lines bytes.Buffer
	for _, key := range keys {
		line, err := json.Marshal(key)
		if err != nil {
			return err
		}
		lines.Write(append(line, '\n'))
	}
	f, err := os.OpenFile(filepath.Join(folder, "keys"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(lines.Bytes())
	return errors.Join(err, f.Close())
}

func keysBelow(work string) ([]string, error) {
	var keys []string
	const longest = 1 << 20 // of a file with a key
	err := eachFile(work, longest, func(path string, data []byte) {
		keys = append(keys, keysIn(filepath.Base(path), data)...)
	})
	slices.Sort(keys)
	return slices.Compact(keys), err
}

// eachFile visits the regular files below a folder that are not too large, but those that the stand-in
// and the systemctl of scripts keep for themselves, and those that are closed.
func eachFile(root string, most int64, visit func(path string, data []byte)) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil //nolint:nilerr // gone meanwhile, or closed
		case d.IsDir() && (d.Name() == ".standin" || d.Name() == "units"):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		if info, err := d.Info(); err != nil || info.Size() > most {
			return nil //nolint:nilerr // gone meanwhile, or too large
		}
		if data, err := os.ReadFile(path); err == nil {
			visit(path, data)
		}
		return nil
	})
}

// notedKeys are all keys that were noted in the folder.
func notedKeys(folder string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(folder, "keys"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var keys []string
	for line := range bytes.Lines(data) {
		var key string
		if err := json.Unmarshal(line, &key); err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, err
}

var storeRef = regexp.MustCompile(`\b(?:blnkjson|dotenv):([^#?'"\s]+)`)

// storesOf finds the files that references in arguments and variables name, and
// where links lead from there. Without any it is the default of rotate.
func storesOf(args, env []string, dir string) []string {
	stores := []string{filepath.Join(dir, "blnk.json")}
	for _, text := range slices.Concat(args, env) {
		for _, m := range storeRef.FindAllStringSubmatch(text, -1) {
			path := m[1]
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			stores = append(stores, path)
		}
	}
	for _, path := range stores {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			stores = append(stores, real)
		} else if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			stores = append(stores, filepath.Join(folder, filepath.Base(path)))
		}
	}
	slices.Sort(stores)
	return slices.Compact(stores)
}
