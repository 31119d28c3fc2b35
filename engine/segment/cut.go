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
	kept, err := entriesBelow(s, end, size)
	if err != nil {
		return err
	}
	if err := s.CutAborted(end); err != nil {
		return err
	}
	next := successor(s, size, kept)
	publish(next, end)
	if h := retire(s); h != nil {
		h.Unpin()
	}
	h, err := pinDirty(next)
	if err != nil {
		return err
	}
	defer h.Unpin()
	if err := h.file.Truncate(size); err != nil {
		return err
	}
	if err := next.offsets.reset(next, IndexSuffix, kept.offsets); err != nil {
		return err
	}
	if err := next.times.reset(next, TimeIndexSuffix, kept.times); err != nil {
		return err
	}
	_, err = next.Ready(now)
	return err
}

// keptEntries is what of the indexes outlives a truncation.
type keptEntries struct {
	offsets, times     int
	lastTS, lastOffset int64 // of the last time entry
}

// entriesBelow brings all index entries to their files and counts those that
// speak of batches before end, which stand below size.
func entriesBelow(s *Segment, end, size int64) (k keptEntries, err error) {
	for i, suffix := range [...]string{IndexSuffix, TimeIndexSuffix} {
		t := [...]*table{&s.offsets, &s.times}[i]
		if err := t.spillTail(s, suffix, t.tail.Load()); err != nil {
			return k, err
		}
	}
	rel := min(end-1-s.base, math.MaxInt32)
	b, err := s.offsets.all(s, IndexSuffix)
	if err != nil {
		return k, err
	}
	k.offsets = saneEntries(&s.offsets, b, rel, size)
	if b, err = s.times.all(s, TimeIndexSuffix); err != nil {
		return k, err
	}
	k.lastTS, k.lastOffset = -1, s.base
	for ; (k.times+1)*timeIndexEntry <= len(b); k.times++ {
		e := b[k.times*timeIndexEntry:]
		at := int64(binary.BigEndian.Uint32(e[8:]))
		if at > rel {
			break
		}
		k.lastTS, k.lastOffset = s.times.key(e), s.base+at
	}
	return k, nil
}

// successor shares the files of s, as they will be when cut to size.
func successor(s *Segment, size int64, k keptEntries) *Segment {
	next := Existing(s.env, s.base, size, s.hasTxns.Load())
	if h := s.handle.Load(); h != nil && h.pin() {
		next.handle.Store(h)
		next.limit.opened(next)
	}
	next.offsets.file, s.offsets.file = s.offsets.file, nil
	next.times.file, s.times.file = s.times.file, nil
	next.offsets.tail.Store(&tail{first: k.offsets})
	next.times.tail.Store(&tail{first: k.times})
	next.lastTimeTS, next.maxTSOffset = k.lastTS, k.lastOffset
	next.maxTS.Store(k.lastTS)
	next.loaded.Store(true)
	next.txnFile, s.txnFile = s.txnFile, nil
	next.txns.Store(s.txns.Load())
	next.createdMs, next.writes = s.createdMs, s.writes
	touch(next)
	return next
}

// Delete retires the segment and renames its files to .deleted. Pins of it
// stay usable. The owner's.
func (s *Segment) Delete() error {
	s.Close()
	for _, suffix := range fileSuffixes {
		name := pathOf(s, suffix)
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
		if err := env.FS.Remove(pathOf(&s, suffix) + DeletedSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
