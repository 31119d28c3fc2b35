// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"errors"
	"io/fs"
	"time"
)

// TruncateTo makes a segment that holds only the batches before end: the first
// batch that ends at end or later goes, with all that follow. publish gets the
// segment that takes s's place, before s is gone, with the offset behind its
// last batch: end, or base of what was cut if that began below end. Pins of s
// stay usable. The owner's, and no flush may run meanwhile.
func (s *Segment) TruncateTo(end int64, now time.Time, publish func(next *Segment, end int64)) error {
	if _, err := s.Ready(now); err != nil {
		return err
	}
	place, found, err := s.Locate(end)
	if err != nil {
		return err
	}
	size := s.size.Load()
	if found {
		size = place.Pos
		end = min(end, place.Base)
	}
	kept, err := s.index.below(end, size)
	if err != nil {
		return err
	}
	if err := s.CutAborted(end); err != nil {
		return err
	}
	next := successor(s, size, kept)
	publish(next, end)
	if h := s.file.retire(); h != nil {
		h.Unpin()
	}
	h, err := next.file.pinDirty()
	if err != nil {
		return err
	}
	defer h.Unpin()
	if err := h.file.Truncate(size); err != nil {
		return err
	}
	if err := next.index.offsets.reset(kept.offsets); err != nil {
		return err
	}
	if err := next.index.times.reset(kept.times); err != nil {
		return err
	}
	_, err = next.Ready(now)
	return err
}

// successor shares the files of s, as they will be when cut to size.
func successor(s *Segment, size int64, k keptEntries) *Segment {
	next := Existing(s.at.env, s.at.base, size, s.txns.exists.Load())
	if h := s.file.handle.Load(); h != nil && h.pin() {
		next.file.handle.Store(h)
		next.file.limit.opened(&next.file)
	}
	next.index.offsets.file, s.index.offsets.file = s.index.offsets.file, nil
	next.index.times.file, s.index.times.file = s.index.times.file, nil
	next.index.offsets.tail.Store(&tail{first: k.offsets})
	next.index.times.tail.Store(&tail{first: k.times})
	next.index.lastTimeTS, next.index.maxTSOffset = k.lastTS, k.lastOffset
	next.index.maxTS.Store(k.lastTS)
	next.loaded.Store(true)
	next.txns.file, s.txns.file = s.txns.file, nil
	next.txns.list.Store(s.txns.list.Load())
	next.createdMs, next.changes.count = s.createdMs, s.changes.count
	next.changes.touch()
	return next
}

// Delete retires the segment and renames its files to .deleted. Pins of it
// stay usable. The owner's.
func (s *Segment) Delete() error {
	s.Close()
	for _, suffix := range fileSuffixes {
		name := s.at.path(suffix)
		if err := s.at.env.FS.Rename(name, name+DeletedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Remove removes the files that Delete renamed.
func Remove(env *Env, base int64) error {
	at := location{env: env, base: base}
	for _, suffix := range fileSuffixes {
		if err := env.FS.Remove(at.path(suffix) + DeletedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
