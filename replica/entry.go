// SPDX-License-Identifier: Apache-2.0

package replica

import "github.com/samsa-broker/samsa/engine"

// entry is one append on its way through a partition: queued, staged, written,
// waiting, answered. It is embedded in what its owner keeps.
type entry struct {
	node
	app      engine.Append
	who      answerer
	acks     int16
	held     int64 // reserved in the directory, and not yet the write's
	internal bool  // held comes from the internal share

	// Only the holder of the turn touches these.
	need       engine.Offset // waits until this offset is covered
	list       *waitList     // where it waits; nil: nowhere
	prev, succ *entry        // neighbours in list, or in the turn's staged ones
	taken      bool          // the pusher took the turn (only the pusher looks)
}

// answerer is told once, in a turn, how an entry ended. With err == nil
// e.app holds the results.
type answerer interface{ settled(e *entry, err error) }

// bind readies e for its next trip.
func (e *entry) bind(who answerer, batches []byte, origin engine.Origin, acks int16) {
	e.node = node{do: e, size: int64(len(batches))}
	e.app = engine.Append{Batches: batches, Origin: origin}
	e.who, e.acks, e.held, e.internal = who, acks, 0, false
	e.need, e.list, e.prev, e.succ, e.taken = 0, nil, nil, nil, false
}

// step stages the append; the turn writes all that were staged at once.
func (e *entry) step(t *Turn) {
	if err := t.accepts(e.acks); err != nil {
		t.answer(e, err)
		return
	}
	t.stage(e)
}

func (e *entry) fail(t *Turn, err error) { t.answer(e, err) }

// waitList holds entries that wait for an offset, least need first.
type waitList struct{ head, tail *entry }

// add inserts e behind those that need no more than it. New appends go to the
// end at once; only duplicates of what is still waiting have to look for their place.
func (w *waitList) add(e *entry) {
	at := w.tail
	for at != nil && at.need > e.need {
		at = at.prev
	}
	e.list, e.prev = w, at
	if at == nil {
		e.succ, w.head = w.head, e
	} else {
		e.succ, at.succ = at.succ, e
	}
	if e.succ == nil {
		w.tail = e
	} else {
		e.succ.prev = e
	}
}

// remove takes e out.
func (w *waitList) remove(e *entry) {
	if e.prev == nil {
		w.head = e.succ
	} else {
		e.prev.succ = e.succ
	}
	if e.succ == nil {
		w.tail = e.prev
	} else {
		e.succ.prev = e.prev
	}
	e.list, e.prev, e.succ = nil, nil, nil
}

// covered takes out the first entry that needs no more than end; nil when there is none.
func (w *waitList) covered(end engine.Offset) *entry {
	e := w.head
	if e == nil || e.need > end {
		return nil
	}
	w.remove(e)
	return e
}

// first takes out the first entry whatever it needs; nil when there is none.
func (w *waitList) first() *entry {
	e := w.head
	if e != nil {
		w.remove(e)
	}
	return e
}

// room is what e holds.
func (e *entry) room() room {
	if e.internal {
		return room{internal: e.held}
	}
	return room{client: e.held}
}
