package vaulttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certify makes a CA, a certificate of the server and one of a client, and
// returns the server's arguments.
func (s *Server) certify(opt Options) ([]string, error) {
	now := time.Now()
	authority := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "vaulttest CA"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	caKey, err := newKey()
	if err != nil {
		return nil, err
	}
	issue := issuer{dir: opt.Dir, authority: authority, key: caKey}
	if s.CACert, _, err = issue.write("ca", authority, caKey); err != nil {
		return nil, err
	}
	leaf := x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "vault.test"},
		NotBefore:    authority.NotBefore,
		NotAfter:     authority.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{"localhost", "vault.test"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, key, err := issue.leaf("server", leaf)
	if err != nil {
		return nil, err
	}
	args := []string{"-cert", cert, "-key", key}
	leaf.SerialNumber = big.NewInt(3)
	leaf.Subject.CommonName = "client"
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	leaf.DNSNames, leaf.IPAddresses = nil, nil
	if s.ClientCert, s.ClientKey, err = issue.leaf("client", leaf); err != nil {
		return nil, err
	}
	if opt.ClientCerts {
		args = append(args, "-client-ca", s.CACert)
	}
	return args, nil
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// An issuer signs certificates and writes them as files.
type issuer struct {
	dir       string
	authority *x509.Certificate
	key       *ecdsa.PrivateKey
}

func (i issuer) leaf(name string, template x509.Certificate) (cert, key string, err error) {
	private, err := newKey()
	if err != nil {
		return "", "", err
	}
	return i.write(name, &template, private)
}

// write signs a certificate for a key and writes both.
func (i issuer) write(name string, template *x509.Certificate, key *ecdsa.PrivateKey) (certFile, keyFile string, err error) {
	der, err := x509.CreateCertificate(rand.Reader, template, i.authority, &key.PublicKey, i.key)
	if err != nil {
		return "", "", err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certFile, keyFile = filepath.Join(i.dir, name+".pem"), filepath.Join(i.dir, name+".key")
	if err := writePEM(certFile, "CERTIFICATE", der); err != nil {
		return "", "", err
	}
	return certFile, keyFile, writePEM(keyFile, "EC PRIVATE KEY", private)
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
