// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"sync"
	"sync/atomic"
)

// Waiter is one request waiting for room in a journal. Ready runs, on any
// goroutine, once what it asked for is reserved for it; it must not block. A
// Waiter is its caller's and may be used again after Ready ran or Withdraw
// returned true.
type Waiter struct {
	Ready func()

	n          int64
	share      atomic.Pointer[share] // whose queue it stands in
	prev, next *Waiter
}

// share is a budget with a queue, first come, first served.
type share struct {
	mu         sync.Mutex // held for a few instructions
	budget     int64
	used       int64
	head, tail *Waiter
}

// fits tells whether n may be taken now. What is larger than the whole budget
// fits when nothing is taken, and then takes all of it and more.
func (s *share) fits(n int64) bool { return s.used+n <= s.budget || s.used == 0 }

func (s *share) reserve(n int64, w *Waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head == nil && s.fits(n) {
		s.used += n
		return true
	}
	if w.share.Load() != nil {
		panic("BUG: dir: waiter is in a queue already")
	}
	w.share.Store(s)
	w.n, w.prev, w.next = n, s.tail, nil
	if s.tail != nil {
		s.tail.next = w
	} else {
		s.head = w
	}
	s.tail = w
	return false
}

func (s *share) unreserve(n int64) {
	s.mu.Lock()
	s.used -= n
	if s.used < 0 {
		s.mu.Unlock()
		panic("BUG: dir: more room given back than taken")
	}
	for w := s.head; w != nil && s.fits(w.n); w = s.head {
		s.used += w.n
		s.drop(w)
		s.mu.Unlock() // Ready may come back here
		w.Ready()
		s.mu.Lock()
	}
	s.mu.Unlock()
}

// drop takes w out of the queue.
func (s *share) drop(w *Waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		s.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		s.tail = w.prev
	}
	w.prev, w.next = nil, nil
	w.share.Store(nil)
}

// Reserve takes n bytes, at final size, of the directory's room: journal and
// memory. If there is none now it queues w, first come, first served, and
// returns false. A request larger than the whole budget waits until nothing is
// reserved and takes it whole.
func (d *Dir) Reserve(n int64, w *Waiter) bool { return d.clients.reserve(n, w) }

// Unreserve gives back what Reserve took, once the records are durable or
// failed.
func (d *Dir) Unreserve(n int64) { d.clients.unreserve(n) }

// ReserveInternal is Reserve from the share that internal appends (offsets,
// markers, replicas) have to themselves.
func (d *Dir) ReserveInternal(n int64, w *Waiter) bool { return d.internal.reserve(n, w) }

// UnreserveInternal gives back what ReserveInternal took.
func (d *Dir) UnreserveInternal(n int64) { d.internal.unreserve(n) }

// Withdraw takes w out of the queue. False: it is not there, Ready has run or
// is about to, and the room is w's to give back.
func (d *Dir) Withdraw(w *Waiter) bool {
	s := w.share.Load()
	if s == nil {
		return false
	}
	s.mu.Lock()
	if w.share.Load() != s {
		s.mu.Unlock()
		return false
	}
	s.drop(w)
	s.used++ // so that giving it back looks at who came behind
	s.mu.Unlock()
	s.unreserve(1)
	return true
}
