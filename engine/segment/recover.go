// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
)

// Recovered is what Recover found.
type Recovered struct {
	End       int64 // offset behind the last good batch; the base if there is none
	BytesRead int64
	Truncated int64 // bytes cut off
	Above     int64 // bytes of the file above the recovery point
	Why       error // what was wrong at the cut; nil if nothing was
}

// Recover makes a segment good again after a crash: it checks every batch from
// the one that holds the recovery point on, cuts the file before the first bad
// one, and makes the indexes anew from there. What lies below was synced: it is
// taken from the indexes as far as they agree with the file, and from the
// headers behind that.
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
	rec := recovering{s: s, sc: sc, each: each, point: point, previous: s.at.base - 1}
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
		sc.hops = rec.previous+1 < point
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
		if head.Base >= point {
			r.Above += head.Size
		}
	}
	r.Above += size - valid
	r.BytesRead, r.Truncated = sc.BytesRead+rec.read, size-valid
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
	point    int64 // batches that end at it or later are read whole
	from     int64 // position where checking begins
	previous int64 // last offset of the last good batch
	read     int64 // of the indexes
}

// accept judges a batch and takes it into the indexes.
func (r *recovering) accept(h *Head) error {
	s := r.s
	if h.Base <= r.previous || !s.InRange(h.Last) {
		return corrupt("offset %d after %d in the segment at %d", h.Base, r.previous, s.at.base)
	}
	if h.Last >= r.point {
		if err := r.sc.Verify(h); err != nil {
			return err
		}
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
// below point, else at the start. What the indexes hold beyond is dropped.
func (r *recovering) resume(point, size int64) (from int64, err error) {
	if point > r.s.at.base {
		if from, err = r.resumeAt(point, size); err == nil && from > 0 {
			return from, nil
		}
	}
	r.s.firstTS = -1
	return 0, r.s.index.clear()
}

// resumeAt finds the last index entry below point that names a batch. What lies
// below a recovery point was synced, index entries and all; what stands behind
// may be anything. So the files are looked at from their ends.
func (r *recovering) resumeAt(point, size int64) (from int64, err error) {
	s, sc, x := r.s, r.sc, &r.s.index
	rel := point - 1 - s.at.base
	n, e, read, err := x.offsets.lastWhere(func(e, before []byte) bool {
		pos := int64(binary.BigEndian.Uint32(e[4:]))
		return x.offsets.key(e) <= rel && pos > 0 && pos < size &&
			(before == nil || x.offsets.key(before) < x.offsets.key(e) && int64(binary.BigEndian.Uint32(before[4:])) < pos)
	})
	r.read += read
	if err != nil || n == 0 {
		return 0, err
	}
	rel, pos := int64(binary.BigEndian.Uint32(e)), int64(binary.BigEndian.Uint32(e[4:]))
	m, t, read, err := x.times.lastWhere(func(t, before []byte) bool {
		at := int64(binary.BigEndian.Uint32(t[8:]))
		return at <= rel && x.times.key(t) >= 0 &&
			(before == nil || x.times.key(before) < x.times.key(t) && int64(binary.BigEndian.Uint32(before[8:])) <= at)
	})
	r.read += read
	if err != nil {
		return 0, err
	}
	first, good, err := r.names(rel, pos, point)
	if err != nil || !good {
		return 0, err
	}
	if m == 0 && first.MaxTimestamp >= 0 { // there must be an entry: the time index is not to be trusted
		return 0, nil
	}
	s.firstTS = first.MaxTimestamp
	x.lastTimeTS, x.maxTSOffset = -1, s.at.base
	if m > 0 {
		x.lastTimeTS, x.maxTSOffset = x.times.key(t), s.at.base+int64(binary.BigEndian.Uint32(t[8:]))
	}
	x.maxTS.Store(x.lastTimeTS)
	if err := x.offsets.reset(n); err != nil {
		return 0, err
	}
	sc.pos = pos
	return pos, x.times.reset(m)
}

// names tells whether a batch below point stands at pos, as an index entry
// says, and gives the head of the first batch of all.
func (r *recovering) names(rel, pos, point int64) (first Head, good bool, err error) {
	sc := r.sc
	sc.hops, sc.pos = true, 0
	if first, err = sc.Next(); err == nil {
		sc.pos = pos
		var head Head
		if head, err = sc.Next(); err == nil {
			return first, head.Base <= r.s.at.base+rel && head.Last < point, nil
		}
	}
	if errors.Is(err, ErrCorrupt) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return first, false, nil
	}
	return first, false, err
}

// Resume makes a segment whose batches below point were synced ready to go on
// there, without reading more than heads: where the batch before point ends,
// the file is cut, if Cut is called then. ok is false when no batch ends there;
// then only Recover helps. The owner's; nobody else may use the segment yet.
func Resume(s *Segment, point int64) (cut func() error, read int64, ok bool, err error) {
	h, err := s.file.pinDirty()
	if err != nil {
		return nil, 0, false, err
	}
	defer h.Unpin()
	size, err := h.file.Size()
	if err != nil {
		return nil, 0, false, err
	}
	sc := NewScanner(h.file, 0, size)
	sc.hops = true
	r := recovering{s: s, sc: sc, point: math.MaxInt64, previous: s.at.base - 1}
	from, err := r.resume(point, size)
	if err != nil {
		return nil, 0, false, err
	}
	sc.pos, sc.end, r.from = from, size, from
	for end := s.at.base; end < point; {
		head, err := sc.Next()
		if err == nil {
			err = r.accept(&head)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, ErrCorrupt) || errors.Is(err, io.ErrUnexpectedEOF) || err == nil && head.Last >= point {
			return nil, sc.BytesRead + r.read, false, nil
		}
		if err != nil {
			return nil, 0, false, err
		}
		r.previous, end = head.Last, head.Last+1
	}
	valid := sc.pos
	return func() error { return cutResumed(s, valid, size) }, sc.BytesRead + r.read, true, nil
}

// cutResumed ends a segment where Resume found that it should.
func cutResumed(s *Segment, valid, size int64) error {
	h, err := s.file.pinDirty()
	if err != nil {
		return err
	}
	defer h.Unpin()
	if valid < size {
		if err := h.file.Truncate(valid); err != nil {
			return err
		}
	}
	s.size.Store(valid)
	s.live.Store(true)
	s.loaded.Store(true)
	s.ready, s.changes.unsynced = true, true
	s.changes.touch()
	return nil
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
