// SPDX-License-Identifier: Apache-2.0

package journal

import "sync/atomic"

// group is one of the two buffers entries are collected in. Its state is one
// word, so that any number of turns copy into it side by side without a lock:
// a copier enters by adding its bytes and itself, fills its place, and leaves.
// Sealing forbids entering; whoever finds the group sealed and empty of copiers,
// the sealer or the last copier, hands it on, exactly once.
type group struct {
	buf   []byte
	index int           // of the mark that tails keep for it
	done  func(error)   // completion of its write, made once
	state atomic.Uint64 // bit 0 sealed | bits 1-23 copiers | bits 24-63 bytes left
	room  atomic.Int64  // bytes it may be at most, as the group before promised; changed while nobody is inside

	count atomic.Int32         // entries
	over  atomic.Int64         // bytes that found no room
	life  atomic.Uint64        // a number for each time it is filled, from 1
	tails atomic.Pointer[Tail] // those that placed something, through mark.next
	syncs atomic.Pointer[Tail] // those with a range to sync first, through mark.nextSync

	// What follows belongs to whoever carries the sealed group.
	position int64
	size     int
	padded   int64
	next     int64 // what it promises of the next group
}

const (
	groupSealed  = 1
	groupCopier  = 1 << 1
	groupCopiers = 1<<24 - 1<<1
	groupLeft    = 24
)

// enter makes the caller a copier and takes n bytes for it, if spare bytes are
// left behind them. full and sealed say why it could not.
//
// The state counts down: a caller that slept while the group was written and
// opened again, with other room, still sees what is left of this one.
func (g *group) enter(n, spare int) (at int, full, sealed bool) {
	for {
		s := g.state.Load()
		if s&groupSealed != 0 {
			return 0, false, true
		}
		left := int(s >> groupLeft)
		if n > left-spare {
			return 0, true, false
		}
		if g.state.CompareAndSwap(s, s-uint64(n)<<groupLeft+groupCopier) {
			return int(g.room.Load()) - left, false, false
		}
	}
}

// leave ends what enter began. True: the group was sealed and this was the
// last copier, who must hand it on.
func (g *group) leave() bool {
	s := g.state.Add(^uint64(groupCopier - 1))
	return s&groupSealed != 0 && s&groupCopiers == 0
}

// seal forbids further copiers. True: none is inside.
func (g *group) seal() bool { return g.state.Or(groupSealed)&groupCopiers == 0 }

// used is how many bytes were taken. For whoever made the journal busy.
func (g *group) used() int { return int(g.room.Load()) - int(g.state.Load()>>groupLeft) }

// empty tells that nothing was ever entered. It may say so of a group that was
// entered only for whoever did not make the journal busy, and not of his own entry.
func (g *group) empty() bool {
	room := g.room.Load()
	left := int64(g.state.Load() >> groupLeft)
	return left == room-GroupHeaderSize && g.room.Load() == room
}

// reset makes the group ready to be filled with up to room bytes.
func (g *group) reset(room int64, life uint64) {
	g.room.Store(room)
	g.life.Store(life)
	g.count.Store(0)
	g.over.Store(0)
	g.tails.Store(nil)
	g.syncs.Store(nil)
	g.state.Store(uint64(room-GroupHeaderSize) << groupLeft)
}

// link notes that t placed records up to end here. For a copier.
func (g *group) link(t *Tail, end int64) {
	m := &t.marks[g.index]
	m.end = end
	if m.linked {
		return
	}
	m.linked = true
	for {
		m.next = g.tails.Load()
		if g.tails.CompareAndSwap(m.next, t) {
			return
		}
	}
}

// linkSync notes that t has a range to be synced, named by the entry at. For a
// copier.
func (g *group) linkSync(t *Tail, at int) {
	m := &t.marks[g.index]
	m.syncAt = at
	if m.syncing {
		return
	}
	m.syncing = true
	for {
		m.nextSync = g.syncs.Load()
		if g.syncs.CompareAndSwap(m.nextSync, t) {
			return
		}
	}
}
