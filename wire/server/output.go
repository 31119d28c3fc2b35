// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"

	"github.com/samsa-broker/samsa/netpoll"
	"github.com/samsa-broker/samsa/wire/api"
)

// errCut: a file holds fewer bytes than a span of it promised.
var errCut = errors.New("server: log segment was cut under a reader")

// output is the sending half of a connection: one operation at a time, with as
// many finished replies as are ready.
type output struct {
	conn       *conn
	sendOp     netpoll.Op
	readOp     *netpoll.Op // made when first needed
	sending    bool        // sendOp is under way
	reading    bool        // readOp is under way or in the lane's line for it
	inColdLine bool
	unsent     int // reply bytes finished and not sent

	// Where the next byte comes from: Out[at:] of the first call, its span
	// number span, off bytes into it.
	at, span, off int

	bufs     [][]byte
	expect   int        // bytes the operation must move
	covered  int        // calls it finishes
	advances int        // bytes of the current span it sends
	slab     []byte     // file bytes in bufs; nil: none
	filler   api.Filler // makes the bytes of the read under way; nil: a file has them
}

const (
	smallSpan  = 32 << 10  // up to here a span is read and sent
	gatherSlab = 64 << 10  // room for the small spans of one send
	maxBufs    = 64        // pieces of one send
	sendBytes  = 256 << 10 // a send is not made larger than about this
	hotStep    = 256 << 10 // residency is asked for in steps of this
	hotRun     = 1 << 20   // at most this much per sendfile
	coldStep   = 256 << 10 // one read of uncached bytes
	hotWindow  = 8 << 20   // the tail of a file taken as cached where nobody can tell
)

// flush sends whatever finished replies stand at the head of the line.
func (out *output) flush() {
	c := out.conn
	for !c.sending && !c.reading && !c.dead && c.head != nil && c.head.state == callDone {
		c.gather()
	}
}

// gather collects one operation's worth and submits it.
func (out *output) gather() {
	c := out.conn
	c.bufs, c.expect, c.covered, c.advances = c.bufs[:0], 0, 0, 0
	k := c.head
	for k != nil && k.state == callDone && len(c.bufs) < maxBufs && c.expect < sendBytes {
		if chunks := k.Chunks(); !k.silent && c.span < len(chunks) {
			ch := &chunks[c.span]
			c.add(k.Out[c.at:ch.At])
			c.at = ch.At
			if len(c.bufs) == 0 {
				c.popCovered() // only silent ones; the span's call becomes the head
			}
			if ch.Filler != nil {
				if c.fillSpan(k, ch) {
					continue
				}
				return
			}
			if !c.addSpan(k, ch.Span) {
				return
			}
			continue
		}
		if !k.silent {
			c.add(k.Out[c.at:])
		}
		c.at, c.span, c.off = 0, 0, 0
		c.covered++
		k = k.next
	}
	if len(c.bufs) == 0 {
		c.popCovered()
		c.again = true // there is room in the line
		return
	}
	c.send()
}

// add puts b into the send.
func (out *output) add(b []byte) {
	c := out.conn
	if len(b) > 0 {
		c.bufs = append(c.bufs, b)
		c.expect += len(b)
	}
}

// addSpan puts the span's bytes into the send when they are few. Otherwise it
// submits what has been collected, or the span itself, and returns false.
func (out *output) addSpan(k *call, sp api.Span) bool {
	c := out.conn
	left := sp.Len() - c.off
	if left == 0 {
		c.spanSent(k, sp)
		return true
	}
	hot := hotBytes(sp, sp.Off()+int64(c.off), left)
	switch {
	case hot > 0 && left <= smallSpan && hot == left:
		if c.slab == nil {
			c.slab = c.lane.slabs.get(min(gatherSlab, max(k.Size(), left)))[:0]
		}
		used := len(c.slab)
		if cap(c.slab)-used < left {
			c.send()
			return false
		}
		b := c.slab[used : used+left]
		c.slab = c.slab[:used+left]
		if n, err := sp.File().ReadAt(b, sp.Off()+int64(c.off)); n < left {
			c.kill(fmt.Errorf("%w: %w", errCut, err))
			return false
		}
		c.add(b)
		c.spanSent(k, sp)
		return true
	case hot > 0 && len(c.bufs) <= 1:
		c.sendFile(sp, hot)
	case len(c.bufs) > 0:
		c.send()
	default:
		c.readCold(sp, left)
	}
	return false
}

// spanSent releases a span whose bytes are out or copied.
func (out *output) spanSent(k *call, sp api.Span) {
	c := out.conn
	sp.Release()
	k.sentSpans++
	c.span++
	c.off = 0
}

// send submits the collected pieces.
func (out *output) send() {
	c := out.conn
	c.sending = true
	op := &c.sendOp
	op.Kind, op.Bufs, op.Head, op.File, op.FileAt, op.Len = netpoll.Send, c.bufs, nil, 0, nil, 0
	c.lane.loop.Submit(op)
}

// sendFile submits the collected piece, if there is one, and n bytes of sp.
func (out *output) sendFile(sp api.Span, n int) {
	c := out.conn
	c.sending = true
	op := &c.sendOp
	op.Kind, op.Bufs, op.Head = netpoll.SendFile, nil, nil
	if len(c.bufs) == 1 {
		op.Head = c.bufs[0]
	}
	op.File, op.FileAt = source(sp)
	op.Off, op.Len = sp.Off()+int64(c.off), n
	c.expect += n
	c.advances = n
	c.lane.loop.Submit(op)
}

// onSent is Done of Send and SendFile.
func (out *output) onSent(op *netpoll.Op) {
	c := out.conn
	c.sending = false
	c.freeSlab()
	if c.dead {
		c.settle()
		return
	}
	if op.Err != nil || op.N != c.expect {
		if errors.Is(op.Err, netpoll.ErrShortFile) {
			op.Err = fmt.Errorf("%w: %w", errCut, op.Err)
		}
		c.kill(op.Err)
		return
	}
	c.touch()
	c.popCovered()
	if c.advances > 0 {
		c.off += c.advances
		if sp := c.head.Chunks()[c.span].Span; c.off == sp.Len() {
			c.spanSent(c.head, sp)
		}
	}
	c.advance()
}

// popCovered takes the requests off the line that the send finished.
func (out *output) popCovered() {
	c := out.conn
	for ; c.covered > 0; c.covered-- {
		c.pop()
	}
}

// freeSlab gives the memory for file bytes back.
func (out *output) freeSlab() {
	c := out.conn
	if c.slab != nil {
		c.lane.slabs.put(c.slab)
		c.slab = nil
	}
}

// hotBytes tells how many of the left bytes from off on can be sent without
// the disk: none, or a run of them.
func hotBytes(sp api.Span, off int64, left int) int {
	f := sp.File()
	if _, ok := f.FD(); !ok {
		return left
	}
	n := 0
	for n < left && n < hotRun {
		step := min(left-n, hotStep)
		resident, known := f.Cached(off+int64(n), int64(step))
		if !known {
			size, err := f.Size()
			if err != nil || off >= size-hotWindow {
				return left
			}
			return 0
		}
		if !resident {
			break
		}
		n += step
	}
	return n
}

// source is where a span's bytes come from, as netpoll wants it.
func source(sp api.Span) (fd uintptr, at interface {
	ReadAt(p []byte, off int64) (int, error)
}) {
	if fd, ok := sp.File().FD(); ok {
		return fd, nil
	}
	return 0, sp.File()
}
