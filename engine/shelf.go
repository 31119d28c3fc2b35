// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/samsa-broker/samsa/engine/segment"
)

// shelf is the segments of a log, in order, with the ends of what stands in
// them, and the deleted ones whose files are not removed yet.
type shelf struct {
	env    segment.Env
	folder *folder
	fence  *fence
	now    func() time.Time
	rolled func(dir string, base Offset) // Events.Rolled; may be nil

	view   atomic.Pointer[View] // never nil
	start  atomic.Int64
	end    atomic.Int64
	synced atomic.Int64
	size   atomic.Int64 // bytes of all segments

	oldestMs atomic.Int64 // when the first of doomed was deleted, Unix ms; 0: there is none

	// What follows belongs to the holder of the turn.
	trusted bool // the active segment's end was taken from elsewhere and not checked yet
	doomed  []doomed
}

// doomed is a deleted segment whose files still stand as .deleted.
type doomed struct {
	base Offset
	at   time.Time // when it was deleted
}

func (sh *shelf) segments() []*segment.Segment { return sh.view.Load().segs }

// active is the segment that takes appends.
func (sh *shelf) active() *segment.Segment {
	segs := sh.segments()
	return segs[len(segs)-1]
}

// set makes segs the segments that readers find.
func (sh *shelf) set(segs []*segment.Segment) {
	size := int64(0)
	for _, s := range segs {
		size += s.Size()
	}
	sh.view.Store(&View{shelf: sh, segs: segs})
	sh.size.Store(size)
}

// begin makes an empty segment at base the only one.
func (sh *shelf) begin(base Offset) error {
	seg, err := segment.Create(&sh.env, int64(base), sh.now())
	if err != nil {
		return err
	}
	sh.folder.dirty = true
	sh.set([]*segment.Segment{seg})
	return nil
}

// ready prepares the active segment for appends, the first time.
func (sh *shelf) ready() error {
	if err := sh.fence.usable(); err != nil {
		return err
	}
	end, err := sh.active().Ready(sh.now())
	if err != nil {
		return sh.fence.ioError("open for append", err)
	}
	if sh.trusted && end >= 0 && Offset(end) != Offset(sh.end.Load()) {
		return sh.fence.fail("open for append", fmt.Errorf("%w: the log should end at %d, its last batch at %d", ErrCorrupt, Offset(sh.end.Load()), end))
	}
	sh.trusted = false
	return nil
}

// roll begins a segment at base, of which producer state in h is.
func (sh *shelf) roll(base Offset, h *history) error {
	segs := slices.Clone(sh.segments())
	last := segs[len(segs)-1]
	if err := last.Seal(); err != nil {
		return sh.fence.ioError("roll", err)
	}
	unused := last.Size() == 0 // begun for an offset that never came
	if unused && last.Base() == int64(base) {
		return nil
	}
	seg, err := segment.Create(&sh.env, int64(base), sh.now())
	if err != nil {
		return sh.fence.ioError("roll", err)
	}
	sh.folder.dirty = true
	if err := h.take(base); err != nil {
		seg.Close()
		return sh.fence.ioError("snapshot at roll", err)
	}
	if unused {
		segs = segs[:len(segs)-1]
	}
	sh.view.Store(&View{shelf: sh, segs: append(segs, seg)})
	if sh.rolled != nil {
		sh.rolled(sh.folder.dir, base)
	}
	if unused {
		return sh.doom(last)
	}
	return nil
}

// keep deletes the segments from the n-th on, durably: were they to come back
// after a crash, they would stand behind a gap.
func (sh *shelf) keep(n int) error {
	segs := sh.segments()
	if n == len(segs) {
		return nil
	}
	sh.set(slices.Clone(segs[:n]))
	if err := sh.doomAll(segs[n:]); err != nil {
		return err
	}
	return sh.folder.fs.SyncDir(sh.folder.dir)
}

// doom renames a segment's files and remembers to remove them.
func (sh *shelf) doom(s *segment.Segment) error {
	sh.folder.dirty = true
	if err := s.Delete(); err != nil {
		return sh.fence.fail("delete segment", err)
	}
	sh.doomed = append(sh.doomed, doomed{Offset(s.Base()), sh.now()})
	sh.noteOldest()
	return nil
}

// doomAll deletes segments, the newest first, so that whatever happens what
// is left has no gap.
func (sh *shelf) doomAll(segs []*segment.Segment) error {
	for _, s := range slices.Backward(segs) {
		if err := sh.doom(s); err != nil {
			return err
		}
	}
	return nil
}

// reap removes the files of what was deleted delay before now.
func (sh *shelf) reap(now time.Time, delay time.Duration) error {
	var errs []error
	sh.doomed = slices.DeleteFunc(sh.doomed, func(d doomed) bool {
		if now.Sub(d.at) < delay {
			return false
		}
		if err := segment.Remove(&sh.env, int64(d.base)); err != nil {
			errs = append(errs, fmt.Errorf("reap segment %d: %w", d.base, err))
			return false
		}
		return true
	})
	sh.noteOldest()
	return errors.Join(errs...)
}

// noteOldest publishes since when a deleted segment waits for reap.
func (sh *shelf) noteOldest() {
	at := int64(0)
	if len(sh.doomed) > 0 {
		at = sh.doomed[0].at.UnixMilli()
	}
	sh.oldestMs.Store(at)
}
