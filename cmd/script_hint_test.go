package cmd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/blnkctl/blnkctl/internal/hint"
)

// cmdHint types what a hint says:
//
//	hint CODE REGEXP [WORD...]  what the group of the regexp finds in the last stderr
//	                            (or in that of the last program that ended with a
//	                            hint, by "exits") goes to a shell, behind the words,
//	                            and must end with this code;
//	                            a word OLD=>NEW puts something into a place that the
//	                            hint leaves open
func cmdHint(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, !neg && len(args) > 1, "hint CODE REGEXP [WORD...]")
	said, like := ts.ReadFile("stderr"), regexp.MustCompile("(?m)"+args[1])
	if !like.MatchString(said) {
		said = ts.Getenv("HINTED")
	}
	found := like.FindStringSubmatch(said)
	if len(found) < 2 {
		ts.Fatalf("no hint like %s in\n%s\n%s", args[1], ts.ReadFile("stderr"), said)
	}
	ts.Setenv("HINTED", said)
	var words []string
	command := found[1]
	for _, word := range args[2:] {
		if old, put, ok := strings.Cut(word, "=>"); ok {
			command = strings.ReplaceAll(command, old, put)
		} else {
			words = append(words, word)
		}
	}
	if len(words) > 0 {
		command = hint.Command(words...) + " " + command
	}
	ts.Logf("$ %s", command)
	cmdExits(ts, false, []string{args[0], "sh", "-c", command})
}

// hintsOf are the files with the hints of the drivers, of what a process has its key
// from, and of a rotation that needs a person.
var hintsOf = []string{"restart/docker/*.go", "restart/compose/*.go", "restart/systemd/*.go", "reach/*.go", "rotate/advice.go", "rotate/open.go", "rotate/previous.go", "rotate/retire.go", "status/*.go"}

// untyped are texts with a command that no script types, and why.
var untyped = map[string]string{
	"cd to the folder that Blnk runs in; where only its environment configures it: --store dotenv:./.env": "it takes a server of which no file here has the key",
	"put it back; or name the others: --restart %s":                                                       "each Compose that was met refuses a service that is gone by itself",
}

// TestHintsAreTyped: each text of those files that has a command in it is typed by a
// script, as it is printed (cmdHint). The words before its first verb, or after its
// last one, tell which.
func TestHintsAreTyped(t *testing.T) {
	t.Parallel()
	typed := ""
	err := filepath.WalkDir("testdata", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			if line = regexp.MustCompile(`^(\[\S+\] )*`).ReplaceAllString(line, ""); strings.HasPrefix(line, "hint ") {
				typed += strings.NewReplacer(`\`, "", "''", "'", "(", "", ")", "").Replace(line)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(blnkctl (rotate|sync|verify|keygen)|docker (start|logs|ps|info|context|pull|unpause|compose)|systemctl [a-z]|--(restart|store|server-down|abandon|from|lock-timeout)\b|: %s)`)
	for _, pattern := range hintsOf {
		files, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil || len(files) == 0 {
			t.Fatal(pattern, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, text := range hintTexts(t, file) {
				if !command.MatchString(text) {
					continue
				}
				tried := false
				for part := range strings.SplitSeq(text, "%s") {
					part = strings.NewReplacer("(", "", ")", "").Replace(strings.TrimSpace(part))
					tried = tried || len(part) > 6 && strings.Contains(typed, part)
				}
				if _, known := untyped[text]; !tried && !known {
					t.Errorf("%s: no script types %q", file, text)
				}
			}
		}
	}
}

// hintTexts are the texts of a file that become hints: arguments of hint.Add behind
// the error, and what is assigned to a variable of that name.
func hintTexts(t *testing.T, file string) (texts []string) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	take := func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				texts = append(texts, text)
			}
			return true
		})
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Add" && len(n.Args) > 1 {
				take(n.Args[1])
			}
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				name := ""
				switch left := left.(type) {
				case *ast.Ident:
					name = left.Name
				case *ast.SelectorExpr:
					name = left.Sel.Name
				}
				if i < len(n.Rhs) && (name == "help" || name == "Help" || name == "Advice" || name == "instead" || name == "down") {
					take(n.Rhs[i])
				}
			}
		case *ast.FuncDecl:
			if n.Name.Name == "Ways" || n.Name.Name == "Instead" || n.Name.Name == "setInFile" {
				take(n)
			}
		}
		return true
	})
	return texts
}
