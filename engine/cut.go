// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/samsa-broker/samsa/engine/segment"
)

// doomed is a deleted segment whose files still stand as .deleted.
type doomed struct {
	base Offset
	at   time.Time // when it was deleted
}

// TruncateTo cuts the log so that it ends at end, or at the base of the batch
// that holds end: batches go whole. SyncedEnd and the log start come down with
// the end. Nothing may be staged. It waits for a running flush.
//
// ErrOffsetOutOfRange when end is negative; an end beyond the log end changes
// nothing.
func (l *Log) TruncateTo(end Offset) error {
	if err := usable(l); err != nil {
		return err
	}
	switch {
	case end < 0:
		return fmt.Errorf("%w: truncate to %d", ErrOffsetOutOfRange, end)
	case end >= l.End():
		return nil
	case int64(end) < l.view.Load().segs[0].Base():
		return l.Reset(end)
	}
	cutting(l)
	defer l.flushing.Unlock()
	removed := l.Size()
	segs := l.view.Load().segs
	at := l.view.Load().find(end)
	l.end.Store(int64(end))
	l.synced.Store(min(l.synced.Load(), int64(end)))
	if err := dropBehind(l, segs, at); err != nil {
		return err
	}
	newEnd := int64(end)
	err := segs[at].TruncateTo(int64(end), l.now(), func(next *segment.Segment, end int64) {
		newEnd = end
		l.end.Store(end)
		l.synced.Store(min(l.synced.Load(), end))
		setSegments(l, append(slices.Clone(segs[:at]), next))
	})
	if err != nil {
		return fail(l, "truncate", err)
	}
	l.trusted = false
	l.start.Store(min(l.start.Load(), newEnd))
	cutEpochs(l, Offset(newEnd))
	if err := dropSnapshots(l, func(o Offset) bool { return o > Offset(newEnd) }); err != nil {
		return fail(l, "truncate", err)
	}
	if _, err := loadProducers(l, Offset(newEnd)); err != nil {
		return fail(l, "truncate: producer state", err)
	}
	if l.events.Truncated != nil {
		l.events.Truncated(l.dir, Offset(newEnd), removed-l.Size())
	}
	return nil
}

// dropBehind deletes the segments behind the at-th, durably: were they to come
// back after a crash, they would stand behind a gap.
func dropBehind(l *Log, segs []*segment.Segment, at int) error {
	if at+1 == len(segs) {
		return nil
	}
	setSegments(l, slices.Clone(segs[:at+1]))
	if err := doomAll(l, segs[at+1:]); err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return fail(l, "truncate", err)
	}
	return nil
}

// cutting keeps flushes out and makes those that were taken void.
func cutting(l *Log) {
	l.flushing.Lock()
	l.generation++
}

// Reset empties the log and lets it begin at start: what a follower does whose
// leader has nothing it could build on.
func (l *Log) Reset(start Offset) error {
	if err := usable(l); err != nil {
		return err
	}
	if start < 0 {
		return fmt.Errorf("%w: reset to %d", ErrOffsetOutOfRange, start)
	}
	cutting(l)
	defer l.flushing.Unlock()
	removed := l.Size()
	old := l.view.Load().segs
	l.start.Store(int64(start))
	l.end.Store(int64(start))
	l.synced.Store(int64(start))
	l.view.Store(&View{log: l})
	// Deleted first: the new segment may have the name of one of them.
	if err := doomAll(l, old); err != nil {
		return err
	}
	seg, err := segment.Create(&l.env, int64(start), l.now())
	if err != nil {
		return fail(l, "reset", err)
	}
	l.namesDirty, l.trusted = true, false
	setSegments(l, []*segment.Segment{seg})
	l.producers.Clear()
	l.txns.Reset(l.producers)
	setEpochs(l, nil)
	if err := dropSnapshots(l, func(Offset) bool { return true }); err != nil {
		return fail(l, "reset", err)
	}
	if l.events.Truncated != nil {
		l.events.Truncated(l.dir, start, removed)
	}
	return nil
}

// TrimTo makes start the log start offset: what lies below is not read any
// more, and whole segments of it go with the next Expire. The directory's
// checkpoint makes it durable. ErrOffsetOutOfRange beyond the log end; below
// the log start nothing changes.
func (l *Log) TrimTo(start Offset) error {
	if err := usable(l); err != nil {
		return err
	}
	if start > l.End() {
		return fmt.Errorf("%w: trim to %d, log ends at %d", ErrOffsetOutOfRange, start, l.End())
	}
	if start > l.Start() {
		l.start.Store(int64(start))
		trimEpochs(l, start)
	}
	return nil
}

// doom renames a segment's files and remembers to remove them.
func doom(l *Log, s *segment.Segment) error {
	l.namesDirty = true
	if err := s.Delete(); err != nil {
		return fail(l, "delete segment", err)
	}
	l.doomed = append(l.doomed, doomed{Offset(s.Base()), l.now()})
	return nil
}

// doomAll deletes segments, the newest first, so that whatever happens what
// is left has no gap.
func doomAll(l *Log, segs []*segment.Segment) error {
	for _, s := range slices.Backward(segs) {
		if err := doom(l, s); err != nil {
			return err
		}
	}
	return nil
}

// Reap removes the files of segments that were deleted file.delete.delay.ms
// before now, and closes nothing: readers that hold Spans of them keep them.
func (l *Log) Reap(now time.Time) error {
	delay := time.Duration(l.Config().DeleteDelayMs) * time.Millisecond
	var errs []error
	l.doomed = slices.DeleteFunc(l.doomed, func(d doomed) bool {
		if now.Sub(d.at) < delay {
			return false
		}
		if err := segment.Remove(&l.env, int64(d.base)); err != nil {
			errs = append(errs, fmt.Errorf("reap segment %d: %w", d.base, err))
			return false
		}
		return true
	})
	return errors.Join(errs...)
}
