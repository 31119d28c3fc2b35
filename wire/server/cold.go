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
	c.slab = c.lane.slabs.get(n)
	op := c.coldOp()
	op.File, op.FileAt = source(sp)
	op.Off, op.Data, op.Len = sp.Off()+int64(c.off), c.slab[:n], n
	c.filler = nil
	c.queueCold()
}

// coldOp is the connection's read, made when it is first needed: most
// connections never are.
func (out *output) coldOp() *netpoll.Op {
	if out.readOp == nil {
		out.readOp = &netpoll.Op{Kind: netpoll.ReadFile, Done: out.onRead}
	}
	return out.readOp
}

// fillSpan has the next bytes of a chunk made that lie in no file, once what
// was collected before them is sent. It is true when there is nothing to make.
func (out *output) fillSpan(k *call, ch *api.Chunk) bool {
	c := out.conn
	left := ch.Span.Len() - c.off
	if left == 0 {
		c.spanSent(k, ch.Span)
		return true
	}
	if len(c.bufs) > 0 {
		c.send()
		return false
	}
	n := min(left, coldStep)
	c.slab = c.lane.slabs.get(n)
	op := c.coldOp()
	op.Data, op.Len = c.slab[:n], n
	c.filler = ch.Filler
	c.queueCold()
	return false
}

// queueCold starts the read, or puts it into the lane's line.
func (out *output) queueCold() {
	c := out.conn
	c.reading = true
	l := c.lane
	if l.coldBusy < l.server.limits.ColdReads {
		l.coldBusy++
		c.startCold()
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

// startCold begins the read: beside the loop, or on the pool what is made there.
func (out *output) startCold() {
	c := out.conn
	if c.filler == nil {
		c.lane.loop.Submit(c.readOp)
		return
	}
	c.lane.server.pool((*filling)(c).onPool)
}

// filling is a connection's output while a Filler works for it.
type filling conn

// onPool makes the bytes.
func (f *filling) onPool() {
	op := f.readOp
	op.N, op.Err = 0, f.filler.Fill(op.Data[:op.Len])
	if op.Err == nil {
		op.N = op.Len
	}
	f.lane.loop.Post(f)
}

// Run implements netpoll.Message: the bytes are there.
func (f *filling) Run() { (*conn)(f).onRead(f.readOp) }

// onRead is Done of the read.
func (out *output) onRead(op *netpoll.Op) {
	c := out.conn
	c.reading = false
	l := c.lane
	l.coldBusy--
	l.nextCold()
	if c.dead {
		c.filler = nil
		c.freeSlab()
		c.settle()
		return
	}
	if c.filler != nil && op.Err != nil {
		c.filler = nil
		c.freeSlab()
		c.kill(fmt.Errorf("server: an answer could not be finished: %w", op.Err))
		return
	}
	if op.Err != nil || op.N != op.Len {
		c.freeSlab()
		c.kill(fmt.Errorf("%w: read %d of %d: %w", errCut, op.N, op.Len, op.Err))
		return
	}
	if c.filler == nil {
		sp := c.head.Chunks()[c.span].Span
		sp.File().Drop(op.Off, int64(op.N))
		if l.server.events.Cold != nil {
			l.server.events.Cold(op.N)
		}
	}
	c.filler = nil
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
	c.startCold()
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
