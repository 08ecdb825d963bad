package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/leak"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
)

// GitRule is the ID of the rule that looks into git.
const GitRule = "BLNK-1.9"

// gitClean: no key stands in a git repository, now or once; with Staged, in what the
// next commit brings.
func gitClean(ctx context.Context, f *Facts, r *Result) {
	keys, unread := f.atHand(ctx)
	m := leak.New(keys...)
	var leaks []leak.Finding
	var err error
	if f.Staged {
		leaks, err = leak.Staged(ctx, m, f.Dir)
	} else {
		dirs := []string{f.Dir}
		for _, s := range f.Stores(ctx) {
			if s.Path != "" {
				dirs = append(dirs, filepath.Dir(s.Path))
			}
		}
		leaks, err = leak.History(ctx, m, dirs...)
		if errors.Is(err, leak.ErrNoRepository) {
			return
		}
		for _, name := range m.Weak() {
			err = errors.Join(err, fmt.Errorf("%s is too weak to be searched for: it may stand anywhere by chance", name))
		}
	}
	r.saw(true)
	verdict, askErr := f.alive(ctx, leaks)
	for _, l := range leaks {
		f.leaked(r, l, verdict(l.Key))
	}
	r.unsure(err, unread, askErr)
}

// leaked adds the finding for a key in a repository.
func (f *Facts) leaked(r *Result, l leak.Finding, alive proof.Verdict) {
	place, text := filepath.Join(l.Repository, l.Submodule, l.Path), "holds "+l.Name
	if fp := l.Key.Fingerprint(); fp != "" {
		place += "#" + fp // another key there is another finding
	}
	if l.Path == "" {
		text += " in " + l.Where()
	}
	if f.Staged {
		text += " in line " + strconv.Itoa(l.Line) + ", staged"
	} else if since := l.Since(); since != "" {
		text += ": " + since
	}
	given := false // away, and then made worthless
	if f.StateErr == nil && f.State != nil {
		given, _ = f.State.Compromised().Has(l.Key)
	}
	rotate := f.restarting()
	severity, more, remedy := r.Severity, "", "blnkctl rotate --compromised"+rotate
	found := fmt.Sprintf("%s %s, the first of %d", l.Kind, l.Object, l.Objects)
	if l.Kind == "file" { // which no clone and no push has
		severity, found = Warning, "a file of git's own, which no clone has: whoever can read this folder has the key"
		remedy = "take it out of " + place + ", and then: blnkctl rotate" + rotate
	}
	if l.Lost { // perhaps it was but staged
		severity, remedy = Warning, "git gc --prune=now; where others may have it: "+remedy
	}
	switch {
	case f.Staged:
		remedy = "take it out, and git add it again; git commit --no-verify passes this check"
	case alive == proof.Live || alive == proof.Scoped || alive == proof.Mixed:
		more = "; a server accepts it"
	case l.Name == previous:
		severity, more, remedy = Warning, "; a rollback would put it in force again", "blnkctl retire"+f.named()
	case alive == proof.Rejected:
		severity, more, remedy = Note, "; no server accepts it", dead
	case l.Own && given:
		severity, more, remedy = Note, "; it was replaced as compromised", dead
	case l.Own:
		severity, remedy = Warning, "blnkctl doctor --rule "+GitRule+" --verify-found"+f.again()
	case of(l, blnk.TokenizationSecret):
		remedy = "take it out; what is tokenized cannot be read with another one"
	case of(l, blnk.MetricsToken):
		remedy = "set another one, here and where metrics are collected"
	}
	one := r.add(place, text+more, remedy, found, "the key is "+l.Key.Name())
	if one.Severity = severity; l.Commit != "" {
		one.Evidence = append(one.Evidence, "commit "+l.Commit+" of "+screen.At(l.Date))
	}
}

// dead is the remedy for a key that opens nothing any more.
const dead = "none is needed, but where another server has this key; to see it no more: baseline in blnkctl.yaml"

// previous is the name of the key that a rollback would bring back.
const previous = "the previous key"

// of says whether what was found is such a secret.
func of(l leak.Finding, name blnk.Name) bool { return strings.HasPrefix(l.Name, string(name)+" of ") }

// atHand are the keys that can be known without asking a server; with Staged, without
// asking for processes either. The error says what could not be read: with Staged, of
// what is a file here.
func (f *Facts) atHand(ctx context.Context) (keys []leak.Known, err error) {
	for _, s := range f.Stores(ctx) {
		if !s.Key.IsZero() {
			keys = append(keys, leak.Known{Name: "the live key", Key: s.Key})
		}
	}
	for _, r := range f.Rotations {
		for _, key := range r.Keys {
			keys = append(keys, leak.Known{Name: "a key of the open rotation " + r.ID, Key: key})
		}
	}
	if stores := f.Stores(ctx); f.State != nil && len(stores) > 0 {
		kept, failed := f.State.Target(stores[0].Ref).LoadPrevious()
		if err = failed; !kept.IsZero() {
			keys = append(keys, leak.Known{Name: previous, Key: kept.Key})
		}
	}
	add := func(place string, e blnk.Effective) {
		for _, name := range []blnk.Name{blnk.SecretKey, blnk.TokenizationSecret, blnk.MetricsToken} {
			if v := e.Value(name); !v.Text.IsZero() {
				keys = append(keys, leak.Known{Name: string(name) + " of " + place, Key: v.Text})
			}
		}
	}
	for _, c := range f.Configurations(ctx) {
		add(c.Place, c.Effective)
		err = errors.Join(err, c.Err)
	}
	if !f.Staged {
		err = errors.Join(f.unread(ctx, len(keys)), err)
	}
	return keys, err
}

// alive asks the servers for the keys that were found, where that is wanted, and
// returns what they do with one; "" where it is no key of the API, so that their no
// would say nothing. Where a server does not say, it is proof.Unknown.
func (f *Facts) alive(ctx context.Context, leaks []leak.Finding) (func(secret.Key) proof.Verdict, error) {
	var q proof.Questions
	for _, l := range leaks {
		if f.VerifyFound && blnk.Sendable(l.Key) && !of(l, blnk.TokenizationSecret) && !of(l, blnk.MetricsToken) {
			q.Add(l.Key, l.Name)
		}
	}
	if len(q) == 0 {
		return func(secret.Key) proof.Verdict { return "" }, nil
	}
	t, err := f.Target(ctx)
	if len(t.Servers) == 0 {
		err = cmp.Or(err, errors.New("no server is known to ask whether a key is alive"))
	}
	says := proof.Verify(ctx, t.Servers, q, proof.Refused, proof.Agreeing).Servers
	for _, s := range says {
		if s.Error != "" {
			err = errors.Join(err, errors.New(s.Error))
		}
	}
	return func(key secret.Key) proof.Verdict {
		i := slices.IndexFunc(q, func(one proof.Question) bool { return one.Key.Equal(key) })
		if i < 0 {
			return ""
		}
		for _, verdict := range []proof.Verdict{proof.Live, proof.Scoped, proof.Mixed, proof.Unknown, proof.Rejected} { // the worst first
			if slices.ContainsFunc(says, func(s proof.ServerSays) bool { return s.Keys[i] == verdict }) {
				return verdict
			}
		}
		return proof.Unknown
	}, err
}
