// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"fmt"
	"time"

	"github.com/samsa-broker/samsa/netpoll"
	"github.com/samsa-broker/samsa/wire/frame"
)

// line is a connection's requests in order: those whose reply is not sent yet,
// then those that have not begun.
type line struct {
	head, tail *call
	starting   *call // the first that has not begun
	length     int
	bytes      int // of frames in line, but for the large ones, which are charged
	running    int // begun and not finished
	unplaced   int // of those, Produce that do not yet stand in every queue
	exclusive  int // of those, everything but Produce

	turn    int64 // of the loop, in which started requests have begun
	started int
	resting bool // the line goes on in the next turn

	advancing, again bool
}

// owner says whose memory a frame lies in: a receive buffer or a slab, of
// which charged bytes come from the budget.
type owner struct {
	ch      *chunk
	slab    []byte
	charged int64
}

// free1 gives one owner's memory back.
func (c *conn) free1(o owner) {
	l := c.lane
	if o.ch != nil {
		l.drop(o.ch)
	}
	if o.slab == nil {
		return
	}
	if o.charged == 0 {
		c.hold(-cap(o.slab))
	}
	l.slabs.put(o.slab)
	l.server.frames.release(c.acct, o.charged, true)
}

// crowdedLine tells whether the line takes no further frame for now.
func (c *conn) crowdedLine() bool {
	lim := &c.lane.server.limits
	return c.finished || c.length >= lim.ConnRequests || c.bytes >= lim.ConnBytes || c.length > 0 && c.short()
}

// admissible tells whether a request that begins with b and will be size bytes
// long is one we serve; if not it kills the connection.
func (c *conn) admissible(b []byte, size int) bool {
	h, err := frame.ReadPreamble(b)
	if err != nil {
		c.warn(kindFrame, fmt.Errorf("%w: a header of %d bytes", ErrProtocol, len(b)))
		return false
	}
	s := c.lane.server
	if h.Key < 0 || h.Key >= maxKeys || s.handlers[h.Key] == nil {
		c.warn(kindVersion, fmt.Errorf("%w: unknown api key %d (version %d)", ErrProtocol, h.Key, h.Version))
		return false
	}
	hd := s.handlers[h.Key]
	if (h.Version < hd.Min || h.Version > hd.Max) && h.Key != frame.KeyApiVersions {
		c.warn(kindVersion, fmt.Errorf("%w: api key %d version %d, served are %d to %d", ErrProtocol, h.Key, h.Version, hd.Min, hd.Max))
		return false
	}
	if !hd.Raw && size > s.limits.ControlFrameBytes {
		c.warn(kindFrame, fmt.Errorf("%w: api key %d version %d with %d bytes, samsa.max.control.frame.bytes is %d",
			ErrTooLarge, h.Key, h.Version, size, s.limits.ControlFrameBytes))
		return false
	}
	c.begun = true
	return true
}

// arrive puts a whole frame into the line.
func (c *conn) arrive(b []byte, o owner) {
	if !c.admissible(b, len(b)) {
		c.free1(o)
		return
	}
	h, err := frame.ReadPreamble(b)
	var body []byte
	if hd := c.lane.server.handlers[h.Key]; err == nil && h.Version >= hd.Min && h.Version <= hd.Max {
		h, body, err = frame.ReadHeader(b)
	}
	if err != nil {
		c.free1(o)
		c.warn(kindFrame, fmt.Errorf("%w: api key %d version %d: %w", ErrProtocol, h.Key, h.Version, err))
		return
	}
	c.identify(h.ClientID)
	k := c.lane.newCall(c.lane.server.handlers[h.Key])
	if o.ch != nil && o.ch.copy == nil && c.lane.lent > c.lane.server.limits.LentBuffers {
		h, body, o = c.copyOut(h, body, o)
	}
	k.conn, k.state, k.owner, k.body = c, callWaiting, o, body
	k.inBytes, k.arrived, k.placed, k.silent = len(b)+prefixBytes, c.lane.loop.Now(), false, false
	k.Prepare(k, h)
	k.Client = c.client
	if o.charged == 0 {
		c.bytes += k.inBytes
	}
	c.length++
	c.hold(callCost)
	k.next = nil
	if c.tail == nil {
		c.head = k
	} else {
		c.tail.next = k
	}
	c.tail = k
	if c.starting == nil {
		c.starting = k
	}
}

// copyOut moves a request out of its receive buffer, of which too many are in
// use: others must still be able to receive.
func (c *conn) copyOut(h frame.Header, body []byte, o owner) (frame.Header, []byte, owner) {
	b := c.lane.slabs.get(len(h.ClientID) + len(body))
	n := copy(b, h.ClientID)
	if h.ClientID != nil {
		h.ClientID = b[:n:n]
	}
	copy(b[n:], body)
	c.lane.drop(o.ch)
	c.hold(cap(b))
	return h, b[n:], owner{slab: b}
}

// identify keeps the client id as a string, made once per change of it.
func (c *conn) identify(id []byte) {
	if !bytes.Equal(id, c.clientID) {
		c.clientID = append(c.clientID[:0], id...)
		c.client.ID = string(id)
	}
}

// startCalls begins every request that may begin.
func (c *conn) startCalls() {
	for k := c.starting; k != nil && !c.dead; k = c.starting {
		if k.handler.Produce {
			if c.unplaced > 0 || c.exclusive > 0 {
				return
			}
		} else if c.running > 0 {
			return
		}
		if c.unsent > c.lane.server.limits.UnsentBytes || c.unsent > 0 && c.short() {
			return
		}
		if !c.mayStart() {
			return
		}
		c.starting = k.next
		k.start()
	}
}

// startsPerTurn is how many requests of a connection begin in one turn of the
// loop. Those who pipeline deeply must not make the others wait for their whole
// lines.
const startsPerTurn = 16

// mayStart counts a start; when there were enough, the connection goes on in
// the next turn.
func (c *conn) mayStart() bool {
	if now := c.lane.loop.Now(); c.turn != now {
		c.turn, c.started = now, 0
	}
	if c.started >= startsPerTurn {
		c.lane.rest(c)
		return false
	}
	c.started++
	return true
}

// rest lets c go on in the next turn.
func (l *lane) rest(c *conn) {
	if c.resting {
		return
	}
	c.resting = true
	l.resting = append(l.resting, c)
	if !l.restOn {
		l.restOn = true
		l.loop.Submit(&l.restOp)
	}
}

// onRest is Done of restOp, a Cancel of nothing: it comes with the next turn.
func (l *lane) onRest(*netpoll.Op) {
	l.restOn = false
	all := l.resting
	l.resting, l.rested = l.rested[:0], all
	for _, c := range all {
		c.resting, c.started = false, 0
		c.advance()
	}
	clear(all)
}

// dropWaiting forgets the requests that have not begun.
func (c *conn) dropWaiting() {
	if c.starting == nil {
		return
	}
	var last *call
	for k := c.head; k != c.starting; k = k.next {
		last = k
	}
	k := c.starting
	c.starting, c.tail = nil, last
	if last == nil {
		c.head = nil
	} else {
		last.next = nil
	}
	for k != nil {
		next := k.next
		k.freeFrame()
		c.length--
		c.hold(-callCost)
		c.lane.recycle(k)
		k = next
	}
}

// abortParked ends the wait of the parked requests: nobody is left to wait for.
// Of all but Produce there is one at most, as nothing runs beside it.
func (c *conn) abortParked() {
	for again := true; again; { // an aborted request may leave the line
		again = false
		for k := c.head; k != c.starting && !again; k = k.next {
			if t := k.abort; t != nil && k.state == callRunning {
				k.Unpark()
				t.Run()
				again = true
			}
		}
	}
}

// dropDone forgets the finished requests of a closed connection.
func (c *conn) dropDone() {
	for c.head != nil && c.head.state == callDone {
		c.pop()
	}
}

// pop takes the first request out of the line; its reply is sent or moot.
func (c *conn) pop() {
	k := c.head
	c.head = k.next
	if c.head == nil {
		c.tail = nil
	}
	c.length--
	k.releaseSpans()
	c.unsent -= k.outBytes
	c.hold(-callCost - k.outHeld)
	if s := c.lane.server; s.events.Served != nil {
		s.events.Served(Served{
			Key: k.Key, Version: k.Version, InBytes: k.inBytes, OutBytes: k.outBytes,
			Queued: time.Duration(k.began - k.arrived), Took: time.Duration(k.ended - k.began),
		})
	}
	c.lane.recycle(k)
}
