# What a person runs here. Everything works offline once the modules are there
# (go mod download), but for bench and lint, which fetch a program once.

GO   ?= go
LINT  = $(GO) tool -modfile=tools/golangci-lint/go.mod golangci-lint

# Modules of their own below the product's: tools, and test support with
# dependencies that the product should not have.
MODULES = $(patsubst %/go.mod,%,$(shell find . -mindepth 2 -name go.mod -not -path './.*'))
# Those that can be tidied: tidy follows the tests of all dependencies too, and
# Vault's lead to modules that do not exist any more.
TIDY    = $(filter-out ./internal/vaulttest/vaultserver,$(MODULES))
# Those of them that have tests.
TESTED  = $(foreach m,$(MODULES),$(if $(shell find $(m) -name '*_test.go' -print -quit),$(m)))

FUZZTIME ?= 30s

.PHONY: help build test race vault demo bench lint lines tidy cross fuzz clean need-go need-strace need-cc

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: need-go ## build ./blnkctl
	CGO_ENABLED=0 $(GO) build . # a static binary starts in two thirds of the time

test: need-go need-strace vault ## run all tests
	$(GO) test -timeout=20m ./... # with a Docker engine, cmd takes minutes more
	@set -e; for m in $(TESTED); do echo "$(GO) -C $$m test ./..."; $(GO) -C $$m test ./...; done

race: need-go need-strace need-cc vault ## run all tests with the race detector
	$(GO) test -race -timeout=20m -skip '^TestLeaks$$' ./... # it runs all scripts again, under strace: slow, and the same code
	@set -e; for m in $(TESTED); do echo "$(GO) -C $$m test -race ./..."; $(GO) -C $$m test -race ./...; done

vault: need-go ## build Vault's own server for the tests: minutes, once per machine
	@$(GO) run ./internal/vaulttest/build

demo: need-go ## rotate and verify a key on a stand-in Blnk server, and show it
	@$(GO) run ./internal/blnktest/demo

bench: need-go ## measure beside age-keygen and beside a bare restart
	@$(GO) run ./bench

lint: need-go ## gofmt, go vet, golangci-lint
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	$(LINT) run ./...

lines: need-go ## show how many lines of Go ship, by package
	@$(GO) test -count=1 -v -run '^TestLines$$' .

tidy: need-go ## check that go mod tidy changes nothing
	$(GO) mod tidy -diff
	@set -e; for m in $(TIDY); do echo "$(GO) -C $$m mod tidy -diff"; $(GO) -C $$m mod tidy -diff; done

cross: need-go ## build for linux/arm64 and darwin/arm64 into dist/, and vet the latter
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build -trimpath -ldflags='-s -w' -o dist/blnkctl-linux-arm64 .
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) build -trimpath -ldflags='-s -w' -o dist/blnkctl-darwin-arm64 .
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) vet ./...

fuzz: need-go ## run each fuzz test for FUZZTIME (30s)
	@set -e; grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
			echo "$$name in $$(dirname "$$file")"; \
			$(GO) -C "$$(dirname "$$file")" test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) .; \
		done; \
	done

clean: ## remove what was built here
	rm -rf blnkctl dist .cache

need-go:
	@command -v $(GO) >/dev/null || { echo "this needs Go 1.26 or newer: https://go.dev/dl" >&2; exit 1; }

need-strace:
	@command -v strace >/dev/null || { echo "the tests look for leaked keys with strace, and need it (Debian: apt-get install strace)" >&2; exit 1; }

need-cc:
	@command -v "$$($(GO) env CC)" >/dev/null || { echo "the race detector needs a C compiler (Debian: apt-get install gcc libc6-dev)" >&2; exit 1; }
