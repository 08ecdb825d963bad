package main

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/blnkctl/blnkctl/blnk"
)

// patience is how long a restarted server may take.
const patience = 30 * time.Second

// A standin is a stand-in Blnk server with its worker, in a folder of its own.
type standin struct {
	p     programs
	dir   string // of its blnk.json
	state string // of blnkctl
}

func startStandin(p programs, dir string) (*standin, error) {
	s := &standin{p: p, dir: filepath.Join(dir, "blnk"), state: filepath.Join(dir, "state")}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return nil, err
	}
	if err := s.p.run(s.dir, rand.Text()+"\n", p.standin, "init"); err != nil {
		return nil, err
	}
	if err := s.p.run(s.dir, "", p.standin, "up"); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// stop ends what startStandin and the restarts left running.
func (s *standin) stop() { _ = s.p.run(s.dir, "", s.p.standin, "down") }

// rotate is one whole rotation: new key, restart, all proofs, records.
func (s *standin) rotate() error {
	return s.p.run(s.dir, "", s.p.blnkctl, "rotate", "--yes", "--state-dir", s.state,
		"--store", "blnkjson:./blnk.json", "--restart", "sh:"+s.p.standin+" restart")
}

// restart is what a rotation cannot do without: the same command by the same
// shell, up to the first answer that the key is accepted.
func (s *standin) restart() error {
	if err := s.p.run(s.dir, "", "sh", "-c", s.p.standin+" restart"); err != nil {
		return err
	}
	url, key, err := s.config()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		answer, err := ask(url, key)
		if answer == blnk.Live {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after a bare restart the server did not accept its key: %v %w", answer, err)
		}
	}
}

// config reads what blnk.json says now.
func (s *standin) config() (url, key string, err error) {
	data, err := os.ReadFile(filepath.Join(s.dir, "blnk.json"))
	if err != nil {
		return "", "", err
	}
	var c struct {
		Server struct {
			Port      string `json:"port"`
			SecretKey string `json:"secret_key"`
		} `json:"server"`
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return "", "", fmt.Errorf("read the stand-in's blnk.json: %w", err)
	}
	return "http://127.0.0.1:" + c.Server.Port + blnk.OraclePath, c.Server.SecretKey, nil
}

func ask(url, key string) (blnk.Answer, error) {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return blnk.Nothing, err
	}
	request.Header.Set(blnk.KeyHeader, key)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return blnk.Nothing, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return blnk.Judge(response.StatusCode, body), err
}
