// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"sync"
	"sync/atomic"
)

const inboxCells = 1024

// inbox carries messages from any goroutine to the loop, in order per poster.
//
// The ring is the usual bounded queue with a sequence number per cell: a poster
// claims a cell by moving tail, fills it, and publishes it by its number. A
// poster that finds the ring full appends to spill instead, and from then on
// everybody does until the loop has taken the spill: so a poster's messages stay
// in order. The loop takes the spill only when, under the lock, the ring holds
// nothing that was claimed: whatever its posters put into the ring before they
// spilled has run by then.
type inbox struct {
	tail    atomic.Uint64
	_       [56]byte // posters write tail, the loop reads the rest
	head    uint64   // the loop's
	cells   []inboxCell
	asleep  atomic.Bool // the loop waits in the kernel, or is about to
	spilled atomic.Bool

	mu    sync.Mutex
	spill []Message

	taken []Message // the loop's: a spill being run
	at    int
}

type inboxCell struct {
	seq atomic.Uint64 // position: free for that post; position+1: filled by it
	m   Message
}

func (q *inbox) init() {
	q.cells = make([]inboxCell, inboxCells)
	for i := range q.cells {
		q.cells[i].seq.Store(uint64(i))
	}
}

// push adds m. The caller then wakes the loop if it sleeps.
func (q *inbox) push(m Message) {
	if !q.spilled.Load() {
		pos := q.tail.Load()
		for {
			c := &q.cells[pos%inboxCells]
			seq := c.seq.Load()
			if seq < pos {
				break // full
			}
			if seq == pos && q.tail.CompareAndSwap(pos, pos+1) {
				c.m = m
				c.seq.Store(pos + 1)
				return
			}
			pos = q.tail.Load()
		}
	}
	q.mu.Lock()
	q.spill = append(q.spill, m)
	q.spilled.Store(true)
	q.mu.Unlock()
}

// pending says whether anything waits, published or only claimed.
func (q *inbox) pending() bool {
	return q.at < len(q.taken) || q.tail.Load() != q.head || q.spilled.Load()
}

// run executes up to limit messages and says how many it did.
func (q *inbox) run(limit int) (ran int) {
	for ; ran < limit; ran++ {
		m := q.pop()
		if m == nil {
			break
		}
		m.Run()
	}
	return ran
}

// pop takes the next message, nil when there is none that may run now.
func (q *inbox) pop() Message {
	for {
		if q.at < len(q.taken) {
			m := q.taken[q.at]
			q.taken[q.at] = nil
			q.at++
			return m
		}
		c := &q.cells[q.head%inboxCells]
		if c.seq.Load() == q.head+1 {
			m := c.m
			c.m = nil
			c.seq.Store(q.head + inboxCells)
			q.head++
			return m
		}
		if !q.spilled.Load() || !q.takeSpill() {
			return nil
		}
	}
}

// takeSpill moves the spill to the loop's side, unless the ring holds older ones.
func (q *inbox) takeSpill() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.tail.Load() != q.head {
		return false
	}
	q.taken, q.spill, q.at = q.spill, q.taken[:0], 0
	q.spilled.Store(false)
	return true
}
