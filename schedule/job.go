package schedule

import (
	"slices"
	"strings"
	"time"

	"github.com/blnkctl/blnkctl/policy"
	"github.com/blnkctl/blnkctl/secret"
)

// DefaultAge is the age at which a key is due where no policy says another one.
const DefaultAge = "90d"

// ownState is the folder that StateDirectory=blnkctl of a service stands for.
const ownState = "/var/lib/blnkctl"

// All is the Target of a schedule for every target of blnkctl.yaml: no target has such a name.
const All = "-all"

// Facts are what a Job is made of.
type Facts struct {
	Target  string // the name of a target of blnkctl.yaml; "" for the one without, or All
	Program string // the path of blnkctl
	Dir     string // the folder to run in
	Config  string // the blnkctl.yaml that counts, "" for none
	// StateDir is the private folder; TellState: another run would not find it.
	StateDir  string
	TellState bool
	Flags     []string // as rotate takes them, besides those above
	Age       string   // "" for the policy's
	Policy    policy.Policy
	Splay     time.Duration
	// Stores and Restart are the references, and Folders those of files that hold the key.
	Stores, Restart, Folders []string
	Hooks                    bool     // a rotation runs more commands of the user's
	Environ                  []string // of this shell
	Host                     string
	User                     string // who runs it, by the name of a login
	Root                     bool   // that is root
}

// For is the job that rotates what the facts say, where it is due.
func For(f Facts) Job {
	args := []string{"rotate"}
	switch f.Target {
	case "":
	case All:
		args = append(args, "--all")
	default:
		args = append(args, f.Target)
	}
	args = append(args, "-q")
	switch {
	case f.Age != "":
		args = append(args, "--if-older-than", f.Age)
	case f.Policy.MaxAge > 0:
		args = append(args, "--if-due")
	default:
		args = append(args, "--if-older-than", DefaultAge)
	}
	if f.Config != "" {
		args = append(args, "--config", f.Config)
	}
	if f.TellState {
		args = append(args, "--state-dir", f.StateDir)
	}
	if f.Splay > 0 { // not systemd's RandomizedDelaySec, which knows of no window that closes
		args = append(args, "--splay", f.Splay.String())
	}
	seed := f.Target
	if len(f.Stores) > 0 && seed == "" {
		seed = f.Stores[0]
	}
	return Job{Facts: f, Args: append(args, f.Flags...), Env: environment(f), When: WhenFor(f.Host, seed, f.Policy.Windows)}
}

// uses says whether one of the references has one of the schemes.
func uses(refs []string, schemes ...string) bool {
	return slices.ContainsFunc(refs, func(ref string) bool {
		scheme, _, _ := strings.Cut(ref, ":")
		return slices.Contains(schemes, scheme)
	})
}

// passed are the variables without which the tools look elsewhere. None is a secret.
var passed = map[string][]string{
	"docker": {"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"},
	"vault": {
		"VAULT_ADDR", "VAULT_AGENT_ADDR", "VAULT_NAMESPACE", "VAULT_CACERT", "VAULT_CAPATH", "VAULT_CLIENT_CERT",
		"VAULT_CLIENT_KEY", "VAULT_TLS_SERVER_NAME", "VAULT_SKIP_VERIFY",
	},
}

// Lacking are variables of this shell that a run may need, and that stand in no schedule,
// which all can read.
func (f Facts) Lacking() (names []string) {
	for _, v := range f.Environ {
		name, value, _ := strings.Cut(v, "=")
		vault := uses(f.Stores, "vault") && slices.Contains([]string{"VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID", "VAULT_ID_TOKEN"}, name)
		ci := uses(f.Stores, "command") && slices.Contains([]string{"GH_TOKEN", "GITHUB_TOKEN", "GITLAB_TOKEN", "OP_SERVICE_ACCOUNT_TOKEN"}, name)
		if value != "" && (vault || ci) {
			names = append(names, name)
		}
	}
	return names
}

// environment is what a run needs of this shell: where programs are, and where docker and
// vault look.
func environment(f Facts) []string {
	names := []string{"PATH"}
	if f.Foreign() || uses(f.Restart, "docker", "compose") {
		names = append(names, passed["docker"]...)
	}
	if f.Foreign() || uses(f.Stores, "vault") {
		names = append(names, passed["vault"]...)
	}
	values := map[string]string{}
	for _, v := range f.Environ { // the last one wins
		if name, value, _ := strings.Cut(v, "="); slices.Contains(names, name) {
			values[name] = value
		}
	}
	var env []string
	for _, name := range names {
		if value := values[name]; value != "" && !secret.Holds(value) {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// Foreign says whether commands of the user's own are run.
func (f Facts) Foreign() bool {
	return f.Hooks || uses(f.Restart, "sh", "command") || uses(f.Stores, "command")
}
