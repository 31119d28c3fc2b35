// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"strings"
	"time"

	"github.com/samsa-broker/samsa/netpoll"
)

// listener is one listening socket with its place on a loop. All but its count
// belongs to that loop.
type listener struct {
	server *Server
	name   string
	ln     *netpoll.Listener
	home   *lane
	count  listenerCount

	op, cancelOp netpoll.Op
	accepting    bool // op is under way
	canceling    bool
	held         []*netpoll.Sock // accepted, and not let in yet
	counted      bool            // the first of them is in the rates
	until        int64           // when its rate allows it
	timer        netpoll.Timer
	wake         listenerWake
}

// listenerWake is posted to a listener that waits: it may look again.
type listenerWake struct{ l *listener }

// Run implements netpoll.Message.
func (w *listenerWake) Run() { w.l.admit() }

// heldUp is how many sockets a listener that waits may hold: what the kernel
// had accepted before it was told to stop.
const heldUp = 1024

// Serve accepts connections from ln under the given listener name, until ln is
// closed or Drain. The accepting is done by one of the loops; connections are
// dealt out to all in turn. Any goroutine may call it.
func (s *Server) Serve(ln *netpoll.Listener, name string) {
	s.mu.Lock()
	l := &listener{server: s, name: name, ln: ln, home: s.lanes[len(s.listeners)%len(s.lanes)]}
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	s.quotas.mu.Lock()
	s.quotas.listeners++
	l.count.rate = newRate(s.limits.RateWindows, s.limits.RateWindow)
	s.quotas.mu.Unlock()
	l.op = netpoll.Op{Kind: netpoll.Accept, Listener: ln, Done: l.accepted}
	l.cancelOp = netpoll.Op{Kind: netpoll.Cancel, Target: &l.op, Done: l.canceled}
	l.timer.Fire = func(*netpoll.Timer) { l.admit() }
	l.wake.l = l
	l.home.loop.Post(&l.wake)
}

// accepted is Done of the accept operation.
func (l *listener) accepted(op *netpoll.Op) {
	switch {
	case op.Accepted != nil && len(l.held) < heldUp:
		l.held = append(l.held, op.Accepted)
	case op.Accepted != nil:
		l.turnAway(op.Accepted)
	case op.Err != nil && op.More:
		l.server.lines.say(l.server, kindAccept, func() string { return fmt.Sprintf("listener %s: accept: %v", l.name, op.Err) })
	}
	l.accepting = op.More
	if op.Accepted != nil && (len(l.held) == 1 || !l.waits()) {
		l.admit()
	}
}

// canceled is Done of the Cancel; the accept has ended before it.
func (l *listener) canceled(*netpoll.Op) {
	l.canceling = false
	l.admit()
}

// waits: the first held socket may not be let in yet.
func (l *listener) waits() bool { return l.counted }

// admit lets in what was accepted, in order, as far as the limits allow. When
// they do not, it stops accepting, so that further connections wait in the
// kernel, until the timer or somebody's leaving calls it again.
func (l *listener) admit() {
	for len(l.held) > 0 {
		draining := l.server.draining.Load()
		if !draining && !l.mayEnter() {
			if l.accepting && !l.canceling {
				l.canceling = true
				l.home.loop.Submit(&l.cancelOp)
			}
			return
		}
		l.counted = false
		sock := l.held[0]
		l.held[0] = nil
		if l.held = l.held[1:]; len(l.held) == 0 {
			l.held = nil
		}
		if draining {
			l.turnAway(sock)
		} else {
			l.enter(sock)
		}
	}
	if l.canceling || l.server.draining.Load() {
		return
	}
	near := l.server.quotas.near(l)
	switch {
	case !l.accepting:
		l.accepting, l.op.Once = true, near
		l.home.loop.Submit(&l.op)
	case near && !l.op.Once: // armed for whatever comes: arm it anew
		l.canceling = true
		l.home.loop.Submit(&l.cancelOp)
	}
}

// mayEnter counts the first held socket in, unless it has to wait.
func (l *listener) mayEnter() bool {
	now, q := l.home.loop.Now(), &l.server.quotas
	if !l.counted {
		l.counted = true
		wait := q.throttle(l, now)
		if l.until = now + int64(wait); wait > 0 {
			l.server.lines.say(l.server, kindRate, func() string {
				return fmt.Sprintf("listener %s: max.connection.creation.rate is reached: new connections wait", l.name)
			})
		}
	}
	if l.until > now {
		l.home.loop.Arm(&l.timer, time.Duration(l.until-now))
		return false
	}
	if err := q.take(l); err != nil {
		l.server.lines.say(l.server, kindLimit, func() string { return fmt.Sprintf("listener %s: new connections wait: %v", l.name, err) })
		return false
	}
	return true
}

// enter hands a socket that was counted in to a lane, or closes it when its
// address has too many.
func (l *listener) enter(sock *netpoll.Sock) {
	s, addr := l.server, sock.RemoteAddr()
	limit := s.quotas.perIP(addr.Addr())
	acct, ok := s.frames.enter(addr.Addr(), limit)
	if !ok {
		s.quotas.give(l, false)
		err := fmt.Errorf("%w: max.connections.per.ip is %d", ErrTooMany, limit)
		s.events.refused(l.name, addr, err)
		s.lines.say(s, kindPerIP, func() string { return fmt.Sprintf("listener %s: refused %s: %v", l.name, addr, err) })
		l.turnAway(sock)
		return
	}
	lane := s.lanes[int(s.next.Add(1)-1)%len(s.lanes)]
	n := &newcomer{lane: lane, sock: sock, listener: l, acct: acct}
	if lane.loop.OnLoop() {
		n.Run()
	} else {
		lane.loop.Post(n)
	}
	s.shed()
}

// turnAway closes a socket that was not let in.
func (l *listener) turnAway(sock *netpoll.Sock) {
	l.home.loop.Submit(&netpoll.Op{Kind: netpoll.CloseSock, Sock: sock})
}

// leave counts a connection out.
func (s *Server) leave(c *conn) {
	s.frames.leave(c.acct)
	s.quotas.give(c.home, c.pushedOut)
}

func lower(s string) string { return strings.ToLower(s) }
