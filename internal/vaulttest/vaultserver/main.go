// Command vaultserver is a real Vault server for the tests of blnkctl: Vault's
// own core and HTTP interface, with storage in memory, initialized and unsealed
// at its start.
//
// It prints one line of JSON on its standard output when it takes requests (see
// ready), and ends when its standard input does, so that no server survives the
// test that started it, however that one died.
//
// It is a module of its own, since the product must not have what it needs. The
// version is the last one under the MPL-2.0.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	log "github.com/hashicorp/go-hclog"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// ready is what a test needs to use the server.
type ready struct {
	Address   string `json:"address"`
	Standby   string `json:"standby,omitempty"` // address of the second server
	RootToken string `json:"root_token"`
	UnsealKey string `json:"unseal_key"`
}

type options struct {
	cert, key string // PEM files; plain http without
	clientCA  string // PEM file: ask for certificates that it signed
	standby   bool
}

func main() {
	var opt options
	flag.StringVar(&opt.cert, "cert", "", "PEM `file` of the server's certificate; without it plain http is spoken")
	flag.StringVar(&opt.key, "key", "", "PEM `file` of its private key")
	flag.StringVar(&opt.clientCA, "client-ca", "", "PEM `file`: only clients with a certificate signed by it get through")
	flag.BoolVar(&opt.standby, "standby", false, "run a second server of the same cluster, on standby")
	flag.Parse()
	if err := run(opt); err != nil {
		fmt.Fprintln(os.Stderr, "vaultserver:", err)
		os.Exit(1)
	}
}

func run(opt options) error {
	logger := log.New(&log.LoggerOptions{Level: log.Warn, Output: os.Stderr})
	storage, err := newStorage(opt.standby, logger)
	if err != nil {
		return fmt.Errorf("make storage: %w", err)
	}
	failed := make(chan error, 2)
	core, address, err := serve(opt, storage, logger, failed)
	if err != nil {
		return err
	}
	out, err := initialize(core)
	if err != nil {
		return err
	}
	out.Address = address
	if opt.standby {
		second, address, err := serve(opt, storage, logger, failed)
		if err != nil {
			return err
		}
		if err := unseal(second, out.UnsealKey); err != nil {
			return err
		}
		out.Standby = address
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		return fmt.Errorf("say that it is ready: %w", err)
	}
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err // nil at the end of the input
	}()
	return <-failed
}

func newStorage(ha bool, logger log.Logger) (physical.Backend, error) {
	if ha {
		return inmem.NewInmemHA(nil, logger)
	}
	return inmem.NewInmem(nil, logger)
}

// serve makes a core and lets it answer on a free port.
func serve(opt options, storage physical.Backend, logger log.Logger, failed chan<- error) (*vault.Core, string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("listen: %w", err)
	}
	address := "http://" + listener.Addr().String()
	if opt.cert != "" {
		address = "https://" + listener.Addr().String()
	}
	config := &vault.CoreConfig{
		Physical:           storage,
		LogicalBackends:    logicalBackends(),
		CredentialBackends: credentialBackends(),
		BuiltinRegistry:    registry{},
		DisableMlock:       true,
		Logger:             logger,
	}
	if opt.standby {
		config.HAPhysical = storage.(physical.HABackend)
		config.RedirectAddr = address
	}
	core, err := vault.NewCore(config)
	if err != nil {
		return nil, "", fmt.Errorf("make core: %w", err)
	}
	server := &http.Server{
		Handler: vaulthttp.Handler.Handler(&vault.HandlerProperties{
			Core:           core,
			ListenerConfig: &configutil.Listener{MaxRequestSize: 32 << 20, MaxRequestDuration: time.Minute},
		}),
		ErrorLog: logger.StandardLogger(nil),
	}
	if server.TLSConfig, err = tlsConfig(opt); err != nil {
		return nil, "", err
	}
	go func() {
		if opt.cert != "" {
			failed <- server.ServeTLS(listener, opt.cert, opt.key)
		} else {
			failed <- server.Serve(listener)
		}
	}()
	return core, address, nil
}

// initialize makes a vault with one unseal key and unseals it.
func initialize(core *vault.Core) (ready, error) {
	one := &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}
	result, err := core.Initialize(context.Background(), &vault.InitParams{
		BarrierConfig:  one,
		RecoveryConfig: one,
	})
	if err != nil {
		return ready{}, fmt.Errorf("initialize: %w", err)
	}
	out := ready{RootToken: result.RootToken, UnsealKey: hex.EncodeToString(result.SecretShares[0])}
	return out, unseal(core, out.UnsealKey)
}

// unseal returns when the core is active, or on standby behind another one.
func unseal(core *vault.Core, key string) error {
	raw, err := hex.DecodeString(key)
	if err != nil {
		return fmt.Errorf("unseal: %w", err)
	}
	if _, err := core.Unseal(raw); err != nil {
		return fmt.Errorf("unseal: %w", err)
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		leads, leader, _, err := core.Leader()
		if errors.Is(err, vault.ErrHANotEnabled) || err == nil && (leads || leader != "") {
			return nil
		}
	}
	return errors.New("unseal: no server became active")
}
