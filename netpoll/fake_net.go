// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// FakeConn is the client's end of a connection of a Fake. It is a net.Conn for
// clients on goroutines of their own; a test that drives the Fake by Step uses
// Write, Take, Close and Reset, which never wait.
type FakeConn struct {
	f             *Fake
	client, sock  *net.TCPAddr
	up, down      fakePipe // to the loop, and from it
	linger        bool     // Close resets
	closed        bool
	readDeadline  time.Time
	deadlineTimer *time.Timer
}

// fakePipe is one direction of a connection.
type fakePipe struct {
	flight []fakeSegment // on its way
	ready  []byte        // arrived
	bytes  int           // in both
	fin    bool          // the end has arrived
	reset  bool          // the connection is gone
	last   int64         // when the latest segment arrives: the next cannot overtake it
	dead   bool          // nobody will read it
	ended  bool          // the writer has said its end
}

type fakeSegment struct {
	at       int64
	data     []byte
	fin, rst bool
}

// Dial connects to a listener of this network.
func (f *Fake) Dial(l *Listener) (*FakeConn, error) {
	if l.fake == nil || l.closed.Load() {
		return nil, fmt.Errorf("netpoll: dial %s: %w", l.addr, ErrClosed)
	}
	f.mu.Lock()
	f.ports++
	c := &FakeConn{f: f, client: net.TCPAddrFromAddrPort(fakeAddr(f.ports)), sock: net.TCPAddrFromAddrPort(l.addr)}
	f.conns = append(f.conns, c)
	l.fake.backlog = append(l.fake.backlog, c)
	f.mu.Unlock()
	f.wake()
	return c, nil
}

// put sends a segment; it arrives in order, after a while.
func (c *FakeConn) put(p *fakePipe, s fakeSegment) {
	f := c.f
	s.at = f.virtual
	if f.opts.Delay > 0 {
		s.at += f.rng.Int64N(int64(f.opts.Delay))
	}
	s.at = max(s.at, p.last)
	p.last = s.at
	p.bytes += len(s.data)
	p.flight = append(p.flight, s)
}

// hangUp says the end of direction p.
func (c *FakeConn) hangUp(p *fakePipe, rst bool) {
	if !p.ended {
		p.ended = true
		c.put(p, fakeSegment{fin: !rst, rst: rst})
	}
}

// Write sends p. It never waits: the way to the loop has room for everything.
func (c *FakeConn) Write(p []byte) (int, error) {
	c.f.mu.Lock()
	if c.closed {
		c.f.mu.Unlock()
		return 0, net.ErrClosed
	}
	if c.up.dead || c.down.reset {
		c.f.mu.Unlock()
		return 0, ErrReset
	}
	c.put(&c.up, fakeSegment{data: append([]byte(nil), p...)})
	c.f.mu.Unlock()
	c.f.wake()
	return len(p), nil
}

// Take returns what has arrived from the loop, and io.EOF or ErrReset after the
// last of it.
func (c *FakeConn) Take() ([]byte, error) {
	c.f.mu.Lock()
	p := c.down.ready
	c.down.ready = nil
	c.down.bytes -= len(p)
	err := c.down.state(len(p))
	c.f.mu.Unlock()
	c.f.wake()
	return p, err
}

// state is the error of a reader that got n bytes.
func (p *fakePipe) state(n int) error {
	switch {
	case n > 0 || len(p.ready) > 0:
		return nil
	case p.reset:
		return ErrReset
	case p.fin:
		return io.EOF
	}
	return nil
}

// Read implements net.Conn.
func (c *FakeConn) Read(p []byte) (int, error) {
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		if c.closed {
			return 0, net.ErrClosed
		}
		if n := copy(p, c.down.ready); n > 0 {
			c.down.ready = c.down.ready[n:]
			c.down.bytes -= n
			f.wake()
			return n, nil
		}
		if err := c.down.state(0); err != nil {
			return 0, err
		}
		if !c.readDeadline.IsZero() && !time.Now().Before(c.readDeadline) {
			return 0, os.ErrDeadlineExceeded
		}
		f.arrival.Wait()
	}
}

// Close hangs up; with unread bytes, or after SetLinger(0), it resets, as TCP does.
func (c *FakeConn) Close() error { return c.shut(false) }

// Reset breaks the connection.
func (c *FakeConn) Reset() { _ = c.shut(true) }

func (c *FakeConn) shut(rst bool) error {
	f := c.f
	f.mu.Lock()
	if c.closed {
		f.mu.Unlock()
		return net.ErrClosed
	}
	c.closed = true
	c.down.dead = true
	if c.deadlineTimer != nil {
		c.deadlineTimer.Stop()
	}
	c.hangUp(&c.up, rst || c.linger || c.down.bytes > 0)
	f.arrival.Broadcast()
	f.mu.Unlock()
	f.wake()
	return nil
}

// SetLinger with 0 makes Close a reset.
func (c *FakeConn) SetLinger(sec int) error {
	c.linger = sec == 0
	return nil
}

// LocalAddr implements net.Conn.
func (c *FakeConn) LocalAddr() net.Addr { return c.client }

// RemoteAddr implements net.Conn.
func (c *FakeConn) RemoteAddr() net.Addr { return c.sock }

// SetDeadline implements net.Conn, in real time: a client that waits does so
// outside the fake clock.
func (c *FakeConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline implements net.Conn.
func (c *FakeConn) SetReadDeadline(t time.Time) error {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	c.readDeadline = t
	if c.deadlineTimer != nil {
		c.deadlineTimer.Stop()
	}
	if !t.IsZero() {
		c.deadlineTimer = time.AfterFunc(time.Until(t), c.f.arrival.Broadcast)
	}
	return nil
}

// SetWriteDeadline implements net.Conn; a Write never waits.
func (c *FakeConn) SetWriteDeadline(time.Time) error { return nil }

// progress lets arrivals, accepts, file work and the sockets go one step on.
func (f *Fake) progress() (any bool) {
	any = f.arrive()
	for op := f.accepts.head; op != nil; {
		next := op.next
		any = f.accept(op) || any
		op = next
	}
	for n := f.fileOps.n; n > 0; n-- {
		op := f.fileOps.pop()
		f.finish(op, fileWork(op))
		any = true
	}
	socks := f.due()
	for _, s := range socks {
		if s.sends.head != nil && !s.closed {
			any = f.send(s) || any
		}
		if s.recv != nil && !s.closed {
			any = f.receive(s) || any
		}
	}
	return any
}

// due lists the sockets that may have something to do, in the order of this step.
func (f *Fake) due() []*Sock {
	f.mu.Lock()
	defer f.mu.Unlock()
	socks := f.busy[:0]
	for s := f.socks.head; s != nil; s = s.nextSock {
		up := s.fake == nil || len(s.fake.up.ready) > 0 || s.fake.up.fin || s.fake.up.reset
		if s.sends.head != nil || (s.recv != nil && up) {
			socks = append(socks, s)
		}
	}
	if f.opts.Reorder {
		f.rng.Shuffle(len(socks), func(i, j int) { socks[i], socks[j] = socks[j], socks[i] })
	}
	f.busy = socks
	return socks
}

// arrive moves segments whose time has come, and forgets connections that are over.
func (f *Fake) arrive() (any bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.arriveLocked()
}

func (f *Fake) arriveLocked() (any bool) {
	live := f.conns[:0]
	for _, c := range f.conns {
		for _, p := range []*fakePipe{&c.up, &c.down} {
			for len(p.flight) > 0 && p.flight[0].at <= f.virtual {
				s := p.flight[0]
				p.flight = p.flight[1:]
				p.ready = append(p.ready, s.data...)
				p.fin = p.fin || s.fin
				if s.rst {
					p.reset, p.ready = true, nil
				}
				any = true
			}
		}
		if !c.closed || !c.up.dead || len(c.up.flight)+len(c.down.flight) > 0 {
			live = append(live, c)
		}
	}
	clear(f.conns[len(live):])
	f.conns = live
	if any {
		f.arrival.Broadcast()
	}
	return any
}

func (f *Fake) accept(op *Op) (any bool) {
	if op.Listener.closed.Load() {
		f.accepts.remove(op)
		f.endAccept(op, ErrClosed)
		return true
	}
	for op.list == &f.accepts {
		f.mu.Lock()
		l := op.Listener.fake
		if len(l.backlog) == 0 {
			f.mu.Unlock()
			return any
		}
		c := l.backlog[0]
		l.backlog = l.backlog[1:]
		f.mu.Unlock()
		op.Err = nil
		op.Accepted = &Sock{fd: -1, remote: addrPort(c.client), local: addrPort(c.sock), fake: c}
		f.report(op)
		any = true
	}
	return any
}

// piece is how many of n bytes go in one step.
func (f *Fake) piece(n int) int {
	if n > 1 && f.opts.Split {
		return 1 + f.rng.IntN(n)
	}
	return n
}

func (f *Fake) receive(s *Sock) (any bool) {
	op := s.recv
	if s.fake == nil {
		f.endRecv(s, ErrUnsupported)
		return true
	}
	f.mu.Lock()
	up := &s.fake.up
	if len(up.ready) == 0 {
		reset, fin := up.reset, up.fin
		f.mu.Unlock()
		if reset {
			f.endRecv(s, ErrReset)
		} else if fin {
			f.endRecv(s, nil)
		}
		return reset || fin
	}
	if op.Kind == RecvInto {
		n := copy(op.Data[op.moved:], up.ready[:f.piece(len(up.ready))])
		up.ready = up.ready[n:]
		f.mu.Unlock()
		if op.moved += n; op.moved == len(op.Data) {
			f.endRecv(s, nil)
		}
		return true
	}
	i, ok := f.arena.take()
	if !ok {
		f.mu.Unlock()
		return false // starved, until Recycle
	}
	n := copy(f.arena.at(i), up.ready[:f.piece(len(up.ready))])
	up.ready = up.ready[n:]
	f.mu.Unlock()
	op.Buf, op.N, op.Err = f.arena.lend(i, n), n, nil
	f.report(op)
	if op.Once && s.recv == op {
		f.endRecv(s, ErrCanceled)
	}
	return true
}

// send moves some bytes of the first send of s into the connection.
func (f *Fake) send(s *Sock) (any bool) {
	op := s.sends.head
	if s.fake == nil {
		f.endSend(s, ErrUnsupported)
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := s.fake
	if c.up.reset || (c.closed && c.up.ended) {
		f.endSend(s, ErrReset)
		return true
	}
	room := f.opts.Window - c.down.bytes
	left := op.total() - op.moved
	if left > 0 && room <= 0 {
		return false
	}
	if left > 0 {
		p := make([]byte, f.piece(min(left, room)))
		n, err := op.copyOut(p)
		c.put(&c.down, fakeSegment{data: p[:n]})
		op.moved += n
		if err != nil {
			f.endSend(s, err)
			return true
		}
	}
	if op.moved == op.total() {
		f.endSend(s, nil)
	}
	return true
}
