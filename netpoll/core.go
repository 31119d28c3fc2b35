// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"runtime"
	"sync/atomic"
	"time"
)

// started is the zero of every loop's clock, so that their times compare.
var started = time.Now()

func monotonic() int64 { return int64(time.Since(started)) }

const (
	inboxPerTurn    = 512                    // messages run before the loop looks at sockets again
	acceptsPerTurn  = 64                     // sockets taken from a listener per turn
	acceptRetry     = 100 * time.Millisecond // pause after running out of descriptors
	recvsPerTurn    = 4                      // buffers read from one socket per turn
	recvIntoPerTurn = 256 << 10              // bytes read into a big buffer per call
	shutdownWait    = 10 * time.Second       // how long Close waits for operations of the kernel
)

// driver is what differs between backends; core has the rest. All its methods
// run on the loop.
type driver interface {
	start(op *Op)       // op is active and its socket bound; nothing of it has happened yet
	cancel(op *Op)      // end an active op soon, with ErrCanceled
	closeSock(op *Op)   // end all operations of op.Sock with ErrClosed, close, finish(op)
	wait(block bool)    // reap completions; when block is set, wait for one (or a wake-up)
	wake()              // from any goroutine: make wait return
	outstanding() int   // operations that some kernel or goroutine still holds
	destroy()           // free everything; the loop does not run any more
	recycle(b Buf)      // the buffer is free again
	prepare() error     // first thing on the loop's thread
	turn() (again bool) // work of its own in each turn; again: there is more to do at once
}

const (
	coreNew int32 = iota
	coreRunning
	coreOver
)

// core is what all loops of this package share: the inbox, the clock and the
// wheel, the queue of operations whose Done is due, and the life of the loop.
type core struct {
	driver driver
	name   string
	opts   Options
	locks  bool // Run locks its thread
	dense  bool // a raw wait may be used: another processor remains for the program

	inbox inbox
	wheel wheel
	clock func() int64
	now   int64
	g     atomic.Uintptr // the loop's goroutine
	doneq opList
	socks sockList
	files *workers // nil where the kernel does file work
	told  int      // completions told this turn
	sys   []*opSys // free ones: an idle connection holds none

	state   atomic.Int32
	closing atomic.Bool
	wakers  atomic.Int32 // goroutines inside wake
	ending  bool         // the loop has seen closing: new operations fail
}

func (c *core) init(name string, o Options, d driver) {
	c.name, c.opts, c.driver = name, o, d
	c.inbox.init()
	c.wheel.next = noTick
	c.clock = monotonic
	c.now = monotonic()
}

// Name implements Loop.
func (c *core) Name() string { return c.name }

// Now implements Loop.
func (c *core) Now() int64 { return c.now }

// OnLoop implements Loop.
func (c *core) OnLoop() bool { return c.g.Load() == goroutine() }

// Arm implements Loop.
func (c *core) Arm(t *Timer, d time.Duration) { c.wheel.arm(t, c.now, c.now+int64(max(d, 0))) }

// Disarm implements Loop.
func (c *core) Disarm(t *Timer) { c.wheel.disarm(t) }

// Recycle implements Loop.
func (c *core) Recycle(b Buf) {
	if b.id != 0 {
		c.driver.recycle(b)
	}
}

// Post implements Loop.
func (c *core) Post(m Message) {
	c.inbox.push(m)
	c.rouse()
}

// rouse wakes the loop if it sleeps. The count keeps destroy from closing the
// descriptor that wake writes to.
func (c *core) rouse() {
	if !c.inbox.asleep.Load() || !c.inbox.asleep.CompareAndSwap(true, false) {
		return
	}
	c.wakers.Add(1)
	if c.state.Load() != coreOver {
		c.driver.wake()
	}
	c.wakers.Add(-1)
}

// Close implements Loop.
func (c *core) Close() error {
	if !c.closing.CompareAndSwap(false, true) {
		return ErrClosed
	}
	if c.state.CompareAndSwap(coreNew, coreOver) {
		c.driver.destroy()
		return nil
	}
	c.rouse()
	return nil
}

// Submit implements Loop.
func (c *core) Submit(op *Op) {
	if op.state != opIdle {
		panic("BUG: netpoll: " + op.Kind.String() + " submitted while it is under way")
	}
	op.reset()
	op.state, op.loop = opActive, c
	if op.Kind == Cancel {
		c.submitCancel(op)
		return
	}
	if c.ending && op.Kind != CloseSock {
		c.finish(op, ErrClosed)
		return
	}
	switch op.Kind {
	case Recv, RecvInto, Send, SendFile, CloseSock:
		c.submitSock(op)
	case Accept:
		if !op.Listener.retain() {
			c.finish(op, ErrClosed)
			return
		}
		c.driver.start(op)
	case ReadFile, WriteFile:
		if op.total() == 0 {
			c.finish(op, nil)
			return
		}
		c.driver.start(op)
	default:
		panic("BUG: netpoll: operation of kind " + op.Kind.String())
	}
}

// submitSock starts an operation of a socket.
func (c *core) submitSock(op *Op) {
	s := op.Sock
	if s.closed || s.closeOp != nil {
		c.finish(op, ErrClosed)
		return
	}
	if s.bind(c) {
		c.socks.add(s)
	}
	switch op.Kind {
	case Recv, RecvInto:
		if s.recv != nil {
			panic("BUG: netpoll: a receive is already armed on this socket")
		}
		if op.Kind == RecvInto && len(op.Data) == 0 {
			c.finish(op, nil)
			return
		}
		s.recv = op
	case Send, SendFile:
		s.sends.push(op)
		if s.sends.head != op {
			return // its turn comes
		}
	case CloseSock:
		s.closeOp = op
		c.driver.closeSock(op)
		return
	}
	c.driver.start(op)
}

// submitCancel asks for the end of op.Target and lets op end after it.
func (c *core) submitCancel(op *Op) {
	t := op.Target
	if t == nil || t.state == opIdle || t.loop != c {
		c.finish(op, nil)
		return
	}
	op.waiter, t.waiter = t.waiter, op
	if t.state != opActive {
		return
	}
	switch t.Kind {
	case Cancel, CloseSock:
	case Send, SendFile:
		if s := t.Sock; s.sends.head != t {
			s.sends.remove(t)
			c.finish(t, ErrCanceled)
			return
		}
		c.driver.cancel(t)
	default:
		c.driver.cancel(t)
	}
}

// finish notes the end of op; its Done runs later in the turn. The results are
// not touched yet: a Done of the same op may be running, having asked for this.
func (c *core) finish(op *Op, err error) {
	op.state, op.end = opEnding, err
	c.doneq.push(op)
}

// endRecv ends the receive of s. The kernel tells a reset once, to whichever call
// comes first; a receive after that must not take it for the peer's proper end.
func (c *core) endRecv(s *Sock, err error) {
	op := s.recv
	s.recv = nil
	if op.list != nil {
		op.list.remove(op) // it waited for a buffer
	}
	if err == nil && s.broken && (op.Kind == Recv || op.moved < len(op.Data)) {
		err = ErrReset
	}
	c.finish(op, err)
}

// endSend ends the first send of s and says which one is next.
func (c *core) endSend(s *Sock, err error) (next *Op) {
	op := s.sends.pop()
	s.broken = s.broken || err == ErrReset
	c.finish(op, err)
	return s.sends.head
}

// endAccept ends an Accept and gives up its hold on the listener.
func (c *core) endAccept(op *Op, err error) {
	if op.retry != nil {
		c.wheel.disarm(op.retry)
	}
	op.Listener.release()
	c.finish(op, err)
}

// endSock is the last step of closing s: its descriptor is gone.
func (c *core) endSock(s *Sock) {
	s.closed = true
	c.socks.remove(s)
	op := s.closeOp
	s.closeOp = nil
	if op != nil {
		c.finish(op, nil)
	}
}

// report tells one completion of a multishot operation that goes on.
func (c *core) report(op *Op) {
	op.More = true
	c.told++
	if op.Done != nil {
		op.Done(op)
		return
	}
	c.Recycle(op.Buf)
}

// tell runs the last Done of op.
func (c *core) tell(op *Op) {
	w := op.waiter
	op.forget()
	op.Err, op.N, op.More, op.Buf, op.Accepted = op.end, op.moved, false, Buf{}, nil
	op.state, op.loop, op.waiter, op.end = opIdle, nil, nil, nil
	c.told++
	if op.Done != nil {
		op.Done(op)
	}
	if w != nil {
		c.finish(w, nil)
	}
}

// runDone tells what has ended up to now; what ends meanwhile comes next turn,
// so that a Done that submits again cannot keep the loop from its sockets.
func (c *core) runDone() {
	for n := c.doneq.n; n > 0; n-- {
		c.tell(c.doneq.pop())
	}
}

// Run implements Loop.
func (c *core) Run() error {
	if !c.state.CompareAndSwap(coreNew, coreRunning) {
		return ErrClosed
	}
	if c.locks {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	c.dense = runtime.GOMAXPROCS(0) > 1
	c.g.Store(goroutine())
	defer c.g.Store(0)
	err := c.driver.prepare()
	for err == nil && !c.closing.Load() {
		c.step(true)
	}
	c.closing.Store(true)
	c.shutDown()
	c.state.Store(coreOver)
	for c.wakers.Load() != 0 {
		runtime.Gosched()
	}
	c.driver.destroy()
	return err
}

// step is one turn: time, messages, timers, what has ended, then the kernel.
func (c *core) step(block bool) {
	c.now = c.clock()
	c.told = 0
	c.inbox.run(inboxPerTurn)
	if c.wheel.next <= c.now/wheelTick {
		c.wheel.advance(c.now)
	}
	c.runDone()
	again := c.driver.turn()
	if c.told > 0 && c.opts.Events.Turn != nil {
		c.opts.Events.Turn(c.told)
	}
	block = block && !again && c.doneq.n == 0 && !(c.ending && c.driver.outstanding() == 0)
	if block {
		c.inbox.asleep.Store(true)
		if c.inbox.pending() || (c.closing.Load() && !c.ending) {
			block = false
			c.inbox.asleep.Store(false)
		}
	}
	c.driver.wait(block)
	if block {
		c.inbox.asleep.Store(false)
	}
}

// shutDown closes every socket, ends every operation, and serves the loop until
// the last one has been told or the kernel has had its time.
func (c *core) shutDown() {
	c.ending = true
	for s := c.socks.head; s != nil; {
		next := s.nextSock
		if s.closeOp == nil {
			op := &Op{Kind: CloseSock, Sock: s, state: opActive, loop: c}
			s.closeOp = op
			c.driver.closeSock(op)
		}
		s = next
	}
	c.driver.cancel(nil)
	late := false
	limit := Timer{Fire: func(*Timer) { late = true }}
	c.now = c.clock()
	c.Arm(&limit, shutdownWait)
	for !late && (c.driver.outstanding() > 0 || c.doneq.n > 0 || c.socks.n > 0) {
		c.step(true)
	}
}
