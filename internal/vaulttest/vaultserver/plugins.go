package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	jwt "github.com/hashicorp/vault-plugin-auth-jwt"
	kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/credential/userpass"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

func logicalBackends() map[string]logical.Factory {
	return map[string]logical.Factory{"kv": kv.Factory}
}

func credentialBackends() map[string]logical.Factory {
	return map[string]logical.Factory{
		"approle":    approle.Factory,
		"jwt":        jwt.Factory,
		"kubernetes": kubernetes.Factory,
		"userpass":   userpass.Factory,
	}
}

// A registry tells a core which plugins are part of the program. Vault's own
// needs all of them.
type registry struct{}

// of returns the plugins of a type. Database plugins there are none.
func (registry) of(pluginType consts.PluginType) map[string]logical.Factory {
	switch pluginType {
	case consts.PluginTypeSecrets:
		return logicalBackends()
	case consts.PluginTypeCredential:
		return credentialBackends()
	}
	return nil
}

func (r registry) Contains(name string, pluginType consts.PluginType) bool {
	return r.of(pluginType)[name] != nil
}

func (r registry) Get(name string, pluginType consts.PluginType) (func() (interface{}, error), bool) {
	factory, ok := r.of(pluginType)[name]
	return func() (interface{}, error) { return factory, nil }, ok
}

func (r registry) Keys(pluginType consts.PluginType) []string {
	var names []string
	for name := range r.of(pluginType) {
		names = append(names, name)
	}
	return names
}

func (r registry) DeprecationStatus(name string, pluginType consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, pluginType)
}

// tlsConfig asks clients for a certificate where the options name a CA.
func tlsConfig(opt options) (*tls.Config, error) {
	if opt.clientCA == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(opt.clientCA)
	if err != nil {
		return nil, fmt.Errorf("read the CA of clients: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read the CA of clients: %s holds no PEM certificate", opt.clientCA)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}, nil
}
