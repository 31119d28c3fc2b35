// SPDX-License-Identifier: Apache-2.0

package producer

import (
	"fmt"
	"slices"

	"github.com/samsa-broker/samsa/engine/batch"
)

// State is all producers of one log.
type State struct {
	entries map[int64]*Entry
	undo    []undo
}

// undo is an entry as it was before a staged batch changed it.
type undo struct {
	was     Entry
	existed bool
}

// NewState returns an empty State.
func NewState() *State { return &State{} }

// Effect is what a batch means beyond its bytes.
type Effect struct {
	Kind      EffectKind
	Duplicate Seen // the original, when Kind is Duplicate
	Txn       Completed
}

// EffectKind tells what a batch did.
type EffectKind uint8

// What a batch may mean.
const (
	Plain     EffectKind = iota // nothing beyond sequences
	Duplicate                   // stands already: not to be written again, nothing was staged
	Begins                      // opens the transaction Txn (First only)
	Completes                   // closes the transaction Txn
)

// Completed is a transaction with its end marker.
type Completed struct {
	ProducerID int64
	First      int64 // offset of its first record in this log
	Last       int64 // offset of its marker
	Aborted    bool
}

// Check says how strictly a batch is judged.
type Check uint8

// Kafka's AppendOrigin, as far as producer state cares.
const (
	Trust     Check = iota // replicas and recovery: never refused
	Epochs                 // coordinators: epochs only
	Sequences              // clients: epochs, sequences, duplicates
)

// Stage judges one batch, whose base offset is already the final one, against
// everything staged before it, and takes note of it. Batches without producer
// id have no effect. For a control batch b must be whole; otherwise its header
// is enough. Nothing is staged when there is an error.
func (s *State) Stage(b batch.Batch, check Check) (Effect, error) {
	id := b.ProducerID()
	if id == batch.NoProducerID {
		return Effect{}, nil
	}
	e, existed := s.entries[id]
	if !existed {
		fresh := newEntry(id)
		e = &fresh
	}
	if existed && check == Sequences && b.ProducerEpoch() == e.Epoch {
		if seen, ok := e.find(b.BaseSequence(), b.LastSequence()); ok {
			return Effect{Kind: Duplicate, Duplicate: seen}, nil
		}
	}
	if check != Trust && b.ProducerEpoch() < e.Epoch {
		return Effect{}, fmt.Errorf("%w: producer %d epoch %d, current %d", ErrEpoch, id, b.ProducerEpoch(), e.Epoch)
	}
	if b.IsControl() {
		return s.stageMarker(b, e, existed, check)
	}
	if check == Sequences {
		if err := e.checkSequence(b); err != nil {
			return Effect{}, err
		}
	}
	if e.TxnFirstOffset != noOffset && !b.IsTransactional() && check != Trust {
		return Effect{}, fmt.Errorf("%w: producer %d, open since offset %d", ErrTxnState, id, e.TxnFirstOffset)
	}
	e = s.change(e, existed)
	e.setEpoch(b.ProducerEpoch())
	e.add(Seen{LastOffset: b.LastOffset(), Timestamp: b.MaxTimestamp(), LastSequence: b.LastSequence(), OffsetDelta: b.LastOffsetDelta()})
	e.LastTimestamp = b.MaxTimestamp()
	if b.IsTransactional() && e.TxnFirstOffset == noOffset {
		e.TxnFirstOffset = b.BaseOffset()
		return Effect{Kind: Begins, Txn: Completed{ProducerID: id, First: b.BaseOffset()}}, nil
	}
	return Effect{}, nil
}

func (s *State) stageMarker(b batch.Batch, e *Entry, existed bool, check Check) (Effect, error) {
	if b.Count() == 0 { // compaction took the marker and left its batch
		return Effect{}, nil
	}
	m, err := parseMarker(b)
	if err != nil {
		return Effect{}, err
	}
	if !m.endsTxn {
		return Effect{}, nil
	}
	if check != Trust && m.coordinatorEpoch < e.CoordinatorEpoch {
		return Effect{}, fmt.Errorf("%w: producer %d epoch %d, last was %d", ErrCoordinatorEpoch, e.ID, m.coordinatorEpoch, e.CoordinatorEpoch)
	}
	e = s.change(e, existed)
	effect := Effect{}
	if e.TxnFirstOffset != noOffset { // a marker that ends nothing leaves no trace for readers
		effect.Kind = Completes
		effect.Txn = Completed{ProducerID: e.ID, First: e.TxnFirstOffset, Last: b.BaseOffset(), Aborted: m.abort}
	}
	e.setEpoch(b.ProducerEpoch())
	e.TxnFirstOffset = noOffset
	e.CoordinatorEpoch = m.coordinatorEpoch
	e.LastTimestamp = m.timestamp
	return effect, nil
}

// change notes the entry as it is and returns the one to change.
func (s *State) change(e *Entry, existed bool) *Entry {
	s.undo = append(s.undo, undo{was: *e, existed: existed})
	if !existed {
		if s.entries == nil {
			s.entries = make(map[int64]*Entry)
		}
		fresh := new(Entry)
		*fresh = *e
		s.entries[e.ID] = fresh
		return fresh
	}
	return e
}

// Mark is the place that Rewind goes back to.
func (s *State) Mark() int { return len(s.undo) }

// Rewind takes back everything staged since mark.
func (s *State) Rewind(mark int) {
	for i := len(s.undo) - 1; i >= mark; i-- {
		u := &s.undo[i]
		if u.existed {
			*s.entries[u.was.ID] = u.was
		} else {
			delete(s.entries, u.was.ID)
		}
	}
	s.undo = s.undo[:mark]
}

// Commit makes everything staged final.
func (s *State) Commit() { s.undo = s.undo[:0] }

// Len is the number of producers known.
func (s *State) Len() int { return len(s.entries) }

// Get gives one producer, nil if unknown. The entry is the State's own.
func (s *State) Get(id int64) *Entry { return s.entries[id] }

// Entries gives copies of all producers, sorted by id.
func (s *State) Entries() []Entry {
	out := make([]Entry, 0, len(s.entries))
	for _, e := range s.entries {
		out = append(out, *e)
	}
	slices.SortFunc(out, func(a, b Entry) int {
		switch {
		case a.ID < b.ID:
			return -1
		case a.ID > b.ID:
			return 1
		}
		return 0
	})
	return out
}

// Load replaces everything by entries, except those that expired (see Expire).
func (s *State) Load(entries []Entry, nowMs, expiryMs int64) {
	s.entries, s.undo = nil, s.undo[:0]
	if len(entries) > 0 {
		s.entries = make(map[int64]*Entry, len(entries))
	}
	for _, e := range entries {
		if !e.expired(nowMs, expiryMs) {
			s.entries[e.ID] = &e
		}
	}
}

// Clear forgets everything.
func (s *State) Clear() { s.entries, s.undo = nil, s.undo[:0] }

func (e *Entry) expired(nowMs, expiryMs int64) bool {
	return e.TxnFirstOffset == noOffset && nowMs-e.LastTimestamp >= expiryMs
}

// Expire forgets producers that have no transaction open and wrote nothing for
// expiryMs, and returns how many. Nothing may be staged.
func (s *State) Expire(nowMs, expiryMs int64) int {
	n := 0
	for id, e := range s.entries {
		if e.expired(nowMs, expiryMs) {
			delete(s.entries, id)
			n++
		}
	}
	return n
}
