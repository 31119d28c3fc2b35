// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// ListenOptions says how to listen. The zero value is a good default.
type ListenOptions struct {
	Backlog         int  // connections the kernel may hold for us; 0: the system's limit
	ReusePort       bool // let several listeners share the address
	RecvBufferBytes int  // SO_RCVBUF of accepted sockets; 0 or less: the system decides
	SendBufferBytes int  // SO_SNDBUF of accepted sockets; 0 or less: the system decides
	// Wrap stands between an accepted connection and the loop (TLS, for one). Only
	// the portable backend accepts from a listener that has it.
	Wrap func(net.Conn) net.Conn
}

// Listener is a listening TCP socket. Any loop may Accept from it, and several
// may do so at once.
type Listener struct {
	opts   ListenOptions
	addr   netip.AddrPort
	refs   atomic.Int32 // the owner's, and one for each Accept under way
	closed atomic.Bool
	fd     int // the socket on Linux, else -1

	mu sync.Mutex
	ln net.Listener // what the portable backend accepts from, made when first asked for

	fake *fakeListener
}

// Listen opens addr ("host:port"; an empty host means every address, of both
// families where the system has both).
func Listen(addr string, opts ListenOptions) (*Listener, error) {
	l := &Listener{opts: opts, fd: -1}
	l.refs.Store(1)
	if err := l.open(addr); err != nil {
		return nil, fmt.Errorf("netpoll: listen on %s: %w", addr, err)
	}
	return l, nil
}

// Addr is the address listened on, with the port the system chose if it was 0.
func (l *Listener) Addr() netip.AddrPort { return l.addr }

// Close stops listening, from any goroutine. Accepts under way end with
// ErrClosed; accepted sockets live on.
func (l *Listener) Close() error {
	if !l.closed.CompareAndSwap(false, true) {
		return ErrClosed
	}
	if l.fake != nil {
		l.fake.f.wake()
	} else {
		l.interrupt()
	}
	l.release()
	return nil
}

// retain keeps the socket open for an Accept; false after Close.
func (l *Listener) retain() bool {
	for {
		n := l.refs.Load()
		if n == 0 || l.closed.Load() {
			return false
		}
		if l.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release gives up one use of the socket; the last one closes it.
func (l *Listener) release() {
	if l.refs.Add(-1) == 0 && l.fake == nil {
		l.destroy()
	}
}

// Sock is a connected socket. It belongs to the loop that first gets an
// operation for it; until then it may travel between goroutines.
type Sock struct {
	local, remote netip.AddrPort
	fd            int // Linux backends; else -1

	loop    *core  // who serves it, set by the first Submit
	recv    *Op    // Recv or RecvInto under way
	sends   opList // Send and SendFile, the first is under way
	closeOp *Op    // CloseSock that waits for the others to end
	closed  bool
	broken  bool // a send found the connection reset

	// epoll: what is known of the descriptor.
	readable, writable, hup bool
	inEpoll                 bool
	slot                    int32

	// uring: whether the peer's end was missed.
	watched   bool  // in the loop's list of sockets to look after
	fresh     bool  // and heard since the last look
	nextQuiet *Sock // in that list

	queued   bool  // in the loop's list of sockets to serve
	nextWork *Sock // in that list
	nextSock *Sock // in the list of all sockets of the loop
	prevSock *Sock

	port *portSock // portable backend
	fake *FakeConn // fake network
}

// RemoteAddr is the peer's address; IPv4 is never given as mapped IPv6.
func (s *Sock) RemoteAddr() netip.AddrPort { return s.remote }

// LocalAddr is this end's address, for as long as the socket is open. On the
// Linux backends it is a system call.
func (s *Sock) LocalAddr() netip.AddrPort {
	if s.fd >= 0 {
		return s.localAddr()
	}
	return s.local
}

// Conn is the connection of a socket of the portable backend (as Wrap returned
// it), for asking it about its TLS state; nil on other backends.
func (s *Sock) Conn() net.Conn {
	if s.port == nil {
		return nil
	}
	return s.port.conn
}

// bind makes l the socket's loop.
func (s *Sock) bind(l *core) (first bool) {
	if s.loop == nil {
		s.loop = l
		return true
	}
	if s.loop != l {
		panic("BUG: netpoll: socket submitted to two loops")
	}
	return false
}

// sockList holds all sockets of a loop.
type sockList struct {
	head *Sock
	n    int
}

func (l *sockList) add(s *Sock) {
	s.nextSock, s.prevSock = l.head, nil
	if l.head != nil {
		l.head.prevSock = s
	}
	l.head = s
	l.n++
}

func (l *sockList) remove(s *Sock) {
	if s.prevSock == nil {
		l.head = s.nextSock
	} else {
		s.prevSock.nextSock = s.nextSock
	}
	if s.nextSock != nil {
		s.nextSock.prevSock = s.prevSock
	}
	s.nextSock, s.prevSock = nil, nil
	l.n--
}

// addrPort converts an address of package net.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
