package target

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/textfile"
	"github.com/blnkctl/blnkctl/proof"
	"github.com/blnkctl/blnkctl/secret"
	"github.com/blnkctl/blnkctl/store"
)

// A place is a store whose reference is "place:" and its name; or a whole
// configuration, where it has one.
type place struct{ name, config string }

func (p place) String() string { return "place:" + p.name }
func (p place) Get(context.Context) (secret.Key, store.Version, error) {
	return secret.New("key"), "1", nil
}
func (p place) Put(context.Context, secret.Key, store.Version) (store.Version, error) {
	return "2", nil
}

type file struct {
	place
	torn *bool
}

func (f file) Path() string { return "/" + f.name }
func (f file) Config(context.Context) ([]byte, error) {
	if f.torn != nil && *f.torn {
		return nil, textfile.ErrTorn
	}
	return []byte(f.config), nil
}

type letterbox struct{ name string }

func (l letterbox) String() string                        { return "box:" + l.name }
func (letterbox) Write(context.Context, secret.Key) error { return nil }
func (letterbox) Check(context.Context) error             { return nil }

// A driver knows where its server is, and may be unable to work.
type driver struct {
	name  string
	urls  []string
	fault error
}

func (d driver) String() string                            { return "driver:" + d.name }
func (driver) Restart(context.Context) error               { return nil }
func (d driver) Servers(context.Context) ([]string, error) { return d.urls, nil }
func (d driver) Check(context.Context) error               { return d.fault }

type address string

func (a address) String() string { return string(a) }
func (address) Ask(context.Context, secret.Key) (blnk.Answer, error) {
	return blnk.Live, nil
}

var errFault = errors.New("cannot work")

// openers know some references, and make relative ones absolute.
func openers(torn *bool) Openers {
	return Openers{
		Store: func(ref string, _ Spec) (store.Store, store.Copy, error) {
			scheme, name, _ := strings.Cut(ref, ":")
			name = strings.TrimPrefix(name, "./")
			switch scheme {
			case "box":
				return nil, letterbox{name}, nil
			case "file":
				return file{place{name, `{"server":{"port":"` + name + `"}}`}, torn}, nil, nil
			}
			return place{name: name}, nil, nil
		},
		Restart: func(ref string, _ Spec) (Driver, error) {
			switch ref {
			case "slow":
				return Driver{Restarter: driver{name: ref}, WorkersProved: false, Polls: 15 * time.Minute}, nil
			case "knows":
				return Driver{Restarter: driver{name: ref, urls: []string{"http://a", "http://b", "http://a"}}, WorkersProved: true}, nil
			case "broken":
				return Driver{Restarter: driver{name: ref, fault: errFault}, WorkersProved: true}, nil
			}
			return Driver{Restarter: driver{name: ref}, WorkersProved: true}, nil
		},
		Server: func(url string, _ Spec) (*proof.Server, error) { return proof.NewServer(address(url), false), nil },
	}
}

func TestOpenStores(t *testing.T) {
	for refs, want := range map[string]string{
		"place:./a place:b box:c": "",
		"box:c place:a":           "source of truth",
		"place:a place:./a":       "given twice",
		"place:a box:c box:./c":   "given twice",
	} {
		spec := Spec{Stores: strings.Fields(refs)}
		set, copies, err := OpenStores(&spec, openers(nil))
		switch {
		case want == "" && (err != nil || len(set) != 2 || len(copies) != 1 || spec.Stores[0] != "place:a"):
			t.Errorf("%s: %v, %v, %v, %v", refs, set, copies, spec.Stores, err)
		case want != "" && (!errors.Is(err, ErrSpec) || !strings.Contains(err.Error(), want) || hint.Of(err) == ""):
			t.Errorf("%s: %v, want %q and a hint", refs, err, want)
		}
	}
}

func TestOpen(t *testing.T) {
	spec := Spec{Stores: []string{"place:a"}, Restart: []string{"one", "slow"}}
	got, err := Open(spec, openers(nil))
	if err != nil || got.Timeout != 15*time.Minute || got.WorkersProved || !slices.Equal(got.Restart, []string{"driver:one", "driver:slow"}) {
		t.Errorf("%+v, %v", got, err)
	}
	spec.Timeout = time.Second
	if got, err := Open(spec, openers(nil)); err != nil || got.Timeout != time.Second {
		t.Errorf("%v, %v: what a person says counts", got.Timeout, err)
	}
	if got, err := Open(Spec{Stores: spec.Stores, Restart: []string{"one"}}, openers(nil)); err != nil || got.Timeout != UsualTimeout || !got.WorkersProved {
		t.Errorf("%+v, %v", got, err)
	}
	// A journal brings it back as it was.
	data, err := json.Marshal(got.Spec)
	var again Spec
	if err != nil || json.Unmarshal(data, &again) != nil || !reflect.DeepEqual(got.Spec, again) {
		t.Errorf("%s, %v", data, err)
	}
}

func TestLocate(t *testing.T) {
	for name, c := range map[string]struct {
		spec Spec
		torn bool
		want string // the servers, or a part of the error
		err  error
	}{
		"named":            {spec: Spec{Servers: []string{"http://x", "http://y"}, Restart: []string{"knows"}}, want: "[http://x http://y]"},
		"named twice":      {spec: Spec{Servers: []string{"http://x", "http://x"}}, want: "given twice", err: ErrSpec},
		"by the driver":    {spec: Spec{Stores: []string{"file:5001"}, Restart: []string{"knows"}}, want: "[http://a http://b]"},
		"by the file":      {spec: Spec{Stores: []string{"place:a", "file:5001"}, Restart: []string{"one"}}, want: "[http://127.0.0.1:5001]"},
		"a torn file":      {spec: Spec{Stores: []string{"file:5001"}}, torn: true, want: "[http://127.0.0.1:5001]"},
		"an odd port":      {spec: Spec{Stores: []string{"file:http"}}, want: "not a number", err: ErrSpec},
		"by nothing":       {spec: Spec{Stores: []string{"place:a"}, Restart: []string{"one"}}, want: "--server is required", err: ErrNoServer},
		"nothing, and why": {spec: Spec{Stores: []string{"place:a"}, Restart: []string{"broken"}}, want: "cannot work", err: errFault},
	} {
		t.Run(name, func(t *testing.T) {
			if c.spec.Stores == nil {
				c.spec.Stores = []string{"place:a"}
			}
			torn := c.torn
			got, err := Open(c.spec, openers(&torn))
			if err != nil {
				t.Fatal(err)
			}
			err = got.Locate(t.Context(), openers(&torn), func() error { torn = false; return nil })
			text := strings.Join(strings.Fields(strings.Join(got.Spec.Servers, " ")), " ")
			if c.err == nil && (err != nil || "["+text+"]" != c.want || len(got.Servers) != len(got.Spec.Servers)) {
				t.Errorf("%s, %v; want %s", text, err, c.want)
			}
			if c.err != nil && (!errors.Is(err, c.err) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

func TestSameStores(t *testing.T) {
	a := Spec{Stores: []string{"a", "b", "c"}}
	for refs, want := range map[string]bool{"a b c": true, "a c b": true, "b a c": false, "a b": false, "": false} {
		if got := a.SameStores(Spec{Stores: strings.Fields(refs), Restart: []string{"x"}}); got != want {
			t.Errorf("%s: %v", refs, got)
		}
	}
}
