# SPDX-License-Identifier: Apache-2.0
# The tag and the linker flag are what giouring needs (ARCHITECTURE.md, "The ring").
GO   ?= go
RING := -tags giouring -ldflags=-checklinkname=0
E2E  := ./cmd/samsa/e2e
FUZZTIME ?= 10s
FUZZRUNS ?= 200000
FUZZSECONDS ?= 20
PART ?= help
TESTFLAGS ?=
PEERS ?=

.DEFAULT_GOAL := help
.PHONY: help build run test check race fuzz corpus engine peers conformance captures powercut cross soak bench-deps bench bench-full bench-matrix bench-fs bench-gate bench-rehearse clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

build: ## build bin/samsa with the io_uring backend
	$(GO) build $(RING) -o bin/samsa ./cmd/samsa

run: build ## build and start a standalone broker on :9092, data in ./data
	./bin/samsa start config/server.properties

test: ## the tests that need nothing but Go and make
	$(GO) test $(RING) $(TESTFLAGS) ./...

check: ## formatting, vet, staticcheck and the tree's own rules
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }
	$(GO) vet $(RING) ./...
	$(GO) vet -tags conformance ./cmd/...
	$(GO) vet -tags sabotage ./...
	$(GO) tool staticcheck -tags giouring,conformance ./...
	$(GO) test -count=1 ./cmd/tidy

race: ## the rooms' tests under the race detector
	$(GO) test -race $(RING) $(TESTFLAGS) $$($(GO) list ./... | grep -v /e2e)

fuzz: ## every fuzz target's mutator, FUZZRUNS (200000) executions each, FUZZSECONDS (20) at most
	.ci/fuzz $(FUZZRUNS) $(FUZZSECONDS)

corpus: ## add inputs that reach new code to the corpus of every fuzz target, FUZZSECONDS each
	SAMSA_FUZZ_GROW=1 .ci/fuzz 100000000 $(FUZZSECONDS)

engine: ## every fuzz target under go test -fuzz for FUZZTIME (10s)
	@set -e; for pkg in $$(grep -rl --include=*_test.go '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
	  for target in $$(grep -ho --include=*_test.go '^func Fuzz[A-Za-z0-9_]*' $$pkg/*_test.go | cut -c6- | sort -u); do \
	    echo "$$pkg $$target"; $(GO) test $(RING) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; done

cross: ## build for the other platforms
	GOOS=darwin GOARCH=arm64 $(GO) build ./...
	GOOS=linux GOARCH=arm64 $(GO) build $(RING) -o /dev/null ./cmd/samsa
	$(GO) build ./...

peers: ## install what conformance compares with (root, Debian), or some: PEERS='java go'
	cmd/samsa/e2e/conformance/peers/install $(PEERS)

conformance: peers ## stock clients, Kafka's tools, a real Kafka 3.9 against the built binary (CONFORMANCE, BUT: tests by name)
	$(GO) test -tags giouring,conformance -ldflags=-checklinkname=0 -count=1 -p 1 -timeout 35m -v -run "$${CONFORMANCE:-.}" -skip "$$BUT" $(E2E)/conformance/...

captures: ## take testdata/wire and testdata/walk anew from a real Kafka 3.9
	cmd/samsa/e2e/conformance/peers/install debian kafka39
	$(GO) test -tags giouring,conformance -ldflags=-checklinkname=0 -count=1 -timeout 35m -run 'EveryVersionAnswers|TheWalkIs' $(E2E)/conformance/differ -captures "$$PWD/testdata"

powercut: ## power cuts under the unmodified binary (root, /dev/fuse)
	$(GO) test -count=1 -timeout 35m -v $(E2E)/powercut

soak: ## the full counts, in parts of at most 40 minutes: make soak PART=help
	@.ci/soak $(PART)

bench-deps: ## install the peers of the benchmarks: Kafka 3.9 and 4.x
	cmd/samsa/e2e/conformance/peers/install debian kafka39 kafka4

bench: bench-deps ## the small set beside Kafka 3.9 and the null brokers, on a quiet machine
	$(GO) run ./benchmarks run --set ci

bench-full: bench-deps ## every row beside both Kafkas, stock and tuned
	$(GO) run ./benchmarks run --set full

bench-matrix: ## the small set on every backend of ours, with one loop and two
	$(GO) run ./benchmarks run --set matrix

bench-fs: bench-deps ## W9 and W18 on ext4 with a journal and on xfs, on loop devices (root)
	$(GO) run ./benchmarks run --set fs --on ext4
	$(GO) run ./benchmarks run --set fs --on xfs

bench-gate: ## has a part of the limit been lost since benchmarks/gate.json was recorded?
	$(GO) run ./benchmarks run --set gate

bench-rehearse: bench-deps ## does every row still run? Its figures mean nothing
	$(GO) run ./benchmarks run --set full --rehearse

clean: ## remove what build, run and peers made
	rm -rf bin data .cache
