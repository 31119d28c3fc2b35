// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"

	"github.com/samsa-broker/samsa/netpoll"
	"github.com/samsa-broker/samsa/wire/api"
)

// Bytes that are not in the page cache are read by the loop's backend, beside
// the loop, into a slab, and sent from there. A lane has a bounded number of
// such reads under way and a connection has one, so that a reader of old data
// slows nobody but itself.

// readCold reads the next bytes of sp, now or when the lane has a read to spare.
func (out *output) readCold(sp api.Span, left int) {
	c := out.conn
	n := min(left, coldStep)
	c.reading = true
	c.slab = c.lane.slabs.get(n)
	if c.readOp == nil {
		c.readOp = &netpoll.Op{Kind: netpoll.ReadFile, Done: c.onRead}
	}
	op := c.readOp
	op.File, op.FileAt = source(sp)
	op.Off, op.Data, op.Len = sp.Off()+int64(c.off), c.slab[:n], n
	l := c.lane
	if l.coldBusy < l.server.limits.ColdReads {
		l.coldBusy++
		l.loop.Submit(op)
		return
	}
	c.inColdLine = true
	if l.coldLast == nil {
		l.coldFirst = c
	} else {
		l.coldLast.nextCold = c
	}
	l.coldLast = c
}

// onRead is Done of the read.
func (out *output) onRead(op *netpoll.Op) {
	c := out.conn
	c.reading = false
	l := c.lane
	l.coldBusy--
	l.nextCold()
	if c.dead {
		c.freeSlab()
		c.settle()
		return
	}
	if op.Err != nil || op.N != op.Len {
		c.freeSlab()
		c.kill(fmt.Errorf("%w: read %d of %d: %w", errCut, op.N, op.Len, op.Err))
		return
	}
	sp := c.head.Chunks()[c.span].Span
	sp.File().Drop(op.Off, int64(op.N))
	if l.server.events.Cold != nil {
		l.server.events.Cold(op.N)
	}
	c.bufs, c.expect, c.covered = append(c.bufs[:0], c.slab), op.N, 0
	c.advances = op.N
	c.send()
}

// nextCold starts the read that has waited longest.
func (l *lane) nextCold() {
	c := l.coldFirst
	if c == nil {
		return
	}
	l.coldFirst = c.nextCold
	if l.coldFirst == nil {
		l.coldLast = nil
	}
	c.nextCold, c.inColdLine = nil, false
	l.coldBusy++
	l.loop.Submit(c.readOp)
}

// leaveCold takes a dying connection out of the line for reads.
func (out *output) leaveCold() {
	c := out.conn
	if !c.inColdLine {
		return
	}
	l := c.lane
	var prev *conn
	for q := l.coldFirst; q != c; q = q.nextCold {
		prev = q
	}
	if prev == nil {
		l.coldFirst = c.nextCold
	} else {
		prev.nextCold = c.nextCold
	}
	if l.coldLast == c {
		l.coldLast = prev
	}
	c.nextCold, c.inColdLine, c.reading = nil, false, false
	c.freeSlab()
}
