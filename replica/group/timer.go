// SPDX-License-Identifier: Apache-2.0

package group

import "container/heap"

// timer is a deadline embedded in what it is for, whose fire is set once. The
// zero value is disarmed.
type timer struct {
	atMs  int64
	seq   uint64 // among equal times the one armed first fires first
	index int    // place in timers plus one; 0: disarmed
	fire  func()
}

// timers is a heap of armed timers.
type timers struct {
	heap []*timer
	seq  uint64
}

// arm sets t to fire at a time, moving it if it was armed.
func (ts *timers) arm(t *timer, atMs int64) {
	ts.seq++
	t.atMs, t.seq = atMs, ts.seq
	if t.index > 0 {
		heap.Fix(ts, t.index-1)
		return
	}
	heap.Push(ts, t)
}

func (ts *timers) disarm(t *timer) {
	if t.index > 0 {
		heap.Remove(ts, t.index-1)
	}
}

// due takes out the next timer that is due, nil if none is.
func (ts *timers) due(now int64) *timer {
	if len(ts.heap) == 0 || ts.heap[0].atMs > now {
		return nil
	}
	return heap.Pop(ts).(*timer)
}

// next is when the next timer is due, ok false if none is armed.
func (ts *timers) next() (atMs int64, ok bool) {
	if len(ts.heap) == 0 {
		return 0, false
	}
	return ts.heap[0].atMs, true
}

// Len, Less, Swap, Push and Pop are for container/heap.
func (ts *timers) Len() int { return len(ts.heap) }

func (ts *timers) Less(i, j int) bool {
	a, b := ts.heap[i], ts.heap[j]
	if a.atMs != b.atMs {
		return a.atMs < b.atMs
	}
	return a.seq < b.seq
}

func (ts *timers) Swap(i, j int) {
	ts.heap[i], ts.heap[j] = ts.heap[j], ts.heap[i]
	ts.heap[i].index, ts.heap[j].index = i+1, j+1
}

func (ts *timers) Push(x any) {
	t := x.(*timer)
	ts.heap = append(ts.heap, t)
	t.index = len(ts.heap)
}

func (ts *timers) Pop() any {
	last := len(ts.heap) - 1
	t := ts.heap[last]
	ts.heap[last] = nil
	ts.heap = ts.heap[:last]
	t.index = 0
	return t
}
