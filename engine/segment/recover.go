// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
)

// Recovered is what Recover found.
type Recovered struct {
	End       int64 // offset behind the last good batch; the base if there is none
	BytesRead int64
	Truncated int64 // bytes cut off
	Why       error // what was wrong at the cut; nil if nothing was
}

// Recover makes a segment good again after a crash: it checks every batch from
// the one that holds the recovery point on, cuts the file before the first bad
// one, and makes the indexes anew from there. What lies below is taken from
// the indexes as far as they agree with the file, else everything is read.
//
// each is told of every good batch, in order; its head's Batch lives during
// the call, and whole reads all of a control batch. An error of each that is
// ErrCorrupt cuts there, any other stops. The owner's; nobody else may use the
// segment yet.
func (s *Segment) Recover(point int64, each func(h *Head, whole func() (r []byte, err error)) error) (Recovered, error) {
	h, err := s.file.pinDirty()
	if err != nil {
		return Recovered{}, err
	}
	defer h.Unpin()
	size, err := h.file.Size()
	if err != nil {
		return Recovered{}, err
	}
	s.size.Store(size)
	s.live.Store(true)
	sc := NewScanner(h.file, 0, size)
	rec := recovering{s: s, sc: sc, each: each, previous: s.at.base - 1}
	from, err := rec.resume(point, size)
	if err != nil {
		return Recovered{}, err
	}
	s.loaded.Store(true)
	sc.pos, sc.end = from, size
	r := Recovered{End: s.at.base}
	valid := from
	rec.from = from
	for {
		head, err := sc.Next()
		if err == nil {
			err = rec.accept(&head)
		}
		if errors.Is(err, io.EOF) && sc.pos == size {
			break
		}
		if errors.Is(err, ErrCorrupt) {
			r.Why = err
			break
		}
		if err != nil {
			return r, err
		}
		rec.previous, r.End = head.Last, head.Last+1
		valid = head.Pos + head.Size
	}
	r.BytesRead, r.Truncated = sc.BytesRead, size-valid
	s.size.Store(valid)
	s.ready, s.changes.unsynced = true, true
	s.changes.touch()
	if r.Truncated > 0 {
		if err := h.file.Truncate(valid); err != nil {
			return r, err
		}
	}
	_, err = s.index.addTime()
	return r, err
}

// recovering is a Recover under way.
type recovering struct {
	s        *Segment
	sc       *Scanner
	each     func(h *Head, whole func() ([]byte, error)) error
	from     int64 // position where checking begins
	previous int64 // last offset of the last good batch
}

// accept judges a batch and takes it into the indexes.
func (r *recovering) accept(h *Head) error {
	s := r.s
	if h.Base <= r.previous || !s.InRange(h.Last) {
		return corrupt("offset %d after %d in the segment at %d", h.Base, r.previous, s.at.base)
	}
	if err := r.sc.Verify(h); err != nil {
		return err
	}
	if r.each != nil {
		if err := r.each(h, func() ([]byte, error) { return r.sc.Whole(h) }); err != nil {
			return err
		}
	}
	if h.Pos == 0 {
		s.firstTS = h.MaxTimestamp
	}
	if h.Pos == r.from && r.from > 0 { // its entry is the last one kept
		s.index.since = h.Size
		return nil
	}
	return s.index.add(h.Last, h.MaxTimestamp, h.Pos, h.Size)
}

// resume decides where checking begins: at the batch of the last index entry
// below point, if both indexes are sane up to it, else at the start. What the
// indexes hold beyond is dropped.
func (r *recovering) resume(point, size int64) (from int64, err error) {
	if point > r.s.at.base {
		if from, err = r.resumeAt(point, size); err == nil && from > 0 {
			return from, nil
		}
	}
	r.s.firstTS = -1
	return 0, r.s.index.clear()
}

// kafkaIndexBytes is the default of segment.index.bytes.
const kafkaIndexBytes = 10 << 20

// Preallocated tells whether the offset index is as Kafka keeps that of an
// active segment: as long as segment.index.bytes allows, and zero at the end.
// A few zeros alone prove nothing: a power cut may leave them in our own file.
func (s *Segment) Preallocated(indexBytes int64) (bool, error) {
	f, err := s.at.open(IndexSuffix, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil || size < indexEntry || size != indexBytes/indexEntry*indexEntry && size != kafkaIndexBytes {
		return false, err
	}
	var last [indexEntry]byte
	if _, err := f.ReadAt(last[:], size-indexEntry); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return allZero(last[:]), nil
}

func (r *recovering) resumeAt(point, size int64) (from int64, err error) {
	s, sc, x := r.s, r.sc, &r.s.index
	if err := x.load(s.size.Load()); err != nil {
		return 0, err
	}
	offsets, err := x.offsets.all()
	if err != nil {
		return 0, err
	}
	times, err := x.times.all()
	if err != nil {
		return 0, err
	}
	n := saneEntries(&x.offsets, offsets, point-1-s.at.base, size)
	if n == 0 {
		return 0, nil
	}
	e := offsets[(n-1)*indexEntry:]
	rel, pos := int64(binary.BigEndian.Uint32(e)), int64(binary.BigEndian.Uint32(e[4:]))
	m := 0
	for ; (m+1)*timeIndexEntry <= len(times); m++ {
		t := times[m*timeIndexEntry:]
		if int64(binary.BigEndian.Uint32(t[8:])) > rel || m > 0 && x.times.key(t) <= x.times.key(times[(m-1)*timeIndexEntry:]) {
			break
		}
	}
	sc.pos, sc.end, sc.lastSize = 0, size, size // as if batches were large: do not read ahead here
	first, err := sc.Next()
	if err != nil {
		return 0, nil
	}
	sc.pos, sc.lastSize = pos, size
	head, err := sc.Next()
	if err != nil || head.Base > s.at.base+rel || head.Last >= point || sc.Verify(&head) != nil {
		return 0, nil
	}
	if m == 0 && first.MaxTimestamp >= 0 { // there must be an entry: the time index is not to be trusted
		return 0, nil
	}
	s.firstTS = first.MaxTimestamp
	x.lastTimeTS, x.maxTSOffset = -1, s.at.base
	if m > 0 {
		t := times[(m-1)*timeIndexEntry:]
		x.lastTimeTS, x.maxTSOffset = x.times.key(t), s.at.base+int64(binary.BigEndian.Uint32(t[8:]))
	}
	x.maxTS.Store(x.lastTimeTS)
	if err := x.offsets.reset(n); err != nil {
		return 0, err
	}
	return pos, x.times.reset(m)
}
