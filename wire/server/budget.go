// SPDX-License-Identifier: Apache-2.0

package server

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// budget counts the memory of large frames, and of small ones beyond a receive
// buffer a connection: for the broker, and for each address, which may use a
// quarter of it. Reservations are granted in the
// order they were made; one held up by its own address alone does not hold up
// the others. A large frame that finds no other one there is always granted, as
// it could wait for ever for what is smaller; a purse is not, as its connections
// go on without.
type budget struct {
	mu       sync.Mutex
	total    int64
	used     int64
	large    int64 // of that, by large frames
	accounts map[netip.Addr]*account
	head     *reservation
	tail     *reservation
	waiting  int
	// anyWaiting is waiting > 0, for those who have not the mutex.
	anyWaiting atomic.Bool
	// full: one of them waits for the broker's memory, not just for its address's.
	full  atomic.Bool
	round int // of grant
}

// account is what one address holds. Its fields belong to the budget's mutex.
type account struct {
	addr  netip.Addr
	conns int
	used  int64
	large int64
	held  int // the round of grant in which one of its own had to wait

	parked int64 // kept by its waiting control requests; the control budget's
}

// reservation is a connection's, or a purse's, place in the line for memory.
type reservation struct {
	conn  *conn
	purse *purse
	acct  *account
	bytes int64
	next  *reservation
}

// lane is where the granted reservation is posted.
func (r *reservation) lane() *lane {
	if r.purse != nil {
		return r.purse.lane
	}
	return r.conn.lane
}

func newBudget(total int64) *budget {
	return &budget{total: total, accounts: map[netip.Addr]*account{}}
}

// enter counts a connection from addr in, unless it has limit already.
func (b *budget) enter(addr netip.Addr, limit int) (*account, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.accounts[addr]
	if a == nil {
		a = &account{addr: addr}
	}
	if a.conns >= limit {
		return nil, false
	}
	b.accounts[addr] = a
	a.conns++
	return a, true
}

// leave counts a connection out; it holds nothing any more.
func (b *budget) leave(a *account) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.conns--; a.conns == 0 {
		delete(b.accounts, a.addr)
	}
}

// fits: there is room, or nothing else is in the way.
func (b *budget) fits(r *reservation) (broker, address bool) {
	alone := r.purse == nil
	broker = alone && b.large == 0 || b.used+r.bytes <= b.total
	address = alone && r.acct.large == 0 || r.acct.used+r.bytes <= b.total/4
	return broker, address
}

func (b *budget) take(r *reservation) {
	b.used += r.bytes
	r.acct.used += r.bytes
	if r.purse == nil {
		b.large += r.bytes
		r.acct.large += r.bytes
	}
}

// reserve takes r's bytes now, or queues r and posts it to its lane once they
// are its own.
func (b *budget) reserve(r *reservation) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.next = nil
	if broker, address := b.fits(r); b.head == nil && broker && address {
		b.take(r)
		return true
	}
	b.waiting++
	b.anyWaiting.Store(true)
	if b.tail == nil {
		b.head = r
	} else {
		b.tail.next = r
	}
	b.tail = r
	b.grant()
	return false
}

// grant gives memory to those in line, in order. Who is held up by its own
// address is passed by, but not by others of that address.
func (b *budget) grant() {
	b.round++
	var prev *reservation
	for r := b.head; r != nil; {
		next := r.next
		broker, address := b.fits(r)
		address = address && r.acct.held != b.round
		switch {
		case broker && address:
			b.unlink(prev, r)
			b.take(r)
			r.lane().loop.Post(r)
		case !broker && address:
			b.full.Store(true)
			return // first come, first served
		default:
			r.acct.held = b.round
			prev = r
		}
		r = next
	}
}

// unlink takes r, which follows prev, out of the line.
func (b *budget) unlink(prev, r *reservation) {
	if prev == nil {
		b.head = r.next
	} else {
		prev.next = r.next
	}
	if b.tail == r {
		b.tail = prev
	}
	r.next = nil
	b.waiting--
	if b.waiting == 0 {
		b.anyWaiting.Store(false)
		b.full.Store(false)
	}
}

// release gives n bytes of a back, taken for a purse or for a large frame.
func (b *budget) release(a *account, n int64, large bool) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	a.used -= n
	if large {
		b.large -= n
		a.large -= n
	}
	if b.used < 0 || b.large < 0 || a.large < 0 || a.used < 0 {
		panic("BUG: server: more memory given back than was taken")
	}
	b.grant()
}

// cancel takes r out of the line. It is false when r was granted meanwhile and
// its message is under way.
func (b *budget) cancel(r *reservation) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	var prev *reservation
	for q := b.head; q != nil; prev, q = q, q.next {
		if q == r {
			b.unlink(prev, r)
			b.grant()
			return true
		}
	}
	return false
}

// crowded tells whether anybody waits.
func (b *budget) crowded() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting > 0
}
