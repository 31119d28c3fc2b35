// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// portSock is the portable half of a Sock: its connection and the two goroutines
// that may block on it.
type portSock struct {
	sock   *Sock
	conn   net.Conn
	raw    syscall.RawConn // of a plain TCP connection; else nil
	reader portHalf
	writer portHalf
}

// portHalf is one direction: a goroutine that does one operation at a time.
type portHalf struct {
	todo     chan *Op
	kick     chan struct{} // closed to interrupt the operation under way
	deadline func(time.Time) error

	mu       sync.Mutex
	busy     bool
	canceled atomic.Bool
	started  bool // the loop's
	gone     bool // the loop's
}

func newPortSock(s *Sock, conn net.Conn) *portSock {
	p := &portSock{sock: s, conn: conn}
	p.reader = portHalf{todo: make(chan *Op, 1), deadline: conn.SetReadDeadline}
	if tcp, ok := conn.(*net.TCPConn); ok {
		p.raw, _ = tcp.SyscallConn() // without it a read waits with a buffer in its hand
	}
	p.writer = portHalf{todo: make(chan *Op, 1), deadline: conn.SetWriteDeadline}
	return p
}

// start hands op to its direction's goroutine.
func (p *portSock) start(l *portableLoop, op *Op) {
	h, serve := &p.reader, p.read
	if op.Kind == Send || op.Kind == SendFile {
		h, serve = &p.writer, p.write
	}
	h.begin()
	l.held++
	if !h.started {
		h.started = true
		go func() {
			for op := range h.todo {
				err := serve(l, op)
				l.Post(&portDone{l, op, portError(err, h.canceled.Load())})
			}
		}()
	}
	h.todo <- op
}

// begin readies the direction for the next operation.
func (h *portHalf) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.canceled.Swap(false) {
		_ = h.deadline(time.Time{})
	}
	h.kick = make(chan struct{})
	h.busy = true
}

// interrupt makes the operation under way end soon.
func (h *portHalf) interrupt() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.busy && !h.canceled.Load() {
		h.canceled.Store(true)
		close(h.kick)
		_ = h.deadline(time.Unix(1, 0))
	}
}

// quit lets the goroutine go.
func (h *portHalf) quit() {
	if !h.gone {
		h.gone = true
		close(h.todo)
	}
}

// read does a Recv or RecvInto until it ends.
func (p *portSock) read(l *portableLoop, op *Op) error {
	kick := p.reader.kick
	for op.Kind == RecvInto {
		n, err := p.conn.Read(op.Data[op.moved:])
		op.moved += n
		if op.moved == len(op.Data) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	for {
		if err := p.readable(); err != nil {
			return err
		}
		var i uint32
		select {
		case i = <-l.buffers:
		default:
			select {
			case i = <-l.buffers:
			case <-kick:
				return ErrCanceled
			}
		}
		n, err := p.conn.Read(l.arena.at(i))
		if n > 0 {
			l.Post(&portRecv{l, op, i, n})
			if op.Once && err == nil {
				return ErrCanceled
			}
		} else {
			l.buffers <- i
		}
		if err != nil {
			return err
		}
	}
}

// readable waits until a read would bring something. Idle connections must not
// hold buffers: a loop has fewer of them than it may have connections.
func (p *portSock) readable() error {
	if p.raw == nil {
		return nil
	}
	return p.raw.Read(canRead)
}

// canRead tells whether a descriptor has bytes, or an end or error to tell.
func canRead(fd uintptr) bool {
	var one [1]byte
	_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
	return err != syscall.EAGAIN && err != syscall.EINTR
}

// write does a Send or SendFile.
func (p *portSock) write(_ *portableLoop, op *Op) error {
	if op.Kind == Send {
		vec := append(net.Buffers(nil), op.Bufs...)
		n, err := vec.WriteTo(p.conn)
		op.moved = int(n)
		return err
	}
	if len(op.Head) > 0 {
		n, err := p.conn.Write(op.Head)
		op.moved = n
		if err != nil {
			return err
		}
	}
	buf := make([]byte, min(max(op.Len, 1), 64<<10))
	for sent := 0; sent < op.Len; {
		n, err := op.readPiece(buf[:min(len(buf), op.Len-sent)], op.Off+int64(sent))
		if n == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				err = ErrShortFile
			}
			return err
		}
		n, err = p.conn.Write(buf[:n])
		sent += n
		op.moved += n
		if err != nil {
			return err
		}
	}
	return nil
}

// readPiece reads once from the operation's file.
func (op *Op) readPiece(p []byte, off int64) (int, error) {
	switch {
	case op.File != 0:
		return preadFile(op.File, p, off)
	case op.FileAt != nil:
		return op.FileAt.ReadAt(p, off)
	}
	return 0, ErrUnsupported
}

// portRecv brings received bytes to the loop.
type portRecv struct {
	l  *portableLoop
	op *Op
	i  uint32
	n  int
}

// Run implements Message.
func (r *portRecv) Run() {
	op := r.op
	op.Buf, op.N, op.Err = r.l.arena.lend(r.i, r.n), r.n, nil
	r.l.now = r.l.clock() // it may have come in the middle of a long turn
	r.l.report(op)
}

// portDone brings the end of an operation to the loop.
type portDone struct {
	l   *portableLoop
	op  *Op
	err error
}

// Run implements Message.
func (d *portDone) Run() {
	l, op, s := d.l, d.op, d.op.Sock
	l.held--
	if s.closeOp != nil && d.err != nil {
		d.err = ErrClosed
	}
	if s.recv == op {
		s.port.reader.done()
		l.endRecv(s, d.err)
	} else {
		s.port.writer.done()
		if next := l.endSend(s, d.err); next != nil {
			l.start(next)
		}
	}
	l.closedIfQuiet(s)
}

func (h *portHalf) done() {
	h.mu.Lock()
	h.busy = false
	h.mu.Unlock()
}
