package run

// IsVariable says whether name can be the name of an environment variable that
// a shell, too, could assign to: letters, digits and underscores, with no digit
// in front (POSIX.1-2017, 3.235 and 8.1). Some programs take others; no shell
// could give them one. It is no regular expression, because every command would
// pay for that at its start.
func IsVariable(name string) bool {
	for i, c := range []byte(name) {
		letter := c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z'
		digit := '0' <= c && c <= '9'
		if !letter && (!digit || i == 0) {
			return false
		}
	}
	return name != ""
}
