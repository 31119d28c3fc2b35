// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/samsa-broker/samsa/engine/producer"
	"github.com/samsa-broker/samsa/engine/segment"
)

// loadLog makes the log out of what was found.
func loadLog(l *Log, o *Options, found files, r *Recovery) error {
	l.snapshots = found.snapshots
	setSegments(l, found.segments)
	if len(found.segments) > 0 {
		l.start.Store(max(int64(o.LogStart), found.segments[0].Base()))
	}
	epochsErr := loadEpochs(l)
	var err error
	switch {
	case len(found.segments) == 0: // a new log: nothing to tell
		r.Clean = true
		err = beginLog(l, o.LogStart)
	case o.Clean:
		err = loadClean(l, o, r)
	default:
		err = recoverLog(l, o, r)
	}
	if err != nil {
		return err
	}
	for _, s := range found.unindexed { // Kafka looks for them, too
		if err := s.Load(); err != nil && !errors.Is(err, segment.ErrGone) {
			return err
		}
	}
	if l.End() < o.LogStart { // Kafka: nothing that is left is wanted
		r.Reason = fmt.Sprintf("log ends at %d, below its start %d", l.End(), o.LogStart)
		if err := l.Reset(o.LogStart); err != nil {
			return err
		}
	}
	cutEpochs(l, l.End())
	if epochsErr != nil {
		if err := scanEpochs(l, epochsErr); err != nil {
			return err
		}
	}
	trimEpochs(l, o.LogStart)
	return dropStraySnapshots(l)
}

// beginLog makes the first segment of an empty log.
func beginLog(l *Log, start Offset) error {
	seg, err := segment.Create(&l.env, int64(start), l.now())
	if err != nil {
		return err
	}
	l.namesDirty = true
	setSegments(l, []*segment.Segment{seg})
	for _, end := range []interface{ Store(int64) }{&l.start, &l.end, &l.synced} {
		end.Store(int64(start))
	}
	return dropSnapshots(l, func(o Offset) bool { return o > start })
}

// loadClean takes the ends from names where it can: after a clean stop the
// newest snapshot is that of the log end, and so is the recovery point.
func loadClean(l *Log, o *Options, r *Recovery) error {
	active := active(l)
	end := Offset(active.Base())
	if active.Size() > 0 {
		n := len(l.snapshots)
		if n > 0 && l.snapshots[n-1] == o.RecoveryPoint && o.RecoveryPoint > end {
			end, l.trusted = o.RecoveryPoint, true
		} else {
			found, err := active.Ready(l.now())
			if err != nil {
				return err
			}
			end = Offset(found)
		}
	}
	l.end.Store(int64(end))
	l.synced.Store(int64(end))
	if err := dropSnapshots(l, func(o Offset) bool { return o > end }); err != nil {
		return err
	}
	if len(l.snapshots) == 0 { // as Kafka: who stopped cleanly without a snapshot had no producers
		return nil
	}
	read, err := loadProducers(l, end)
	r.BytesRead += read
	return err
}

// recoverLog checks the segments from the one that holds the recovery point on. A
// gap between two of them, behind the recovery point, is where bytes were lost
// when the machine stopped, unless compaction can have made it: of a topic that
// is compacted, or by a Kafka broker, whose topic configs may not be known.
func recoverLog(l *Log, o *Options, r *Recovery) error {
	segs := l.view.Load().segs
	point := max(o.RecoveryPoint, 0)
	// The segment before the point counts even if it ends there: the last entry
	// of its time index was made when it was rolled, perhaps after the last sync.
	first := max((&View{log: l, segs: segs}).find(point-1), 0)
	applyFrom, read, err := producersBefore(l, o, point, segs[first])
	if err != nil {
		return err
	}
	r.BytesRead += read
	if l.foreign, err = segs[len(segs)-1].Preallocated(int64(l.Config().IndexBytes)); err != nil {
		return err
	}
	end := Offset(segs[first].Base())
	for i := first; i < len(segs); i++ {
		if next := Offset(segs[i].Base()); end < next && end >= point && !l.foreign && !l.Config().Compact {
			r.Reason = fmt.Sprintf("nothing between %d and the segment at %d", end, next)
			if err := dropDamaged(l, i, r); err != nil {
				return err
			}
			break
		}
		got, err := recoverSegment(l, segs[i], point, applyFrom)
		r.BytesRead += got.BytesRead
		r.Segments++
		if err != nil {
			return err
		}
		end = max(end, Offset(got.End))
		if got.Why != nil {
			r.BytesTruncated, r.Reason = got.Truncated, got.Why.Error()
			if err := dropDamaged(l, i+1, r); err != nil {
				return err
			}
			break
		}
	}
	setSegments(l, l.view.Load().segs)
	l.end.Store(int64(end))
	l.synced.Store(int64(min(point, end)))
	if err := dropSnapshots(l, func(o Offset) bool { return o > end }); err != nil {
		return err
	}
	if end < applyFrom { // the file ends before what producer state was of
		if _, err := loadProducers(l, end); err != nil {
			return err
		}
	}
	if read > 0 || len(l.snapshots) == 0 { // spare the next start what this one had to read
		return takeSnapshot(l, end)
	}
	return nil
}

// dropDamaged deletes the segments from the n-th on, durably: they must not
// come back behind a gap.
func dropDamaged(l *Log, n int, r *Recovery) error {
	segs := l.view.Load().segs
	if r.Removed = len(segs) - n; r.Removed == 0 {
		return nil
	}
	setSegments(l, slices.Clone(segs[:n]))
	if err := doomAll(l, segs[n:]); err != nil {
		return err
	}
	return l.fs.SyncDir(l.dir)
}

// producersBefore makes the producer state with which recovery begins, and
// returns the offset it is of: batches from there on are to be applied.
func producersBefore(l *Log, o *Options, point Offset, first *segment.Segment) (at Offset, read int64, err error) {
	if point >= Offset(first.Base()) && loadCheckpoint(l, o.Producers, point) {
		return point, 0, nil
	}
	base := Offset(first.Base())
	limit := max(point, base)
	at = max(loadSnapshot(l, limit), l.Start())
	l.txns.Reset(l.producers)
	if at >= base { // the rest comes with the segment itself
		return at, 0, nil
	}
	read, err = replayProducers(l, at, base)
	return base, read, err
}

// loadCheckpoint takes producer state from what Flush.Producers gave, if that
// was of the recovery point.
func loadCheckpoint(l *Log, b []byte, point Offset) bool {
	if len(b) < 8 || Offset(binary.BigEndian.Uint64(b)) != point {
		return false
	}
	entries, err := producer.DecodeFull(b[8:])
	if err != nil {
		if l.events.Rebuilt != nil {
			l.events.Rebuilt(l.dir, "producer state of the checkpoint", err.Error())
		}
		return false
	}
	l.producers.Load(entries, nowMs(l), l.expiryMs)
	l.txns.Reset(l.producers)
	return true
}

// recoverSegment recovers one segment, feeding epochs and producer state.
// Between the state's offset and the place where checking begins, headers are
// read without being checked.
func recoverSegment(l *Log, s *segment.Segment, point, applyFrom Offset) (segment.Recovered, error) {
	base := Offset(s.Base())
	if applyFrom < base {
		applyFrom = base
	}
	begun, replayed := false, int64(0)
	got, err := s.Recover(int64(point), func(h *segment.Head, whole func() ([]byte, error)) error {
		if !begun {
			begun = true
			n, err := beginRecovery(l, s, applyFrom, Offset(h.Base))
			if replayed = n; err != nil {
				return err
			}
		}
		if h.Magic == 2 && h.Epoch > int32(l.LastEpoch()) {
			assignEpoch(l, Epoch(h.Epoch), Offset(h.Base))
		}
		if Offset(h.Base) < applyFrom {
			return nil
		}
		aborted, err := replayBatch(l, h, whole)
		if err == nil && aborted != nil {
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
func beginRecovery(l *Log, s *segment.Segment, applyFrom, checked Offset) (read int64, err error) {
	if err := s.CutAborted(int64(applyFrom)); err != nil || applyFrom >= checked {
		return 0, err
	}
	read, err = s.Walk(int64(applyFrom), func(h *segment.Head, whole func() ([]byte, error)) error {
		if Offset(h.Base) >= checked {
			return errStop
		}
		aborted, err := replayBatch(l, h, whole)
		if err == nil && aborted != nil {
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
func dropStraySnapshots(l *Log) error {
	n := len(l.snapshots)
	if n == 0 {
		return nil
	}
	v := l.view.Load()
	newest, last := l.snapshots[n-1], Offset(active(l).Base())
	return dropSnapshots(l, func(o Offset) bool {
		at := v.find(o)
		isBase := at >= 0 && v.segs[at].Base() == int64(o)
		return !isBase && !(o == newest && o > last)
	})
}

// loadEpochs reads the epoch file. An error means that it is missing beside
// records, or not to be trusted.
func loadEpochs(l *Log) error {
	list, err := readEpochs(l)
	if errors.Is(err, fs.ErrNotExist) && l.Size() == 0 {
		err = nil
	}
	l.epochs.Store(&list)
	return err
}

// scanEpochs finds the leader epochs in the log itself. Segments whose first
// batch has the epoch of the next one's are not read any further.
func scanEpochs(l *Log, why error) error {
	if l.Size() == 0 {
		return nil
	}
	recovered := *l.epochs.Load()
	setEpochs(l, nil)
	segs := l.view.Load().segs
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
			assignEpoch(l, Epoch(h.Epoch), Offset(h.Base))
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
		if e.start >= l.End() {
			assignEpoch(l, e.epoch, e.start)
		}
	}
	if l.events.Rebuilt != nil {
		l.events.Rebuilt(l.dir, epochFile, why.Error())
	}
	return nil
}
