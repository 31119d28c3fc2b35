// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"sync"
	"sync/atomic"
)

// Tail is one log's place in the journal. Log, Moved and Sync are set before
// the first use and not changed.
type Tail struct {
	Log LogID
	// Moved is called, on any goroutine, after Durable moved or the journal
	// broke. It must not block.
	Moved func()
	// Sync makes durable in segments whatever was placed before the call. It
	// runs on an ordinary goroutine.
	Sync func() error

	durable atomic.Int64
	placed  int64 // the turn's alone

	mu    sync.Mutex // orders completions with Cut; held for a few instructions
	marks [2]mark    // one for each group
}

// mark is what one group holds of a log. While the group is open it belongs to
// the turn; after the group was sealed, to its completion.
type mark struct {
	end      int64 // placed in this group up to here
	linked   bool  // in the group's list of tails
	next     *Tail
	syncing  bool // in the group's list of those to sync first
	syncAt   int  // its newest entry of a synced range
	nextSync *Tail
}

// Begin sets both ends of a log whose records below end are durable already.
func (t *Tail) Begin(end int64) {
	t.placed = end
	t.durable.Store(end)
}

// Durable is the offset below which everything survives a power cut. Any
// goroutine may ask.
func (t *Tail) Durable() int64 { return t.durable.Load() }

// Placed is the offset below which everything stands in a group. For the
// holder of the log's turn.
func (t *Tail) Placed() int64 { return t.placed }

// Cut lowers both ends to end: what lay above is no part of the log any more,
// and a group in flight must not say it is. For the holder of the turn.
func (t *Tail) Cut(end int64) {
	t.mu.Lock()
	t.placed = min(t.placed, end)
	for i := range t.marks {
		t.marks[i].end = min(t.marks[i].end, end)
	}
	if t.durable.Load() > end {
		t.durable.Store(end)
	}
	t.mu.Unlock()
}

// Raise says that everything below end is durable by other means.
func (t *Tail) Raise(end int64) {
	t.mu.Lock()
	if t.durable.Load() < end {
		t.durable.Store(end)
	}
	t.mu.Unlock()
}

// landed takes what group i held: it is on disk.
func (t *Tail) landed(i int) {
	t.mu.Lock()
	m := &t.marks[i]
	if m.end > t.durable.Load() {
		t.durable.Store(m.end)
	}
	*m = mark{}
	t.mu.Unlock()
	if t.Moved != nil {
		t.Moved()
	}
}
