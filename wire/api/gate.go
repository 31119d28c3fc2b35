// SPDX-License-Identifier: Apache-2.0

package api

import (
	"sync"

	"github.com/samsa-broker/samsa/engine/batch"
)

// gate bounds the memory that conversions of the old message formats use at one
// time. Who asks is served in the order of asking; what is larger than the
// whole waits until nothing else is held.
type gate struct {
	total   int64 // bytes; 0: convertBytes
	mu      sync.Mutex
	used    int64
	waiting []gateWait // in order
}

// gateWait is one who waits for n bytes.
type gateWait struct {
	n       int64
	granted func()
}

// convertBytes is what conversions may hold together, where the broker's memory
// allows: enough for what the pool's goroutines do at one time in the usual sizes.
const convertBytes = 64 << 20

// memory is samsa.memory.bytes, which what is decompressed is measured by.
type memory int64

// memoryBytes is the broker's where nobody says how much.
const memoryBytes memory = 256 << 20

func (d *Deps) memory() memory {
	if d.MemoryBytes > 0 {
		return memory(d.MemoryBytes)
	}
	return memoryBytes
}

// gate is the gate of one direction: a quarter of the memory at most.
func (m memory) gate() gate { return gate{total: min(convertBytes, int64(m)/4)} }

// converted is what a set or batch may decompress to that is converted: plan
// reserves three times as much, which is all of the memory for one that is alone.
func (m memory) converted() int {
	return int(min(batch.DefaultMaxSize, max(int64(m)/3, 8<<20)))
}

// held is what a batch may decompress to that is not streamed: compressing it
// anew takes as much again at most.
func (m memory) held() int { return int(min(batch.DefaultMaxSize, int64(m)/2)) }

// take reserves n bytes now, or calls granted, on any goroutine, when they are
// the caller's; granted must not block.
func (g *gate) take(n int64, granted func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 && g.fits(n) {
		g.used += n
		return true
	}
	g.waiting = append(g.waiting, gateWait{n, granted})
	return false
}

// wait takes n bytes and blocks until it has them: for goroutines of the pool,
// and only for as long as they convert.
func (g *gate) wait(n int64) {
	ready := make(chan struct{})
	if !g.take(n, func() { close(ready) }) {
		<-ready
	}
}

func (g *gate) fits(n int64) bool {
	total := g.total
	if total == 0 {
		total = convertBytes
	}
	return g.used == 0 || g.used+n <= total
}

// give returns n bytes and lets those in who have waited for them.
func (g *gate) give(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.used -= n; g.used < 0 {
		panic("BUG: api: more conversion memory given back than was taken")
	}
	served := 0
	for served < len(g.waiting) && g.fits(g.waiting[served].n) {
		g.used += g.waiting[served].n
		g.waiting[served].granted()
		served++
	}
	g.waiting = append(g.waiting[:0], g.waiting[served:]...)
}

// Sizes that a conversion reserves.
const (
	usualGain = 8    // what compressed data mostly yields
	mostGain  = 1032 // what gzip's can
	planSlack = 64 << 10
)

// plan is how many bytes what is n bytes, compressed, may decompress to in a
// first attempt (or, wide, in the last), and what to reserve for it: what is
// read, what is made of it, and that compressed again.
func plan(n int, compressed, wide bool, most int) (limit int, reserve int64) {
	gain := 1
	if compressed {
		if gain = usualGain; wide {
			gain = mostGain
		}
	}
	limit = int(min(int64(n)*int64(gain)+planSlack, int64(most)))
	return limit, int64(n) + 3*int64(limit)
}
