// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"time"

	"github.com/samsa-broker/samsa/netpoll"
	"github.com/samsa-broker/samsa/wire/api"
)

// callState is how far a request is.
type callState uint8

const (
	callFree callState = iota
	callWaiting
	callRunning
	callDone
)

// call is one request in a connection's line, and the Carrier of its api.Call.
type call struct {
	api.Call
	handler *api.Handler
	conn    *conn
	state   callState
	placed  bool
	silent  bool
	next    *call // in the line, or in the free list

	owner   owner
	body    []byte
	inBytes int
	charge  int64 // of the control budget
	held    int64 // of that, counted against the address

	decoding bool // the charge is the worst case

	arrived, began, ended int64 // loop time
	outBytes              int   // of the reply, spans included
	outHeld               int   // what those count that lie in memory
	sentSpans             int   // spans sent and released

	timer          netpoll.Timer
	timeout, abort api.Task

	serve   func() // bound once: runs the handler on the pool
	runTask func() // bound once: runs task on the pool
	task    api.Task
	control reservedControl
}

// start begins the request.
func (k *call) start() {
	c := k.conn
	k.state, k.began = callRunning, c.lane.loop.Now()
	c.running++
	if k.handler.Produce {
		c.unplaced++
	} else {
		c.exclusive++
	}
	if k.handler.Raw {
		k.Raw = k.body
		k.handler.Serve(&k.Call)
		return
	}
	k.startControl()
}

// finish ends the request, whichever way.
func (k *call) finish() {
	c := k.conn
	if k.state != callRunning {
		panic(fmt.Sprintf("BUG: server: api key %d was answered twice", k.Key))
	}
	k.Unpark()
	k.setPlaced()
	k.state, k.ended = callDone, c.lane.loop.Now()
	k.freeFrame()
	k.freeCharge()
	c.running--
	if !k.handler.Produce {
		c.exclusive--
	}
	k.outBytes, k.outHeld = 0, 0
	if !k.silent {
		k.outBytes, k.outHeld = k.Size(), heapWeight*len(k.Out)
	}
	c.unsent += k.outBytes
	c.hold(k.outHeld)
	c.advance()
}

// freeFrame gives the memory of the request back.
func (k *call) freeFrame() {
	if k.owner.ch == nil && k.owner.slab == nil {
		return
	}
	c := k.conn
	if k.owner.charged == 0 {
		c.bytes -= k.inBytes
	}
	o := k.owner
	k.owner, k.body = owner{}, nil
	c.free1(o)
}

// releaseSpans gives up the spans that were not sent.
func (k *call) releaseSpans() {
	chunks := k.Chunks()
	for i := k.sentSpans; i < len(chunks); i++ {
		chunks[i].Span.Release()
	}
	k.sentSpans = 0
}

func (k *call) setPlaced() {
	if k.handler.Produce && !k.placed {
		k.placed = true
		k.conn.unplaced--
	}
}

// Home implements api.Carrier.
func (k *call) Home() api.Home { return k.conn.lane.loop }

// OnLoop implements api.Carrier.
func (k *call) OnLoop() bool { return k.conn.lane.loop.OnLoop() }

// Now implements api.Carrier.
func (k *call) Now() int64 { return k.conn.lane.loop.Now() }

// Placed implements api.Carrier.
func (k *call) Placed() {
	if k.state != callRunning || k.placed {
		return
	}
	k.setPlaced()
	k.conn.advance()
}

// ReleaseFrame implements api.Carrier.
func (k *call) ReleaseFrame() { k.freeFrame() }

// Park implements api.Carrier.
func (k *call) Park(d time.Duration, timeout, abort api.Task) {
	k.Unpark()
	switch c := k.conn; {
	case !c.dead && !c.eof && !c.finished:
	case abort != nil: // nobody waits any more
		d, timeout, abort = 0, abort, nil
	case c.dead:
		d = 0
	}
	k.timeout, k.abort = timeout, abort
	if d >= 0 && timeout != nil {
		k.conn.lane.loop.Arm(&k.timer, d)
	}
}

// Unpark implements api.Carrier.
func (k *call) Unpark() {
	k.timeout, k.abort = nil, nil
	if k.timer.Armed() {
		k.conn.lane.loop.Disarm(&k.timer)
	}
}

// onTimer is the timer that Park armed.
func (k *call) onTimer(*netpoll.Timer) {
	if t := k.timeout; t != nil {
		k.timeout, k.abort = nil, nil
		t.Run()
	}
}

// Done implements api.Carrier.
func (k *call) Done() { k.finish() }

// Silent implements api.Carrier.
func (k *call) Silent() {
	k.silent = true
	k.finish()
}

// Close implements api.Carrier.
func (k *call) Close(err error) {
	c := k.conn
	c.warn(kindAsked, fmt.Errorf("api key %d version %d: %w", k.Key, k.Version, err))
	k.Silent()
}

// Go implements api.Carrier.
func (k *call) Go(t api.Task) {
	k.task = t
	k.conn.lane.server.pool(k.runTask)
}

// runOnPool runs what Go was given.
func (k *call) runOnPool() { k.task.Run() }
