// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/producer"
)

// Append is one append: batches that stand together or not at all. It is the
// caller's, and must not be touched between Stage and the return of Write.
type Append struct {
	// Batches are whole magic 2 batches; those of a client have been through
	// batch.Check. Offsets and leader epoch are patched in place, unless Origin
	// is Replica.
	Batches []byte
	Origin  Origin
	Epoch   Epoch // the leader epoch to stamp; ignored for Replica

	Base, Last   Offset // of the first and last record; a duplicate's are the original's
	AppendTimeMs int64  // -1 unless the batch has log append time or is a duplicate
	LogStart     Offset
	Duplicate    bool  // the batch stands already, or is staged before this: nothing is written
	Err          error // why it does not stand; set by Stage and by Write

	place appendPlace
}

// appendPlace is where an Append lies among what is staged.
type appendPlace struct {
	first, count int   // its items
	bytes        int64 // zero for a duplicate
	maxTS        int64
	before       Offset // the staged end before it
	undo         int    // producer state before it
}

// item is one staged batch.
type item struct {
	base, last, maxTS int64
	size              int
	epoch             int32
	effect            producer.Effect
}

// staging is what waits for the next Write. It is used by the holder of the
// turn.
type staging struct {
	log     *Log
	appends []*Append
	items   []item // their batches
	end     Offset // the log end once they stand
	atMs    int64  // when the first came: the time by which segments roll
	bufs    [][]byte
}

// Stage judges an append and gives it its offsets, behind everything staged
// before. One that fails leaves no trace; its error is also in Err. Staged
// appends are written by the next Write, in order.
//
// ErrOutOfOrderSequence, ErrInvalidProducerEpoch, ErrCoordinatorFenced,
// ErrInvalidTxnState, ErrTooLarge, ErrCorrupt, ErrOffsetOutOfRange (Replica:
// the batch begins below the log end), ErrIO, ErrClosed.
func (l *Log) Stage(a *Append) error {
	s := &l.staging
	if len(s.appends) == 0 {
		s.items = s.items[:0]
		s.end = l.End()
		s.atMs = l.now().UnixMilli()
	}
	a.Err, a.Duplicate, a.AppendTimeMs, a.LogStart = nil, false, -1, l.Start()
	a.place = appendPlace{first: len(s.items), maxTS: batch.NoTimestamp, before: s.end, undo: l.history.producers.Mark()}
	if a.Err = s.add(a); a.Err != nil {
		l.history.producers.Rewind(a.place.undo)
		s.items = s.items[:a.place.first]
		s.end = a.place.before
		return a.Err
	}
	s.appends = append(s.appends, a)
	return nil
}

// Staged is what the next Write writes. The slice stays as it is until the
// next Stage.
func (l *Log) Staged() []*Append { return l.staging.appends }

// add stages a, or part of it and an error.
func (s *staging) add(a *Append) error {
	if err := s.log.shelf.ready(); err != nil {
		return err
	}
	if len(a.Batches) == 0 {
		return fmt.Errorf("%w: nothing to append", ErrCorrupt)
	}
	if limit := int64(s.log.Config().SegmentBytes); int64(len(a.Batches)) > limit && a.Origin != Replica {
		return fmt.Errorf("%w: %d bytes, segment.bytes is %d", ErrTooLarge, len(a.Batches), limit)
	}
	for rest := a.Batches; len(rest) > 0; {
		b, next, err := batch.Next(rest)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		rest = next
		if err := s.addBatch(a, b); err != nil {
			return err
		}
		if a.Duplicate {
			return nil
		}
	}
	a.Last = s.end - 1
	return nil
}

func (s *staging) addBatch(a *Append, b batch.Batch) error {
	if b.LastOffsetDelta() < 0 {
		return fmt.Errorf("%w: last offset delta %d", ErrCorrupt, b.LastOffsetDelta())
	}
	check := producer.Sequences
	switch a.Origin {
	case Replica:
		check = producer.Trust
		if err := b.Verify(); err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if base := Offset(b.BaseOffset()); base < s.end {
			return fmt.Errorf("%w: batch at %d, log ends at %d", ErrOffsetOutOfRange, base, s.end)
		}
	case Coordinator:
		check = producer.Epochs
	}
	if a.Origin != Replica {
		b.SetBaseOffset(int64(s.end))
		b.SetLeaderEpoch(int32(a.Epoch))
	}
	effect, err := s.log.history.producers.Stage(b, check)
	if err != nil {
		return err
	}
	if effect.Kind == producer.Duplicate {
		s.duplicate(a, effect.Duplicate)
		return nil
	}
	if a.place.count == 0 {
		a.Base = Offset(b.BaseOffset())
	}
	if b.LogAppendTime() {
		a.AppendTimeMs = b.MaxTimestamp()
	}
	s.items = append(s.items, item{
		base: b.BaseOffset(), last: b.LastOffset(), maxTS: b.MaxTimestamp(),
		size: len(b), epoch: b.LeaderEpoch(), effect: effect,
	})
	a.place.count++
	a.place.bytes += int64(len(b))
	a.place.maxTS = max(a.place.maxTS, b.MaxTimestamp())
	s.end = Offset(b.LastOffset()) + 1
	return nil
}

// duplicate answers an append with its original's place and, whatever the log
// does with timestamps, its time; other batches of the same append are not
// looked at. All as in Kafka.
func (s *staging) duplicate(a *Append, seen producer.Seen) {
	s.log.history.producers.Rewind(a.place.undo)
	s.items = s.items[:a.place.first]
	s.end = a.place.before
	a.place.count, a.place.bytes = 0, 0
	a.Duplicate = true
	a.Base, a.Last = Offset(seen.FirstOffset()), Offset(seen.LastOffset)
	a.AppendTimeMs = seen.Timestamp
}
