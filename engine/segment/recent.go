// SPDX-License-Identifier: Apache-2.0

package segment

import "sync/atomic"

// recentBatches is how many of the newest batches' places are in memory: what
// a consumer at the tail asks for is found without touching the file.
const recentBatches = 64

// recent is where the newest batches stand. One goroutine adds; any may look.
// A slot's base is cleared before its position changes and set after, and a
// base is never used twice in one segment: a reader that finds the same base
// before and after it read the position has a true pair.
type recent struct {
	next  atomic.Int64 // slots ever filled
	slots [recentBatches]recentSlot
}

type recentSlot struct{ base, pos atomic.Int64 }

func (r *recent) add(base, pos int64) {
	n := r.next.Load()
	slot := &r.slots[n%recentBatches]
	slot.base.Store(-1)
	slot.pos.Store(pos)
	slot.base.Store(base)
	r.next.Store(n + 1)
}

// find gives the position of the batch with that base offset, or of the next
// one if offset lies before it and after the one before. next is where the
// batch ends, -1 if that is not known here.
func (r *recent) find(offset int64) (base, pos, next int64, ok bool) {
	newest := r.next.Load()
	next = -1
	above := int64(1<<63 - 1)
	for i := newest - 1; i >= 0 && i > newest-recentBatches; i-- {
		slot := &r.slots[i%recentBatches]
		base, pos = slot.base.Load(), slot.pos.Load()
		if base < 0 || slot.base.Load() != base || base >= above {
			return 0, 0, 0, false // overwritten: the rest is older still
		}
		above = base
		if base <= offset {
			return base, pos, next, true
		}
		next = pos
	}
	return 0, 0, 0, false
}
