# What a person runs here. Everything works offline once the modules are there
# (go mod download), but for what fetches programs once: bench, lint, and vault,
# compose and systemd, which some tests need.

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
# Packages in which something is concurrent, in the product or in a test.
RACED   = $(sort $(shell grep -lrE --include='*.go' --exclude-dir=tools --exclude-dir=vaultserver \
	'^[[:space:]]+go [a-z]|\.Go[^a-z]|AfterFunc|signal\.Notify|httptest\.|synctest|t\.Parallel' . | xargs -n 1 dirname))

FUZZTIME ?= 30s

.PHONY: help build test modules race vault compose systemd demo docs bench lint lines tidy cross release fuzz clean need-go need-cc

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# A static binary starts in two thirds of the time. The flags make it smaller, and change
# nothing that it does (docs/architecture.md): no inlining where nobody can measure it,
# and no HTTP/2, which blnkctl does not speak.
build: need-go ## build ./blnkctl as a release is built
	CGO_ENABLED=0 $(GO) build $$(cat tools/release/flags) .

# Tests make small files by the hundred thousand, and sync them: in memory, where
# there is much of it and programs may be run there. What a killed test leaves goes, too.
IN_MEMORY = memory=$$(mktemp -d /dev/shm/blnkctl-test.XXXXXX 2>/dev/null) || memory=$$(mktemp -d); trap 'rm -rf "$$memory"' EXIT; trap 'exit 1' HUP INT TERM; \
	if chmod 1777 "$$memory" && cp /bin/true "$$memory" && "$$memory/true" && [ "$$(df -Pk "$$memory" | awk 'END { print $$4 }')" -gt 4000000 ]; then export TMPDIR="$$memory"; fi 2>/dev/null

# Static programs start faster, and scripts start thousands; make lint vets.
test: need-go ## run all tests of the product; what is missing for some is named first
	@$(GO) run ./internal/blnktest/needs/list
	@echo "$(GO) test ./..."; $(IN_MEMORY); CGO_ENABLED=0 $(GO) test -vet=off -timeout=60m ./... # against a hang only: containers take long on a busy machine

# They compile for minutes, once.
modules: need-go ## hold blnkctl against programs of others (gitleaks, Prometheus, Compose), and build a release
	@$(IN_MEMORY); set -e; for m in $(TESTED); do echo "$(GO) -C $$m test ./..."; $(GO) -C $$m test ./...; done

# Containers take long, and nothing in a driver is concurrent; the same holds for what
# goes through commands, pages and seeded leaks one by one.
race: need-go need-cc ## run with the race detector what has something concurrent
	@echo "$(GO) test -race"; $(IN_MEMORY); $(GO) test -race -vet=off -timeout=60m \
		-skip '^Test(Docker|Compose|Systemd|Docs|MisplacedKeys|SeededLeaks.*|ThisRepositoryIsClean)$$' $(RACED)

# What some tests need and not every machine has. Each takes minutes, once.
CACHE = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/blnkctl-test

vault: need-go ## build Vault's own server for the tests
	@$(GO) run ./internal/vaulttest/build

compose: need-go ## build Docker Compose, of three versions, for the tests
	CGO_ENABLED=0 $(GO) build -C tools/compose -trimpath -ldflags='-s -w -X github.com/docker/compose/v2/internal.Version=v2.40.3' \
		-o $(CACHE)/docker/cli-plugins/docker-compose .
	@set -e; for v in v2/v2.20.3 v5/v5.5.1; do \
		module=github.com/docker/compose/$${v%/*}; version=$${v#*/}; \
		plugin=$(CACHE)/docker-$$version/cli-plugins/docker-compose; \
		if [ -e $$plugin ]; then continue; fi; \
		source=$$(cd / && $(GO) mod download -json $$module@$$version | sed -n 's/^.*"Dir": "\(.*\)".*$$/\1/p'); \
		echo "building $$module $$version"; \
		CGO_ENABLED=0 $(GO) build -C $$source -trimpath -ldflags="-s -w -X $$module/internal.Version=$$version" -o $$plugin ./cmd; \
	done

systemd: ## make a Debian with systemd to boot in the tests (root; 210 MB)
	@command -v debootstrap >/dev/null || { echo "this needs debootstrap (Debian: apt-get install debootstrap)" >&2; exit 1; }
	@set -e; tree=$(CACHE)/systemd-bookworm; if [ -e $$tree ]; then exit; fi; mkdir -p $(CACHE); rm -rf $$tree.half; \
	debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,libpam-systemd,polkitd bookworm $$tree.half http://deb.debian.org/debian; \
	chroot $$tree.half useradd --create-home --shell /bin/sh person; \
	mv $$tree.half $$tree

demo: need-go ## rotate and verify a key on a stand-in Blnk server, and show it
	@$(GO) run ./internal/blnktest/demo

bench: need-go ## measure beside age-keygen and beside a bare restart
	@$(GO) run ./bench

lint: need-go ## gofmt, go vet, golangci-lint
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	$(LINT) run ./...

docs: need-go ## run the commands of README and docs (root), and write what they print into them
	$(GO) test ./cmd -count=1 -run '^TestDocs$$' -update

lines: need-go ## show how many lines of Go ship, by package
	@$(GO) test -count=1 -v -run '^TestLines$$' .

tidy: need-go ## check that go mod tidy changes nothing
	$(GO) mod tidy -diff
	@set -e; for m in $(TIDY); do echo "$(GO) -C $$m mod tidy -diff"; $(GO) -C $$m mod tidy -diff; done

cross: need-go ## vet what is compiled for darwin/arm64 only; a release builds all
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) vet ./...

release: need-go ## build the commit that is checked out, for all platforms, as archives and packages into dist/
	rm -rf dist
	@$(GO) -C tools/release run . ../.. ../../dist
	@cat dist/SHA256SUMS

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

need-cc:
	@command -v "$$($(GO) env CC)" >/dev/null || { echo "the race detector needs a C compiler (Debian: apt-get install gcc libc6-dev)" >&2; exit 1; }
