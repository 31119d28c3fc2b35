// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"sync/atomic"

	"github.com/samsa-broker/samsa/engine"
)

// Acks of an AppendRequest, as in Produce.
const (
	AcksNone   int16 = 0  // answered when the log has it
	AcksLeader int16 = 1  // answered when this replica's durable end covers it
	AcksAll    int16 = -1 // answered when the high watermark covers it
)

// AppendRequest appends batches to several partitions. It belongs to the
// caller, who sets the exported fields and leaves it and its Parts alone from
// Append until Done has run; then it may be used again.
//
// All parts get room (journal and memory) before any is queued: a request that
// finds none waits, first come first served, in the one directory that lacked
// it and holds nothing meanwhile. Only the room is all-or-none: afterwards each
// part succeeds or fails alone, as in Kafka.
type AppendRequest struct {
	Parts []AppendPart
	Acks  int16
	Home  Home // whose goroutine calls Append and Expire, and gets Placed and Done
	// Placed is posted once when every part stands in its partition's queue: what
	// is appended after it to the same partitions gets later offsets. May be nil.
	Placed Task
	// Done is posted once, after Placed, when every part has been answered.
	Done Task

	set     *Set
	pending atomic.Int32 // parts not answered, +1 while placing, +1 for each part's expiry under way; 0: Done is posted
	room    reservation
	placed  bool // Expire may be called; Home's goroutine only, like expired
	expired bool // and has been: its operations may still be queued
}

// AppendPart is one partition's share of an AppendRequest.
type AppendPart struct {
	// Partition is where to append. With nil the part is not tried and keeps the
	// Err the caller put there (ErrUnknownPartition when there is none).
	Partition *Partition
	// Batches are whole v2 batches that passed batch.Check. Base offset and leader
	// epoch are patched in place; the memory must stay until Done.
	Batches []byte
	Origin  engine.Origin

	// Results, valid once Done has run. A duplicate has its original's offset.
	Err          error
	Base         engine.Offset // offset of the first record; -1 with Err
	LogStart     engine.Offset // log start offset at the append; -1 with Err
	AppendTimeMs int64         // -1 unless message.timestamp.type is LogAppendTime; a duplicate has its original's time

	req    *AppendRequest
	entry  entry
	expiry expiry
}

// Append queues the parts and, where it finds partitions idle, drains them. It
// must be called on r.Home's goroutine. It never blocks and reports everything
// through Placed, Done and the parts' results.
func (s *Set) Append(r *AppendRequest) {
	r.set = s
	r.pending.Store(int32(len(r.Parts)) + 1)
	r.placed, r.expired = false, false
	for i := range r.Parts {
		part := &r.Parts[i]
		part.req = r
		part.Base, part.LogStart, part.AppendTimeMs = -1, -1, -1
		if part.Partition == nil {
			if part.Err == nil {
				part.Err = ErrUnknownPartition
			}
			continue
		}
		part.Err = nil
		part.entry.bind(part, part.Batches, part.Origin, r.Acks)
	}
	r.reserve()
}

// Expire gives up waiting for the in-sync replicas: parts that the high
// watermark does not cover yet answer ErrTimedOut, and Done follows. Call it on
// r.Home's goroutine, between Placed and Done; at any other time, it does nothing.
func (r *AppendRequest) Expire() {
	if !r.placed || r.expired {
		return
	}
	n := int32(len(r.Parts))
	for {
		old := r.pending.Load()
		if old == 0 {
			return // Done is on its way
		}
		if r.pending.CompareAndSwap(old, old+n) {
			break
		}
	}
	r.expired = true
	for i := range r.Parts {
		part := &r.Parts[i]
		if part.Partition == nil {
			r.answered()
			continue
		}
		part.expiry = expiry{part: part, node: node{do: &part.expiry}}
		part.Partition.enter(&part.expiry.node)
	}
}

// place queues every part, says so, and then drains the partitions whose turn
// it took: Placed goes first, so that it is never later than Done.
func (r *AppendRequest) place() {
	r.placed = true
	for i := range r.Parts {
		if p := r.Parts[i].Partition; p != nil {
			r.Parts[i].entry.taken = p.queue.push(&r.Parts[i].entry.node)
		}
	}
	if r.Placed != nil {
		r.Home.Post(r.Placed)
	}
	// From here on parts may be answered, but not all of them: our own count stays.
	for i := range r.Parts {
		part := &r.Parts[i]
		switch {
		case part.Partition == nil:
			r.answered()
		case part.entry.taken:
			part.entry.taken = false
			part.Partition.turn.begin()
		}
	}
	r.answered()
}

// answered counts one answer; the last one posts Done.
func (r *AppendRequest) answered() {
	if r.pending.Add(-1) == 0 {
		r.Home.Post(r.Done)
	}
}

// settled takes the results over and answers the part.
func (part *AppendPart) settled(e *entry, err error) {
	if err != nil {
		part.Err = err
	} else {
		part.Base, part.LogStart, part.AppendTimeMs = e.app.Base, e.app.LogStart, e.app.AppendTimeMs
	}
	part.req.answered()
}

// expiry is Expire's operation on one part.
type expiry struct {
	node
	part *AppendPart
}

func (x *expiry) step(t *Turn) {
	t.write() // the append may be staged: it will be in the log all the same
	if e := &x.part.entry; e.list != nil {
		e.list.remove(e)
		t.answer(e, ErrTimedOut)
	}
	x.part.req.answered()
}

func (x *expiry) fail(*Turn, error) { x.part.req.answered() }
