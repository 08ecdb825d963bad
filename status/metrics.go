package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
	"github.com/blnkctl/blnkctl/internal/flock"
	"github.com/blnkctl/blnkctl/internal/hint"
	"github.com/blnkctl/blnkctl/internal/ownfile"
)

// A metric is a gauge with one value for each target that has it.
type metric struct {
	name, help string
	value      func(s Standing) (value int64, known bool)
}

func moments(get func(s Standing) time.Time) func(Standing) (int64, bool) {
	return func(s Standing) (int64, bool) { t := get(s); return t.Unix(), !t.IsZero() }
}

func truth(get func(s Standing) bool) func(Standing) (int64, bool) {
	return func(s Standing) (int64, bool) {
		if get(s) {
			return 1, true
		}
		return 0, true
	}
}

var metrics = []metric{
	{"blnkctl_status_good", "1 where blnkctl status found no problem, else 0.", truth(func(s Standing) bool { return s.Result == Good })},
	{"blnkctl_status_timestamp_seconds", "When blnkctl status looked.", moments(func(s Standing) time.Time { return s.now })},
	{"blnkctl_key_age_seconds", "Age of the key at that time; absent where it is not known.", func(s Standing) (int64, bool) { return s.Key.Age, s.age }},
	{"blnkctl_key_next_due_timestamp_seconds", "When the key is, or was, due by its policy; absent without one.", moments(func(s Standing) time.Time { return s.Key.NextDue })},
	{"blnkctl_key_drift", "1 where the stores hold different keys, else 0.", truth(func(s Standing) bool { return s.drift })},
	{"blnkctl_key_open_rotation", "1 where a rotation has not ended, else 0.", truth(func(s Standing) bool { return s.Open != nil })},
	{"blnkctl_key_open_rotation_started_timestamp_seconds", "When that rotation was begun; absent without one.", moments(func(s Standing) time.Time {
		if s.Open == nil {
			return time.Time{}
		}
		return s.Open.Started
	})},
	{"blnkctl_key_last_attempt_timestamp_seconds", "When the key was last tried to be changed; absent where that is not recorded.", moments(func(s Standing) time.Time {
		if s.Last == nil {
			return time.Time{}
		}
		return s.Last.Time
	})},
	{"blnkctl_key_last_result", "1 where that attempt did not fail, else 0; absent where none is recorded.", func(s Standing) (int64, bool) {
		if s.Last == nil {
			return 0, false
		}
		return truth(func(s Standing) bool { return !s.Last.Failed })(s)
	}},
}

// Metrics is the report in the text format of Prometheus, as node_exporter's textfile
// collector reads it: without a key, a fingerprint or the text of an error.
func (r Report) Metrics() []byte {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	var b strings.Builder
	for _, m := range metrics {
		head := fmt.Sprintf("# HELP %s %s\n# TYPE %s gauge\n", m.name, m.help, m.name)
		for _, s := range r.Targets {
			if value, known := m.value(s); known {
				fmt.Fprintf(&b, "%s%s{target=\"%s\"} %d\n", head, m.name, escape.Replace(strings.ToValidUTF8(s.Target, "�")), value)
				head = ""
			}
		}
	}
	return []byte(b.String())
}

// extension is what the names of files end with that node_exporter reads.
const extension = ".prom"

// writeMetrics puts Metrics into a file that everybody may read, whole and at once. No
// link of somebody else leads it elsewhere, and what is there and is no file of metrics
// of blnkctl's stays. It is not synced: the next run writes it again.
func (r Report) writeMetrics(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err == nil {
		err = r.replace(ctx, path)
	}
	if err != nil {
		err = fmt.Errorf("--metrics: %w", err)
	}
	return err
}

func (r Report) replace(ctx context.Context, path string) error {
	folder, err := ownfile.Resolve(filepath.Dir(path))
	var dir *atomicfile.Dir
	if err == nil {
		dir, err = atomicfile.OpenRealDir(folder)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return hint.Add(err, "name a file in the folder that node_exporter reads (--collector.textfile.directory)")
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	unlock, err := flock.Lock(ctx, folder, 10*time.Second) // two may write it at once, and have one temporary file
	if err != nil {
		return err
	}
	defer unlock()
	name := filepath.Base(path)
	if err := replaceable(dir, name, path); err != nil {
		return err
	}
	return dir.Replace(name, r.Metrics(), 0o644)
}

// replaceable refuses to take away what is no file of metrics of ours.
func replaceable(dir *atomicfile.Dir, name, path string) error {
	file, err := dir.Open(name, os.O_RDONLY)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ELOOP):
		return hint.Add(fmt.Errorf("%s is a link: it stays", path), "name the file itself")
	case err != nil:
		return err
	}
	defer file.Close()
	begin := make([]byte, len(metrics[0].name)+len("# HELP "))
	info, err := file.Stat()
	if err == nil && info.Mode().IsRegular() && info.Size() > 0 {
		_, err = io.ReadFull(file, begin)
	}
	if err != nil || !info.Mode().IsRegular() || info.Size() > 0 && string(begin) != "# HELP "+metrics[0].name {
		return hint.Add(fmt.Errorf("%s is there, and is no file of metrics of blnkctl: it stays", path), "name another file")
	}
	return nil
}
