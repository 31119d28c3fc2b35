// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
)

// Entry is one step of a coordinator hosted on a partition. It belongs to the
// caller, who leaves it alone from Enter until Run.
type Entry struct {
	// Run is called once, in a turn of the partition, also when the partition
	// takes nothing any more: t.Err tells. It must not block. e may be entered
	// again from within.
	Run func(t *Turn, e *Entry)
	// Reserve is the most bytes of batches this step may append. Room for them is
	// got before the step waits in the partition's queue, from the share of the
	// journal that internal appends have to themselves; what Run did not use goes back.
	Reserve int64

	node   node
	p      *Partition
	waiter dir.Waiter
	room   int64
}

// Enter lets e run in a turn of p. Any goroutine may call it; steps entered
// from one goroutine run in order as long as there is room for them.
func (p *Partition) Enter(e *Entry) {
	e.p, e.node, e.room = p, node{do: e}, 0
	if e.Reserve > 0 && p.Err() == nil && p.dir.Err() == nil {
		if e.waiter.Ready == nil {
			e.waiter.Ready = func() { e.p.send(&e.node) }
		}
		e.room = e.Reserve + entryOverhead
		if !p.dir.ReserveInternal(e.room, &e.waiter) {
			return
		}
	}
	p.send(&e.node)
}

func (e *Entry) step(t *Turn) {
	t.room = e.room
	e.room = 0
	e.Run(t, e)
	// e may have been entered again: only the turn knows what is left.
	t.giveBack(room{internal: t.room})
	t.room = 0
}

func (e *Entry) fail(t *Turn, _ error) { e.step(t) } // Turn.Err tells

// internal is a hosted step's append.
type internal struct {
	entry
	turn    *Turn
	visible func(err error)
	after   *internal
}

// Partition is whose turn it is.
func (t *Turn) Partition() *Partition { return t.p }

// Now is the time in Unix milliseconds.
func (t *Turn) Now() int64 { return t.p.set.o.Now().UnixMilli() }

// Epoch is the leader epoch, which is also the coordinator's.
func (t *Turn) Epoch() engine.Epoch { return t.p.LeaderEpoch() }

// Err is why the partition takes no appends any more; nil while it does.
func (t *Turn) Err() error {
	if t.leaving != nil {
		return t.leaving
	}
	return t.p.Err()
}

// Append appends whole v2 batches after everything that was appended before.
// visible is called once, in a turn of this partition but never within Append:
// with nil when the high watermark has passed the batches, else with why they
// were not written. The bytes must stay until then.
func (t *Turn) Append(batches []byte, visible func(err error)) {
	a := t.free
	if a == nil {
		a = &internal{turn: t}
	} else {
		t.free = a.after
	}
	a.visible, a.after = visible, nil
	a.bind(a, batches, engine.Coordinator, AcksAll)
	a.internal = true
	a.held = min(t.room, int64(len(batches))+entryOverhead)
	t.room -= a.held
	if t.p.queue.push(&a.node) {
		panic("BUG: replica: Turn.Append outside of a turn")
	}
}

// settled frees the append before it tells, so that what visible does may use it.
func (a *internal) settled(_ *entry, err error) {
	visible := a.visible
	a.visible, a.app.Batches = nil, nil
	a.after, a.turn.free = a.turn.free, a
	visible(err)
}
