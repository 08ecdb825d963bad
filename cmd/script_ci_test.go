package cmd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What a CI system is to the files of contrib, and the command lines that they use.
//
//	ci github|gitlab FILE   run the jobs of FILE, a workflow or a .gitlab-ci.yml, as the
//	                        runners do: each step by bash, with what the steps before gave
//	                        it, and print the log; /srv/blnk is $WORK/srv there and
//	                        /var/lib/blnkctl $WORK/state. Exit 1 where a step fails.
//	gh, glab                the two command lines, as their manuals say, with the secrets
//	                        and variables of one project in $RUN/ci.json. A token that
//	                        is "expired" is refused.

// A ciState is what GitHub or GitLab holds of a project.
type ciState struct {
	Values map[string]string // of secrets and variables
	Flags  map[string]string // of GitLab's: masked, protected, hidden
}

func ciFile() string { return filepath.Join(os.Getenv("RUN"), "ci.json") }

func readCI() (s ciState) {
	if text, err := os.ReadFile(ciFile()); err == nil {
		_ = json.Unmarshal(text, &s)
	}
	if s.Values == nil {
		s = ciState{map[string]string{}, map[string]string{}}
	}
	return s
}

func (s ciState) save() error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(ciFile(), text, 0o600)
}

// stdinValue is what gh and glab take from a pipe: without line ends behind it.
func stdinValue() string {
	text, _ := io.ReadAll(os.Stdin)
	return strings.TrimRight(string(text), "\r\n")
}

// fakeGH is gh secret set and list (cli.github.com/manual; exit codes: gh help exit-codes).
func fakeGH() int {
	if os.Getenv("GH_TOKEN") == "" && os.Getenv("GITHUB_TOKEN") == "" {
		return complain(4, errors.New("gh: To use GitHub CLI in a GitHub Actions workflow, set the GH_TOKEN environment variable."))
	}
	if os.Getenv("GH_TOKEN") == "expired" {
		return complain(1, errors.New("HTTP 401: Bad credentials (https://api.github.com/repos/acme/ledger/actions/secrets)"))
	}
	s := readCI()
	switch line := strings.Join(os.Args[1:], " "); {
	case len(os.Args) == 6 && strings.HasPrefix(line, "secret set ") && os.Args[4] == "--repo":
		name, value := os.Args[3], stdinValue()
		if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name) || strings.HasPrefix(name, "GITHUB_") {
			return complain(1, fmt.Errorf("failed to set secret %q: HTTP 422: Secret names can only contain alphanumeric characters", name))
		}
		s.Values[name] = value
		if err := s.save(); err != nil {
			return complain(1, err)
		}
	case strings.HasPrefix(line, "secret list --repo ") && strings.HasSuffix(line, " --json name --jq .[].name"):
		for name := range s.Values {
			fmt.Println(name)
		}
	default:
		return complain(1, fmt.Errorf("unknown command: %s", line))
	}
	return 0
}

// fakeGlab is glab variable get, set and update (docs.gitlab.com/cli/variable).
func fakeGlab() int {
	if token := os.Getenv("GITLAB_TOKEN"); token == "" || token == "expired" {
		return complain(1, errors.New("ERROR: GET https://gitlab.com/api/v4/projects/acme%2Fledger/variables/BLNK_SECRET_KEY: 401 {message: 401 Unauthorized}."))
	}
	if len(os.Args) < 4 || os.Args[1] != "variable" {
		return complain(1, fmt.Errorf("unknown command: %q", os.Args[1:]))
	}
	s, name := readCI(), os.Args[3]
	var flags []string
	for _, word := range os.Args[4:] {
		if slices.Contains([]string{"--masked", "--protected", "--hidden"}, word) {
			flags = append(flags, word)
		}
	}
	old, there := s.Values[name]
	switch what := os.Args[2]; {
	case what == "get" && !there, what == "update" && !there:
		return complain(1, errors.New("ERROR: 404 {message: 404 Variable Not Found}."))
	case what == "get":
		fmt.Print(old)
		return 0
	case what == "set" && there:
		return complain(1, errors.New("ERROR: 400 {message: {key: [(BLNK_SECRET_KEY) has already been taken]}}."))
	case what == "update" && strings.Contains(s.Flags[name], "--hidden"):
		return complain(1, errors.New("ERROR: 400 {message: The visibility setting cannot be changed for masked and hidden variables.}."))
	case what != "set" && what != "update":
		return complain(1, fmt.Errorf("unknown command: %q", os.Args[1:]))
	}
	s.Values[name], s.Flags[name] = stdinValue(), strings.Join(flags, " ")
	if value := s.Values[name]; strings.Contains(s.Flags[name], "--masked") && (len(value) < 8 || strings.ContainsAny(value, " \n")) {
		return complain(1, errors.New("ERROR: 400 {message: {value: [is invalid]}}."))
	}
	if err := s.save(); err != nil {
		return complain(1, err)
	}
	return 0
}

// A ciStep is one that a runner runs.
type ciStep struct {
	Name, Run, Dir string
	Env            map[string]string
}

// ciSteps reads the steps of a file. What is not known here is an error: a runner would
// do something about it.
func ciSteps(kind string, text []byte) (steps []ciStep, err error) {
	if kind == "gitlab" {
		var jobs map[string]struct {
			Tags          []string
			Rules         []map[string]string
			ResourceGroup string `yaml:"resource_group"`
			Environment   string
			Timeout       string
			Script        []string
		}
		if err := strictYAML(text, &jobs); err != nil {
			return nil, err
		}
		for name, job := range jobs {
			steps = append(steps, ciStep{Name: name, Run: strings.Join(job.Script, "\n")})
		}
		return steps, nil
	}
	var flow struct {
		Name        string
		On          map[string]any
		Permissions map[string]string
		Concurrency string
		Jobs        map[string]struct {
			RunsOn      []string `yaml:"runs-on"`
			Environment string
			Timeout     int `yaml:"timeout-minutes"`
			Defaults    struct {
				Run struct {
					Shell string
					Dir   string `yaml:"working-directory"`
				}
			}
			Env   map[string]string
			Steps []struct {
				Name, Run string
				Env       map[string]string
			}
		}
	}
	if err := strictYAML(text, &flow); err != nil {
		return nil, err
	}
	for _, job := range flow.Jobs {
		for _, s := range job.Steps {
			step := ciStep{s.Name, s.Run, job.Defaults.Run.Dir, map[string]string{}}
			for _, env := range []map[string]string{job.Env, s.Env} {
				for name, value := range env {
					step.Env[name] = value
				}
			}
			steps = append(steps, step)
		}
	}
	return steps, nil
}

func strictYAML(text []byte, into any) error {
	dec := yaml.NewDecoder(strings.NewReader(string(text)))
	dec.KnownFields(true)
	return dec.Decode(into)
}

// ciRunner is the program ci.
func ciRunner() int {
	if len(os.Args) != 3 {
		return complain(2, "usage: ci github|gitlab FILE")
	}
	text, err := os.ReadFile(os.Args[2])
	if err != nil {
		return complain(2, err)
	}
	work := os.Getenv("WORK")
	steps, err := ciSteps(os.Args[1], []byte(strings.NewReplacer("/srv/blnk", work+"/srv", "/var/lib/blnkctl", work+"/state").Replace(string(text))))
	if err != nil || len(steps) == 0 {
		return complain(2, fmt.Errorf("no steps: %w", err))
	}
	temp, err := os.MkdirTemp("", "runner")
	if err != nil {
		return complain(2, err)
	}
	defer os.RemoveAll(temp)
	r := ciRun{kind: os.Args[1], masks: nil, env: map[string]string{}, file: filepath.Join(temp, "set_env")}
	for _, step := range steps {
		if err := r.step(step); err != nil {
			fmt.Printf("##[error]%s: %v\n", step.Name, err)
			return 1
		}
	}
	return 0
}

// A ciRun is what a runner knows between steps.
type ciRun struct {
	kind  string
	masks []string
	env   map[string]string
	file  string
}

func (r *ciRun) step(step ciStep) error {
	if err := os.WriteFile(r.file, nil, 0o600); err != nil {
		return err
	}
	bash := exec.Command("bash", "-eo", "pipefail", "-c", step.Run)
	bash.Dir = step.Dir
	bash.Env = append(os.Environ(), "CI=true")
	state := readCI()
	if r.kind == "github" {
		bash.Env = append(bash.Env, "GITHUB_ACTIONS=true", "GITHUB_ENV="+r.file)
		for name, value := range step.Env {
			secret := regexp.MustCompile(`^\$\{\{ secrets\.(\w+) }}$`).FindStringSubmatch(value)
			if secret != nil {
				value = os.Getenv("SECRET_" + secret[1])
			}
			bash.Env = append(bash.Env, name+"="+value)
		}
	} else {
		for name, value := range state.Values { // variables of the project, in each job
			bash.Env = append(bash.Env, name+"="+value)
			if strings.Contains(state.Flags[name], "--masked") {
				r.masks = append(r.masks, value)
			}
		}
		bash.Env = append(bash.Env, "GITLAB_CI=true", "GITLAB_TOKEN="+os.Getenv("SECRET_GITLAB_TOKEN"))
	}
	for name, value := range r.env {
		bash.Env = append(bash.Env, name+"="+value)
	}
	out, err := bash.CombinedOutput()
	fmt.Printf("##[group]%s\n", step.Name)
	for line := range strings.Lines(string(out)) {
		if mask, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "::add-mask::"); ok && r.kind == "github" {
			r.masks = append(r.masks, strings.ReplaceAll(mask, "%25", "%"))
			continue
		}
		for _, mask := range r.masks {
			line = strings.ReplaceAll(line, mask, "***")
		}
		fmt.Print(line)
	}
	given, failed := os.ReadFile(r.file)
	for line := range strings.Lines(string(given)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok {
			return errors.New("a line of GITHUB_ENV is none")
		}
		r.env[name] = value
	}
	return errors.Join(err, failed)
}
