// Command bench measures blnkctl beside what a person would use without it:
// key generation beside age-keygen, a whole rotation beside a bare restart of the
// same stand-in server, a check of a long audit log beside sha256sum, and a search
// of a git repository beside git cat-file and gitleaks.
// `make bench` runs it.
//
// The runs of both sides are interleaved, so that a busy machine disturbs both
// alike, and the figures printed are medians. It does not promise that the
// same figures come out again, nor does it fail where one misses what is
// wanted: that line is marked, for a person to judge. It fails only where
// something could not be run. The first run fetches age-keygen and
// gitleaks, and makes that repository.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"text/tabwriter"
	"time"
)

// What is wanted of blnkctl.
const (
	wantedKeygen   = 1.6                   // times age-keygen
	wantedSize     = 11.0                  // MB, as a release is built
	wantedOverhead = 30 * time.Millisecond // of a rotation over the bare restart
	wantedRotation = 1.5                   // times the bare restart
)

func main() {
	runs := flag.Int("runs", 60, "runs of each small program")
	rotations := flag.Int("rotations", 30, "rotations, and as many bare restarts")
	searches := flag.Int("searches", 5, "searches of git, and as many runs of git cat-file")
	flag.Parse()
	if err := bench(*runs, *rotations, *searches); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(runs, rotations, searches int) error {
	dir, err := os.MkdirTemp("", "blnkctl-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := prepare(dir)
	if err != nil {
		return err
	}
	defer p.log.Close()
	fmt.Printf("%d CPUs, %s/%s, %s; medians of %d interleaved runs, of %d for the rotation\n\n",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), runs, rotations)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "\tblnkctl\tbeside\t\twanted\t")
	if err := small(table, p, runs); err != nil {
		return err
	}
	if err := sizes(table, p); err != nil {
		return err
	}
	if err := whole(table, p, dir, rotations); err != nil {
		return err
	}
	if err := checking(table, p, dir); err != nil {
		return err
	}
	if err := searching(table, p, searches); err != nil {
		return err
	}
	return table.Flush()
}

// small compares what takes no server.
func small(table *tabwriter.Writer, p programs, runs int) error {
	start, err := interleave(runs, p.timed(p.blnkctl, "version"), p.timed(p.age, "--version"))
	if err != nil {
		return err
	}
	fmt.Fprintf(table, "start-up\t%s\t%s age-keygen\t%.2f times\t\t\n", ms(start[0]), ms(start[1]), ratio(start))
	keygen, err := interleave(runs, p.timed(p.blnkctl, "keygen"), p.timed(p.age))
	if err != nil {
		return err
	}
	fmt.Fprintf(table, "keygen\t%s\t%s age-keygen\t%.2f times\t≤ %.1f times\t%s\n", ms(keygen[0]), ms(keygen[1]),
		ratio(keygen), wantedKeygen, mark(ratio(keygen) <= wantedKeygen))
	return nil
}

func sizes(table *tabwriter.Writer, p programs) error {
	var mb [2]float64
	for i, path := range []string{p.blnkctl, p.age} {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		mb[i] = float64(info.Size()) / 1e6
	}
	fmt.Fprintf(table, "size\t%.2f MB\t%.1f MB age-keygen\t\t≤ %.0f MB\t%s\n", mb[0], mb[1], wantedSize,
		mark(mb[0] <= wantedSize))
	return nil
}

// whole compares a rotation, with all its proofs, and a bare restart of the
// same server and worker, up to the first answer to the key.
func whole(table *tabwriter.Writer, p programs, dir string, runs int) error {
	s, err := startStandin(p, dir)
	if err != nil {
		return err
	}
	defer s.stop()
	rotation, err := interleave(runs, s.rotate, s.restart)
	if err != nil {
		return err
	}
	overhead := rotation[0] - rotation[1]
	fmt.Fprintf(table, "rotation\t%s\t%s bare restart\t%s more\t< %s more\t%s\n", ms(rotation[0]), ms(rotation[1]),
		ms(overhead), ms(wantedOverhead), mark(overhead < wantedOverhead))
	fmt.Fprintf(table, "\t\t\t%.2f times\t≤ %.1f times\t%s\n", ratio(rotation), wantedRotation, mark(ratio(rotation) <= wantedRotation))
	return nil
}

func mark(good bool) string {
	if good {
		return ""
	}
	return "MISSED"
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

func ratio(d [2]time.Duration) float64 { return float64(d[0]) / float64(d[1]) }
