package main_test

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxFunc is how long a function may be: a screen. A file is one thought, of
// whatever length.
const maxFunc = 60 // lines

// maxLines are limits for the lines of Go that ship: of a folder with all below
// it, "" for everything.
var maxLines = map[string]int{
	"":    38200,
	"cmd": 3200,
}

// rules are the conventions that a syntax tree shows. Each says what is wrong
// with a file.
var rules = []struct {
	name  string
	tests bool // also for _test.go files
	check func(*source) []string
}{
	{"length", false, checkLength},
	{"no init, no package state", false, checkState},
	{"documented", false, checkDocs},
	{"streams and exit", false, checkStreams},
	{"no sleep", true, checkSleep},
	{"held folders", false, checkHeld},
}

// A source is one Go file.
type source struct {
	path string // slash-separated, from the root
	fset *token.FileSet
	file *ast.File
}

func (s *source) at(n ast.Node, text string) string {
	return fmt.Sprintf("%s:%d: %s", s.path, s.fset.Position(n.Pos()).Line, text)
}

func (s *source) lines(n ast.Node) int {
	return s.fset.Position(n.End()).Line - s.fset.Position(n.Pos()).Line + 1
}

func parse(t *testing.T, path string, src any) *source {
	t.Helper()
	s := &source{path: path, fset: token.NewFileSet()}
	var err error
	if s.file, err = parser.ParseFile(s.fset, path, src, parser.ParseComments); err != nil {
		t.Fatal(err)
	}
	return s
}

// files walks the repository, past what git does not keep.
func files(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		if err == nil && d.IsDir() && path != "." && path != ".ci" && (strings.HasPrefix(name, ".") || name == "dist") {
			return filepath.SkipDir
		}
		if err == nil && d.Type().IsRegular() {
			visit(filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestHouseRules(t *testing.T) {
	files(t, func(path string) {
		if !strings.HasSuffix(path, ".go") || strings.Contains(path, "/testdata/") {
			return
		}
		s := parse(t, path, nil)
		for _, r := range rules {
			if strings.HasSuffix(path, "_test.go") && !r.tests {
				continue
			}
			for _, fault := range r.check(s) {
				t.Error(fault)
			}
		}
	})
}

// TestLines counts what ships, package by package: make lines shows the table.
func TestLines(t *testing.T) {
	perPackage := map[string]int{}
	files(t, func(path string) {
		dir := filepath.ToSlash(filepath.Dir(path))
		if dir == "." {
			dir = ""
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || within(dir, append([]string{"tools", "store/dotenv/oracle"}, support...)...) {
			return
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		perPackage[dir] += strings.Count(string(data), "\n")
	})
	table, total := "", 0
	for _, dir := range slices.Sorted(maps.Keys(perPackage)) {
		table += fmt.Sprintf("\n%6d  %s", perPackage[dir], cmp.Or(dir, "main"))
		total += perPackage[dir]
	}
	t.Logf("lines of Go that ship:%s\n%6d  in all", table, total)
	for dir, most := range maxLines {
		n := 0
		for name, lines := range perPackage {
			if dir == "" || within(name, dir) {
				n += lines
			}
		}
		if n > most {
			t.Errorf("%s: %d lines, more than %d", cmp.Or(dir, "in all"), n, most)
		}
	}
}

func checkLength(s *source) []string {
	var found []string
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && s.lines(f) > maxFunc {
			found = append(found, s.at(f, fmt.Sprintf("%s has %d lines, more than %d", f.Name.Name, s.lines(f), maxFunc)))
		}
	}
	return found
}

// checkState allows package variables that nothing writes to: errors, tables,
// functions, "_" that proves an interface.
func checkState(s *source) []string {
	var found []string
	vars := map[string]*ast.ValueSpec{}
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			found = append(found, s.at(f, "init function"))
		}
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if sel, ok := v.Type.(*ast.SelectorExpr); ok && sel.Sel.Name == "FS" {
				continue // embedded files cannot be written to
			}
			for _, name := range v.Names {
				vars[name.Name] = v
			}
			if v.Names[0].Name != "_" && !isTable(v) {
				found = append(found, s.at(v, v.Names[0].Name+" is a package variable, but neither an error nor a table"))
			}
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		for _, id := range written(n) {
			// An identifier without an object belongs to another file.
			if v, ok := vars[id.Name]; ok && id.Name != "_" && id.Obj != nil && id.Obj.Decl == v {
				found = append(found, s.at(id, id.Name+" is a package variable that is written to"))
			}
		}
		return true
	})
	return found
}

// isTable says whether a variable is made from what is as good as constant: a
// literal, or a call that makes an error, a pattern or a lookup table.
func isTable(v *ast.ValueSpec) bool {
	for _, value := range v.Values {
		switch x := value.(type) {
		case *ast.CompositeLit, *ast.FuncLit:
		case *ast.CallExpr:
			f, ok := x.Fun.(*ast.SelectorExpr)
			if !ok {
				return false
			}
			pkg, _ := f.X.(*ast.Ident)
			if pkg == nil || !map[string]bool{"errors": true, "hint": true, "fmt": true, "regexp": true, "crc32": true, "strings": true}[pkg.Name] {
				return false
			}
		default:
			return false
		}
	}
	return len(v.Values) > 0
}

// written returns the variables that a statement changes.
func written(n ast.Node) []*ast.Ident {
	var targets []ast.Expr
	switch x := n.(type) {
	case *ast.AssignStmt:
		targets = x.Lhs
	case *ast.IncDecStmt:
		targets = []ast.Expr{x.X}
	case *ast.CallExpr:
		if f, ok := x.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") && len(x.Args) > 0 {
			targets = x.Args[:1]
		}
	}
	var ids []*ast.Ident
	for _, e := range targets {
		for e != nil {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.Ident:
				ids, e = append(ids, x), nil
			default:
				e = nil
			}
		}
	}
	return ids
}

// known are methods whose contract stands at an interface of the standard
// library, or of package hint.
var known = []string{"Error", "Unwrap", "Is", "As", "String", "GoString", "Format", "LogValue", "MarshalJSON", "MarshalText", "Hint", "Write", "Read", "Close"}

// checkDocs wants a comment at every exported name of a package, but for
// fields. A method needs one where its type is exported and its name is not
// known.
func checkDocs(s *source) []string {
	if s.file.Name.Name == "main" {
		return nil
	}
	var found []string
	want := func(n ast.Node, name string, docs ...*ast.CommentGroup) {
		if !ast.IsExported(name) {
			return
		}
		for _, doc := range docs {
			if doc.Text() != "" {
				return
			}
		}
		found = append(found, s.at(n, name+" has no comment"))
	}
	for _, d := range s.file.Decls {
		switch x := d.(type) {
		case *ast.FuncDecl:
			if x.Recv == nil || ast.IsExported(receiver(x)) && !slices.Contains(known, x.Name.Name) {
				want(x, x.Name.Name, x.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range x.Specs {
				switch v := spec.(type) {
				case *ast.TypeSpec:
					want(v, v.Name.Name, x.Doc, v.Doc, v.Comment)
				case *ast.ValueSpec:
					for _, name := range v.Names {
						want(v, name.Name, x.Doc, v.Doc, v.Comment)
					}
				}
			}
		}
	}
	return found
}

func receiver(f *ast.FuncDecl) string {
	e := f.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// checkStreams: streams come from cmd's Env, and only main exits.
func checkStreams(s *source) []string {
	dir := filepath.ToSlash(filepath.Dir(s.path))
	if s.file.Name.Name == "main" || within(dir, append([]string{"cmd"}, support...)...) {
		return nil
	}
	return uses(s, map[string]bool{
		"os.Exit": true, "os.Stdout": true, "os.Stderr": true, "os.Stdin": true,
		"fmt.Print": true, "fmt.Println": true, "fmt.Printf": true, "log.Fatal": true,
	})
}

// checkSleep: a test waits for what happens, not for a time to pass.
func checkSleep(s *source) []string {
	if !strings.HasSuffix(s.path, "_test.go") {
		return nil
	}
	return uses(s, map[string]bool{"time.Sleep": true})
}

// checkHeld: who holds a folder open reaches into it by that, and by no path: whoever owns
// a folder above it may have put another one in its place since.
func checkHeld(s *source) []string {
	byPath := map[string]bool{}
	for _, name := range strings.Fields("Chmod Chown Chtimes Create Lchown Link Lstat Mkdir MkdirAll Open OpenFile ReadDir ReadFile Readlink Remove RemoveAll Rename Stat Symlink Truncate WriteFile") {
		byPath["os."+name] = true
	}
	byPath["atomicfile.Replace"], byPath["atomicfile.SyncDir"] = true, true
	var found []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		f, ok := n.(*ast.FuncDecl)
		if !ok || f.Body == nil {
			return true
		}
		held := token.Pos(-1)
		ast.Inspect(f, func(n ast.Node) bool {
			var name string
			switch x := n.(type) {
			case *ast.CallExpr:
				if sel, ok := x.Fun.(*ast.SelectorExpr); ok {
					name = sel.Sel.Name
				}
			case *ast.Field: // a parameter
				if star, ok := x.Type.(*ast.StarExpr); ok {
					if sel, ok := star.X.(*ast.SelectorExpr); ok && sel.Sel.Name == "Dir" {
						name = fmt.Sprint(sel.X) + "Dir"
					}
				}
			}
			if held < 0 && slices.Contains([]string{"OpenDir", "OpenRealDir", "OpenRoot", "atomicfileDir"}, name) {
				held = n.End()
			}
			return true
		})
		for _, fault := range usesFrom(s, f, held, byPath) {
			found = append(found, fault+", though it holds a folder open")
		}
		return false
	})
	return found
}

func uses(s *source, names map[string]bool) []string { return usesFrom(s, s.file, 0, names) }

// usesFrom is uses in a part of the file, behind a position; -1 for no part of it.
func usesFrom(s *source, in ast.Node, from token.Pos, names map[string]bool) []string {
	var found []string
	ast.Inspect(in, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && from >= 0 && sel.Pos() >= from {
			if x, ok := sel.X.(*ast.Ident); ok && x.Obj == nil && names[x.Name+"."+sel.Sel.Name] {
				found = append(found, s.at(sel, "uses "+x.Name+"."+sel.Sel.Name))
			}
		}
		return true
	})
	return found
}

// A rule that cannot fail is none: each file here breaks rules so often.
func TestHouseRulesAreChecked(t *testing.T) {
	long := strings.Repeat("\n", maxFunc)
	for _, c := range []struct {
		rule, path, src string
		want            int
	}{
		{"length", "a.go", "package a\nfunc f() {" + long + "}\n", 1},
		{"length", "a.go", "package a\n" + strings.Repeat("\n", 1000) + "func f() {}\n", 0},
		{"no init, no package state", "a.go", "package a\nvar n int\nvar m = g()\nfunc init() {}\n", 3},
		{"no init, no package state", "a.go", "package a\nvar t = map[string]int{}\nfunc f() { t[\"x\"]++; t = nil; delete(t, \"x\") }\n", 3},
		{"no init, no package state", "a.go", "package a\nvar e = errors.New(\"e\")\nvar _ I = (*T)(nil)\nfunc f() { e := 1; e = 2 }\n", 0},
		{"documented", "a.go", "package a\ntype T struct{}\nfunc (*T) M() {}\nfunc (t) N() {}\nfunc F() {}\nconst C = 1\n", 4},
		{"documented", "a.go", "package a\n// T is one.\ntype T struct{}\nfunc (T) String() {}\nfunc String() {}\n", 1},
		{"documented", "a.go", "package a\n// The codes.\nconst (\nA = 1\nB = 2\n)\n", 0},
		{"streams and exit", "store/a.go", "package store\nfunc f() { os.Exit(1); fmt.Println(os.Stdout) }\n", 3},
		{"streams and exit", "cmd/a.go", "package cmd\nfunc f() { fmt.Println() }\n", 0},
		{"no sleep", "a_test.go", "package a\nfunc f() { time.Sleep(1) }\n", 1},
		{"held folders", "a.go", "package a\nfunc f() { os.Stat(p); atomicfile.OpenDir(p); os.Remove(p); os.Remove(q) }\n", 2},
		{"held folders", "a.go", "package a\nfunc f(d *atomicfile.Dir) { os.Remove(p) }\nfunc g() { os.Remove(p) }\n", 1},
	} {
		for _, r := range rules {
			if r.name == c.rule {
				if got := r.check(parse(t, c.path, c.src)); len(got) != c.want {
					t.Errorf("%s: %q, want %d faults in\n%s", c.rule, got, c.want, c.src)
				}
			}
		}
	}
}

// badWords would show that something was left for later. They are written
// here in a way that does not find itself.
var badWords = regexp.MustCompile(`(?i)\b(to` + `do|fix` + `me|x` + `xx|not ` + `implemented|for ` + `now)\b`)

// badNames hold everything and mean nothing.
var badNames = regexp.MustCompile(`^(util|utils|common|helper|helpers|manager|misc|base)(_test)?(\.go)?$`)

// wordLists hold what people write in place of a key.
var wordLists = []string{"keygen/placeholder.go", "keygen/check_test.go"}

func TestWords(t *testing.T) {
	files(t, func(path string) {
		for part := range strings.SplitSeq(path, "/") {
			if badNames.MatchString(part) {
				t.Errorf("%s: a name that says nothing", path)
			}
		}
		data, err := os.ReadFile(path)
		if err != nil || path == "LICENSE" || slices.Contains(wordLists, path) || strings.HasSuffix(path, ".sum") || strings.Contains(string(data), "\x00") {
			return // binary, or not ours
		}
		n := 0
		for line := range strings.Lines(string(data)) {
			n++
			if word := badWords.FindString(line); word != "" {
				t.Errorf("%s:%d: %q", path, n, word)
			}
		}
	})
	if !badWords.MatchString("// To"+"do: more") || badWords.MatchString("today, for nowhere") || !badNames.MatchString("utils.go") {
		t.Error("the patterns do not find what they should")
	}
}
