// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// rooms is the whole import graph. "a < b < c" lets b import a, and c import a
// and b. What is not written is forbidden. Do not add a line to make a build
// pass: a missing line says that code stands in the wrong room.
const rooms = `
	# the floor: nothing of ours
	NONE < netpoll/ring, controller/meta, config, engine/vfs, engine/batch

	netpoll/ring < netpoll < netpoll/looptest

	engine/vfs, engine/batch < engine/segment, engine/producer, engine/clean, engine/journal < engine < engine/dir

	controller/meta < controller < controller/zk, controller/embedded

	engine/vfs, engine/batch, engine, engine/dir, controller/meta < replica < replica/fetch, replica/group, replica/txn

	replica, replica/fetch, replica/group, replica/txn, controller, engine/vfs < replica/sim

	replica, replica/fetch, replica/group, replica/txn, controller/meta, config < wire/api
	engine, engine/vfs, engine/batch, wire/frame, wire/auth < wire/api

	netpoll, wire/frame, wire/auth, wire/api < wire/server

	netpoll, wire/frame, wire/auth, replica, controller < wire/peer

	NONE < benchmarks/host, benchmarks/stats, benchmarks/limit, benchmarks/garbage
	wire/frame < benchmarks/load, benchmarks/null
	benchmarks/host, benchmarks/stats, benchmarks/load, benchmarks/null, benchmarks/limit < benchmarks
	benchmarks/null < benchmarks/load

	NONE < cmd/tidy, cmd/hostiletest, cmd/samsa/loggers
	NONE < cmd/samsa/e2e < cmd/samsa/e2e/powercut, cmd/samsa/e2e/hostile, cmd/samsa/e2e/conformance
	cmd/samsa/e2e, cmd/samsa/e2e/conformance < cmd/samsa/e2e/conformance/clients, cmd/samsa/e2e/conformance/java, cmd/samsa/e2e/conformance/differ
	wire/frame < cmd/wirecap
	ALL < cmd/samsa
`

// thirdParty says which rooms may import a module that is not ours. "name/..."
// is the room and everything below it; "test" is any test file.
const thirdParty = `
	github.com/pawelgaczynski/giouring: netpoll/ring
	golang.org/x/sys: ...
	github.com/cespare/xxhash/v2: engine/...
	github.com/golang/snappy: engine/batch wire/...
	github.com/klauspost/compress: engine/batch wire/... benchmarks/load
	github.com/pierrec/lz4/v4: engine/batch wire/... benchmarks/load
	github.com/twmb/franz-go/pkg/kmsg: wire/... replica/group cmd/... benchmarks/... test
	github.com/twmb/franz-go: cmd/... benchmarks/... test
	go.etcd.io/bbolt: controller/embedded
	github.com/prometheus: cmd/samsa console benchmarks/...
	github.com/spf13: cmd/... benchmarks
	github.com/magiconair/properties: config
	github.com/cockroachdb/datadriven: test
	pgregory.net/rapid: test
	github.com/HdrHistogram/hdrhistogram-go: benchmarks/... test
	github.com/go-zookeeper/zk: controller/zk test
	github.com/hanwen/go-fuse/v2: cmd/samsa/e2e/powercut test
`

// graph answers whether one room may import another.
type graph struct {
	direct map[string]map[string]bool // importer -> what it may import
}

func parseGraph(text string) (*graph, error) {
	g := &graph{direct: map[string]map[string]bool{}}
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var before []string
		for _, set := range strings.Split(line, "<") {
			var names []string
			for _, name := range strings.Split(set, ",") {
				name = strings.TrimSpace(name)
				if name == "" || strings.ContainsAny(name, " \t") {
					return nil, fmt.Errorf("graph: cannot read %q", line)
				}
				names = append(names, name)
				g.allow(name, before)
			}
			before = append(before, names...)
		}
	}
	return g, nil
}

func (g *graph) allow(name string, imports []string) {
	if g.direct[name] == nil {
		g.direct[name] = map[string]bool{}
	}
	for _, i := range imports {
		g.direct[name][i] = true
	}
}

// knows tells whether the room stands in the graph.
func (g *graph) knows(room string) bool { return g.direct[room] != nil }

// mayImport is the rule for product code.
func (g *graph) mayImport(room, imported string) bool {
	return g.direct[room]["ALL"] || g.direct[room][imported]
}

// mayTest is the rule for test files: whatever lies below the room, at any
// depth, and rooms that exist for tests alone.
func (g *graph) mayTest(room, imported string) bool {
	if room == imported || strings.HasSuffix(path.Base(imported), "test") {
		return true
	}
	seen := map[string]bool{}
	var below func(string) bool
	below = func(r string) bool {
		if seen[r] {
			return false
		}
		seen[r] = true
		if g.mayImport(r, imported) {
			return true
		}
		for next := range g.direct[r] {
			if below(next) {
				return true
			}
		}
		return false
	}
	return below(room)
}

// module3 is one line of thirdParty.
type module3 struct {
	path  string
	rooms []string
}

func parseThirdParty(text string) []module3 {
	var out []module3
	for _, line := range strings.Split(text, "\n") {
		name, rooms, ok := strings.Cut(strings.TrimSpace(line), ":")
		if ok {
			out = append(out, module3{path: name, rooms: strings.Fields(rooms)})
		}
	}
	return out
}

// mayUse tells whether a file of a room may import a path of another module.
// The first line whose path covers the import decides.
func mayUse(modules []module3, room, imported string, test bool) bool {
	for _, m := range modules {
		if imported != m.path && !strings.HasPrefix(imported, m.path+"/") {
			continue
		}
		return slices.ContainsFunc(m.rooms, func(r string) bool {
			if r == "test" {
				return test
			}
			if below, ok := strings.CutSuffix(r, "..."); ok {
				return strings.HasPrefix(room+"/", below)
			}
			return r == room
		})
	}
	return false
}
