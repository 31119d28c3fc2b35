// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"

	"github.com/samsa-broker/samsa/engine/segment"
)

// loader makes a log out of what stands in its directory.
type loader struct {
	log      *Log
	shelf    *shelf
	history  *history
	epochs   *epochs
	options  *Options
	recovery Recovery
}

// load makes the log out of what was found.
func (ld *loader) load(found files) error {
	ld.history.snapshots = found.snapshots
	ld.shelf.set(found.segments)
	if len(found.segments) > 0 {
		ld.shelf.start.Store(max(int64(ld.options.LogStart), found.segments[0].Base()))
	}
	epochsErr := ld.epochs.load(ld.log.Size() == 0)
	var err error
	switch {
	case len(found.segments) == 0: // a new log: nothing to tell
		ld.recovery.Clean = true
		err = ld.begin(ld.options.LogStart)
	case ld.options.Clean:
		err = ld.clean()
	default:
		err = ld.cutOrRecover()
	}
	if err != nil {
		return err
	}
	for _, s := range found.unindexed { // Kafka looks for them, too
		if err := s.Load(); err != nil && !errors.Is(err, segment.ErrGone) {
			return err
		}
	}
	if ld.log.End() < ld.options.LogStart { // Kafka: nothing that is left is wanted
		ld.recovery.Reason = fmt.Sprintf("log ends at %d, below its start %d", ld.log.End(), ld.options.LogStart)
		if err := ld.log.Reset(ld.options.LogStart); err != nil {
			return err
		}
	}
	ld.epochs.cut(ld.log.End())
	if epochsErr != nil {
		if err := ld.scanEpochs(epochsErr); err != nil {
			return err
		}
	}
	ld.epochs.trim(ld.options.LogStart)
	return ld.dropStraySnapshots()
}

// begin makes the first segment of an empty log.
func (ld *loader) begin(start Offset) error {
	if err := ld.shelf.begin(start); err != nil {
		return err
	}
	for _, end := range []interface{ Store(int64) }{&ld.shelf.start, &ld.shelf.end, &ld.shelf.synced} {
		end.Store(int64(start))
	}
	return ld.history.drop(func(o Offset) bool { return o > start })
}

// clean takes the ends from names where it can: after a clean stop the
// newest snapshot is that of the log end, and so is the recovery point.
func (ld *loader) clean() error {
	active := ld.shelf.active()
	end := Offset(active.Base())
	if active.Size() > 0 {
		n := len(ld.history.snapshots)
		if n > 0 && ld.history.snapshots[n-1] == ld.options.RecoveryPoint && ld.options.RecoveryPoint > end {
			end, ld.shelf.trusted = ld.options.RecoveryPoint, true
		} else {
			found, err := active.Ready(ld.log.now())
			if err != nil {
				return err
			}
			end = Offset(found)
		}
	}
	ld.shelf.end.Store(int64(end))
	ld.shelf.synced.Store(int64(end))
	if err := ld.history.drop(func(o Offset) bool { return o > end }); err != nil {
		return err
	}
	if len(ld.history.snapshots) == 0 { // as Kafka: who stopped cleanly without a snapshot had no producers
		return nil
	}
	read, err := ld.history.load(ld.shelf.view.Load(), end)
	ld.recovery.BytesRead += read
	return err
}

// cutOrRecover recovers, unless what stands above the recovery point is given
// up, and can be.
func (ld *loader) cutOrRecover() error {
	if ld.options.Cut {
		done, err := ld.cut()
		if err != nil || done {
			return err
		}
	}
	return ld.recover()
}

// cut makes the log end at the recovery point. Nothing is changed but the
// indexes of one segment before it is known that it can.
func (ld *loader) cut() (done bool, err error) {
	segs, point := ld.shelf.segments(), ld.options.RecoveryPoint
	if int64(point) < segs[0].Base() {
		return false, nil
	}
	last := max((&View{shelf: ld.shelf, segs: segs}).find(point-1), 0)
	cut, read, ok, err := segment.Resume(segs[last], int64(point))
	ld.recovery.BytesRead += read
	if err != nil || !ok {
		return false, err
	}
	if err := ld.shelf.keep(last + 1); err != nil {
		return false, err
	}
	if err := ld.shelf.reap(ld.log.now(), 0); err != nil { // nobody reads them, and what is appended again may need the room
		return false, err
	}
	if err := cut(); err != nil {
		return false, err
	}
	if err := segs[last].CutAborted(int64(point)); err != nil {
		return false, err
	}
	ld.shelf.set(ld.shelf.segments())
	ld.shelf.end.Store(int64(point))
	ld.shelf.synced.Store(int64(point))
	if err := ld.history.drop(func(o Offset) bool { return o > point }); err != nil {
		return false, err
	}
	at, ok := checkpointOf(ld.options.Producers)
	if !ok || at > point || !ld.history.loadCheckpoint(ld.options.Producers, at) {
		at = max(ld.history.loadSnapshot(point), Offset(ld.shelf.start.Load()))
		ld.history.txns.Reset(ld.history.producers)
	}
	ld.history.recalled = max(at, point-ld.options.Recalled)
	read, err = ld.history.replayBy(segment.Hop, ld.shelf.view.Load(), at, ld.history.recalled)
	ld.recovery.BytesRead += read
	return true, err
}

// recover checks the segments from the one that holds the recovery point on. A
// gap between two of them, behind the recovery point, is where bytes were lost
// when the machine stopped, unless compaction can have made it: of a topic that
// is compacted, or by a Kafka broker, whose topic configs may not be known.
func (ld *loader) recover() error {
	segs := ld.shelf.segments()
	point := max(ld.options.RecoveryPoint, 0)
	// The segment before the point counts even if it ends there: the last entry
	// of its time index was made when it was rolled, perhaps after the last sync.
	first := max((&View{shelf: ld.shelf, segs: segs}).find(point-1), 0)
	applyFrom, read, err := ld.producersBefore(point, segs[first])
	if err != nil {
		return err
	}
	ld.recovery.BytesRead += read
	if ld.log.foreign, err = segs[len(segs)-1].Preallocated(int64(ld.log.Config().IndexBytes)); err != nil {
		return err
	}
	end := Offset(segs[first].Base())
	for i := first; i < len(segs); i++ {
		if next := Offset(segs[i].Base()); end < next && end >= point && !ld.log.foreign && !ld.log.Config().Compact {
			ld.recovery.Reason = fmt.Sprintf("nothing between %d and the segment at %d", end, next)
			if err := ld.dropDamaged(i); err != nil {
				return err
			}
			break
		}
		got, err := ld.recoverSegment(segs[i], point, applyFrom)
		ld.recovery.BytesRead += got.BytesRead
		ld.recovery.BytesAbove += got.Above
		ld.recovery.Segments++
		if err != nil {
			return err
		}
		end = max(end, Offset(got.End))
		if got.Why != nil {
			ld.recovery.BytesTruncated, ld.recovery.Reason = got.Truncated, got.Why.Error()
			if err := ld.dropDamaged(i + 1); err != nil {
				return err
			}
			break
		}
	}
	ld.shelf.set(ld.shelf.segments())
	ld.shelf.end.Store(int64(end))
	ld.shelf.synced.Store(int64(min(point, end)))
	if err := ld.history.drop(func(o Offset) bool { return o > end }); err != nil {
		return err
	}
	if end < applyFrom { // the file ends before what producer state was of
		if _, err := ld.history.load(ld.shelf.view.Load(), end); err != nil {
			return err
		}
	}
	if read > 0 || len(ld.history.snapshots) == 0 { // spare the next start what this one had to read
		return ld.history.take(end)
	}
	return nil
}

// dropDamaged deletes the segments from the n-th on, if there are any.
func (ld *loader) dropDamaged(n int) error {
	gone := ld.shelf.segments()[n:]
	ld.recovery.Removed = len(gone)
	for _, s := range gone {
		ld.recovery.BytesAbove += s.Size()
	}
	return ld.shelf.keep(n)
}

// producersBefore makes the producer state with which recovery begins, and
// returns the offset it is of: batches from there on are to be applied.
func (ld *loader) producersBefore(point Offset, first *segment.Segment) (at Offset, read int64, err error) {
	if point >= Offset(first.Base()) && ld.history.loadCheckpoint(ld.options.Producers, point) {
		return point, 0, nil
	}
	base := Offset(first.Base())
	limit := max(point, base)
	at = max(ld.history.loadSnapshot(limit), Offset(ld.shelf.start.Load()))
	ld.history.txns.Reset(ld.history.producers)
	if at >= base { // the rest comes with the segment itself
		return at, 0, nil
	}
	read, err = ld.history.replay(ld.shelf.view.Load(), at, base)
	return base, read, err
}

// recoverSegment recovers one segment, feeding epochs and producer state.
// Between the state's offset and the place where checking begins, headers are
// read without being checked.
func (ld *loader) recoverSegment(s *segment.Segment, point, applyFrom Offset) (segment.Recovered, error) {
	base := Offset(s.Base())
	if applyFrom < base {
		applyFrom = base
	}
	begun, replayed := false, int64(0)
	got, err := s.Recover(int64(point), func(h *segment.Head, whole func() ([]byte, error)) error {
		if !begun {
			begun = true
			n, err := ld.beginRecovery(s, applyFrom, Offset(h.Base))
			if replayed = n; err != nil {
				return err
			}
		}
		if h.Magic == 2 && h.Epoch > int32(ld.epochs.last()) {
			ld.epochs.assign(Epoch(h.Epoch), Offset(h.Base))
		}
		if Offset(h.Base) < applyFrom {
			return nil
		}
		aborted, err := ld.history.replayBatch(h, whole)
		if err == nil && aborted != nil {
			ld.log.folder.dirty = true // its file may be new
			err = s.Abort(*aborted)
		}
		return err
	})
	if err == nil && !begun {
		err = s.CutAborted(int64(applyFrom))
	}
	got.BytesRead += replayed
	return got, err
}

// beginRecovery brings producer state from applyFrom to where checking begins,
// and drops the aborted transactions that will be found again.
func (ld *loader) beginRecovery(s *segment.Segment, applyFrom, checked Offset) (read int64, err error) {
	if err := s.CutAborted(int64(applyFrom)); err != nil || applyFrom >= checked {
		return 0, err
	}
	read, err = s.Walk(int64(applyFrom), func(h *segment.Head, whole func() ([]byte, error)) error {
		if Offset(h.Base) >= checked {
			return errStop
		}
		aborted, err := ld.history.replayBatch(h, whole)
		if err == nil && aborted != nil {
			ld.log.folder.dirty = true // its file may be new
			err = s.Abort(*aborted)
		}
		return err
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return read, err
}

// errStop ends a walk early.
var errStop = errors.New("engine: far enough")

// dropStraySnapshots removes snapshots that are not of a segment's base, but
// for the newest if it lies behind the last of them: Kafka's rule.
func (ld *loader) dropStraySnapshots() error {
	n := len(ld.history.snapshots)
	if n == 0 {
		return nil
	}
	v := ld.shelf.view.Load()
	newest, last := ld.history.snapshots[n-1], Offset(ld.shelf.active().Base())
	return ld.history.drop(func(o Offset) bool {
		at := v.find(o)
		isBase := at >= 0 && v.segs[at].Base() == int64(o)
		return !isBase && !(o == newest && o > last)
	})
}

// scanEpochs finds the leader epochs in the log itself. Segments whose first
// batch has the epoch of the next one's are not read any further.
func (ld *loader) scanEpochs(why error) error {
	if ld.log.Size() == 0 {
		return nil
	}
	recovered := *ld.epochs.list.Load()
	ld.epochs.set(nil)
	segs := ld.shelf.segments()
	for i, s := range segs {
		nextEpoch := int32(-2)
		if i+1 < len(segs) && segs[i+1].Size() > 0 {
			_, err := segs[i+1].Walk(segs[i+1].Base(), func(h *segment.Head, _ func() ([]byte, error)) error {
				nextEpoch = h.Epoch
				return errStop
			})
			if err != nil && !errors.Is(err, errStop) {
				return err
			}
		}
		_, err := s.Walk(s.Base(), func(h *segment.Head, _ func() ([]byte, error)) error {
			ld.epochs.assign(Epoch(h.Epoch), Offset(h.Base))
			if h.Epoch == nextEpoch {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			return err
		}
	}
	for _, e := range recovered { // an epoch that began at the end has no batch yet
		if e.start >= ld.log.End() {
			ld.epochs.assign(e.epoch, e.start)
		}
	}
	ld.shelf.env.Rebuilt(epochFile, why)
	return nil
}
