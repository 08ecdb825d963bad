// Package gitleaks_test holds contrib/gitleaks.toml against gitleaks itself.
package gitleaks_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// key makes a key of blnkctl's form with so many random characters.
func key(random int) string {
	text := "blnk_sk_"
	for range random {
		b := make([]byte, 1)
		for b[0] = 255; b[0] >= 248; { // 248 is the last multiple of 62
			_, _ = rand.Read(b)
		}
		text += base62[b[0]%62 : b[0]%62+1]
	}
	sum, digits := crc32.ChecksumIEEE([]byte(text)), ""
	for range 6 {
		digits = base62[sum%62:sum%62+1] + digits
		sum /= 62
	}
	return text + digits
}

// TestRule: where keys are leaked to, 10 of 10; and what only looks like one.
func TestRule(t *testing.T) {
	leaks := map[string]string{
		"blnk.json":      `{"server": {"secure": true, "secret_key": "KEY"}}`,
		".env":           "BLNK_SERVER_SECRET_KEY=KEY\n",
		"compose.yaml":   "services:\n  server:\n    environment:\n      - BLNK_SERVER_SECRET_KEY=KEY\n",
		"Dockerfile":     "FROM jerryenebeli/blnk\nENV BLNK_SERVER_SECRET_KEY=\"KEY\"\n",
		"secret.yaml":    "kind: Secret\nstringData:\n  secret_key: KEY\n",
		"ci.yml":         "steps:\n  - run: curl -H 'X-Blnk-Key: KEY' http://blnk:5001/ledgers\n",
		"history":        ": 1700000000:0;curl -H X-Blnk-Key:KEY localhost:5001\n",
		"main.tf":        "variable \"blnk\" { default = \"KEY\" }\n",
		"client.py":      "headers = {'X-Blnk-Key': 'KEY'}\n",
		"notes.md":       "The key is KEY, do not tell anybody.\n",
		"spared/hashes":  strings.Repeat("5f4dcc3b5aa765d61d8327deb882cf99c56a418065aa42eca9455fd21dec0538 ", 3),
		"spared/example": "blnk_sk_ blnk_sk_your_key_here blnk_sk_0123456789abcdef blnk_sk_" + strings.Repeat("x", 49) + "\n",
	}
	for _, random := range []int{22, 43, 172} { // 128, 256 and 1024 bits
		dir := t.TempDir()
		for name, text := range leaks {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "KEY", key(random))), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		report := filepath.Join(t.TempDir(), "report.json")
		out, err := exec.Command("go", "tool", "gitleaks", "dir", "--no-banner", "--config", "../../contrib/gitleaks.toml",
			"--exit-code", "0", "--report-format", "json", "--report-path", report, dir).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		data, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		var findings []struct{ RuleID, File, Secret string }
		if err := json.Unmarshal(data, &findings); err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, f := range findings {
			if f.RuleID == "blnkctl-key" {
				name, _ := filepath.Rel(dir, f.File)
				found = append(found, name)
				if len(f.Secret) != random+14 {
					t.Errorf("%s: %d characters of %d", name, len(f.Secret), random+14)
				}
			}
		}
		slices.Sort(found)
		found = slices.Compact(found) // it decodes a text, and finds the same again
		if len(found) != 10 || slices.ContainsFunc(found, func(name string) bool { return strings.HasPrefix(name, "spared") }) {
			t.Errorf("%d random characters: found in %s", random, fmt.Sprint(found))
		}
	}
}
