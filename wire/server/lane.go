// SPDX-License-Identifier: Apache-2.0

package server

import (
	"sync/atomic"
	"time"

	"github.com/samsa-broker/samsa/netpoll"
	"github.com/samsa-broker/samsa/wire/api"
)

// lane is one loop's part of the server: its connections, and the memory they
// share. All of it belongs to the loop.
type lane struct {
	server *Server
	loop   netpoll.Loop
	slabs  slabs
	chunks *chunk // free
	lent   int    // receive buffers in use
	free   [maxKeys]*call
	conns  connList // least recently active first
	purses map[*account]*purse
	idle   int // free calls
	kept   int // bytes of replies that they keep room for

	trimmer  trimmer
	trimming atomic.Bool // it is posted
	tight    bool        // the budget was full when it ran last

	empty []chan struct{}

	patrol   netpoll.Timer // idle connections, frames that do not move
	patrolOn bool

	resting, rested []*conn // go on in the next turn; the list of the turn before
	restOp          netpoll.Op
	restOn          bool

	coldBusy  int // reads of uncached ranges under way
	coldFirst *conn
	coldLast  *conn
}

func newLane(s *Server, loop netpoll.Loop) *lane {
	l := &lane{server: s, loop: loop, purses: map[*account]*purse{}}
	l.trimmer.lane = l
	l.restOp = netpoll.Op{Kind: netpoll.Cancel, Done: l.onRest}
	l.patrol.Fire = l.onPatrol
	return l
}

// newcomer carries an accepted socket to its lane.
type newcomer struct {
	lane     *lane
	sock     *netpoll.Sock
	listener *listener
	acct     *account
}

// Run implements netpoll.Message.
func (n *newcomer) Run() { n.lane.open(n) }

// chunk is a receive buffer with the number of those who still look at it, or
// a copy of one.
type chunk struct {
	buf  netpoll.Buf
	copy []byte // slab; nil: buf
	of   *conn  // holds the copy
	refs int
	next *chunk // free list
}

// hold wraps a receive buffer with one reference.
func (l *lane) hold(b netpoll.Buf) *chunk {
	ch := l.chunks
	if ch == nil {
		ch = &chunk{}
	} else {
		l.chunks = ch.next
	}
	ch.buf, ch.refs, ch.next = b, 1, nil
	l.lent++
	return ch
}

// drop takes one reference off; the last one gives the buffer back.
func (l *lane) drop(ch *chunk) {
	if ch.refs--; ch.refs > 0 {
		return
	}
	if ch.copy != nil {
		ch.of.hold(-cap(ch.copy))
		l.slabs.put(ch.copy)
		ch.copy, ch.of = nil, nil
	} else {
		l.giveBuffer(ch)
	}
	ch.next, l.chunks = l.chunks, ch
}

func (l *lane) giveBuffer(ch *chunk) {
	l.loop.Recycle(ch.buf)
	ch.buf = netpoll.Buf{}
	l.lent--
}

// received wraps n bytes just received and returns where they are. When too
// many receive buffers are in use they are copied at once, however few: peers
// that send byte by byte to a line that takes no more must not keep the loop's
// buffers from everyone else.
func (l *lane) received(c *conn, b netpoll.Buf, n int) (*chunk, []byte) {
	ch := l.hold(b)
	if l.lent <= l.server.limits.LentBuffers {
		return ch, b.Data[:n]
	}
	ch.copy = l.slabs.get(n)
	copy(ch.copy, b.Data[:n])
	ch.of = c
	c.hold(cap(ch.copy))
	l.giveBuffer(ch)
	return ch, ch.copy
}

// newCall takes a call for handler h from the free list.
func (l *lane) newCall(h *api.Handler) *call {
	k := l.free[h.Key]
	if k == nil {
		k = &call{handler: h}
		k.timer.Fire = k.onTimer
		k.serve = k.serveOnPool
		k.runTask = k.runOnPool
		return k
	}
	l.free[h.Key], k.next = k.next, nil
	l.kept -= cap(k.Out)
	l.idle--
	return k
}

// reuseOutBytes and reuseChunks bound what an idle call keeps, keptUp what all
// of a lane keep of replies, idleUp how many calls a lane keeps.
const (
	idleUp        = 4096
	keptUp        = 32 << 20
	reuseOutBytes = 64 << 10
	reuseChunks   = 1024
)

// recycle takes a finished call back.
func (l *lane) recycle(k *call) {
	if l.idle >= idleUp {
		k.conn, k.Body, k.Raw, k.state = nil, nil, nil, callFree
		return // the garbage collector's
	}
	l.idle++
	if cap(k.Out) > reuseOutBytes || l.kept+cap(k.Out) > keptUp {
		k.Out = nil
	}
	l.kept += cap(k.Out)
	if cap(k.Chunks()) > reuseChunks {
		k.DropChunks()
	}
	k.conn, k.Body, k.Raw, k.state = nil, nil, nil, callFree
	k.next, l.free[k.handler.Key] = l.free[k.handler.Key], k
}

// drain lets every connection close once it has answered, and drops those that
// wait to be let in.
func (l *lane) drain() {
	l.server.mu.Lock()
	listeners := l.server.listeners
	l.server.mu.Unlock()
	for _, ln := range listeners {
		if ln.home == l {
			ln.admit()
		}
	}
	for c := l.conns.head; c != nil; {
		next := c.next
		c.drain()
		c = next
	}
}

// killAll closes every connection now.
func (l *lane) killAll(why error) {
	for c := l.conns.head; c != nil; {
		next := c.next
		c.kill(why)
		c = next
	}
}

// whenEmpty closes ch once no connection is left.
func (l *lane) whenEmpty(ch chan struct{}) {
	if l.conns.head == nil {
		close(ch)
		return
	}
	l.empty = append(l.empty, ch)
}

// patrolPause is how often a lane looks after what does not move.
const patrolPause = 10 * time.Second

// watch keeps the patrol going while there is anybody to watch.
func (l *lane) watch() {
	if l.patrolOn || l.conns.head == nil {
		return
	}
	l.patrolOn = true
	pause := patrolPause
	if idle := l.server.limits.Idle; idle > 0 {
		pause = min(pause, max(idle/4, 10*time.Millisecond))
	}
	l.loop.Arm(&l.patrol, pause)
}

// onPatrol closes what has been idle too long, and large frames that stand
// still while others wait for their memory.
func (l *lane) onPatrol(*netpoll.Timer) {
	l.patrolOn = false
	now, idle := l.loop.Now(), int64(l.server.limits.Idle)
	crowded := l.server.frames.crowded()
	for c := l.conns.head; c != nil; {
		next := c.next
		switch {
		case idle > 0 && now-c.active > idle && !c.working():
			c.kill(ErrIdle)
		case crowded && c.stalled(now):
			c.kill(ErrTooSlow)
		}
		c = next
	}
	l.watch()
}

// connList is a list of connections.
type connList struct{ head, tail *conn }

func (q *connList) push(c *conn) {
	c.prev, c.next = q.tail, nil
	if q.tail == nil {
		q.head = c
	} else {
		q.tail.next = c
	}
	q.tail = c
}

func (q *connList) remove(c *conn) {
	if c.prev == nil {
		q.head = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		q.tail = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.prev, c.next = nil, nil
}
