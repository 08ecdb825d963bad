package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/screen"
	"github.com/blnkctl/blnkctl/keygen"
	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/reach"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// secureMode: what each configuration says of it.
func secureMode(ctx context.Context, f *Facts, r *Result) {
	f.eachConfig(ctx, r, settings{blnk.Secure}, func(c Running) {
		text, remedy := "server.secure is not true: every request passes, without a key", "blnkctl init"+f.named()
		v := c.Effective.Value(blnk.Secure)
		if v.Shadowed() {
			text, remedy = v.Source+" turns secure mode off: every request passes, without a key", takeOut(c, v.Source)
		}
		if !c.Effective.Secure() {
			r.addOf(c, v, text, remedy)
		}
	})
}

// settings are the names of those that a rule is about; none is the environment.
type settings []blnk.Name

// eachConfig asks of every configuration of which the settings are known. It is unsure
// about those of which they are not, and about what may be there and is not seen.
func (f *Facts) eachConfig(ctx context.Context, r *Result, about settings, ask func(Running)) {
	all := f.Configurations(ctx)
	_, unseen := f.View(ctx)
	r.unsure(unseen)
	for _, c := range all {
		unknown := func(name blnk.Name) bool { return c.Path == "" && !c.Effective.Value(name).Shadowed() }
		switch {
		case c.Err != nil && strings.Contains(c.Err.Error(), c.Place):
			r.unsure(c.Err)
		case c.Err != nil:
			r.unsure(fmt.Errorf("%s: %w", c.Place, c.Err))
		case c.Effective == nil:
			r.unsure(fmt.Errorf("the environment of %s may not be read by this user", c.Place))
		case slices.ContainsFunc(about, unknown):
			r.unsure(fmt.Errorf("which blnk.json %s reads is not known", c.Place))
		default:
			r.saw(true)
			ask(c)
		}
	}
	if len(all) == 0 && unseen == nil {
		r.unsure(errors.New("no configuration of a Blnk is seen"))
	}
}

// of is the place of a setting: the file where that decides, else who has the variable.
func (c Running) of(v blnk.Value) string {
	if v.Shadowed() {
		return c.Place
	}
	return cmp.Or(c.Path, c.Place)
}

// addOf is add for a setting.
func (r *Result) addOf(c Running, v blnk.Value, text, remedy string) *Finding {
	return r.add(c.of(v), text, remedy, "read from "+v.Source)
}

// randomRefused: what the servers do, whatever a configuration says.
func randomRefused(ctx context.Context, f *Facts, r *Result) {
	live, err := f.Live(ctx)
	r.unsure(err)
	for _, s := range live.Servers {
		if r.saw(true); s.RandomRefused == nil {
			r.unsure(unsaid(s))
		} else if !*s.RandomRefused {
			r.add(s.URL, "a random key is let in: the ledger is open to anybody who reaches it",
				"blnkctl init"+f.named(), strconv.Itoa(s.Connections)+" connections")
		}
	}
}

// unsaid is the error of a server that gives no verdict.
func unsaid(s proof.ServerSays) error {
	return errors.New(cmp.Or(s.Error, s.URL+" answers the same question in different ways"))
}

// keyThere: a store without a key, or one that cannot be read.
func keyThere(ctx context.Context, f *Facts, r *Result) {
	stores := f.Stores(ctx)
	for _, s := range stores {
		if r.saw(true); s.Err != nil {
			r.unsure(s.Err)
		} else if s.Key.IsZero() {
			r.add(s.Ref, "holds no key", "blnkctl init"+f.named())
		}
	}
	if len(stores) == 0 {
		r.unsure(errors.New("no store is named, and there is no blnk.json here: name it with --store"))
	}
}

// A held key is one that is in use. The place is a store, or a process that has it
// from somewhere else.
type held struct {
	place, from string
	store       bool
	key         secret.Key
}

// held are the keys of the stores, and those of processes that are none of them.
func (f *Facts) held(ctx context.Context) (all []held) {
	for _, s := range f.Stores(ctx) {
		if !s.Key.IsZero() {
			all = append(all, held{s.Ref, s.Ref, true, s.Key})
		}
	}
	for _, c := range f.Configurations(ctx) {
		v := c.Effective.Value(blnk.SecretKey)
		if v.Text.IsZero() || inUse(all, v.Text) {
			continue
		}
		all = append(all, held{c.Place, v.Source, false, v.Text})
	}
	return all
}

func inUse(all []held, key secret.Key) bool {
	return slices.ContainsFunc(all, func(h held) bool { return h.key.Equal(key) })
}

// replace adds the finding of a key that is to be replaced.
func (f *Facts) replace(r *Result, h held, text string) {
	if h.store {
		r.add(h.place, text, "blnkctl rotate"+f.restarting())
	} else {
		r.add(h.place, text, "name the place that gives it the key, too: blnkctl rotate"+f.restarting()+" --store REF", "it has it from "+h.from)
	}
}

// keyIs makes the rule that no key in use has one of these flaws.
func keyIs(flaws ...keygen.Flaw) check {
	return func(ctx context.Context, f *Facts, r *Result) {
		for _, h := range f.judged(ctx, r) {
			if flaw, why := keygen.SecretKey.Judge(h.key); slices.Contains(flaws, flaw) {
				f.replace(r, h, "the key "+why)
			}
		}
	}
}

// judged are the keys that a rule about keys is about.
func (f *Facts) judged(ctx context.Context, r *Result) []held {
	all := f.held(ctx)
	f.subject(ctx, r, len(all))
	return all
}

// subject says that a rule is about so many keys, and is unsure about stores that cannot
// be read.
func (f *Facts) subject(ctx context.Context, r *Result, n int) {
	r.saw(n > 0)
	for _, s := range f.Stores(ctx) {
		r.unsure(s.Err)
	}
}

// keyWhole: a key that was changed on its way from one place to another.
func keyWhole(ctx context.Context, f *Facts, r *Result) {
	all := f.judged(ctx, r)
	for _, h := range all {
		flaw, why := keygen.SecretKey.Judge(h.key)
		value := h.key.Reveal()
		what := ""
		switch quote := value[:1]; {
		case flaw == keygen.Broken:
			what = "the key " + why
		case len(value) > 2 && strings.Contains("\"'`", quote) && strings.HasSuffix(value, quote):
			what = "the key has quotes around it, as docker run --env-file keeps them"
		}
		for _, o := range all {
			whole := o.key.Reveal()
			with, keeps := reach.Around(h.key, o.key)
			switch {
			case what != "" || o.key.Equal(h.key):
			case with != "":
				what = "the key is that of " + o.place + ", with " + with + " (" + keeps + ")"
			case len(value) >= 8 && strings.HasPrefix(whole, value):
				what = "the key is the beginning of that of " + o.place + ": it was cut on its way"
			case strings.Contains(whole, "$") && os.Expand(whole, func(string) string { return "" }) == value:
				what = "the key is that of " + o.place + " without what stands behind its $: Compose or a shell read a variable there"
			}
		}
		if what != "" {
			f.replace(r, h, what)
		}
	}
}

// keyAlone: the master key is no other secret.
func keyAlone(ctx context.Context, f *Facts, r *Result) {
	f.eachConfig(ctx, r, settings{blnk.SecretKey}, func(c Running) {
		key := c.Effective.SecretKey()
		for _, other := range []struct {
			name   blnk.Name
			spoken string
		}{{blnk.MetricsToken, "metrics token"}, {blnk.TokenizationSecret, "tokenization secret"}} {
			if v := c.Effective.Value(other.name); !key.IsZero() && v.Text.Equal(key) {
				r.addOf(c, v, "the master key is the "+other.spoken+", too: who has that has the ledger", "blnkctl rotate"+f.restarting())
			}
		}
	})
}

// usualAge is the oldest that a key may be where no policy says it.
const usualAge = 90 * 24 * time.Hour

// keyYoung: by what blnkctl remembers, or the store says.
func keyYoung(ctx context.Context, f *Facts, r *Result) {
	if len(f.Keys(ctx)) == 0 {
		f.subject(ctx, r, 0)
		return
	}
	r.saw(true)
	s := f.Stores(ctx)[0]
	history, err := f.History(ctx)
	since, how := history.Since(s.Key)
	if since.IsZero() {
		if d, ok := s.Opened.(store.Dated); ok {
			since, err = d.Created(ctx)
			how = "written"
		}
	}
	r.unsure(err)
	switch age, most := f.Now().Sub(since), cmp.Or(f.Policy.MaxAge, usualAge); {
	case since.IsZero() && err == nil:
		r.unsure(errors.New("the age of the key is not known: blnkctl has not rotated it, and has not seen it before"))
	case since.IsZero():
	case age < 0:
		r.unsure(errors.New("the age of the key is not known: a clock was wrong"))
	case age > most:
		text := fmt.Sprintf("the key was %s %s, and should not be older than %s", how, screen.Ago(since, f.Now()), policy.Age(most))
		if f.Policy.MaxAge > 0 {
			text += ", by the policy"
		}
		r.add(s.Ref, text, "blnkctl rotate"+f.restarting(), how+" at "+screen.At(since))
	}
}

// History is what blnkctl remembers of the first store; the zero one where there is
// nothing.
func (f *Facts) History(ctx context.Context) (state.History, error) {
	return f.history.get(func() (state.History, error) {
		stores := f.Stores(ctx)
		if f.State == nil || len(stores) == 0 {
			return state.History{}, f.StateErr
		}
		return f.State.Target(stores[0].Ref).LoadHistory()
	})
}

// liveKey: the servers take the key that the first store holds.
func liveKey(ctx context.Context, f *Facts, r *Result) {
	live, err := f.Live(ctx)
	if r.unsure(err); len(live.Keys) == 0 {
		if f.subject(ctx, r, 0); r.err == nil {
			r.unsure(errors.New("no store holds a key"))
		}
		return
	}
	for _, s := range live.Servers {
		r.saw(true)
		switch {
		case s.RandomRefused != nil && !*s.RandomRefused:
			r.unsure(fmt.Errorf("%s lets a random key in: its answers say nothing about another", s.URL))
		case s.Keys[0] == proof.Unknown:
			r.unsure(unsaid(s))
		case !s.Keys[0].Proves():
			f.notLive(ctx, r, live.Keys, s)
		}
	}
}

func (f *Facts) notLive(ctx context.Context, r *Result, keys proof.Questions, s proof.ServerSays) {
	text := map[proof.Verdict]string{
		proof.Scoped: "takes the key of the stores for a scoped API key",
		proof.Mixed:  "takes the key of the stores on some connections, and refuses it on others",
	}[s.Keys[0]]
	said := func(i int) string {
		return keys[i].Key.Name() + " of " + strings.Join(keys[i].From, ", ") + ": " + string(s.Keys[i])
	}
	// Who changes a key needs no proof of one that no server takes.
	verify := "blnkctl verify" + target.Spec{Stores: f.Spec.Stores, Servers: f.Spec.Servers}.Args() + f.Flags
	one := r.add(s.URL, cmp.Or(text, "refuses the key of the stores"), "restart it, so that it reads its configuration, and ask again: "+verify, said(0))
	for i, verdict := range s.Keys {
		if i > 0 && verdict.Proves() {
			one.Text = "runs with the key of " + strings.Join(keys[i].From, ", ") + ", not with that of " + f.Stores(ctx)[0].Ref
			one.Evidence = append(one.Evidence, said(i))
			one.Remedy = "blnkctl sync --from " + hint.Quote(keys[i].From[0]) + f.restarting()
		}
	}
	_, port, _ := net.SplitHostPort(s.URL[strings.LastIndex(s.URL, "/")+1:])
	for _, c := range f.Configurations(ctx) {
		if v := c.Effective.Value(blnk.SecretKey); c.Process != nil && c.Process.Server && c.Effective.Port() == port {
			one.Evidence = append(one.Evidence, fmt.Sprintf("%s would start with %s, from %s", c.Place, nameOf(v.Text), v.Source))
		}
	}
}

func nameOf(key secret.Key) string {
	if key.IsZero() {
		return "no key"
	}
	return key.Name()
}

// tokenization: the secret that encrypts identities.
func tokenization(ctx context.Context, f *Facts, r *Result) {
	f.eachConfig(ctx, r, settings{blnk.TokenizationSecret}, func(c Running) {
		v := c.Effective.Value(blnk.TokenizationSecret)
		anew := f.makeSecret(c, keygen.Tokenization)
		switch flaw, why := keygen.Tokenization.Judge(v.Text); flaw {
		case keygen.Sound:
		case keygen.Empty:
			r.addOf(c, v, "there is no tokenization secret: identities are stored in clear", anew).Severity = Note
		case keygen.Length:
			r.addOf(c, v, "the tokenization secret "+why, "where nothing was tokenized with it, take it out, then "+anew)
		default:
			r.addOf(c, v, "the tokenization secret "+why, "a new one makes stored identities unreadable: detokenize them before, with the old one")
		}
	})
}

// metricsToken: what opens /metrics and the workers' /monitoring.
func metricsToken(ctx context.Context, f *Facts, r *Result) {
	f.eachConfig(ctx, r, settings{blnk.MetricsToken}, func(c Running) {
		v := c.Effective.Value(blnk.MetricsToken)
		anew := f.makeSecret(c, keygen.MetricsToken)
		switch flaw, why := keygen.MetricsToken.Judge(v.Text); {
		case flaw == keygen.Sound:
		case flaw != keygen.Empty:
			r.addOf(c, v, "the metrics token "+why, strings.Replace(anew, "--if-absent", "--force", 1))
		case !c.Effective.Secure():
			r.addOf(c, v, "there is no metrics token, and secure mode is off: anybody reads /metrics, and reads and deletes the workers' tasks at /monitoring", anew)
		case c.Effective.On(blnk.Observability):
			r.addOf(c, v, "there is no metrics token: /metrics and the workers' /monitoring answer 403 to everybody", anew)
		default:
			r.addOf(c, v, "there is no metrics token: the workers' /monitoring answers 403 to everybody", anew).Severity = Note
		}
	})
}

// makeSecret is the command that puts a new secret where a configuration reads it.
func (f *Facts) makeSecret(c Running, use keygen.Use) string {
	ref := "REF"
	if c.Path != "" {
		place := c.Path
		if name, below := strings.CutPrefix(place, f.Dir+"/"); below {
			place = "./" + name
		}
		ref = hint.Quote(store.Ref{Scheme: "blnkjson", Place: place}.String())
	}
	return "blnkctl keygen --for " + string(use) + " --if-absent --store " + ref + "; then restart server and workers"
}

// named is what names the target to a command that takes one, and again to doctor.
func (f *Facts) named() string { return f.byName() + f.Flags }

func (f *Facts) byName() string {
	if f.Named != "" {
		return " " + f.Named
	}
	return f.Spec.Args()
}

func (f *Facts) again() string {
	if f.Named != "" {
		return " --target" + f.named()
	}
	return f.named()
}

// restarting is named for a command that restarts; where nothing says how, a person
// does.
func (f *Facts) restarting() string {
	if len(f.Spec.Restart) == 0 {
		return f.named() + " --restart manual:"
	}
	return f.named()
}
