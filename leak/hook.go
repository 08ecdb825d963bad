package leak

// Hook is a pre-commit hook of git (githooks(5)) that lets no commit pass with a key in
// it, nor one that could not be checked.
const Hook = `#!/bin/sh
# A commit with a key in it is refused. Printed by: blnkctl doctor --hook
# To install it: blnkctl doctor --hook >.git/hooks/pre-commit; chmod +x .git/hooks/pre-commit
PATH="$PATH:/usr/local/bin:/opt/homebrew/bin" # a desktop program may have a short one
if ! command -v blnkctl >/dev/null 2>&1; then
	echo "pre-commit: blnkctl is not in PATH: nothing was checked for keys, and nothing is committed" >&2
	echo "hint: install blnkctl, or pass this check once: git commit --no-verify" >&2
	exit 1
fi
exec blnkctl doctor --staged --no-input
`
