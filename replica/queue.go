// SPDX-License-Identifier: Apache-2.0

package replica

import "sync/atomic"

// operation is something done in a turn of a partition.
type operation interface {
	// step does it. It may call Partition.park for file work.
	step(t *Turn)
	// fail is called instead of step once the partition has been deleted or
	// stopped. It too runs in the turn.
	fail(t *Turn, err error)
}

// node is an operation's place in a queue. It belongs to whoever owns the
// operation, and may be pushed again once its step or fail has begun.
type node struct {
	next *node
	do   operation
	size int64 // bytes to be written, for the budget of the turn
}

// idle is what an idle queue's head points to. Nobody reads its fields.
var idle node

// queue is a lock-free queue of many producers and one consumer, the holder of
// the turn. Its head tells whether there is a turn: &idle when nobody has it,
// nil when somebody has it and nothing waits, else the newest operation. So
// "is it idle" and "push" are one compare-and-swap and no wake-up can fall
// between them.
type queue struct {
	head atomic.Pointer[node]
}

func (q *queue) init() { q.head.Store(&idle) }

// hold takes the turn of a queue that nobody else knows yet.
func (q *queue) hold() { q.head.Store(nil) }

// push adds n. It reports true when the queue was idle: the caller then has the
// turn and must see to it that the queue is drained.
func (q *queue) push(n *node) (taken bool) {
	for {
		old := q.head.Load()
		if old == &idle {
			n.next = nil
		} else {
			n.next = old
		}
		if q.head.CompareAndSwap(old, n) {
			return old == &idle
		}
	}
}

// take removes everything, oldest first. Only the holder of the turn calls it.
func (q *queue) take() *node {
	var first *node
	for n := q.head.Swap(nil); n != nil; {
		next := n.next
		n.next = first
		first, n = n, next
	}
	return first
}

// leave ends the turn. It reports false when something was pushed meanwhile:
// the caller keeps the turn and drains on.
func (q *queue) leave() bool { return q.head.CompareAndSwap(nil, &idle) }
