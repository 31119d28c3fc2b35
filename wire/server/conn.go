// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"net/netip"

	"github.com/samsa-broker/samsa/netpoll"
	"github.com/samsa-broker/samsa/wire/api"
)

// conn is one connection. It belongs to its lane's loop.
type conn struct {
	lane      *lane
	sock      *netpoll.Sock
	remote    netip.AddrPort
	home      *listener // it came in by
	acct      *account
	purse     *purse
	held      int // bytes of small frames, waiting requests and unsent replies
	blockedAt int // place in the purse's blocked, counted from 1
	client    api.Client
	clientID  []byte // the bytes client.ID was made from
	active    int64  // when bytes last moved, in the loop's time
	begun     bool   // a frame has been recognised

	input
	line
	output

	pushedOut bool // to make room for another

	dead     bool  // no more is started; the socket is being closed
	closed   bool  // the socket is gone
	finished bool  // every request it will ever make is in the line
	why      error // it ended

	next, prev *conn // in the lane
	nextCold   *conn
}

// open starts serving a new connection.
func (l *lane) open(n *newcomer) {
	addr := n.sock.RemoteAddr()
	c := &conn{lane: l, sock: n.sock, remote: addr, home: n.listener, acct: n.acct, active: l.loop.Now()}
	c.client = api.Client{Host: addr.Addr(), Principal: "User:ANONYMOUS", Listener: n.listener.name}
	c.recvOp = netpoll.Op{Kind: netpoll.Recv, Sock: n.sock, Done: c.onRecv}
	c.sendOp = netpoll.Op{Sock: n.sock, Done: c.onSent}
	c.input.conn, c.output.conn = c, c
	c.room.conn, c.room.acct = c, n.acct
	l.join(c)
	l.conns.push(c)
	l.server.events.opened(c.home.name, c.remote)
	l.watch()
	if l.server.draining.Load() {
		c.kill(ErrClosed)
		return
	}
	c.advance()
}

// touch notes that bytes moved.
func (c *conn) touch() {
	c.active = c.lane.loop.Now()
	if q := &c.lane.conns; q.tail != c {
		q.remove(c)
		q.push(c)
	}
}

// working tells whether the peer is waiting for us rather than we for it.
func (c *conn) working() bool { return c.running > 0 || c.starting != nil && c.unsent == 0 }

// end notes that the peer sends no more. What it asked before is carried out,
// as far as it does not wait for anything; then the connection closes.
func (c *conn) end(why error) {
	c.eof, c.why = true, why
	c.abortParked()
	c.advance()
}

// drain answers what has begun and then closes.
func (c *conn) drain() {
	if c.dead || c.finished {
		return
	}
	c.finished, c.why = true, ErrClosed
	c.stopReading()
	c.dropWaiting()
	c.abortParked()
	c.advance()
}

// kill closes the connection at once, for the reason why.
func (c *conn) kill(why error) {
	if c.dead {
		return
	}
	c.dead = true
	if c.why == nil {
		c.why = why
	}
	c.dropInput()
	c.dropWaiting()
	c.leaveCold()
	c.abortParked()
	c.lane.loop.Submit(&netpoll.Op{Kind: netpoll.CloseSock, Sock: c.sock, Done: c.onClosed})
}

// warn says one line about the connection, and kills it.
func (c *conn) warn(k kind, why error) {
	c.lane.server.lines.say(c.lane.server, k, func() string {
		id := ""
		if c.client.ID != "" {
			id = fmt.Sprintf(" (client %q)", c.client.ID)
		}
		return fmt.Sprintf("closed %s on listener %s%s: %v", c.remote, c.home.name, id, why)
	})
	c.kill(why)
}

// onClosed is Done of closing: nothing of the socket runs any more.
func (c *conn) onClosed(*netpoll.Op) {
	c.closed = true
	c.settle()
}

// settle forgets a closed connection once nothing refers to it.
func (c *conn) settle() {
	if !c.closed || c.reading || c.lane == nil {
		return
	}
	c.dropDone()
	if c.head != nil || c.recvOn || c.intoOn || c.canceling || c.roomWait || c.resting {
		return
	}
	l := c.lane
	c.freeSlab()
	l.part(c)
	c.lane = nil
	l.conns.remove(c)
	l.server.leave(c)
	l.server.events.closed(c.home.name, c.remote, c.why)
	if l.conns.head == nil {
		for _, ch := range l.empty {
			close(ch)
		}
		l.empty = nil
	}
}

// advance does whatever can be done now: take frames from what was received,
// start requests, send replies, receive more. Calls from within it return at
// once; it looks again.
func (c *conn) advance() {
	if c.advancing {
		c.again = true
		return
	}
	c.advancing = true
	for {
		c.again = false
		if !c.dead {
			c.takeFrames()
			c.finished = c.finished || c.eof && len(c.pieces) == 0
			c.startCalls()
			c.flush()
		}
		if !c.again {
			break
		}
	}
	c.advancing = false
	if c.dead {
		c.settle()
		return
	}
	if c.short() {
		c.purse.block(c)
	}
	if c.finished && c.head == nil && !c.sending && !c.reading {
		c.kill(c.why)
		return
	}
	c.receive()
}
