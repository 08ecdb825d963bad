package command_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/config"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/store/command"
)

// tools behave as the real ones, for the calls that the page shows and no
// others: $* is the whole command line. Each writes down what everybody on the
// host could see of it.
var tools = map[string]string{
	"my-manager": `
		"get blnk-key") cat value; echo ;;
		"set blnk-key") keep ;;
		"has blnk-key") test -e value ;;`,
	"gh": `
		"secret set BLNK_SECRET_KEY --repo acme/ledger") keep ;;`,
	"glab": `
		"variable get BLNK_SECRET_KEY --repo acme/ledger") cat value ;;
		"variable update BLNK_SECRET_KEY --repo acme/ledger --masked --protected") test -e value && keep ;;`,
	"aws": `
		"secretsmanager get-secret-value --secret-id blnk/secret-key --query SecretString --output text") cat value; echo ;;
		"secretsmanager put-secret-value --secret-id blnk/secret-key --secret-string file:///dev/stdin") cat "${6#file://}" >value; echo '{"VersionId": "1"}' ;;`,
	"gcloud": `
		"secrets versions access latest --secret=blnk-key") cat value ;;
		"secrets versions add blnk-key --data-file=-") keep; echo "Created version [2] of the secret [blnk-key]." >&2 ;;`,
	"az": `
		"keyvault secret show --vault-name acme --name blnk-key --query value --output tsv") cat value; echo ;;
		"keyvault secret set --vault-name acme --name blnk-key --file /dev/stdin --encoding utf-8 --output none") cat "$9" >value ;;`,
	"fly": `
		"secrets import --app blnk --stage") sed -n 's/^BLNK_SERVER_SECRET_KEY=//p' | tr -d '\n' >value ;;`,
	"op": `
		"read --no-newline op://Ops/blnk/password") cat value ;;
		"item get blnk --vault Ops --format json --reveal") jq -n --rawfile v value '{title: "blnk", fields: [{id: "notes", value: "n"}, {id: "password", value: $v}]}' ;;
		"item edit blnk --vault Ops") jq -j '.fields[] | select(.id == "password").value' >value.new; mv value.new value; cat value ;;`,
	"pass": `
		"show blnk/secret-key") cat value ;;
		"insert --multiline --force blnk/secret-key") echo "Enter contents of blnk/secret-key and press Ctrl+D when finished:"; keep ;;`,
}

const toolHead = `#!/bin/sh
cd "$FAKE" || exit 9
{ echo "$0 $*"; env; } >>seen
keep() { cat >value.new; mv value.new value; }
case "$*" in`

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// Every entry of the page works as it stands there: it is read as the
// configuration that it is, and run against tools that take nothing else.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/command-stores.md")
	if err != nil {
		t.Fatal(err)
	}
	done := 0
	for _, block := range yamlBlock.FindAllStringSubmatch(string(page), -1) {
		path := filepath.Join(t.TempDir(), "blnkctl.yaml")
		if err := os.WriteFile(path, []byte(block[1]), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range file.Commands {
			t.Run(name, func(t *testing.T) { tryEntry(t, name, command.Spec{Read: c.Read, Write: c.Write, Exists: c.Exists}) })
			done++
		}
	}
	if done != len(tools) {
		t.Errorf("%d entries on the page, %d tools", done, len(tools))
	}
}

func tryEntry(t *testing.T, name string, spec command.Spec) {
	if _, err := exec.LookPath("jq"); err != nil && name == "onepassword" {
		t.Skip("jq is not on this machine, and the entry uses it")
	}
	fake := t.TempDir()
	for tool, cases := range tools {
		script(t, fake, tool, toolHead+cases+"\n\t\t*) echo \"unknown: $*\" >&2; exit 2 ;;\nesac\n")
	}
	// Where pass would keep it, so that its exists command sees it.
	if err := os.MkdirAll(filepath.Join(fake, "blnk"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"value", "blnk/secret-key.gpg"} {
		if err := os.WriteFile(filepath.Join(fake, file), []byte(oldKey), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", fake+":"+os.Getenv("PATH"))
	t.Setenv("FAKE", fake)
	t.Setenv("PASSWORD_STORE_DIR", fake)
	ref := store.Ref{Scheme: command.Scheme, Place: name}
	if len(spec.Read) == 0 {
		if err := openCopy(t, name, spec).Write(t.Context(), secret.New(newKey)); err != nil {
			t.Fatal(err)
		}
	} else {
		s, err := command.Specs{name: spec}.Open(ref, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), secret.New(newKey), store.VersionOf(secret.New(oldKey))); err != nil {
			t.Fatal(err)
		}
	}
	if value, err := os.ReadFile(filepath.Join(fake, "value")); err != nil || string(value) != newKey {
		t.Errorf("the tool holds %d characters, %v; want the %d of the key", len(value), err, len(newKey))
	}
	seen, err := os.ReadFile(filepath.Join(fake, "seen"))
	if err != nil || strings.Contains(string(seen), oldKey) || strings.Contains(string(seen), newKey) {
		t.Errorf("a key stands in an argument or a variable: %v", err)
	}
}
