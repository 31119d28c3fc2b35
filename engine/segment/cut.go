// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"time"
)

// TruncateTo makes a segment that holds only the batches before end: the first
// batch that ends at end or later goes, with all that follow. It answers the
// segment that takes s's place; s is gone, though pins of it stay usable. The
// offset behind the last batch kept is at most end; it is base of what was cut
// if that began below end. The owner's, and no flush may run meanwhile.
func (s *Segment) TruncateTo(end int64, now time.Time) (*Segment, int64, error) {
	if _, err := s.Ready(now); err != nil {
		return nil, 0, err
	}
	place, found, err := s.Locate(end)
	if err != nil {
		return nil, 0, err
	}
	size := s.size.Load()
	if found {
		size = place.Pos
		end = min(end, place.Base)
	}
	keep, keepTimes, err := s.entriesBelow(end, size)
	if err != nil {
		return nil, 0, err
	}
	if err := s.CutAborted(end); err != nil {
		return nil, 0, err
	}
	next := s.successor(size)
	h, err := next.pinDirty()
	if err != nil {
		return nil, 0, err
	}
	defer h.Unpin()
	if err := h.file.Truncate(size); err != nil {
		return next, end, err
	}
	if err := next.offsets.reset(next, IndexSuffix, keep); err != nil {
		return next, end, err
	}
	if err := next.times.reset(next, TimeIndexSuffix, keepTimes); err != nil {
		return next, end, err
	}
	if err := next.loadTables(); err != nil {
		return next, end, err
	}
	next.loaded.Store(true)
	next.touch()
	_, err = next.Ready(now)
	return next, end, err
}

// entriesBelow brings all index entries to their files and counts those that
// speak of batches before end, which stand below size.
func (s *Segment) entriesBelow(end, size int64) (offsets, times int, err error) {
	for i, suffix := range [...]string{IndexSuffix, TimeIndexSuffix} {
		t := [...]*table{&s.offsets, &s.times}[i]
		if err := t.spillTail(s, suffix, t.tail.Load()); err != nil {
			return 0, 0, err
		}
	}
	rel := min(end-1-s.base, math.MaxInt32)
	b, err := s.offsets.all(s, IndexSuffix)
	if err != nil {
		return 0, 0, err
	}
	offsets = saneEntries(&s.offsets, b, rel, size)
	if b, err = s.times.all(s, TimeIndexSuffix); err != nil {
		return 0, 0, err
	}
	for ; (times+1)*timeIndexEntry <= len(b); times++ {
		if int64(binary.BigEndian.Uint32(b[times*timeIndexEntry+8:])) > rel {
			break
		}
	}
	return offsets, times, nil
}

// successor takes over the files of s, cut to size, and retires s.
func (s *Segment) successor(size int64) *Segment {
	next := Existing(s.env, s.base, size, s.hasTxns.Load())
	s.mu.Lock()
	s.gone = true
	next.handle.Store(s.handle.Load()) // with the segment's own pin
	s.handle.Store(nil)
	s.mu.Unlock()
	next.offsets.file, s.offsets.file = s.offsets.file, nil
	next.times.file, s.times.file = s.times.file, nil
	next.txnFile, s.txnFile = s.txnFile, nil
	next.txns.Store(s.txns.Load())
	next.createdMs, next.writes, next.unsynced = s.createdMs, s.writes, true
	if next.handle.Load() != nil {
		next.limit.opened(next)
		next.limit.closed()
	}
	return next
}

// Delete retires the segment and renames its files to .deleted. Pins of it
// stay usable. The owner's.
func (s *Segment) Delete() error {
	s.Close()
	for _, suffix := range fileSuffixes {
		name := s.path(suffix)
		if err := s.fs.Rename(name, name+DeletedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Remove removes the files that Delete renamed.
func Remove(env *Env, base int64) error {
	s := Segment{base: base, env: env, fs: env.FS}
	for _, suffix := range fileSuffixes {
		if err := env.FS.Remove(s.path(suffix) + DeletedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
