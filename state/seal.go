package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

var (
	// ErrDamaged means that a file of the state is not as blnkctl wrote it.
	ErrDamaged = errors.New("damaged")
	// ErrOtherVersion means that a file of the state was written by a version
	// of blnkctl that this one does not understand.
	ErrOtherVersion = errors.New("written by another version of blnkctl")
)

// sealVersion is raised when a file of the state can no longer be read by
// older versions.
const sealVersion = 1

// seal puts a line before the body by which a cut, a flipped bit and another
// version are told apart:
//
//	blnkctl journal 1 sha256:…
func seal(name string, body []byte) []byte {
	sum := sha256.Sum256(body)
	line := fmt.Sprintf("blnkctl %s %d sha256:%s\n", name, sealVersion, hex.EncodeToString(sum[:]))
	return append([]byte(line), body...)
}

// unseal returns the body of a sealed file. Its errors hold nothing of the
// file but its version.
func unseal(name string, data []byte) ([]byte, error) {
	line, body, ok := bytes.Cut(data, []byte("\n"))
	word := bytes.Split(line, []byte(" "))
	if !ok || len(word) < 3 || string(word[0]) != "blnkctl" || string(word[1]) != name {
		return nil, ErrDamaged
	}
	version, err := strconv.Atoi(string(word[2]))
	if err != nil || version < 1 {
		return nil, ErrDamaged
	}
	if version != sealVersion {
		return nil, fmt.Errorf("%w (format %d, this one reads %d)", ErrOtherVersion, version, sealVersion)
	}
	if !bytes.Equal(data, seal(name, body)) {
		return nil, ErrDamaged
	}
	return body, nil
}

// load reads a sealed file: nil where there is none, never nil where there is
// one.
func load(path, name string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	body, err := unseal(name, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if body == nil {
		body = []byte{}
	}
	return body, nil
}
