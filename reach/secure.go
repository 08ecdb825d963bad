package reach

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/exposure"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/restart"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/store/dotenv"
)

// ErrNowhere: nothing says where secure mode is set.
var ErrNowhere = errors.New("it is not known where secure mode is set: there is no blnk.json here, and no env file is named")

// Settings are the places, by their references, that have to say what secure mode needs
// besides the key, and what: it, and a metrics token (new) where none is found. dir is
// where a blnk.json is looked for if none is among the stores. right: all of them say so
// already.
func Settings(ctx context.Context, set store.Set, dir string, token secret.Key, open func(ref string) (store.Store, error)) (values map[string]secret.Key, right bool, err error) {
	files, envs := placesOf(set)
	for _, one := range set {
		if file, ok := one.(*blnkjson.Store); ok {
			if text, err := file.Config(ctx); text == nil && err == nil { // Blnk reads more from it than a key
				_, _, err = file.Get(ctx) // its words
				return nil, false, hint.Add(err, "cd to the folder that Blnk runs in; where only its environment configures it: --store dotenv:./.env")
			}
		}
	}
	if here := filepath.Join(dir, blnk.FileName); len(files) == 0 {
		if _, err := os.Stat(here); err == nil {
			files = append(files, here)
		}
	}
	if len(files)+len(envs) == 0 {
		return nil, false, hint.Add(ErrNowhere, "cd to the folder that Blnk runs in; where only its environment configures it: --store dotenv:./.env")
	}
	values, right = map[string]secret.Key{}, true
	found, tokens := false, ""
	for _, setting := range blnk.Settings() {
		if setting.Name != blnk.Secure && setting.Name != blnk.MetricsToken {
			continue
		}
		var refs []string
		for _, path := range files {
			refs = append(refs, store.Ref{Scheme: blnkjson.Scheme, Place: path, Field: string(setting.Name)}.String())
		}
		for _, path := range envs { // a variable that is set there wins over the file
			for _, name := range []string{setting.Twin, setting.Env} {
				ref := store.Ref{Scheme: dotenv.Scheme, Place: path, Field: name}.String()
				if held, err := heldBy(ctx, ref, open); err != nil {
					return nil, false, err
				} else if !held.IsZero() || len(files) == 0 && name == setting.Env {
					refs = append(refs, ref)
				}
			}
		}
		for _, ref := range refs {
			held, err := heldBy(ctx, ref, open)
			if err != nil {
				return nil, false, err
			}
			switch on, _ := strconv.ParseBool(held.Reveal()); {
			case setting.Name != blnk.Secure:
			case on:
				values[ref] = held
			default:
				values[ref], right = secret.New("true"), false
			}
			if setting.Name == blnk.MetricsToken {
				found, tokens = found || !held.IsZero(), ref
			}
		}
	}
	if !found {
		values[tokens], right = token, false
	}
	return values, right, nil
}

// placesOf are the files of the stores that Blnk, or what starts it, reads.
func placesOf(set store.Set) (files, envs []string) {
	for _, one := range set {
		switch one := one.(type) {
		case *blnkjson.Store:
			files = append(files, one.Path())
		case *dotenv.Store:
			envs = append(envs, one.Path())
		}
	}
	return files, envs
}

func heldBy(ctx context.Context, ref string, open func(ref string) (store.Store, error)) (secret.Key, error) {
	one, err := open(ref)
	if err != nil {
		return secret.Key{}, err
	}
	return store.Held(ctx, one)
}

// Running names the processes of this host that read a blnk.json of the stores.
func Running(set store.Set) string {
	var names []string
	files, _ := placesOf(set)
	for _, p := range Here() {
		if (Stores{files: files}).reads(p.PID) {
			names = append(names, markOf(p).String())
		}
	}
	return strings.Join(names, ", ")
}

// Foreign says that a driver restarts another Blnk: what is seen of it reads a blnk.json
// that is none of the stores'.
func Foreign(ctx context.Context, set store.Set, driver restart.Driver) (foreign bool) {
	o, ok := driver.(restart.Observer)
	files, _ := placesOf(set)
	if !ok || len(files) == 0 {
		return false
	}
	all, _ := o.Processes(ctx) // a look less
	for _, p := range all {
		if p.Restarts && slices.ContainsFunc(files, func(path string) bool { return textfile.Same(path, p.Config) }) {
			return false
		}
		foreign = foreign || p.Restarts && p.Config != ""
	}
	return foreign
}

// Resets says that the Compose file of a folder has a service that writes a blnk.json anew
// where it is missing, as the stock one does: that one is open.
func Resets(dir string) []string {
	name := exposure.UsualComposeFile(dir)
	text, err := os.ReadFile(name)
	if err != nil || !regexp.MustCompile(`(?m)^\s+init:\s*$|blnk-init`).Match(text) { // Blnk's docker-compose.yaml
		return nil
	}
	return []string{name + ": its service init " + restart.WritesOpen + ": never remove it, and do not run that service elsewhere"}
}

// secures refuses a process that a variable keeps from secure mode, where no store sets
// that.
func (s Stores) secures(p restart.Process) error {
	effective, err := blnk.Resolve(s.config, p.Coming())
	if err != nil {
		return nil // it did not start with these
	}
	v := effective.Value(blnk.Secure)
	set := slices.ContainsFunc(s.settings, func(one variable) bool {
		return one.name == v.Source && (p.EnvFiles == nil || slices.ContainsFunc(p.EnvFiles, func(f string) bool { return textfile.Same(f, one.file) }))
	})
	if !v.Shadowed() || effective.Secure() || set {
		return nil
	}
	return s.shadow(p, v.Source, secret.Key{}, "")
}
