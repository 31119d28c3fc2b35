// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/samsa-broker/samsa/engine/segment"
)

// TruncateTo cuts the log so that it ends at end, or at the base of the batch
// that holds end: batches go whole. SyncedEnd and the log start come down with
// the end. Nothing may be staged. It waits for a running flush.
//
// ErrOffsetOutOfRange when end is negative; an end beyond the log end changes
// nothing.
func (l *Log) TruncateTo(end Offset) error {
	if err := l.fence.usable(); err != nil {
		return err
	}
	switch {
	case end < 0:
		return fmt.Errorf("%w: truncate to %d", ErrOffsetOutOfRange, end)
	case end >= l.End():
		return nil
	case int64(end) < l.shelf.segments()[0].Base():
		return l.Reset(end)
	}
	l.gate.cut()
	defer l.gate.Unlock()
	removed := l.Size()
	segs := l.shelf.segments()
	at := l.shelf.view.Load().find(end)
	l.shelf.end.Store(int64(end))
	l.shelf.synced.Store(min(l.shelf.synced.Load(), int64(end)))
	if err := l.shelf.keep(at + 1); err != nil {
		if errors.Is(err, ErrIO) { // fenced already
			return err
		}
		return l.fence.fail("truncate", err)
	}
	newEnd := int64(end)
	err := segs[at].TruncateTo(int64(end), l.now(), func(next *segment.Segment, end int64) {
		newEnd = end
		l.shelf.end.Store(end)
		l.shelf.synced.Store(min(l.shelf.synced.Load(), end))
		l.shelf.set(append(slices.Clone(segs[:at]), next))
	})
	if err != nil {
		return l.fence.fail("truncate", err)
	}
	l.shelf.trusted = false
	l.shelf.start.Store(min(l.shelf.start.Load(), newEnd))
	l.epochs.cut(Offset(newEnd))
	if err := l.history.drop(func(o Offset) bool { return o > Offset(newEnd) }); err != nil {
		return l.fence.fail("truncate", err)
	}
	if _, err := l.history.load(l.View(), Offset(newEnd)); err != nil {
		return l.fence.fail("truncate: producer state", err)
	}
	if l.events.Truncated != nil {
		l.events.Truncated(l.folder.dir, Offset(newEnd), removed-l.Size())
	}
	return nil
}

// CutPoint is where TruncateTo would end the log: end, or the base of the batch
// that holds end. Not on a loop: it may read.
func CutPoint(l *Log, end Offset) (Offset, error) {
	segs := l.shelf.segments()
	if end < 0 || end >= l.End() || int64(end) <= segs[0].Base() {
		return end, nil
	}
	at := l.shelf.view.Load().find(end)
	place, found, err := segs[at].Locate(int64(end))
	if err != nil || !found {
		return end, err
	}
	return min(end, Offset(place.Base)), nil
}

// gate keeps flushes apart from what must not run beside them, and tells a flush
// that the log was cut under it.
type gate struct {
	sync.Mutex
	generation int // changes under the mutex, in the turn
}

// cut keeps flushes out until Unlock and makes those that were taken void.
func (g *gate) cut() {
	g.Lock()
	g.generation++
}

// Reset empties the log and lets it begin at start: what a follower does whose
// leader has nothing it could build on.
func (l *Log) Reset(start Offset) error {
	if err := l.fence.usable(); err != nil {
		return err
	}
	if start < 0 {
		return fmt.Errorf("%w: reset to %d", ErrOffsetOutOfRange, start)
	}
	l.gate.cut()
	defer l.gate.Unlock()
	removed := l.Size()
	old := l.shelf.segments()
	l.shelf.start.Store(int64(start))
	l.shelf.end.Store(int64(start))
	l.shelf.synced.Store(int64(start))
	l.shelf.view.Store(&View{shelf: &l.shelf})
	// Deleted first: the new segment may have the name of one of them.
	if err := l.shelf.doomAll(old); err != nil {
		return err
	}
	if err := l.shelf.begin(start); err != nil {
		return l.fence.fail("reset", err)
	}
	l.shelf.trusted = false
	l.history.producers.Clear()
	l.history.txns.Reset(l.history.producers)
	l.epochs.set(nil)
	if err := l.history.drop(func(Offset) bool { return true }); err != nil {
		return l.fence.fail("reset", err)
	}
	if l.events.Truncated != nil {
		l.events.Truncated(l.folder.dir, start, removed)
	}
	return nil
}

// TrimTo makes start the log start offset: what lies below is not read any
// more, and whole segments of it go with the next Expire. The directory's
// checkpoint makes it durable. ErrOffsetOutOfRange beyond the log end; below
// the log start nothing changes.
func (l *Log) TrimTo(start Offset) error {
	if err := l.fence.usable(); err != nil {
		return err
	}
	if start > l.End() {
		return fmt.Errorf("%w: trim to %d, log ends at %d", ErrOffsetOutOfRange, start, l.End())
	}
	if start > l.Start() {
		l.shelf.start.Store(int64(start))
		l.epochs.trim(start)
	}
	return nil
}

// Reapable tells whether Reap would find something to remove. For any goroutine.
func Reapable(l *Log, now time.Time) bool {
	at := l.shelf.oldestMs.Load()
	return at != 0 && now.UnixMilli()-at >= l.Config().DeleteDelayMs
}

// Reap removes the files of segments that were deleted file.delete.delay.ms
// before now, and closes nothing: readers that hold Spans of them keep them.
func (l *Log) Reap(now time.Time) error {
	return l.shelf.reap(now, time.Duration(l.Config().DeleteDelayMs)*time.Millisecond)
}
