module github.com/blnkctl/blnkctl

go 1.26

require (
	github.com/creack/pty v1.1.24 // tests only: a terminal of their own, in cmd
	github.com/hashicorp/vault/api v1.23.0 // Vault's HTTP API as its own client speaks it (MPL-2.0), in store/vault only
	github.com/rogpeppe/go-internal v1.16.0 // tests only: testscript, the scripts of cmd/testdata
	github.com/spf13/cobra v1.10.2 // the command line, in cmd only
	github.com/spf13/pflag v1.0.9 // cobra's flags: kinds of values of our own, in cmd only
	go.yaml.in/yaml/v3 v3.0.6 // blnkctl.yaml, in config: the maintained fork of gopkg.in/yaml.v3
	golang.org/x/sys v0.47.0 // system calls below an opened folder (openat, renameat2, xattrs of a descriptor), on the lowest floors only
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/go-jose/go-jose/v4 v4.1.1 // indirect
	github.com/hashicorp/errwrap v1.1.0 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-multierror v1.1.1 // indirect
	github.com/hashicorp/go-retryablehttp v0.7.8 // indirect
	github.com/hashicorp/go-rootcerts v1.0.2 // indirect
	github.com/hashicorp/go-secure-stdlib/parseutil v0.2.0 // indirect
	github.com/hashicorp/go-secure-stdlib/strutil v0.1.2 // indirect
	github.com/hashicorp/go-sockaddr v1.0.7 // indirect
	github.com/hashicorp/hcl v1.0.1-vault-7 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/mitchellh/go-homedir v1.1.0 // indirect
	github.com/mitchellh/mapstructure v1.5.0 // indirect
	github.com/ryanuber/go-glob v1.0.0 // indirect
	golang.org/x/crypto v0.45.0 // indirect
	golang.org/x/net v0.47.0 // indirect
	golang.org/x/text v0.31.0 // indirect
	golang.org/x/time v0.12.0 // indirect
	golang.org/x/tools v0.38.0 // indirect
)
