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
	limit int           // entries of batches end here; the rest is for small ones
	done  func(error)   // completion of its write, made once
	state atomic.Uint64 // bit 0 sealed | bits 1-23 copiers | bits 24-63 bytes used

	count atomic.Int32         // entries
	tails atomic.Pointer[Tail] // those that placed something, through mark.next
	syncs atomic.Pointer[Tail] // those with a range to sync first, through mark.nextSync

	// What follows belongs to whoever carries the sealed group.
	position int64
	size     int
	padded   int64
}

const (
	groupSealed  = 1
	groupCopier  = 1 << 1
	groupCopiers = 1<<24 - 1<<1
	groupUsed    = 24
)

// enter makes the caller a copier and takes n bytes for it, below limit. full
// and sealed say why it could not.
func (g *group) enter(n, limit int) (at int, full, sealed bool) {
	for {
		s := g.state.Load()
		if s&groupSealed != 0 {
			return 0, false, true
		}
		at = int(s >> groupUsed)
		if at+n > limit {
			return 0, true, false
		}
		if g.state.CompareAndSwap(s, s+uint64(n)<<groupUsed+groupCopier) {
			return at, false, false
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

// used is how many bytes were taken.
func (g *group) used() int { return int(g.state.Load() >> groupUsed) }

// empty tells that nothing was ever entered.
func (g *group) empty() bool { return g.state.Load() == GroupHeaderSize<<groupUsed }

// reset makes the group ready to be filled.
func (g *group) reset() {
	g.count.Store(0)
	g.tails.Store(nil)
	g.syncs.Store(nil)
	g.state.Store(GroupHeaderSize << groupUsed)
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

// linkSync notes that t has a range to be synced. For a copier.
func (g *group) linkSync(t *Tail) {
	m := &t.marks[g.index]
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
