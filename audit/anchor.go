package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/blnkctl/blnkctl/internal/atomicfile"
)

// An anchor says what the last record of the log is. It is written after the
// record is on the disk, so it never runs ahead of an honest log; after a
// crash it may be one behind.
type anchor struct {
	Seq  int    `json:"seq"`
	Hash string `json:"hash"`
}

var errBadAnchor = errors.New("not an anchor")

// readAnchor returns the zero anchor where there is no file, and errBadAnchor
// (wrapped) where it holds something else.
func readAnchor(path string) (anchor, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return anchor{}, nil
	}
	if err != nil {
		return anchor{}, fmt.Errorf("read audit anchor: %w", err)
	}
	var a anchor
	if err := json.Unmarshal(data, &a); err != nil || a.Seq < 1 || len(a.Hash) != hashDigits {
		return anchor{}, fmt.Errorf("read audit anchor %s: %w", path, errBadAnchor)
	}
	return a, nil
}

func writeAnchor(path string, a anchor) error {
	data, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("write audit anchor: %w", err)
	}
	if err := atomicfile.Replace(path, append(data, '\n'), atomicfile.Private()); err != nil {
		return fmt.Errorf("write audit anchor: %w", err)
	}
	return nil
}
