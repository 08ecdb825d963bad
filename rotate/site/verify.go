package site

import (
	"context"

	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/target"
)

// Verify is proof.Verify of a target. Why a server refuses the key of a blnk.json is
// looked for on this host.
func Verify(ctx context.Context, t *target.Target, questions proof.Questions, expect string) proof.Result {
	r := proof.Verify(ctx, t.Servers, questions, expect)
	for i, server := range Probes(t.Servers) {
		if len(t.Set) > 0 && expect == proof.Accepted && r.Servers[i].Keys[0] == proof.Rejected {
			faults, help := (reach.Look{Set: t.Set}).Refused(ctx, server)
			r.Faults = append(r.Faults, faults...)
			if help != "" {
				r.Help = help
			}
		}
	}
	return r
}
