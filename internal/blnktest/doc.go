// Package blnktest is a stand-in for a Blnk server, for tests and for the demo:
// in one process as an http.Handler (NewServer), and as a real program (Main)
// with a server and a worker process that read ./blnk.json and their
// environment once, at start, as Blnk does.
//
// Whatever it does was read in Blnk's source (0.15.x) and is held against a
// real server by the table in rows_test.go. It has a configuration reader of
// its own, written apart from package blnk, so that each checks the other.
//
// It does not promise a ledger: of Blnk's resources it has /hooks, /api-keys, the
// list of /ledgers, and of /identities just enough to see
// whether the tokenization secret is one. Its data is a JSON file, not
// PostgreSQL and Redis; the two DSNs must be there, and nobody connects to
// them. It listens on 127.0.0.1 only. It ships in no binary.
package blnktest
