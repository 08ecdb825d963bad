module github.com/blnkctl/blnkctl

go 1.26

require (
	github.com/rogpeppe/go-internal v1.16.0 // tests only: testscript, the scripts of cmd/testdata
	github.com/spf13/cobra v1.10.2 // the command line, in cmd only
	github.com/spf13/pflag v1.0.9 // cobra's flags: kinds of values of our own, in cmd only
	github.com/tidwall/sjson v1.2.7 // changes one value of a JSON text and no other byte, in store/blnkjson only
	go.yaml.in/yaml/v3 v3.0.6 // blnkctl.yaml, in config only: the maintained fork of gopkg.in/yaml.v3
	golang.org/x/term v0.45.0 // hidden prompts and "is this a terminal?", in cmd only
)

require (
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/tidwall/gjson v1.20.0 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)
