// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// portableLoop serves sockets through package net: a goroutine reads and another
// one writes each connection, and both report to the loop by messages. It costs
// more than the other backends, runs everywhere, and can put TLS between the
// connection and the loop.
type portableLoop struct {
	core
	arena   *arena
	buffers chan uint32 // the free receive buffers; readers wait on it
	rousing chan struct{}
	timer   *time.Timer
	accepts map[*Op]*portAccept
	held    int // goroutines that still hold an operation
}

func openPortable(o Options) (Loop, *Refusal) {
	l := &portableLoop{
		buffers: make(chan uint32, o.RecvBuffers),
		rousing: make(chan struct{}, 1),
		timer:   time.NewTimer(time.Hour),
		accepts: make(map[*Op]*portAccept),
	}
	l.init("portable", o, l)
	l.files = newWorkers(&l.core)
	var err error
	if l.arena, err = newArena(o.RecvBuffers, false); err != nil {
		return nil, &Refusal{Backend: "portable", Why: err.Error(), Remedy: "give the process more memory"}
	}
	for i := range o.RecvBuffers {
		l.buffers <- uint32(i)
	}
	return l, nil
}

func (l *portableLoop) prepare() error { return nil }

func (l *portableLoop) turn() bool { return false }

func (l *portableLoop) outstanding() int { return l.files.running + l.held }

func (l *portableLoop) destroy() {
	l.timer.Stop()
	l.files.close()
	if l.held == 0 { // else a goroutine may yet write into it: leave it to the process
		l.arena.close()
	}
}

func (l *portableLoop) wake() {
	select {
	case l.rousing <- struct{}{}:
	default:
	}
}

func (l *portableLoop) wait(block bool) {
	if !block {
		return
	}
	due, any := l.wheel.due()
	if !any {
		<-l.rousing
		return
	}
	l.timer.Reset(time.Duration(max(due-monotonic(), 0)))
	select {
	case <-l.rousing:
	case <-l.timer.C:
	}
}

func (l *portableLoop) recycle(b Buf) { l.buffers <- l.arena.back(b) }

func (l *portableLoop) start(op *Op) {
	switch op.Kind {
	case Accept:
		l.startAccept(op)
	case ReadFile, WriteFile:
		l.files.submit(op)
	default:
		s := op.Sock
		if s.port == nil {
			if s.recv == op {
				l.endRecv(s, ErrUnsupported) // of another backend
			} else {
				l.endSend(s, ErrUnsupported)
			}
			return
		}
		s.port.start(l, op)
	}
}

func (l *portableLoop) cancel(op *Op) {
	if op == nil {
		for a := range l.accepts {
			l.cancel(a)
		}
		return
	}
	switch op.Kind {
	case Accept:
		if a := l.accepts[op]; a != nil {
			a.stop()
		}
	case Recv, RecvInto:
		op.Sock.port.reader.interrupt()
	case Send, SendFile:
		op.Sock.port.writer.interrupt()
	case ReadFile, WriteFile:
		l.files.cancel(op)
	}
}

func (l *portableLoop) closeSock(op *Op) {
	s := op.Sock
	for s.sends.n > 1 { // the first is the writer's
		last := s.sends.tail
		s.sends.remove(last)
		l.finish(last, ErrClosed)
	}
	p := s.port
	if p == nil {
		l.endSock(s)
		return
	}
	_ = p.conn.Close()
	p.reader.interrupt()
	p.writer.interrupt()
	l.closedIfQuiet(s)
}

// closedIfQuiet ends the closing of s once its goroutines hold nothing.
func (l *portableLoop) closedIfQuiet(s *Sock) {
	if s.closeOp == nil || s.recv != nil || s.sends.head != nil {
		return
	}
	s.port.reader.quit()
	s.port.writer.quit()
	l.endSock(s)
}

// portAccept is the goroutine of one Accept.
type portAccept struct {
	op      *Op
	ln      net.Listener
	wrap    func(net.Conn) net.Conn
	stopped chan struct{}
}

func (l *portableLoop) startAccept(op *Op) {
	ln, err := op.Listener.netListener()
	if err != nil {
		l.endAccept(op, err)
		return
	}
	a := &portAccept{op: op, ln: ln, wrap: op.Listener.opts.Wrap, stopped: make(chan struct{})}
	l.accepts[op] = a
	l.held++
	go a.serve(l)
}

// stop makes serve end. The deadline that interrupts Accept is the listener's,
// so another Accept of the same listener may wake for nothing and go on.
func (a *portAccept) stop() {
	select {
	case <-a.stopped:
		return
	default:
		close(a.stopped)
	}
	if d, ok := a.ln.(interface{ SetDeadline(time.Time) error }); ok {
		_ = d.SetDeadline(time.Unix(1, 0))
	}
}

func (a *portAccept) serve(l *portableLoop) {
	for {
		conn, err := a.ln.Accept()
		select {
		case <-a.stopped:
			if d, ok := a.ln.(interface{ SetDeadline(time.Time) error }); ok {
				_ = d.SetDeadline(time.Time{})
			}
			if err == nil { // it was accepted before the end
				l.Post(&acceptDone{l, a.op, a.sock(conn), nil, false})
			}
			l.Post(&acceptDone{l, a.op, nil, ErrCanceled, true})
			return
		default:
		}
		switch {
		case err == nil:
			l.Post(&acceptDone{l, a.op, a.sock(conn), nil, false})
		case errors.Is(err, os.ErrDeadlineExceeded): // meant for another Accept
		case errors.Is(err, net.ErrClosed), errors.Is(err, syscall.EINVAL):
			l.Post(&acceptDone{l, a.op, nil, ErrClosed, true})
			return
		default:
			l.Post(&acceptDone{l, a.op, nil, err, false})
			pause := time.NewTimer(acceptRetry)
			select {
			case <-pause.C:
			case <-a.stopped:
			}
			pause.Stop()
		}
	}
}

// sock takes over a connection.
func (a *portAccept) sock(conn net.Conn) *Sock {
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetNoDelay(true)
	}
	s := &Sock{fd: -1, remote: addrPort(conn.RemoteAddr()), local: addrPort(conn.LocalAddr())}
	if a.wrap != nil {
		conn = a.wrap(conn)
	}
	s.port = newPortSock(s, conn)
	return s
}

// acceptDone brings a connection, or the end of an Accept, to the loop.
type acceptDone struct {
	l    *portableLoop
	op   *Op
	sock *Sock
	err  error
	last bool
}

// Run implements Message.
func (d *acceptDone) Run() {
	op := d.op
	if !d.last {
		op.Accepted, op.Err = d.sock, d.err
		d.l.now = d.l.clock() // as in portRecv
		d.l.report(op)
		return
	}
	delete(d.l.accepts, op)
	d.l.held--
	if d.err == ErrCanceled && d.l.ending {
		d.err = ErrClosed
	}
	d.l.endAccept(op, d.err)
}

// portError gives an error of package net this package's names.
func portError(err error, canceled bool) error {
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return nil
	case canceled && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrCanceled)):
		return ErrCanceled
	case errors.Is(err, net.ErrClosed):
		return ErrClosed
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED), errors.Is(err, syscall.ETIMEDOUT):
		return ErrReset
	}
	return err
}
