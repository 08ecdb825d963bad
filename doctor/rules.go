package doctor

// Rules are all rules, in the order of the guide. A new one is a function, and its line
// here. An ID is never used again.
func Rules() []Rule {
	return []Rule{
		{"BLNK-0.1", "secure mode is on", Error, "0.1", secureMode},
		{"BLNK-0.2", "a random key is refused", Error, "0.1", randomRefused},
		{"BLNK-1.1", "the stores hold a key", Error, "1.1", keyThere},
		{"BLNK-1.2", "the key is strong", Error, "1.1", keyStrong},
		{GitRule, "no key is in a git repository, now or once", Error, "1.2", gitClean},
		{"BLNK-2.1", "the stores hold the same key", Error, "2.3", noDrift},
		{"BLNK-3.1", "no key goes over plain http to another machine", Error, "3.1", noPlaintext},
		{"BLNK-3.2", "certificates of https servers are trusted, and hold for 30 days more", Warning, "3.1", certificates},
		{"BLNK-3.3", "nobody takes server.ssl for TLS", Warning, "3.1", sslFlag},
		{"BLNK-3.4", "databases and worker monitoring are closed to other machines", Warning, "3.1", portsClosed},
		{"BLNK-3.5", "no password is that of the stock files", Warning, "3.1", noStockPassword},
		{"BLNK-3.6", "databases of other machines are reached with TLS", Warning, "3.1", dataTLS},
		{"BLNK-3.7", "no scoped key may do everything", Warning, "3.1", noAllScopes},
		{"BLNK-3.8", "scoped keys are used, and none is at its end", Warning, "3.2", scopedKeysUsed},
		{"BLNK-3.9", "scoped keys are kept as salted hashes", Warning, "3.2", scopedKeysHashed},
		{"BLNK-3.10", "amounts are small enough for what a scoped key posts", Warning, "3.1", amountsExact},
		{"BLNK-3.11", "scoped keys cannot manage hooks", Warning, "3.3", hooksNeedMaster},
		{"BLNK-5.1", "Blnk is a release without known risks", Warning, "5.1", noRisks},
		{"BLNK-5.2", "the image of Blnk is pinned to a release", Warning, "5.1", imagePinned},
		{"BLNK-5.3", "Docker and Compose are maintained", Warning, "5.1", dockerMaintained},
		{"BLNK-5.4", "what blnkctl knows of releases is not old", Note, "5.1", tableNew},
	}
}
