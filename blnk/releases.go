package blnk

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// A Risk is one that a release of Blnk ended.
type Risk struct {
	Fixed string // the first release without it
	Text  string
}

// Newest is the newest release on the day ReleasesSeen.
const Newest = "0.15.2"

// ReleasesSeen is the day on which Risks was held against Blnk's releases
// (github.com/blnkfinance/blnk, its tags and release notes).
func ReleasesSeen() time.Time { return time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC) }

// Risks are what is known to be wrong with releases of Blnk, the oldest first.
func Risks() []Risk {
	return []Risk{
		{"0.12.0", "scoped keys stand in clear in its database"},
		{"0.13.0", "webhooks are not signed: a receiver cannot tell them from forged ones"},
		{"0.13.2", "scoped keys are kept as hashes without a salt"},
		{"0.14.0", "there is no metrics token: its metrics and queues are open"},
		{HooksNeedMaster, "a scoped key can make one with more rights, or for another owner, and manage hooks"},
		{"0.15.0", "the key is compared byte by byte, which can be measured, and a request's size has no limit"},
		{"0.15.1", "an upload may have the server fetch internal addresses"},
		{"0.15.2", "its crypto, network and gRPC libraries have known faults, and its queues no limit"},
	}
}

// HooksNeedMaster is the first release that lets the master key alone manage hooks.
const HooksNeedMaster = "0.14.3"

// SSLIgnored is the first release in which server.ssl has no effect.
const SSLIgnored = "0.13.0"

// RisksOf are those of a release.
func RisksOf(version string) (all []Risk) {
	for _, r := range Risks() {
		if Older(version, r.Fixed) {
			all = append(all, r)
		}
	}
	return all
}

// Version reads a release as tags have it: 0.15.2, v0.15.2, with a suffix or none. ""
// where it is none.
func Version(text string) string {
	text = strings.TrimPrefix(text, "v")
	var a, b, c int
	if n, _ := fmt.Sscanf(text, "%d.%d.%d", &a, &b, &c); n < 3 || a < 0 || b < 0 || c < 0 {
		return ""
	}
	plain := fmt.Sprintf("%d.%d.%d", a, b, c)
	if rest := strings.TrimPrefix(text, plain); rest != "" && !strings.ContainsAny(rest[:1], "-+") {
		return ""
	}
	return plain
}

// Older says whether one release comes before another. Both are Version's.
func Older(version, than string) bool {
	var a, b [3]int
	_, _ = fmt.Sscanf(version, "%d.%d.%d", &a[0], &a[1], &a[2]) // 0 where it says nothing
	_, _ = fmt.Sscanf(than, "%d.%d.%d", &b[0], &b[1], &b[2])
	return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]), cmp.Compare(a[2], b[2])) < 0
}

// BuiltWith are the oldest and the newest release that was built with a version of
// golang.org/x/crypto, for a binary that names none itself: those of the official image
// do not. "" where that says nothing. (Blnk go.mod at its tags, compared in 2026-11.)
func BuiltWith(crypto string) (oldest, newest string) {
	known := map[string][2]string{"v0.45.0": {"0.13.3", "0.13.3"}, "v0.49.0": {"0.14.3", "0.15.1"}, "v0.52.0": {"0.15.2", "0.15.2"}}
	return known[crypto][0], known[crypto][1]
}
