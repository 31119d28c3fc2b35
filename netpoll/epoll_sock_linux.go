// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// start puts a new operation where serve, or an event, will find it.
func (l *epollLoop) start(op *Op) {
	switch op.Kind {
	case Accept:
		l.startAccept(op)
	case ReadFile, WriteFile:
		l.files.submit(op)
	default:
		s := op.Sock
		if !s.inEpoll {
			if err := l.register(s); err != 0 {
				if s.recv == op {
					l.endRecv(s, opError(op.Kind, err))
				} else {
					l.endSend(s, opError(op.Kind, err))
				}
				return
			}
		}
		l.work.push(s)
	}
}

// register makes the socket's readiness known to this loop from here on.
func (l *epollLoop) register(s *Sock) syscall.Errno {
	if s.fd < 0 {
		return unix.EBADF // of another backend
	}
	slot := l.enlist(s, nil)
	const events = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
	if err := l.control(unix.EPOLL_CTL_ADD, s.fd, events, slot, l.table[slot].gen); err != nil {
		l.delist(slot)
		errno, _ := err.(syscall.Errno)
		return errno
	}
	s.slot, s.inEpoll, s.readable, s.writable = slot, true, true, true
	return 0
}

func (l *epollLoop) cancel(op *Op) {
	if op == nil { // all that is not a socket's
		for i := range l.table {
			if a := l.table[i].accept; a != nil {
				l.stopAccept(a, ErrClosed)
			}
		}
		return
	}
	switch op.Kind {
	case Accept:
		l.stopAccept(op, ErrCanceled)
	case Recv, RecvInto:
		l.endRecv(op.Sock, ErrCanceled)
	case Send, SendFile:
		if l.endSend(op.Sock, ErrCanceled) != nil {
			l.work.push(op.Sock)
		}
	case ReadFile, WriteFile:
		l.files.cancel(op)
	}
}

func (l *epollLoop) closeSock(op *Op) {
	s := op.Sock
	if s.recv != nil {
		l.endRecv(s, ErrClosed)
	}
	for s.sends.head != nil {
		l.endSend(s, ErrClosed)
	}
	if s.inEpoll {
		l.delist(s.slot)
		s.inEpoll = false
	}
	if s.fd >= 0 {
		unix.Close(s.fd)
		s.fd = -1
	}
	l.endSock(s)
}

func (l *epollLoop) startAccept(op *Op) {
	if op.Listener.opts.Wrap != nil || op.Listener.fd < 0 {
		l.endAccept(op, ErrUnsupported)
		return
	}
	op.slot = uint32(l.enlist(nil, op))
	if err := l.watchListener(op); err != nil {
		l.delist(int32(op.slot))
		l.endAccept(op, err)
	}
}

func (l *epollLoop) watchListener(op *Op) error {
	slot := int32(op.slot)
	return l.control(unix.EPOLL_CTL_ADD, op.Listener.fd, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, slot, l.table[slot].gen)
}

func (l *epollLoop) stopAccept(op *Op, err error) {
	_ = l.control(unix.EPOLL_CTL_DEL, op.Listener.fd, 0, 0, 0)
	l.delist(int32(op.slot))
	l.endAccept(op, err)
}

// accept takes what waits on a listener, a bounded number at a time: the
// listener is level-triggered, so the rest comes next turn.
func (l *epollLoop) accept(op *Op) {
	for range acceptsPerTurn {
		if op.state != opActive {
			return // canceled by its own Done
		}
		if op.Listener.closed.Load() {
			l.stopAccept(op, ErrClosed)
			return
		}
		fd, _, e := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(op.Listener.fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch e {
		case 0:
			op.Err, op.Accepted = nil, newSock(int(fd))
			l.report(op)
		case unix.EAGAIN:
			return
		case unix.EINTR, unix.ECONNABORTED, unix.EPROTO, unix.ENETDOWN, unix.EHOSTUNREACH, unix.ENETUNREACH:
		case unix.EINVAL, unix.EBADF:
			l.stopAccept(op, ErrClosed)
			return
		default: // out of descriptors or memory: say so, try again a little later
			l.pauseAccept(op, e)
			return
		}
	}
}

func (l *epollLoop) pauseAccept(op *Op, e syscall.Errno) {
	_ = l.control(unix.EPOLL_CTL_DEL, op.Listener.fd, 0, 0, 0)
	if op.retry == nil {
		op.retry = &Timer{}
	}
	op.retry.Fire = func(*Timer) {
		if err := l.watchListener(op); err != nil {
			l.stopAccept(op, err)
		}
	}
	l.Arm(op.retry, acceptRetry)
	op.Err, op.Accepted = opError(Accept, e), nil
	l.report(op)
}

// serve does for a socket what its readiness and this turn's budget allow, and
// queues it again when more could be done.
func (l *epollLoop) serve(s *Sock) {
	if s.writable && s.sends.head != nil {
		l.send(s)
	}
	if s.readable && s.recv != nil && s.recv.list == nil {
		l.receive(s)
	}
	if s.closed {
		return
	}
	if (s.writable && s.sends.head != nil) || (s.readable && s.recv != nil && s.recv.list == nil) {
		l.work.push(s)
	}
}

// receive reads a few buffers' worth.
func (l *epollLoop) receive(s *Sock) {
	for range recvsPerTurn {
		op := s.recv
		if op == nil || s.closed || !s.readable {
			return
		}
		if op.Kind == RecvInto {
			l.receiveInto(s, op)
			continue
		}
		i, ok := l.arena.take()
		if !ok {
			l.starved.push(op)
			if l.opts.Events.Starved != nil {
				l.opts.Events.Starved()
			}
			return
		}
		n, e := rawRecv(s.fd, l.arena.at(i))
		if e != 0 || n == 0 {
			l.arena.give(i)
			l.received(s, e)
			continue
		}
		if n < BufBytes && !s.hup {
			s.readable = false // drained: what comes later raises an event
		}
		op.Buf, op.N, op.Err = l.arena.lend(i, n), n, nil
		l.report(op)
		if op.Once && s.recv == op {
			l.endRecv(s, ErrCanceled)
		}
	}
}

// received handles a receive that brought nothing: an error, or EOF.
func (l *epollLoop) received(s *Sock, e syscall.Errno) {
	switch e {
	case 0:
		l.endRecv(s, nil)
	case unix.EAGAIN:
		s.readable = false
	case unix.EINTR:
	default:
		l.endRecv(s, opError(Recv, e))
	}
}

func (l *epollLoop) receiveInto(s *Sock, op *Op) {
	rest := op.Data[op.moved:]
	rest = rest[:min(len(rest), recvIntoPerTurn)]
	n, e := rawRecv(s.fd, rest)
	if e != 0 || n == 0 {
		l.received(s, e)
		return
	}
	op.moved += n
	if op.moved == len(op.Data) {
		l.endRecv(s, nil)
		return
	}
	if n < len(rest) && !s.hup {
		s.readable = false
	}
}

// send goes through the queue until the socket, or the budget, is full.
func (l *epollLoop) send(s *Sock) {
	for op := s.sends.head; op != nil && s.writable; op = s.sends.head {
		var done bool
		var err error
		if op.Kind == Send {
			done, err = l.sendBufs(s, op)
		} else {
			if l.budget <= 0 {
				return
			}
			done, err = l.sendFile(s, op)
		}
		if done || err != nil {
			l.endSend(s, err)
		}
	}
}

// sendBufs makes one call for a Send.
func (l *epollLoop) sendBufs(s *Sock, op *Op) (done bool, err error) {
	bytes, more := op.gather(op.moved)
	if bytes == 0 {
		return true, nil
	}
	flags := 0
	if more {
		flags = unix.MSG_MORE
	}
	n, e := rawSendmsg(s.fd, &op.sys.msg, flags)
	if e != 0 {
		return false, l.sendFailed(s, op, e)
	}
	op.moved += n
	return n == bytes && !more, nil
}

// sendFailed separates a full socket from a failure.
func (l *epollLoop) sendFailed(s *Sock, op *Op, e syscall.Errno) error {
	switch e {
	case unix.EAGAIN:
		s.writable = false
		return nil
	case unix.EINTR:
		return nil
	}
	return opError(op.Kind, e)
}

// sendFile makes one call for a SendFile.
func (l *epollLoop) sendFile(s *Sock, op *Op) (done bool, err error) {
	n, e, err := op.sendFileStep(s.fd, l.budget, &l.scratch)
	if err != nil {
		return false, err
	}
	if e != 0 {
		return false, l.sendFailed(s, op, e)
	}
	l.budget -= n
	return op.moved == op.total(), nil
}
