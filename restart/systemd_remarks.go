package restart

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// workerStops is how long a worker with a hot lane may need to stop (Blnk
// 0.15).
const workerStops = 95 * time.Second

// Remarks tells what a person should know of the units before a restart.
func (s *systemd) Remarks(ctx context.Context) (said []Remark, err error) {
	m, err := s.manager(ctx)
	if err != nil {
		return nil, err
	}
	states, err := s.show(ctx, append(environment, "TimeoutStopUSec")...)
	if err != nil {
		return nil, err
	}
	for _, st := range states {
		if st.NeedDaemonReload {
			said = append(said, note("%s was changed on the disk, and `systemctl daemon-reload` is pending: the restart takes it as it was loaded before", st.Id))
		}
		if limit := st.value("TimeoutStopUSec"); st.role().workers && shorter(limit, workerStops) {
			said = append(said, note("systemd kills %s if it takes longer than %s to stop (TimeoutStopSec=); a worker may need %v", st.Id, limit, workerStops))
		}
		_, unread, err := st.environment(m)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", st.Id, err)
		}
		for _, file := range unread {
			said = append(said, note("%s, an env file of %s, may not be read by this user: a BLNK_SERVER_SECRET_KEY there wins over blnk.json", file, st.Id))
		}
	}
	if s.needsPolkit() {
		said = append(said, note("not run as root: polkit must permit org.freedesktop.systemd1.manage-units for %s without a password, which shows only when it is tried", strings.Join(s.units, ", ")))
	}
	return append(said, s.unnamed(ctx, states)...), nil
}

// unnamed finds units that run, seem to be Blnk's by their names, and will not
// be restarted.
func (s *systemd) unnamed(ctx context.Context, states []unitState) (said []Remark) {
	text, err := s.ask(ctx, "list-units", "--type=service", "--state=running", "--plain", "--no-legend", "*blnk*")
	if err != nil {
		return nil // a guess less
	}
	for line := range strings.Lines(text) {
		unit, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		named := slices.ContainsFunc(states, func(st unitState) bool { return st.Id == unit })
		if unit == "" || named {
			continue
		}
		command, _ := s.ask(ctx, "show", "--property=ExecStart", unit)
		r := roleOf([]string{command})
		said = append(said, Remark{
			Text:    unit + " runs too, and will not be restarted: if it is a server or a worker of this Blnk, name it too",
			Caution: r.runsBlnk(), About: []string{unit}, Workers: r.workers,
		})
	}
	return said
}

// shorter says whether a time as systemd writes it ("1min 30s", "infinity") is
// less than limit. One that cannot be read is not.
func shorter(text string, limit time.Duration) bool {
	units := map[string]time.Duration{
		"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour,
	}
	var sum time.Duration
	for word := range strings.FieldsSeq(text) {
		number := strings.TrimRight(word, "abcdefghijklmnopqrstuvwxyz")
		unit, ok := units[word[len(number):]]
		if !ok {
			return false
		}
		n, err := time.ParseDuration(number + "s")
		if err != nil {
			return false
		}
		sum += time.Duration(n.Seconds() * float64(unit))
	}
	return text != "" && sum < limit
}
