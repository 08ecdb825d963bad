package restart

import (
	"strings"
	"testing"
)

func TestRoleOf(t *testing.T) {
	for _, c := range []struct {
		command string
		want    Role
	}{
		{"blnk start", Role{Server: true}},
		{"/usr/local/bin/blnk --config /blnk.json start", Role{Server: true}},
		{"blnk workers", Role{Workers: true}},
		{"blnk workers --log /var/log/blnkctl", Role{Workers: true}},
		{"/bin/sh -c blnk migrate up && blnk start", Role{Server: true, Migrates: true}},
		{"/bin/sh -c blnk migrate up&&exec blnk start", Role{Server: true, Migrates: true}},
		{"sh -c (blnk workers &) ; blnk start", Role{Server: true, Workers: true}},
		{"tini -- blnk start", Role{Server: true}},
		{"sh -c sleep 5; blnk migrate up && blnk start", Role{Server: true, Migrates: true}},
		{"/wait-for db:5432 -- blnk start", Role{Server: true, Other: true}},
		{"blnkctl exec --store dotenv:.env -- blnk start", Role{Server: true, ExecStore: true}},
		{"blnkctl --state-dir /s exec --store dotenv:.env -- blnk start", Role{Server: true, ExecStore: true}},
		{"sh -c blnkctl verify && exec blnk workers", Role{Workers: true}},
		{"sh -c cd /opt/blnkctl && exec blnk workers", Role{Workers: true, Other: true}},
		{"sh -c cat /conf/blnk.json >blnk.json && blnk workers", Role{Workers: true, Other: true}},
		{"sh -c . /conf/env; exec blnk workers", Role{Workers: true, Other: true}},
		{"{ path=/usr/bin/blnk ; argv[]=/usr/bin/blnk start ; ignore_errors=no ; start_time=[n/a] }", Role{Server: true, Other: true}},
		{"{ path=/usr/bin/blnk ; argv[]=blnk workers ; ignore_errors=no ; start_time=[n/a] }", Role{Workers: true, Other: true}},
		{"blnk migrate up", Role{Migrates: true}},
		{"sh -c echo blnk; start", Role{Other: true}},
		{"postgres", Role{Other: true}},
		{"redis-server --name blnk-start", Role{Other: true}},
	} {
		if got := RoleOf(strings.Fields(c.command)...); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.command, got, c.want)
		}
	}
}
