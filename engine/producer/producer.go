// SPDX-License-Identifier: Apache-2.0

// Package producer remembers what idempotent and transactional producers have
// written to one log: enough to recognise a batch that was sent twice, to
// refuse one that comes too early, and to know which transactions are open.
//
// State is the memory of the writer, Txns what readers ask. Both are fed
// batches in log order, by Stage or Replay. Stage can be taken back: every
// change is noted until Commit, and Rewind undoes down to a Mark.
//
// It does no I/O. Snapshot bytes are Kafka's (ProducerStateManager, version 1).
//
// # Ownership
//
// One goroutine at a time, except Txns.LastStable, which any may call.
package producer

import (
	"errors"
	"fmt"

	"github.com/samsa-broker/samsa/engine/batch"
)

// Failures of Stage. Each is wrapped with what was found.
var (
	// ErrOutOfOrder says that a batch does not follow its producer's last one.
	ErrOutOfOrder = errors.New("producer: out of order sequence number")
	// ErrEpoch says that a newer incarnation of the producer has written.
	ErrEpoch = errors.New("producer: old producer epoch")
	// ErrCoordinatorEpoch says that a marker comes from a deposed coordinator.
	ErrCoordinatorEpoch = errors.New("producer: old coordinator epoch")
	// ErrTxnState says that a batch outside any transaction came while one is open.
	ErrTxnState = errors.New("producer: not part of the open transaction")
	// ErrMarker says that a control batch does not hold what it should.
	ErrMarker = errors.New("producer: unreadable transaction marker")
	// ErrSnapshot says that snapshot bytes are not what their checksum says.
	ErrSnapshot = errors.New("producer: corrupt snapshot")
)

// Remembered is how many batches are kept per producer: what a client may have
// in flight (max.in.flight.requests.per.connection of an idempotent one).
const Remembered = 5

// Kafka's values for what is not there.
const (
	noEpoch    int16 = -1
	noSequence int32 = -1
	noOffset   int64 = -1
)

// Seen is one remembered batch.
type Seen struct {
	LastOffset   int64
	Timestamp    int64 // the batch's largest, ms
	LastSequence int32
	OffsetDelta  int32 // last offset minus base offset
}

// FirstOffset is the offset of the batch's first record.
func (s Seen) FirstOffset() int64 { return s.LastOffset - int64(s.OffsetDelta) }

// FirstSequence is the sequence of the batch's first record.
func (s Seen) FirstSequence() int32 { return batch.AddSequence(s.LastSequence, -s.OffsetDelta) }

// Entry is one producer.
type Entry struct {
	ID               int64
	LastTimestamp    int64 // ms, of its last batch or marker
	TxnFirstOffset   int64 // first offset of its open transaction, -1 if none
	CoordinatorEpoch int32 // of the last marker, -1 if none
	Epoch            int16
	n                uint8
	seen             [Remembered]Seen // oldest first, n of them
}

func newEntry(id int64) Entry {
	return Entry{ID: id, LastTimestamp: -1, TxnFirstOffset: noOffset, CoordinatorEpoch: -1, Epoch: noEpoch}
}

// Seen gives the remembered batches, oldest first. The slice is the entry's.
func (e *Entry) Seen() []Seen { return e.seen[:e.n] }

// LastSequence is that of the newest remembered batch, -1 if there is none.
func (e *Entry) LastSequence() int32 {
	if e.n == 0 {
		return noSequence
	}
	return e.seen[e.n-1].LastSequence
}

func (e *Entry) setEpoch(epoch int16) {
	if e.Epoch != epoch {
		e.Epoch, e.n = epoch, 0
	}
}

func (e *Entry) add(s Seen) {
	if e.n == Remembered {
		copy(e.seen[:], e.seen[1:])
		e.n--
	}
	e.seen[e.n] = s
	e.n++
}

func (e *Entry) find(first, last int32) (Seen, bool) {
	for _, s := range e.seen[:e.n] {
		if s.LastSequence == last && s.FirstSequence() == first {
			return s, true
		}
	}
	return Seen{}, false
}

// follows tells whether next is the sequence after last; they wrap at 2^31-1.
func follows(last, next int32) bool {
	return int64(next) == int64(last)+1 || next == 0 && last == 1<<31-1
}

func (e *Entry) checkSequence(b batch.Batch) error {
	first := b.BaseSequence()
	switch {
	case e.Epoch == noEpoch: // everything of this producer is gone or this is its first: any sequence may start
		return nil
	case b.ProducerEpoch() != e.Epoch:
		if first == 0 {
			return nil
		}
		return fmt.Errorf("%w: producer %d begins epoch %d with sequence %d", ErrOutOfOrder, e.ID, b.ProducerEpoch(), first)
	case follows(e.LastSequence(), first):
		return nil
	}
	return fmt.Errorf("%w: producer %d epoch %d sent %d after %d", ErrOutOfOrder, e.ID, e.Epoch, first, e.LastSequence())
}
