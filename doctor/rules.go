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
		{"BLNK-1.20", "no file that holds the key is tracked by git", Error, "1.2", tracked},
		{"BLNK-1.21", "no compose file, Dockerfile, manifest or CI file holds a key", Error, "1.2", written},
		{"BLNK-1.22", "no copy of the key lies about in the project", Warning, "1.3", copies},
		{"BLNK-1.23", "no shell history holds a key", Error, "1.2", typed},
		{"BLNK-1.24", "no systemd unit holds a key", Error, "1.3", units},
		{"BLNK-1.25", "no process has the key in its arguments", Error, "1.2", arguments},
		{"BLNK-1.26", "Docker shows the key to nobody else", Warning, "1.2", inspected},
		{"BLNK-1.27", "no other service can read the key in /proc", Warning, "1.2", environs},
		{"BLNK-2.1", "the stores hold the same key", Error, "2.3", noDrift},
		{"BLNK-2.20", "git ignores blnk.json and what else holds the key", Warning, "2.1", ignored},
		{"BLNK-2.21", "no image is built with blnk.json, or with what else holds the key", Warning, "2.2", baked},
		{"BLNK-2.22", "only those who have to can read the files that hold the key", Error, "2.2", modes},
		{"BLNK-2.23", "nobody else can put another file in their place", Error, "2.2", folders},
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
