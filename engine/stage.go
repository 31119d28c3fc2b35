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
	AppendTimeMs int64  // -1 unless the batch has log append time
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

// Stage judges an append and gives it its offsets, behind everything staged
// before. One that fails leaves no trace; its error is also in Err. Staged
// appends are written by the next Write, in order.
//
// ErrOutOfOrderSequence, ErrInvalidProducerEpoch, ErrCoordinatorFenced,
// ErrInvalidTxnState, ErrTooLarge, ErrCorrupt, ErrOffsetOutOfRange (Replica:
// the batch begins below the log end), ErrIO, ErrClosed.
func (l *Log) Stage(a *Append) error {
	if len(l.staged) == 0 {
		l.items = l.items[:0]
		l.stagedEnd = l.End()
	}
	a.Err, a.Duplicate, a.AppendTimeMs, a.LogStart = nil, false, -1, l.Start()
	a.place = appendPlace{first: len(l.items), maxTS: batch.NoTimestamp, before: l.stagedEnd, undo: l.producers.Mark()}
	if a.Err = stage(l, a); a.Err != nil {
		l.producers.Rewind(a.place.undo)
		l.items = l.items[:a.place.first]
		l.stagedEnd = a.place.before
		return a.Err
	}
	l.staged = append(l.staged, a)
	return nil
}

// Staged is what the next Write writes. The slice stays as it is until the
// next Stage.
func (l *Log) Staged() []*Append { return l.staged }

func stage(l *Log, a *Append) error {
	if err := ready(l); err != nil {
		return err
	}
	if len(a.Batches) == 0 {
		return fmt.Errorf("%w: nothing to append", ErrCorrupt)
	}
	if limit := int64(l.Config().SegmentBytes); int64(len(a.Batches)) > limit && a.Origin != Replica {
		return fmt.Errorf("%w: %d bytes, segment.bytes is %d", ErrTooLarge, len(a.Batches), limit)
	}
	for rest := a.Batches; len(rest) > 0; {
		b, next, err := batch.Next(rest)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		rest = next
		if err := stageBatch(l, a, b); err != nil {
			return err
		}
		if a.Duplicate {
			return nil
		}
	}
	a.Last = l.stagedEnd - 1
	return nil
}

func stageBatch(l *Log, a *Append, b batch.Batch) error {
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
		if base := Offset(b.BaseOffset()); base < l.stagedEnd {
			return fmt.Errorf("%w: batch at %d, log ends at %d", ErrOffsetOutOfRange, base, l.stagedEnd)
		}
	case Coordinator:
		check = producer.Epochs
	}
	if a.Origin != Replica {
		b.SetBaseOffset(int64(l.stagedEnd))
		b.SetLeaderEpoch(int32(a.Epoch))
	}
	effect, err := l.producers.Stage(b, check)
	if err != nil {
		return err
	}
	if effect.Kind == producer.Duplicate {
		stageDuplicate(l, a, effect.Duplicate, b.LogAppendTime())
		return nil
	}
	if a.place.count == 0 {
		a.Base = Offset(b.BaseOffset())
	}
	if b.LogAppendTime() {
		a.AppendTimeMs = b.MaxTimestamp()
	}
	l.items = append(l.items, item{
		base: b.BaseOffset(), last: b.LastOffset(), maxTS: b.MaxTimestamp(),
		size: len(b), epoch: b.LeaderEpoch(), effect: effect,
	})
	a.place.count++
	a.place.bytes += int64(len(b))
	a.place.maxTS = max(a.place.maxTS, b.MaxTimestamp())
	l.stagedEnd = Offset(b.LastOffset()) + 1
	return nil
}

// stageDuplicate answers an append with its original's place; other batches of
// the same append are not looked at, as in Kafka.
func stageDuplicate(l *Log, a *Append, seen producer.Seen, appendTime bool) {
	l.producers.Rewind(a.place.undo)
	l.items = l.items[:a.place.first]
	l.stagedEnd = a.place.before
	a.place.count, a.place.bytes = 0, 0
	a.Duplicate = true
	a.Base, a.Last = Offset(seen.FirstOffset()), Offset(seen.LastOffset)
	if appendTime {
		a.AppendTimeMs = seen.Timestamp
	}
}

// ready prepares the active segment for appends, the first time.
func ready(l *Log) error {
	if err := usable(l); err != nil {
		return err
	}
	end, err := active(l).Ready(l.now())
	if err != nil {
		return ioError(l, "open for append", err)
	}
	if l.trusted && end >= 0 && Offset(end) != l.End() {
		return fail(l, "open for append", fmt.Errorf("%w: the log should end at %d, its last batch at %d", ErrCorrupt, l.End(), end))
	}
	l.trusted = false
	return nil
}
