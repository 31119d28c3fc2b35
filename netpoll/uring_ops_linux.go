// SPDX-License-Identifier: Apache-2.0

//go:build giouring

package netpoll

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/samsa-broker/samsa/netpoll/ring"
)

// start asks the kernel for a new operation.
func (l *uringLoop) start(op *Op) {
	op.stop = nil
	switch op.Kind {
	case Accept:
		if op.Listener.opts.Wrap != nil || op.Listener.fd < 0 {
			l.endAccept(op, ErrUnsupported)
			return
		}
		l.enlist(op)
		l.acceptMore(op)
	case ReadFile, WriteFile:
		if op.File == 0 {
			l.byWorker(op)
			return
		}
		l.enlist(op)
		l.fileMore(op)
	default:
		l.startSock(op)
	}
}

// byWorker hands file work to a goroutine and marks it as not the kernel's.
func (l *uringLoop) byWorker(op *Op) {
	op.parts = -1
	l.files.submit(op)
}

func (l *uringLoop) startSock(op *Op) {
	s := op.Sock
	l.enlist(op)
	switch {
	case s.fd < 0: // of another backend
		l.end(op, ErrUnsupported)
	case op.Kind == Recv, op.Kind == RecvInto:
		l.receive(op)
	case op.Kind == Send:
		l.sendMore(op)
	default:
		l.work.push(s)
	}
}

// end ends an operation the kernel holds nothing of any more.
func (l *uringLoop) end(op *Op, err error) {
	if op.parts != 0 {
		panic("BUG: netpoll: " + op.Kind.String() + " ended while the kernel holds it")
	}
	l.vacate(op)
	switch op.Kind {
	case Accept:
		l.endAccept(op, err)
	case Recv, RecvInto:
		l.endRecv(op.Sock, err)
		l.closedIfQuiet(op.Sock)
	case Send, SendFile:
		if next := l.endSend(op.Sock, err); next != nil {
			l.start(next)
		}
		l.closedIfQuiet(op.Sock)
	default:
		l.finish(op, err)
	}
}

// halt ends op with err as soon as the kernel lets go of it.
func (l *uringLoop) halt(op *Op, err error) {
	if op.stop != nil {
		return
	}
	op.stop = err
	if op.parts == 0 {
		l.end(op, err)
		return
	}
	l.withdraw(op)
}

func (l *uringLoop) cancel(op *Op) {
	if op == nil { // all that is not a socket's
		for i := range l.slots {
			o := l.slots[i].op
			if o != nil && (o.Kind == Accept || o.Kind == ReadFile || o.Kind == WriteFile) {
				l.halt(o, ErrClosed)
			}
		}
		return
	}
	if op.parts < 0 {
		l.files.cancel(op)
		return
	}
	l.halt(op, ErrCanceled)
}

// closeSock withdraws what the kernel does for the socket; the descriptor is
// closed when all of that has ended.
func (l *uringLoop) closeSock(op *Op) {
	s := op.Sock
	for s.sends.n > 1 {
		last := s.sends.tail
		s.sends.remove(last)
		l.finish(last, ErrClosed)
	}
	if s.recv != nil {
		l.halt(s.recv, ErrClosed)
	}
	if s.sends.head != nil {
		l.halt(s.sends.head, ErrClosed)
	}
	l.closedIfQuiet(s)
}

func (l *uringLoop) closedIfQuiet(s *Sock) {
	if s.closeOp == nil || s.recv != nil || s.sends.head != nil || s.closed {
		return
	}
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
	l.endSock(s)
}

// advance takes a completion of op one step further.
func (l *uringLoop) advance(op *Op, c ring.CQE) {
	switch op.Kind {
	case Accept:
		l.accepted(op, c)
	case Recv:
		l.received(op, c)
	case RecvInto:
		l.receivedInto(op, c)
	case Send:
		l.sent(op, c)
	case SendFile: // the socket takes bytes again
		if op.stop != nil {
			l.end(op, op.stop)
			return
		}
		l.work.push(op.Sock)
	case ReadFile, WriteFile:
		l.fileDone(op, c)
	}
}

// halted ends op if that was asked for; the kernel must have let go.
func (l *uringLoop) halted(op *Op) bool {
	if op.stop == nil {
		return false
	}
	l.end(op, op.stop)
	return true
}

func (l *uringLoop) acceptMore(op *Op) {
	e := l.ask(op, ring.OpAccept, int32(op.Listener.fd))
	if !op.Once {
		e.IoPrio = ring.AcceptMultishot
	}
	e.OpcodeFlags = unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
}

func (l *uringLoop) accepted(op *Op, c ring.CQE) {
	if c.Res >= 0 {
		op.Err, op.Accepted = nil, newSock(int(c.Res))
		l.report(op)
	}
	if op.state != opActive || op.parts > 0 || l.halted(op) {
		return // its own Done may have ended it
	}
	if op.Listener.closed.Load() {
		l.end(op, ErrClosed)
		return
	}
	switch e := syscall.Errno(-min(c.Res, 0)); e {
	case 0, unix.EINTR, unix.EAGAIN, unix.ECONNABORTED, unix.EPROTO, unix.ENETDOWN, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ECANCELED:
		l.acceptMore(op)
	case unix.EINVAL, unix.EBADF:
		l.end(op, ErrClosed)
	default: // out of descriptors or memory: say so, try again a little later
		if op.retry == nil {
			op.retry = &Timer{}
		}
		op.retry.Fire = func(*Timer) { l.acceptMore(op) }
		l.Arm(op.retry, acceptRetry)
		op.Err, op.Accepted = opError(Accept, e), nil
		l.report(op)
	}
}

// receive arms a Recv for as long as the kernel likes, or a RecvInto for the
// rest of its memory.
func (l *uringLoop) receive(op *Op) {
	e := l.ask(op, ring.OpRecv, int32(op.Sock.fd))
	if op.Kind == Recv {
		e.Flags, e.BufIG = ring.FlagBufferSelect, uringGroup
		if !op.Once {
			e.IoPrio = ring.RecvMultishot
		}
		return
	}
	rest := op.Data[op.moved:]
	e.Addr = uint64(uintptr(unsafe.Pointer(&rest[0])))
	e.Len = uint32(min(len(rest), 1<<30))
	e.OpcodeFlags = unix.MSG_WAITALL
}

func (l *uringLoop) received(op *Op, c ring.CQE) {
	if c.Flags&ring.DoneBuffer != 0 {
		id := c.Flags >> ring.DoneBufferShift
		if c.Res > 0 {
			l.lent++
			op.Buf, op.N, op.Err = l.arena.lend(id, int(c.Res)), int(c.Res), nil
			l.report(op)
		} else {
			l.buffers.Add(uint16(id), l.arena.at(id))
		}
	}
	if op.state != opActive || op.parts > 0 {
		if op.state == opActive && c.Res > 0 {
			l.ends.heard(l, op.Sock)
		}
		return // its own Done may have ended it
	}
	e := syscall.Errno(-min(c.Res, 0))
	switch {
	case c.Res == 0:
		l.end(op, nil)
	case op.stop != nil:
		l.end(op, op.stop)
	case c.Res > 0 && op.Once:
		l.end(op, ErrCanceled)
	case c.Res > 0, e == unix.EINTR, e == unix.EAGAIN, e == unix.ECANCELED: // the last by ends.ask
		l.receive(op) // the kernel ended the series, not the connection
	case e == unix.ENOBUFS:
		l.starved.push(op)
		if l.opts.Events.Starved != nil {
			l.opts.Events.Starved()
		}
	default:
		l.end(op, opError(Recv, e))
	}
}

func (l *uringLoop) receivedInto(op *Op, c ring.CQE) {
	e := syscall.Errno(-min(c.Res, 0))
	op.moved += int(max(c.Res, 0))
	switch {
	case c.Res == 0, op.moved == len(op.Data):
		l.end(op, nil)
	case l.halted(op):
	case c.Res > 0, e == unix.EINTR, e == unix.EAGAIN:
		l.receive(op)
	default:
		l.end(op, opError(RecvInto, e))
	}
}

// sendMore asks for what is left of a Send, up to a vector's worth.
func (l *uringLoop) sendMore(op *Op) {
	bytes, more := op.gather(op.moved)
	if bytes == 0 {
		l.end(op, nil)
		return
	}
	flags := uint32(unix.MSG_WAITALL | unix.MSG_NOSIGNAL)
	if more {
		flags |= unix.MSG_MORE
	}
	fd := int32(op.Sock.fd)
	if op.sys.msg.Iovlen == 1 {
		e := l.ask(op, ring.OpSend, fd)
		e.Addr = uint64(uintptr(unsafe.Pointer(op.sys.iov[0].Base)))
		e.Len = uint32(min(op.sys.iov[0].Len, 1<<30))
		e.OpcodeFlags = flags
		return
	}
	e := l.ask(op, ring.OpSendmsg, fd)
	e.Addr = uint64(uintptr(unsafe.Pointer(&op.sys.msg)))
	e.Len = 1
	e.OpcodeFlags = flags
}

func (l *uringLoop) sent(op *Op, c ring.CQE) {
	e := syscall.Errno(-min(c.Res, 0))
	op.moved += int(max(c.Res, 0))
	switch {
	case op.moved == op.total():
		l.end(op, nil)
	case l.halted(op):
	case c.Res >= 0, e == unix.EINTR, e == unix.EAGAIN:
		l.sendMore(op)
	default:
		l.end(op, opError(Send, e))
	}
}

// sendFile moves bytes until the socket is full, the turn's budget is spent, or
// all is sent.
func (l *uringLoop) sendFile(s *Sock, op *Op) {
	for op.moved < op.total() {
		if l.budget <= 0 {
			l.work.push(s)
			return
		}
		n, e, err := op.sendFileStep(s.fd, l.budget, &l.scratch)
		l.budget -= n
		switch {
		case err != nil:
			l.end(op, err)
			return
		case e == unix.EAGAIN:
			l.ask(op, ring.OpPollAdd, int32(s.fd)).OpcodeFlags = unix.POLLOUT
			return
		case e != 0 && e != unix.EINTR:
			l.end(op, opError(SendFile, e))
			return
		}
	}
	l.end(op, nil)
}

// fileMore asks for what is left of a ReadFile or WriteFile. A read is begun by
// a worker of the kernel, because even starting one can take milliseconds; so is
// a write that goes through the page cache, where O_DSYNC may wait inline, and
// one whose file system waits in any case.
func (l *uringLoop) fileMore(op *Op) {
	if op.Kind == ReadFile {
		rest := op.Data[op.moved:op.total()]
		e := l.ask(op, ring.OpRead, int32(op.File))
		e.Addr, e.Len, e.Off = uint64(uintptr(unsafe.Pointer(&rest[0]))), uint32(min(len(rest), 1<<30)), uint64(op.Off)+uint64(op.moved)
		e.Flags = ring.FlagAsync
		return
	}
	rest := op.Data[op.moved:]
	flags, err := unix.FcntlInt(op.File, unix.F_GETFL, 0)
	e := l.ask(op, ring.OpWrite, int32(op.File))
	e.Addr, e.Len, e.Off = uint64(uintptr(unsafe.Pointer(&rest[0]))), uint32(min(len(rest), 1<<30)), uint64(op.Off)+uint64(op.moved)
	e.OpcodeFlags = unix.RWF_DSYNC
	if op.Blocking || err != nil || flags&unix.O_DIRECT == 0 {
		e.Flags = ring.FlagAsync
	}
}

func (l *uringLoop) fileDone(op *Op, c ring.CQE) {
	e := syscall.Errno(-min(c.Res, 0))
	op.moved += int(max(c.Res, 0))
	switch {
	case op.moved == op.total(), c.Res == 0 && op.Kind == ReadFile:
		l.end(op, nil)
	case l.halted(op):
	case c.Res > 0, e == unix.EINTR, e == unix.EAGAIN:
		l.fileMore(op)
	case op.Kind == WriteFile && e == unix.EOPNOTSUPP: // a file system without RWF_DSYNC
		l.vacate(op)
		l.byWorker(op)
	default:
		l.end(op, opError(op.Kind, e))
	}
}
