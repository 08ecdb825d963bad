// Package vaulttest runs Vault's own server for tests: a real process, built
// from Vault's source (see vaultserver, a module of its own), that listens on a
// free port of this machine and keeps everything in memory.
//
// `make vault` builds the program, once per machine, which takes about three
// minutes on two idle cores; a test never does.
//
// It does not promise what a cluster would: no Enterprise features (namespaces,
// replication), one version of Vault.
package vaulttest
