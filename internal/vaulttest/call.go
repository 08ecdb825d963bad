package vaulttest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// A caller speaks Vault's HTTP interface with nothing but net/http, so that a
// test does not look at a store through the library that the store uses.
type caller struct{ client *http.Client }

func newCaller(s *Server) (*caller, error) {
	transport := &http.Transport{}
	if s.CACert != "" {
		pem, err := os.ReadFile(s.CACert)
		if err != nil {
			return nil, err
		}
		pair, err := tls.LoadX509KeyPair(s.ClientCert, s.ClientKey)
		if err != nil {
			return nil, err
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}}
	}
	return &caller{&http.Client{Transport: transport, Timeout: time.Minute}}, nil
}

// Answer is what Vault says: the fields of its JSON object.
type Answer map[string]any

// Get walks down the names; nil where there is nothing.
func (a Answer) Get(names ...string) any {
	var at any = map[string]any(a)
	for _, name := range names {
		m, _ := at.(map[string]any)
		at = m[name]
	}
	return at
}

// Text is Get for a string; "" where there is none.
func (a Answer) Text(names ...string) string {
	s, _ := a.Get(names...).(string)
	return s
}

// Call sends a request to the path behind /v1/ with a token, "" for none. body
// becomes JSON, nil none. Every answer in Vault's words counts as success.
func (s *Server) Call(ctx context.Context, token, method, path string, body any) (int, Answer, error) {
	var data io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		data = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.Address+"/v1/"+path, data)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	resp, err := s.http.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer := Answer{}
	dec := json.NewDecoder(resp.Body)
	dec.UseNumber()
	if err := dec.Decode(&answer); err != nil && !errors.Is(err, io.EOF) {
		return resp.StatusCode, nil, err
	}
	return resp.StatusCode, answer, nil
}

// Do is Call as root; an answer that is no success is an error.
func (s *Server) Do(ctx context.Context, method, path string, body any) (Answer, error) {
	status, answer, err := s.Call(ctx, s.RootToken, method, path, body)
	if err == nil && status >= http.StatusBadRequest {
		err = fmt.Errorf("HTTP %d %v", status, answer["errors"])
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return answer, nil
}
