// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"

	"github.com/samsa-broker/samsa/netpoll"
)

// purse is what the connections of one address on one lane hold in small
// frames, waiting requests and unsent replies, beyond one receive buffer each.
// It is taken from the budget of the address and of the broker in steps, so
// that a request costs an addition here and no lock there. Past the budget the
// connections that hold more than a buffer take no further requests, and are
// not received from, until they hold less or the purse has got more: each can
// still carry out one request after the other. It belongs to the lane's loop.
type purse struct {
	lane    *lane
	acct    *account
	conns   int
	used    int64 // may exceed have by what had arrived already
	have    int64 // taken from the budget
	room    reservation
	asking  bool    // room stands in line for more
	tight   bool    // it did: its connections receive one buffer at a time
	blocked []*conn // they wait for more
	posted  bool    // to the loop: Run
}

const (
	// purseStep is the least that is taken from the budget at once.
	purseStep = 64 << 10
	// heapWeight: what lies on the heap counts threefold, because the garbage
	// collector lets the heap grow to a multiple of what lives.
	heapWeight = 3
	// callCost is what a request in line holds beside its bytes.
	callCost = heapWeight * 700
)

// join makes c one of the connections of its address's purse.
func (l *lane) join(c *conn) {
	p := l.purses[c.acct]
	if p == nil {
		p = &purse{lane: l, acct: c.acct}
		p.room.purse, p.room.acct = p, c.acct
		l.purses[c.acct] = p
	}
	p.conns++
	c.purse = p
}

// part ends join; c holds nothing any more.
func (l *lane) part(c *conn) {
	p := c.purse
	p.unblock(c)
	if c.held != 0 {
		panic(fmt.Sprintf("BUG: server: a closed connection holds %d bytes", c.held))
	}
	if p.conns--; p.conns > 0 {
		return
	}
	delete(l.purses, p.acct)
	p.forgo()
	l.server.frames.release(p.acct, p.have, false)
	p.have = 0
}

// hold notes that the connection holds n bytes more, or less when n is negative.
func (c *conn) hold(n int) {
	before := max(0, c.held-netpoll.BufBytes)
	c.held += n
	if more := max(0, c.held-netpoll.BufBytes) - before; more != 0 {
		c.purse.spend(int64(more))
	}
}

// short tells whether the connection holds more than the budget has for it.
func (c *conn) short() bool { return c.held > netpoll.BufBytes && c.purse.used > c.purse.have }

// spend counts n bytes and keeps what was taken near to what is used.
func (p *purse) spend(n int64) {
	p.used += n
	switch {
	case p.used > p.have:
		p.ask()
	case n < 0:
		if p.tight && p.used <= p.have/2 {
			p.post()
		}
		p.forgo()
		p.spare()
	}
	if p.used <= p.have && len(p.blocked) > 0 {
		p.post()
	}
}

func (p *purse) post() {
	if !p.posted {
		p.posted = true
		p.lane.loop.Post(p)
	}
}

// ask takes more from the budget, or stands in line for it.
func (p *purse) ask() {
	if p.asking {
		return
	}
	p.room.bytes = p.used - p.have + max(purseStep, p.used/4)
	if p.lane.server.frames.reserve(&p.room) {
		p.have += p.room.bytes
		return
	}
	p.asking = true
	if !p.tight {
		p.tight = true
		p.post()
	}
	p.lane.server.waiting()
	p.lane.server.trim()
}

// forgo leaves the line: enough was given back meanwhile.
func (p *purse) forgo() {
	if p.asking && p.lane.server.frames.cancel(&p.room) {
		p.asking = false
		p.lane.server.waiting()
	}
}

// granted has what it stood in line for.
func (p *purse) granted() {
	p.asking = false
	p.have += p.room.bytes
	if p.conns == 0 { // nobody needs it any more
		p.lane.server.frames.release(p.acct, p.have, false)
		p.have = 0
		return
	}
	p.spend(0)
}

// spare gives back what is not needed soon; all that is not used, when others
// wait for memory.
func (p *purse) spare() {
	slack := p.used/2 + 2*purseStep
	if p.lane.server.frames.anyWaiting.Load() {
		slack = 0
	}
	if extra := p.have - p.used - slack; extra > 0 {
		p.have -= extra
		p.lane.server.frames.release(p.acct, extra, false)
	}
}

// block puts c among those that wait for more.
func (p *purse) block(c *conn) {
	if c.blockedAt == 0 {
		p.blocked = append(p.blocked, c)
		c.blockedAt = len(p.blocked)
	}
}

// unblock takes c out of them.
func (p *purse) unblock(c *conn) {
	if c.blockedAt == 0 {
		return
	}
	last := p.blocked[len(p.blocked)-1]
	p.blocked[c.blockedAt-1] = last
	last.blockedAt = c.blockedAt
	p.blocked = p.blocked[:len(p.blocked)-1]
	c.blockedAt = 0
}

// Run implements netpoll.Message: those that waited look again. When there has
// just come to be too little, its connections receive less at a time.
func (p *purse) Run() {
	p.posted = false
	if p.tight && p.used <= p.have/2 {
		p.tight = false
	}
	if p.tight {
		p.lane.tighten(p)
	}
	for n := len(p.blocked); n > 0 && len(p.blocked) > 0 && p.used <= p.have; n-- {
		c := p.blocked[0]
		p.unblock(c)
		c.advance()
	}
}

// tighten takes back the receives, of one purse or all, that would bring
// whatever has arrived; they are armed again for a buffer each.
func (l *lane) tighten(p *purse) {
	for c := l.conns.head; c != nil; c = c.next {
		if (p == nil || c.purse == p) && c.recvOn && !c.recvOp.Once {
			c.stopReading()
		}
	}
}

// sips tells whether a receive of c is to bring one buffer only.
func (c *conn) sips() bool { return c.purse.tight || c.lane.server.frames.full.Load() }

// trim lets every lane give back what its purses have to spare: somebody waits.
func (s *Server) trim() {
	for _, l := range s.lanes {
		if l.trimming.CompareAndSwap(false, true) {
			l.loop.Post(&l.trimmer)
		}
	}
}

// trimmer is posted to a lane by trim.
type trimmer struct{ lane *lane }

// Run implements netpoll.Message.
func (t *trimmer) Run() {
	l := t.lane
	l.trimming.Store(false)
	for _, p := range l.purses {
		p.spare()
	}
	full := l.server.frames.full.Load()
	if full && !l.tight {
		l.tighten(nil)
	}
	l.tight = full
}
