package main

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

const (
	auditRecords = 200_000 // of some 470 bytes each
	wantedVerify = 2.0     // times sha256sum
)

// checking compares the check of a long audit log, and sha256sum of its bytes.
func checking(table *tabwriter.Writer, p programs, dir string) error {
	state := filepath.Join(dir, "audited")
	log := filepath.Join(state, "audit.log")
	if err := writeLog(state, log); err != nil {
		return err
	}
	verify, err := interleave(5, p.timed(p.blnkctl, "audit", "verify", "--state-dir", state), p.timed("sha256sum", log))
	if err != nil {
		return err
	}
	fmt.Fprintf(table, "audit verify\t%s\t%s sha256sum\t%.2f times\t≤ %.1f times\t%s\n", ms(verify[0]), ms(verify[1]),
		ratio(verify), wantedVerify, mark(ratio(verify) <= wantedVerify))
	return nil
}

// writeLog writes a log as blnkctl would have over many years.
func writeLog(state, path string) error {
	if err := os.Mkdir(state, 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	out, prev := bufio.NewWriter(file), ""
	for i := 1; i <= auditRecords; i++ {
		content := fmt.Sprintf(`{"seq":%d,"time":"2026-03-01T11:01:00Z","event":"rotate","rotation":"rot_abcdefghijkl","outcome":"rotated",`+
			`"old":"sha256:0123456789ab","new":"sha256:ba9876543210","stores":["blnkjson:/etc/blnk/blnk.json#server.secret_key"],`+
			`"servers":["http://127.0.0.1:5001"],"restart":["systemd:blnk,blnk-worker"],"host":"h","user":"root","reason":"%s"`, i, strings.Repeat("r", 20))
		if prev != "" {
			content += `,"prev":"` + prev + `"`
		}
		prev = fmt.Sprintf("%x", sha256.Sum256([]byte(content+"}")))
		fmt.Fprintf(out, "%s,\"hash\":\"%s\"}\n", content, prev)
	}
	head := fmt.Sprintf(`{"seq":%d,"hash":"%s"}`, auditRecords, prev)
	return errors.Join(out.Flush(), file.Close(), os.WriteFile(filepath.Join(state, "audit.head"), []byte(head), 0o600))
}
