package site

import (
	"cmp"
	"context"
	"fmt"

	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/probe"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store/blnkjson"
	"github.com/blnkctl/blnkctl/target"
)

// Verify is proof.Verify of a target. Why a server refuses the key of a blnk.json is
// looked for on this host: a variable that wins over it, another file, or no restart.
func Verify(ctx context.Context, t *target.Target, questions proof.Questions, expect string) proof.Result {
	r := proof.Verify(ctx, t.Servers, questions, expect, proof.Agreeing)
	for i, server := range Probes(t.Servers) {
		if len(t.Set) == 0 || expect != proof.Accepted || r.Servers[i].Keys[0] != proof.Rejected {
			continue
		}
		if _, ok := t.Set[0].(*blnkjson.Store); ok {
			r.Help = "a server reads its key once, at its start: was it restarted since the key was changed?"
		}
		keys := func() []secret.Key { return []secret.Key{questions[0].Key} }
		if why := (reach.Look{Set: t.Set, Servers: []*probe.Server{server}, Keys: keys}).Why(ctx); why != nil {
			r.Faults, r.Help = append(r.Faults, fmt.Sprintf("%s: %v", server, why)), cmp.Or(hint.Of(why), r.Help)
		}
	}
	return r
}
