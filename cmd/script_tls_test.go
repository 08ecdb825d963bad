package cmd_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strconv"
	"time"
)

// tlsfront is the program behind `exec spawn NAME tlsfront CERT URLFILE
// HOST:PORT &`: a TLS terminator before a plain server, as Blnk needs one. It
// makes a certificate for 127.0.0.1, writes it to CERT, and its own address to
// URLFILE, as {"url": "https://127.0.0.1:PORT"}. The certificate is for an hour, or for
// DAYS where they are given behind.
func tlsfront() int {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: tlsfront CERT URLFILE HOST:PORT [DAYS]")
		return 2
	}
	lasts := time.Hour
	if len(os.Args) > 4 {
		days, _ := strconv.Atoi(os.Args[4])
		lasts = time.Duration(days) * 24 * time.Hour
	}
	if err := terminate(os.Args[1], os.Args[2], os.Args[3], lasts); err != nil {
		fmt.Fprintln(os.Stderr, "tlsfront:", err)
		return 1
	}
	return 0
}

func terminate(certFile, urlFile, target string, lasts time.Duration) error {
	cert, text, err := selfSigned(lasts)
	if err != nil {
		return err
	}
	if err := os.WriteFile(certFile, text, 0o600); err != nil {
		return err
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	url := fmt.Sprintf("{%q: \"https://%s\"}\n", "url", listener.Addr())
	if err := os.WriteFile(urlFile+".tmp", []byte(url), 0o600); err != nil {
		return err
	}
	if err := os.Rename(urlFile+".tmp", urlFile); err != nil {
		return err
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go pass(client, target)
	}
}

// pass copies one connection both ways.
func pass(client net.Conn, target string) {
	defer client.Close()
	// Not before the handshake: a server waits at its end for connections on
	// which nothing was asked yet.
	if tlsClient, ok := client.(*tls.Conn); !ok || tlsClient.Handshake() != nil {
		return
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
}

func selfSigned(lasts time.Duration) (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "blnkctl test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(lasts),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, text, nil
}
