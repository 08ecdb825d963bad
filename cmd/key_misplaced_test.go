package cmd

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/blnkctl/blnkctl/keygen"
)

// misplaced are texts with a key where none belongs.
func misplaced(key string) []string {
	return []string{
		key, "blnkjson:" + key, "blnkjson:./" + key + "/blnk.json", "blnkjson:./blnk.json#" + key, "./" + key,
		"dotenv:.env#" + key, "vault:secret/" + key, "vault:secret/blnk?token=" + key, "vault:secret/blnk?" + key, "command:" + key, key + ":x", "x:" + key,
		"sh:curl -H 'X-Blnk-Key: " + key + "' http://127.0.0.1:1", "systemd:" + key, "docker:" + key, "compose:./x.yaml#" + key, "wait:" + key,
		"http://127.0.0.1:1/?k=" + key, "http://" + key + "@127.0.0.1:1", "http://127.0.0.1:1/" + key, "http://" + key + ":1",
		base64.StdEncoding.EncodeToString([]byte("key: " + key)), hex.EncodeToString([]byte(key)),
	}
}

// A key in a wrong place is refused, and stands in nothing that blnkctl prints or
// keeps: each flag of each command, each variable, each argument, blnkctl.yaml.
func TestMisplacedKeys(t *testing.T) {
	t.Parallel()
	made, err := keygen.ForUse(keygen.SecretKey, keygen.Prefixed, keygen.DefaultBits)
	if err != nil {
		t.Fatal(err)
	}
	key := made.Reveal()
	_, root := testApp(t)
	walkCommands(root, func(c *cobra.Command) {
		if c.HasSubCommands() || !c.Runnable() { // or a topic of help
			return
		}
		args := strings.Fields(c.CommandPath())[1:]
		c.InitDefaultHelpFlag()
		for i, text := range misplaced(key) {
			t.Run(strings.Join(args, "_"), func(t *testing.T) {
				dir := wrongPlaces(t)
				c.Flags().VisitAll(func(f *pflag.Flag) {
					if f.Name == "help" || f.Value.Type() == "bool" && i > 0 {
						return
					}
					refusesKey(t, dir, key, text, nil, append(args, "--"+f.Name+"="+text)...)
					if i%5 > 0 && f.Name != "store" && f.Name != "restart" {
						return // the way of a value is the same for all flags
					}
					refusesKey(t, dir, key, text, nil, append(args, "--"+f.Name, text)...)
					if _, action := f.Annotations[actionMark]; !action && f.Value.Type() != "bool" {
						refusesKey(t, dir, key, text, []string{variable(f.Name) + "=" + text}, args...)
					}
				})
				if c.Name() != "exec" {
					refusesKey(t, dir, key, text, nil, append(args, text)...)
				}
				refusesKey(t, dir, key, text, nil, append(args, "--"+text)...)
			})
		}
	})
	dir := wrongPlaces(t)
	for _, text := range misplaced(key) {
		for _, line := range []string{"stores: %q", "restart: [%q]", "servers: %q", "state_dir: %q", "commands: {x: {read: [cat, %q], write: [tee]}}", "# %s", "%q: 1"} {
			file := filepath.Join(t.TempDir(), "blnkctl.yaml")
			if err := os.WriteFile(file, fmt.Appendf(nil, "\n"+line+"\n", text), 0o600); err != nil {
				t.Fatal(err)
			}
			refusesKey(t, dir, key, line, nil, "config", "show", "--config", file)
			refusesKey(t, dir, key, line, nil, "rotate", "--dry-run", "--config", file)
		}
	}
}

// wrongPlaces is a folder for commands that must all fail and leave nothing there.
func wrongPlaces(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "blnk.json"), []byte(`{"server":{"port":"1","secret_key":"x"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// refusesKey runs a command that must fail, and looks everywhere for the key.
func refusesKey(t *testing.T, dir, key, text string, environ []string, args ...string) {
	t.Helper()
	env, stdout, stderr := testEnvIn(dir, environ...)
	env.AllowCoreDumps = func() {}
	code := Run(context.Background(), env, args)
	if code != exitUsage && (args[0] != "exec" || code < 125) { // exec may take it for the command
		t.Errorf("%s: exit status %d: %s", strings.ReplaceAll(strings.Join(args, " "), key, "KEY"), code, strings.ReplaceAll(stderr.String(), key, "KEY"))
	}
	all := stdout.String() + stderr.String()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		all += path
		if err == nil && d.Type().IsRegular() {
			data, _ := os.ReadFile(path)
			all += string(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, shape := range []string{key, text} {
		if len(shape) >= len(key) && strings.Contains(all, shape) {
			t.Errorf("%s: the key is in %s", strings.ReplaceAll(strings.Join(args, " "), key, "KEY"), strings.ReplaceAll(all, key, "KEY"))
		}
	}
}
