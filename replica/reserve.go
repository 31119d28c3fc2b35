// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
)

// entryOverhead is what the journal adds to a batch (FORMAT.md: the header of an entry).
const entryOverhead = 72

// reservation is a request's way to its room: so many bytes in each directory,
// all or nothing.
type reservation struct {
	waiter dir.Waiter
	need   []int64 // by Partition.place
	at     int     // the directory whose queue we stand in
}

// retryTask goes on with a request, on its home, that got room where it waited.
type retryTask AppendRequest

func (t *retryTask) Run() {
	r := (*AppendRequest)(t)
	if r.take(r.room.at) {
		r.place()
	}
}

// reserve gets room for all parts and places them, now or when there is room.
func (r *AppendRequest) reserve() {
	room := &r.room
	if room.waiter.Ready == nil { // once in a request's life; then it is reused
		room.waiter.Ready = func() { r.Home.Post((*retryTask)(r)) }
		room.need = make([]int64, len(r.set.o.Dirs))
	}
	clear(room.need)
	for i := range r.Parts {
		part := &r.Parts[i]
		// Without storage there is nothing to reserve: the turn will refuse the part.
		if p := part.Partition; p != nil && p.Err() == nil && p.dir.Err() == nil {
			part.entry.held = int64(len(part.Batches)) + entryOverhead
			room.need[p.place] += part.entry.held
		}
	}
	if r.take(-1) {
		r.place()
	}
}

// take reserves in every directory but the one that has granted already. At the
// first that has no room everything is given back and the request waits there.
func (r *AppendRequest) take(granted int) bool {
	dirs, need := r.set.o.Dirs, r.room.need
	for i, n := range need {
		if n == 0 || i == granted {
			continue
		}
		r.room.at = i // before Reserve: Ready may run before it returns
		if dirs[i].Reserve(n, &r.room.waiter) {
			continue
		}
		for j, n := range need {
			if n > 0 && (j < i || j == granted) {
				dirs[j].Unreserve(n)
			}
		}
		return false
	}
	return true
}

// room is bytes reserved in a directory, and whose share they come from.
type room struct{ client, internal int64 }

func (m *room) add(n room) { m.client, m.internal = m.client+n.client, m.internal+n.internal }

// heldMax bounds how many writes' rooms are told apart.
const heldMax = 64

// held remembers what room the writes above the durable end hold: journal and
// memory are free again once the records are durable. Holder of the turn only.
type held struct {
	ring     []heldRoom
	first, n int
}

type heldRoom struct {
	end engine.Offset
	room
}

// add notes that what ends at end holds m. When there is no place the newest
// write's room is held together with it.
func (h *held) add(end engine.Offset, m room) {
	if h.ring == nil {
		h.ring = make([]heldRoom, heldMax)
	}
	if h.n == heldMax {
		last := &h.ring[(h.first+h.n-1)%heldMax]
		last.end = end
		last.add(m)
		return
	}
	h.ring[(h.first+h.n)%heldMax] = heldRoom{end, m}
	h.n++
}

// upTo takes out the rooms of writes that end at or below end.
func (h *held) upTo(end engine.Offset) (m room) {
	for h.n > 0 && h.ring[h.first].end <= end {
		m.add(h.ring[h.first].room)
		h.first, h.n = (h.first+1)%heldMax, h.n-1
	}
	return m
}
