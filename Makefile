# SPDX-License-Identifier: Apache-2.0
# The tag and the linker flag that giouring needs; see ARCHITECTURE.md.
GOFLAGS_RING := -tags giouring -ldflags=-checklinkname=0
GO ?= go

.DEFAULT_GOAL := help
.PHONY: help build test check

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

build: ## build bin/samsa with the io_uring backend
	$(GO) build $(GOFLAGS_RING) -o bin/samsa ./cmd/samsa

test: ## pass the tests that need nothing but Go and make
	$(GO) test $(GOFLAGS_RING) ./...

check: ## formatting, vet and the tree's own rules
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet $(GOFLAGS_RING) ./...
