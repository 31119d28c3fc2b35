// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"sync"
	"sync/atomic"

	"github.com/samsa-broker/samsa/engine"
)

// States of a ReadRequest's watch.
const (
	watchNone  = iota
	watchArmed // stands in its partitions' lists
	watchFired // Wake has been posted
)

// watch is a ReadPart's place in its partition's list.
type watch struct {
	req        *ReadRequest
	part       *ReadPart
	prev, next *watch
	linked     bool
	avail      int64 // bytes to be had, at least; grows with the high watermark
	steady     bool  // read_committed: everything committed was stable when the wait began
	fired      *watch
}

// watchList is the readers that wait for a partition. Registering and waking
// take a lock for a few instructions; nobody reads a file or posts under it.
type watchList struct {
	n    atomic.Int32 // length, so that a turn without watchers takes no lock
	mu   sync.Mutex
	head *watch
}

func (l *watchList) link(w *watch) {
	l.mu.Lock()
	w.prev, w.next, w.linked = nil, l.head, true
	if l.head != nil {
		l.head.prev = w
	}
	l.head = w
	l.n.Add(1)
	l.mu.Unlock()
}

func (l *watchList) unlink(w *watch) {
	l.mu.Lock()
	l.cut(w)
	l.mu.Unlock()
}

// cut unlinks under the lock.
func (l *watchList) cut(w *watch) {
	if !w.linked {
		return
	}
	if w.prev == nil {
		l.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.linked = nil, nil, false
	l.n.Add(-1)
}

// Watch registers r, as its last Read left it, with every partition it names.
// Once there may be MinBytes to read, or an error to tell, r.Wake is posted to
// r.Home, once. It reports false when something moved since that Read: nothing
// is registered then and the caller reads again. Call it on r.Home's goroutine.
func (s *Set) Watch(r *ReadRequest) bool {
	if r.state.Load() != watchNone {
		panic("BUG: replica: Watch of a request that is being watched")
	}
	r.got.Store(int64(r.bytes))
	r.state.Store(watchArmed)
	for i := range r.Parts {
		part := &r.Parts[i]
		if p := part.Partition; p != nil {
			part.watch = watch{req: r, part: part, avail: int64(part.Bytes), steady: part.LastStable == part.HighWatermark}
			p.watchers.link(&part.watch)
		}
	}
	// Registered first, looked again second: what moves from here on wakes us.
	for i := range r.Parts {
		if r.Parts[i].moved(r) {
			if r.state.CompareAndSwap(watchArmed, watchNone) {
				r.unlink()
				return false
			}
			return true // woken already
		}
	}
	return true
}

// moved tells whether a Read would now find another picture than the last one.
func (part *ReadPart) moved(r *ReadRequest) bool {
	p := part.Partition
	if p == nil {
		return part.Err == nil
	}
	if part.Err != nil {
		return true
	}
	return p.Err() != nil || p.limit(r) != part.seen || p.LeaderEpoch() != part.epoch
}

// Unwatch takes r out of every list. It reports true when Wake has been posted:
// it has run or will run, and r must not be used again before that. Call it on
// r.Home's goroutine, also once Wake has run.
func (s *Set) Unwatch(r *ReadRequest) (woken bool) {
	woken = !r.state.CompareAndSwap(watchArmed, watchNone) && r.state.Load() == watchFired
	r.unlink()
	return woken
}

func (r *ReadRequest) unlink() {
	for i := range r.Parts {
		if p := r.Parts[i].Partition; p != nil && r.Parts[i].watch.req == r {
			p.watchers.unlink(&r.Parts[i].watch)
		}
	}
}

// wake tells the watchers what the turn brought: the high watermark moved by
// bytes, or, with all, everybody is to look for themselves.
func (l *watchList) wake(t *Turn, all bool) {
	p := t.p
	hw := p.HighWatermark()
	bytes, exact := t.marks.pass(hw)
	if l.n.Load() == 0 {
		return
	}
	var fired *watch
	news := news{hw: hw, stable: -1, bytes: bytes, exact: exact, all: all || p.Err() != nil}
	l.mu.Lock()
	for w := l.head; w != nil; {
		next := w.next
		if news.concern(p, w) {
			l.cut(w)
			if w.req.state.CompareAndSwap(watchArmed, watchFired) {
				w.fired, fired = fired, w
			}
		}
		w = next
	}
	l.mu.Unlock()
	// A fired request stays untouched until its Wake has run, so the chain is safe.
	for w := fired; w != nil; {
		next, r := w.fired, w.req
		w.fired = nil
		r.Home.Post(r.Wake)
		w = next
	}
}

// news is what a turn changed, seen by one watcher after the other.
type news struct {
	hw, stable engine.Offset // stable is looked up when first needed
	bytes      int64
	exact, all bool
}

// concern tells whether w is to be woken.
func (n *news) concern(p *Partition, w *watch) bool {
	part, r := w.part, w.req
	switch {
	case n.all:
		return true
	case r.Replica >= 0:
		return p.LogEnd() > part.seen
	case n.hw <= part.seen:
		return false
	}
	before := min(w.avail, int64(part.MaxBytes))
	w.avail += n.bytes
	got := r.got.Add(min(w.avail, int64(part.MaxBytes)) - before)
	if r.ReadCommitted {
		if n.stable < 0 {
			n.stable = p.LastStable()
		}
		if n.stable <= part.seen {
			return false
		}
		if !w.steady {
			return true
		}
	}
	return !n.exact || got >= int64(max(1, min(r.MinBytes, r.MaxBytes)))
}
