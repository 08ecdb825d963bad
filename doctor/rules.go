package doctor

// Rules are all rules, in the order of the guide. A new one is a function, and its line
// here. An ID is never used again.
func Rules() []Rule {
	return []Rule{
		{"BLNK-0.1", "secure mode is on", Error, "0.1", secureMode},
		{"BLNK-0.2", "a random key is refused", Error, "0.1", randomRefused},
		{"BLNK-1.1", "the stores hold a key", Error, "1.1", keyThere},
		{"BLNK-1.2", "the key is strong", Error, "1.1", keyStrong},
		{"BLNK-2.1", "the stores hold the same key", Error, "2.3", noDrift},
	}
}
