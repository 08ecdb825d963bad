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
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/state"
	"github.com/blnkctl/blnkctl/store"
	"github.com/blnkctl/blnkctl/target"
)

// secureMode: what each configuration says of it.
func secureMode(ctx context.Context, f *Facts) (found []Finding, err error) {
	return f.eachConfig(ctx, settings{blnk.Secure}, func(c Running) (found []Finding) {
		if v := c.Effective.Value(blnk.Secure); !c.Effective.Secure() {
			text := "server.secure is not true: every request passes, without a key"
			remedy := "blnkctl init" + f.named()
			if v.Shadowed() {
				text = v.Source + " turns secure mode off: every request passes, without a key"
				remedy = takeOut(c, v.Source)
			}
			found = append(found, Finding{Place: c.of(v), Text: text, Evidence: []string{"read from " + v.Source}, Remedy: remedy})
		}
		return found
	})
}

// settings are the names of those that a rule is about; none is the environment.
type settings []blnk.Name

// eachConfig asks of every configuration of which the settings are known. The error says
// of which they are not, and what may be there and is not seen.
func (f *Facts) eachConfig(ctx context.Context, about settings, ask func(Running) []Finding) (found []Finding, err error) {
	all := f.Configurations(ctx)
	_, err = f.View(ctx)
	for _, c := range all {
		unknown := func(name blnk.Name) bool { return c.Path == "" && !c.Effective.Value(name).Shadowed() }
		switch {
		case c.Err != nil && strings.Contains(c.Err.Error(), c.Place):
			err = errors.Join(err, c.Err)
		case c.Err != nil:
			err = errors.Join(err, fmt.Errorf("%s: %w", c.Place, c.Err))
		case c.Effective == nil:
			err = errors.Join(err, fmt.Errorf("the environment of %s may not be read by this user", c.Place))
		case slices.ContainsFunc(about, unknown):
			err = errors.Join(err, fmt.Errorf("which blnk.json %s reads is not known", c.Place))
		default:
			for _, one := range ask(c) {
				found = appendPlace(found, one) // server and workers read the same file
			}
		}
	}
	if len(all) == 0 {
		err = cmp.Or(err, errors.New("no configuration of a Blnk is seen"))
	}
	return found, err
}

// of is the place of a setting: the file where that decides, else who has the variable.
func (c Running) of(v blnk.Value) string {
	if v.Shadowed() {
		return c.Place
	}
	return cmp.Or(c.Path, c.Place)
}

// randomRefused: what the servers do, whatever a configuration says.
func randomRefused(ctx context.Context, f *Facts) (found []Finding, err error) {
	live, err := f.Live(ctx)
	for _, s := range live.Servers {
		switch {
		case s.RandomRefused == nil:
			err = errors.Join(err, unsaid(s))
		case !*s.RandomRefused:
			found = append(found, Finding{
				Place: s.URL, Text: "a random key is let in: the ledger is open to anybody who reaches it",
				Evidence: []string{strconv.Itoa(s.Connections) + " connections"},
				Remedy:   "blnkctl init" + f.named(),
			})
		}
	}
	return found, err
}

// unsaid is the error of a server that gives no verdict.
func unsaid(s proof.ServerSays) error {
	return errors.New(cmp.Or(s.Error, s.URL+" answers the same question in different ways"))
}

// keyThere: a store without a key, or one that cannot be read.
func keyThere(ctx context.Context, f *Facts) (found []Finding, err error) {
	stores := f.Stores(ctx)
	for _, s := range stores {
		switch {
		case s.Err != nil:
			err = errors.Join(err, s.Err)
		case s.Key.IsZero():
			found = append(found, Finding{Place: s.Ref, Text: "holds no key", Remedy: "blnkctl init" + f.named()})
		}
	}
	if len(stores) == 0 {
		return nil, errors.New("no store is named, and there is no blnk.json here: name it with --store")
	}
	return found, err
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

// newKey is the finding of a key that is to be replaced.
func (f *Facts) newKey(h held, text string) Finding {
	one := Finding{Place: h.place, Text: text, Remedy: "blnkctl rotate" + f.restarting()}
	if !h.store {
		one.Evidence = []string{"it has it from " + h.from}
		one.Remedy = "name the place that gives it the key, too: blnkctl rotate" + f.restarting() + " --store REF"
	}
	return one
}

// keyIs makes the rule that no key in use has one of these flaws.
func keyIs(flaws ...keygen.Flaw) func(context.Context, *Facts) ([]Finding, error) {
	return func(ctx context.Context, f *Facts) (found []Finding, err error) {
		all := f.held(ctx)
		for _, h := range all {
			flaw, why := keygen.SecretKey.Judge(h.key)
			if slices.Contains(flaws, flaw) {
				found = append(found, f.newKey(h, "the key "+why))
			}
		}
		return found, f.noKeys(ctx, len(all))
	}
}

// noKeys is the error of a rule about keys where none is seen.
func (f *Facts) noKeys(ctx context.Context, n int) error {
	var failed error
	for _, s := range f.Stores(ctx) {
		failed = errors.Join(failed, s.Err)
	}
	if n > 0 {
		return failed
	}
	return cmp.Or(failed, ErrNothing)
}

// keyWhole: a key that was changed on its way from one place to another.
func keyWhole(ctx context.Context, f *Facts) (found []Finding, err error) {
	all := f.held(ctx)
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
			switch {
			case what != "" || o.key.Equal(h.key):
			case len(value) >= 8 && strings.HasPrefix(whole, value):
				what = "the key is the beginning of that of " + o.place + ": it was cut on its way"
			case strings.Contains(whole, "$") && os.Expand(whole, func(string) string { return "" }) == value:
				what = "the key is that of " + o.place + " without what stands behind its $: Compose or a shell read a variable there"
			}
		}
		if what != "" {
			found = append(found, f.newKey(h, what))
		}
	}
	return found, f.noKeys(ctx, len(all))
}

// keyAlone: the master key is no other secret.
func keyAlone(ctx context.Context, f *Facts) (found []Finding, err error) {
	return f.eachConfig(ctx, settings{blnk.SecretKey}, func(c Running) (found []Finding) {
		key := c.Effective.SecretKey()
		for _, name := range []blnk.Name{blnk.MetricsToken, blnk.TokenizationSecret} {
			if v := c.Effective.Value(name); !key.IsZero() && v.Text.Equal(key) {
				found = append(found, Finding{
					Place: c.of(v), Text: "the master key is the " + spoken(name) + ", too: who has that has the ledger",
					Evidence: []string{string(name) + " from " + v.Source}, Remedy: "blnkctl rotate" + f.restarting(),
				})
			}
		}
		return found
	})
}

// spoken is what a setting is called before people.
func spoken(name blnk.Name) string {
	return map[blnk.Name]string{blnk.MetricsToken: "metrics token", blnk.TokenizationSecret: "tokenization secret"}[name]
}

// usualAge is the oldest that a key may be where no policy says it.
const usualAge = 90 * 24 * time.Hour

// keyYoung: by what blnkctl remembers, or the store says.
func keyYoung(ctx context.Context, f *Facts) (found []Finding, err error) {
	stores := f.Stores(ctx)
	if len(f.Keys(ctx)) == 0 {
		return nil, f.noKeys(ctx, 0)
	}
	s := stores[0]
	history, err := f.History(ctx)
	since, how := history.ProvedAt, "rotated"
	if since.IsZero() {
		since, how = history.SeenAt, "first seen"
	}
	if history.Key == "" || history.Key != s.Key.Fingerprint() {
		since = time.Time{}
		if d, ok := s.Opened.(store.Dated); ok {
			since, err = d.Created(ctx)
			how = "written"
		}
	}
	switch age, most := f.Now().Sub(since), cmp.Or(f.Policy.MaxAge, usualAge); {
	case since.IsZero() && err == nil:
		err = errors.New("the age of the key is not known: blnkctl has not rotated it, and has not seen it before")
	case since.IsZero():
	case age < 0:
		err = errors.New("the age of the key is not known: a clock was wrong")
	case age > most:
		text := fmt.Sprintf("the key was %s %s, and should not be older than %s", how, screen.Ago(since, f.Now()), policy.Age(most))
		if f.Policy.MaxAge > 0 {
			text += ", by the policy"
		}
		found = append(found, Finding{
			Place: s.Ref, Text: text,
			Evidence: []string{how + " at " + screen.At(since)}, Remedy: "blnkctl rotate" + f.restarting(),
		})
	}
	return found, err
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
func liveKey(ctx context.Context, f *Facts) (found []Finding, err error) {
	live, err := f.Live(ctx)
	if len(live.Keys) == 0 {
		if err = cmp.Or(err, f.noKeys(ctx, 0)); errors.Is(err, ErrNothing) {
			err = errors.New("no store holds a key")
		}
		return nil, err
	}
	for _, s := range live.Servers {
		switch {
		case s.RandomRefused != nil && !*s.RandomRefused:
			err = errors.Join(err, fmt.Errorf("%s lets a random key in: its answers say nothing about another", s.URL))
		case s.Keys[0] == proof.Unknown:
			err = errors.Join(err, unsaid(s))
		case !s.Keys[0].Proves():
			found = append(found, f.notLive(ctx, live.Keys, s))
		}
	}
	return found, err
}

func (f *Facts) notLive(ctx context.Context, keys proof.Questions, s proof.ServerSays) Finding {
	text := map[proof.Verdict]string{
		proof.Scoped: "takes the key of the stores for a scoped API key",
		proof.Mixed:  "takes the key of the stores on some connections, and refuses it on others",
	}[s.Keys[0]]
	one := Finding{
		Place: s.URL, Text: cmp.Or(text, "refuses the key of the stores"),
		Evidence: []string{keys[0].Key.Name() + " of " + strings.Join(keys[0].From, ", ") + ": " + string(s.Keys[0])},
		// Who changes a key needs no proof of one that no server takes.
		Remedy: "restart it, so that it reads its configuration, and ask again: blnkctl verify" + target.Spec{Stores: f.Spec.Stores, Servers: f.Spec.Servers}.Args() + f.Flags,
	}
	for i, verdict := range s.Keys {
		if i > 0 && verdict.Proves() {
			one.Text = "runs with the key of " + strings.Join(keys[i].From, ", ") + ", not with that of " + f.Stores(ctx)[0].Ref
			one.Evidence = append(one.Evidence, keys[i].Key.Name()+" of "+strings.Join(keys[i].From, ", ")+": "+string(verdict))
			one.Remedy = "blnkctl sync --from " + hint.Quote(keys[i].From[0]) + f.restarting()
		}
	}
	_, port, _ := net.SplitHostPort(s.URL[strings.LastIndex(s.URL, "/")+1:])
	for _, c := range f.Configurations(ctx) {
		if v := c.Effective.Value(blnk.SecretKey); c.Process != nil && c.Process.Server && c.Effective.Port() == port {
			one.Evidence = append(one.Evidence, fmt.Sprintf("%s would start with %s, from %s", c.Place, nameOf(v.Text), v.Source))
		}
	}
	return one
}

func nameOf(key secret.Key) string {
	if key.IsZero() {
		return "no key"
	}
	return key.Name()
}

// tokenization: the secret that encrypts identities.
func tokenization(ctx context.Context, f *Facts) (found []Finding, err error) {
	return f.eachConfig(ctx, settings{blnk.TokenizationSecret}, func(c Running) []Finding {
		v := c.Effective.Value(blnk.TokenizationSecret)
		flaw, why := keygen.Tokenization.Judge(v.Text)
		one := Finding{Place: c.of(v), Evidence: []string{"read from " + v.Source}}
		switch flaw {
		case keygen.Sound:
			return nil
		case keygen.Empty:
			one.Severity, one.Text = Note, "there is no tokenization secret: identities are stored in clear"
			one.Remedy = f.makeSecret(c, keygen.Tokenization)
		case keygen.Length:
			one.Text = "the tokenization secret " + why
			one.Remedy = "where nothing was tokenized with it, take it out, then " + f.makeSecret(c, keygen.Tokenization)
		default:
			one.Text = "the tokenization secret " + why
			one.Remedy = "a new one makes stored identities unreadable: detokenize them before, with the old one"
		}
		return []Finding{one}
	})
}

// metricsToken: what opens /metrics and the workers' /monitoring.
func metricsToken(ctx context.Context, f *Facts) (found []Finding, err error) {
	return f.eachConfig(ctx, settings{blnk.MetricsToken}, func(c Running) []Finding {
		v := c.Effective.Value(blnk.MetricsToken)
		flaw, why := keygen.MetricsToken.Judge(v.Text)
		one := Finding{Place: c.of(v), Text: "the metrics token " + why, Evidence: []string{"read from " + v.Source}, Remedy: f.makeSecret(c, keygen.MetricsToken)}
		switch on := c.Effective.On(blnk.Observability); {
		case flaw == keygen.Sound:
			return nil
		case flaw != keygen.Empty:
			one.Remedy = strings.Replace(one.Remedy, "--if-absent", "--force", 1)
		case !c.Effective.Secure():
			one.Text = "there is no metrics token, and secure mode is off: anybody reads /metrics, and reads and deletes the workers' tasks at /monitoring"
		case on:
			one.Text = "there is no metrics token: /metrics and the workers' /monitoring answer 403 to everybody"
		default:
			one.Severity, one.Text = Note, "there is no metrics token: the workers' /monitoring answers 403 to everybody"
		}
		return []Finding{one}
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
