package restart

import (
	"strings"
	"testing"
)

// What Compose 1.29, 2.20 and 2.40 say of files that they cannot read.
func TestUnquoted(t *testing.T) {
	for line, want := range map[string]string{
		"yaml: line 12: did not find expected key":                                            "yaml: line 12: did not find expected key",
		"failed to read /x/.env: line 2: key cannot contain a space":                          "failed to read /x/.env: line 2: key cannot contain a space",
		`failed to read /x/.env: line 3: unterminated quoted value "topsecret`:                "failed to read /x/.env: line 3: unterminated quoted value [redacted]",
		`unexpected character "+" in variable name near "A+B=\"topsecret\nC=topsecret"`:       "unexpected character [redacted] in variable name near [redacted]",
		"cannot unmarshal !!str `topsec...` into map":                                         "cannot unmarshal !!str [redacted] into map",
		`Invalid interpolation format for "environment" option in service "a": "topsecret$5"`: "Invalid interpolation format for [redacted] option in service [redacted]: [redacted]",
		`services.a.environment contains {'A': b'topsecret'}, which isn't a mapping`:          "services.a.environment contains {[redacted]: b[redacted]}, which isn't a mapping",
		"couldn't find env file: /x/.env":                                                     "couldn't find env file: /x/.env",
		`half a "topsecret\`:                                                                  "half a [redacted]",
	} {
		if got := unquoted(line); got != want || strings.Contains(got, "topsec") {
			t.Errorf("%s\nis shown as %s\nwant          %s", line, got, want)
		}
	}
}
