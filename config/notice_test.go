package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/blnkctl/blnkctl/internal/hint"
)

func TestNotices(t *testing.T) {
	f, err := Load(write(t, `stores: [a]
notify:
  - slack:file:/run/hook
  - to: webhook:env:HOOK?ca-cert=ca.pem&proxy=http://proxy:3128
    on: [failure, stuck]
  - {to: command:mail, on: overdue}
targets:
  quiet: {stores: [b], notify: []}
  loud: {stores: [c], notify: command:mail}
  same: {stores: [d]}
commands:
  mail: {run: ./mail}
`))
	want := []Notice{{To: "slack:file:/run/hook"}, {"webhook:env:HOOK?ca-cert=ca.pem&proxy=http://proxy:3128", []string{"failure", "stuck"}}, {"command:mail", []string{"overdue"}}}
	if err != nil || !reflect.DeepEqual(f.Notify, want) || !reflect.DeepEqual(f.Targets["same"].Notify, want) {
		t.Fatalf("%+v, %v", f.Notify, err)
	}
	if q, l := f.Targets["quiet"].Notify, f.Targets["loud"].Notify; len(q) != 0 || len(l) != 1 || l[0].To != "command:mail" {
		t.Errorf("%+v, %+v", q, l)
	}
	r, err := want[1].Receiver()
	if err != nil || r != (Receiver{"webhook", "env", "HOOK", "ca.pem", "http://proxy:3128"}) {
		t.Errorf("%+v, %v", r, err)
	}
}

// An address that stands in the file is refused with what helps, and never repeated.
func TestNoticesRefused(t *testing.T) {
	const token = "T0123/B4567/aVeryPrivateToken"
	for text, want := range map[string]string{
		"https://hooks.example/" + token:                     "line 1: notify: a URL stands in it",
		"slack:https://hooks.example/" + token:               "line 1: notify: a URL stands in it",
		"webhook://hooks.example/" + token:                   "line 1: notify: a URL stands in it",
		"webhook:file:https://hooks.example/" + token:        "line 1: notify: a URL stands in it",
		"{to: 'https://hooks.example/" + token + "'}":        "line 1: to: a URL stands in it",
		"hooks.example/" + token:                             "line 1: notify: want webhook:file:PATH",
		"webhook:hooks.example/" + token:                     "line 1: notify: want webhook:file:PATH",
		"slack:env:hooks.example/" + token:                   "line 1: notify: what stands behind env: is not the name of a variable",
		"slack:env:HOOK#" + token:                            "line 1: notify: want webhook:file:PATH",
		"slack:env:HOOK?token=" + token:                      `line 1: notify: unknown option "token" (known: ca-cert, proxy)`,
		"slack:env:HOOK?proxy=http://me:" + token + "@p":     "line 1: notify: proxy: a user name or password in a URL is not supported",
		"'slack:file:'":                                      "line 1: notify: want webhook:file:PATH",
		"slack:file:~/hook":                                  "line 1: notify: the shell did not replace",
		"slac:env:HOOK":                                      `line 1: notify: unknown scheme "slac": want webhook:file:PATH`,
		"mail:ops@example.com":                               "line 1: notify: want webhook:file:PATH",
		"'command:'":                                         "line 1: notify: want webhook:file:PATH",
		"[slack:env:A, slack:env:A]":                         "line 1: notify: slack:env:A is given twice",
		"command:mail":                                       `notify: command:mail: there is no such command, or it has no "run"`,
		"{on: failure}":                                      "line 1: notify: want to",
		"{to: slack:env:A, on: []}":                          "line 1: on: names nothing",
		"{to: slack:env:A, on: [failur]}":                    `line 1: on: unknown kind "failur" (did you mean "failure"?)`,
		"{to: slack:env:A, on: [success, down]}":             `line 1: on: unknown kind "down" (known: success, failure, stuck, overdue, findings, recovered, test)`,
		"{to: slack:env:A, on: ['https://h/" + token + "']}": "line 1: on: unknown kind (known: ",
		"{slack: https://h/" + token + "}":                   `line 1: unknown name "slack" (known: on, to)`,
		"{'https://h/" + token + "': a}":                     "line 1: unknown name (known: on, to)",
		"{to: slack:env:A, when: failure}":                   `line 1: unknown name "when" (known: on, to)`,
	} {
		_, err := Load(write(t, "notify: "+text+"\n"))
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error()+hint.Of(err), "T0123") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
		if strings.Contains(want, "a URL stands") && !strings.Contains(hint.Of(err), "webhook:file:PATH") {
			t.Errorf("%s: hint %q", text, hint.Of(err))
		}
	}
}
