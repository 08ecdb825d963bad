package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A module is one that a binary holds packages of. Go's own packages count as one, "std".
type module struct {
	path, version, sum string
	licenses           []string          // their SPDX identifiers, sorted
	texts              map[string]string // of its licences and notices, by file name
	needs              []*module         // what its packages import
}

var (
	legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([.-].*)?$`)

	// What only texts under a licence say, without line breaks.
	licenses = []struct{ id, words string }{
		{"Apache-2.0", "Apache License Version 2.0, January 2004"},
		{"Apache-2.0", "Licensed under the Apache License, Version 2.0"},
		{"BSD-3-Clause", "may be used to endorse or promote products derived from this software"},
		{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"},
		{"MPL-2.0", "subject to the terms of the Mozilla Public License, v. 2.0"},
	}
)

// identify names the licences that a text is, or says that something is under.
func identify(text string) (ids []string) {
	text = strings.Join(strings.Fields(text), " ")
	for _, l := range licenses {
		if strings.Contains(text, l.words) {
			ids = append(ids, l.id)
		}
	}
	return ids
}

// modules finds what a binary is linked from: the module of its own, and the others by
// their paths. One without a licence that is known is an error.
func modules(source string, b binary) (own *module, linked []*module, err error) {
	out, err := output(gotool(source, b.platform, "list", "-deps", "-json=ImportPath,Dir,Standard,Imports,Module", "."))
	if err != nil {
		return nil, nil, err
	}
	root, err := output(gotool(source, b.platform, "env", "GOROOT"))
	if err != nil {
		return nil, nil, err
	}
	type described struct{ Path, Version, Dir, Sum string }
	of, seen := map[string]*module{}, map[string]*module{} // by package, by module
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var p struct {
			ImportPath, Dir string
			Imports         []string
			Module          *described
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, nil, err
		}
		if p.Module == nil {
			p.Module = &described{Path: "std", Version: b.golang, Dir: strings.TrimSpace(root)}
			p.Dir = p.Module.Dir
		}
		own = seen[p.Module.Path] // the program itself comes last
		if own == nil {
			own = &module{path: p.Module.Path, version: cmp.Or(p.Module.Version, b.version), sum: p.Module.Sum, texts: map[string]string{}}
			seen[own.path] = own
		}
		of[p.ImportPath] = own
		for _, name := range p.Imports {
			if n := of[name]; n != nil && n != own && !slices.Contains(own.needs, n) {
				own.needs = append(own.needs, n)
			}
		}
		if err := own.read(p.Dir, p.Module.Dir); err != nil {
			return nil, nil, err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(seen)) {
		m := seen[path]
		if len(m.licenses) == 0 {
			return nil, nil, fmt.Errorf("%s %s: no licence that is known in it", m.path, m.version)
		}
		if m != own {
			linked = append(linked, m)
		}
	}
	return own, linked, nil
}

// read takes the legal texts that hold for a package: those of its folder and of the
// ones above it, up to the module's.
func (m *module) read(dir, root string) error {
	for ; ; dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name, _ := filepath.Rel(root, filepath.Join(dir, e.Name()))
			if m.texts[name] != "" || !e.Type().IsRegular() || !legal.MatchString(e.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				return err
			}
			m.texts[name] = string(text)
			m.licenses = slices.Compact(slices.Sorted(slices.Values(append(m.licenses, identify(string(text))...))))
		}
		if dir == root {
			return nil
		}
	}
}

// notices is what the licences of others ask for: their texts, and where the source is.
func notices(linked []*module) []byte {
	var b bytes.Buffer
	b.WriteString("blnkctl holds code of others. What follows are their licences and notices. The source\nof a module is what `go mod download MODULE@VERSION` fetches.\n")
	for _, m := range linked {
		fmt.Fprintf(&b, "\n%s\n%s@%s: %s\n", strings.Repeat("=", 80), m.path, m.version, strings.Join(m.licenses, " AND "))
		for _, name := range slices.Sorted(maps.Keys(m.texts)) {
			fmt.Fprintf(&b, "\n--- %s\n\n%s\n", name, strings.TrimSpace(m.texts[name]))
		}
	}
	return b.Bytes()
}
