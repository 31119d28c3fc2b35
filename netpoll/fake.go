// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// FakeOptions say how a fake network behaves.
type FakeOptions struct {
	Options
	Seed    uint64        // the same seed and the same calls give the same run
	Split   bool          // deliver received bytes, and take sent ones, in pieces of any size
	Reorder bool          // complete operations of different sockets in any order
	Delay   time.Duration // bytes take up to this long to arrive
	Window  int           // bytes on their way to a client before a Send waits; 0: 256 KiB
}

// Fake is a Loop on a network in memory with a clock of its own, for tests of
// what is built on loops. Time stands still while there is something to do and
// jumps to the next timer or arrival when there is not, so an hour of waiting
// costs nothing.
//
// It is driven either by Run, like any loop, with clients on other goroutines,
// or by Step and Advance from one goroutine; the second way is deterministic.
type Fake struct {
	core
	arena *arena
	opts  FakeOptions
	rng   *rand.Rand

	mu      sync.Mutex // guards what clients touch: the connections and the backlogs
	arrival sync.Cond
	virtual int64
	conns   []*FakeConn
	ports   uint16

	rousing chan struct{}
	accepts opList
	fileOps opList
	byHand  bool
	busy    []*Sock // memory of due
}

type fakeListener struct {
	f       *Fake
	backlog []*FakeConn
}

// NewFake makes a fake network with its loop.
func NewFake(o FakeOptions) *Fake {
	o.Options.fill()
	if o.Window <= 0 {
		o.Window = 256 << 10
	}
	f := &Fake{opts: o, rng: rand.New(rand.NewPCG(o.Seed, 1)), rousing: make(chan struct{}, 1), ports: 1024}
	f.init("fake", o.Options, f)
	f.clock = func() int64 {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.virtual
	}
	f.now = 0
	f.arrival.L = &f.mu
	f.files = newWorkers(&f.core)
	a, err := newArena(o.RecvBuffers, true)
	if err != nil {
		panic("FATAL: " + err.Error())
	}
	f.arena = a
	return f
}

// Listen makes a listener of this network.
func (f *Fake) Listen() *Listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ports++
	l := &Listener{fd: -1, addr: fakeAddr(f.ports), fake: &fakeListener{f: f}}
	l.refs.Store(1)
	return l
}

func fakeAddr(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

// Step runs the loop until nothing more happens at the present moment, and says
// whether anything did. Call it instead of Run.
func (f *Fake) Step() (any bool) {
	f.drive()
	for range 1 << 20 {
		f.step(false)
		if f.told == 0 && f.doneq.n == 0 && !f.inbox.pending() && !f.progress() {
			return any
		}
		any = true
	}
	panic("BUG: netpoll: the fake network never comes to rest")
}

// Advance moves the clock by d, stopping at each timer and arrival on the way.
func (f *Fake) Advance(d time.Duration) {
	f.drive()
	f.mu.Lock()
	end := f.virtual + int64(d)
	f.mu.Unlock()
	for {
		f.Step()
		at, any := f.nextEvent()
		if !any || at > end {
			break
		}
		f.setTime(at)
	}
	f.setTime(end)
	f.Step()
}

// drive makes the caller the loop.
func (f *Fake) drive() {
	f.byHand = true
	f.state.CompareAndSwap(coreNew, coreRunning)
	f.g.Store(goroutine())
}

// Finish ends a loop that was driven by Step: what Close and Run do otherwise.
func (f *Fake) Finish() {
	f.closing.Store(true)
	f.shutDown()
	f.state.Store(coreOver)
	f.destroy()
}

func (f *Fake) setTime(at int64) {
	f.mu.Lock()
	f.virtual = max(f.virtual, at)
	f.mu.Unlock()
}

// nextEvent is when the next timer fires or the next bytes arrive.
func (f *Fake) nextEvent() (at int64, any bool) {
	at, any = f.wheel.due()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		for _, p := range []*fakePipe{&c.up, &c.down} {
			if len(p.flight) > 0 && (!any || p.flight[0].at < at) {
				at, any = p.flight[0].at, true
			}
		}
	}
	return at, any
}

func (f *Fake) prepare() error { return nil }

func (f *Fake) outstanding() int { return f.fileOps.n + f.accepts.n }

// destroy lets what is on its way arrive: no loop will do so later.
func (f *Fake) destroy() {
	f.mu.Lock()
	f.virtual += int64(f.opts.Delay)
	f.arriveLocked()
	f.mu.Unlock()
	f.files.close()
	f.arena.close()
}

// wake leaves a token that the next wait takes. Clients leave one for each thing
// they do, asleep or not: what they change is not in the inbox.
func (f *Fake) wake() {
	select {
	case f.rousing <- struct{}{}:
	default:
	}
}

func (f *Fake) recycle(b Buf) { f.arena.give(f.arena.back(b)) }

// turn lets everything that can happen now happen.
func (f *Fake) turn() (again bool) { return f.progress() && !f.byHand }

// wait lets the clock jump to what comes next, or waits for the clients.
func (f *Fake) wait(block bool) {
	if !block {
		return
	}
	select {
	case <-f.rousing:
		return
	default:
	}
	if at, any := f.nextEvent(); any {
		f.setTime(at)
		return
	}
	<-f.rousing
}

func (f *Fake) start(op *Op) {
	switch op.Kind {
	case Accept:
		if op.Listener.fake == nil {
			f.endAccept(op, ErrUnsupported)
			return
		}
		f.accepts.push(op)
	case ReadFile, WriteFile:
		f.fileOps.push(op)
	}
	// A socket's operations are found by progress.
}

func (f *Fake) cancel(op *Op) {
	if op == nil {
		for f.accepts.n > 0 {
			f.endAccept(f.accepts.pop(), ErrClosed)
		}
		return
	}
	switch op.Kind {
	case Accept:
		f.accepts.remove(op)
		f.endAccept(op, ErrCanceled)
	case Recv, RecvInto:
		f.endRecv(op.Sock, ErrCanceled)
	case Send, SendFile:
		f.endSend(op.Sock, ErrCanceled)
	case ReadFile, WriteFile:
		f.fileOps.remove(op)
		f.finish(op, ErrCanceled)
	}
}

func (f *Fake) closeSock(op *Op) {
	s := op.Sock
	if s.recv != nil {
		f.endRecv(s, ErrClosed)
	}
	for s.sends.head != nil {
		f.endSend(s, ErrClosed)
	}
	if c := s.fake; c != nil {
		f.mu.Lock()
		c.hangUp(&c.down, len(c.up.ready) > 0)
		c.up.dead = true
		f.mu.Unlock()
	}
	f.endSock(s)
}

// copyOut copies the next bytes of a Send or SendFile into p.
func (op *Op) copyOut(p []byte) (n int, err error) {
	at := op.moved
	bufs := op.Bufs
	if op.Kind == SendFile {
		bufs = [][]byte{op.Head}
	}
	for _, b := range bufs {
		if n == len(p) {
			break
		}
		if at < len(b) {
			m := copy(p[n:], b[at:])
			n, at = n+m, at+m
		}
		at -= len(b)
	}
	if op.Kind == SendFile && n < len(p) {
		sent := op.moved + n - len(op.Head)
		m, err := op.readPiece(p[n:], op.Off+int64(sent))
		if n += m; n == len(p) {
			return n, nil
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = ErrShortFile
		}
		return n, err
	}
	return n, nil
}
