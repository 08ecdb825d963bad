// Package git makes commands of git that only read: whatever the repository says in its
// configuration, no hook, monitor, pager or transport of it is run, and nothing is
// fetched or locked.
//
// It does not judge what git prints, nor promise that git is there.
package git

import (
	"os"
	"slices"
	"strings"

	"github.com/blnkctl/blnkctl/internal/run"
)

// options take little memory, too: large blobs are streamed, and of a pack a window is
// mapped; neither costs time.
var options = []string{
	"--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false",
	"-c", "core.bigFileThreshold=8m", "-c", "core.packedGitWindowSize=16m", "-c", "core.packedGitLimit=32m", "-c", "core.deltaBaseCacheLimit=32m",
	"-c", "diff.ignoreSubmodules=all", "-c", "protocol.allow=never",
}

// Command runs git in a folder, with an environment of Environ.
func Command(dir string, env []string, args ...string) run.Cmd {
	return run.Cmd{Args: slices.Concat([]string{"git"}, options, args), Dir: dir, Env: env}
}

// Environ is that of this process. Of the caller's variables, those that configure git
// count (which folders are safe); those that say which repository it is only in a hook:
// there git has set them.
func Environ(inHook bool) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		place := slices.Contains([]string{
			"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR",
			"GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH",
		}, name)
		keep := strings.HasPrefix(name, "GIT_CONFIG") || name == "GIT_CEILING_DIRECTORIES" || name == "GIT_DISCOVERY_ACROSS_FILESYSTEM"
		return strings.HasPrefix(name, "BLNKCTL_") || strings.HasPrefix(name, "GIT_") && !keep && !(inHook && place)
	})
	// Objects as they are, those that are here (an older git knows GIT_NO_LAZY_FETCH not,
	// and the repository's protocol.NAME.allow wins over ours), and no lock on the way.
	return append(env, "LC_ALL=C", "GIT_NO_REPLACE_OBJECTS=1", "GIT_NO_LAZY_FETCH=1", "GIT_ALLOW_PROTOCOL=none", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0")
}
