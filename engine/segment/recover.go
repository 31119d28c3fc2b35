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
	h, err := pinDirty(s)
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
	from, err := resume(s, sc, point, size)
	if err != nil {
		return Recovered{}, err
	}
	s.loaded.Store(true)
	sc.pos, sc.end = from, size
	r := Recovered{End: s.base}
	valid := from
	previous := s.base - 1
	for {
		head, err := sc.Next()
		if err == nil {
			err = accept(s, sc, &head, previous, from, each)
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
		previous, r.End = head.Last, head.Last+1
		valid = head.Pos + head.Size
	}
	r.BytesRead, r.Truncated = sc.BytesRead, size-valid
	s.size.Store(valid)
	s.ready, s.unsynced = true, true
	touch(s)
	if r.Truncated > 0 {
		if err := h.file.Truncate(valid); err != nil {
			return r, err
		}
	}
	return r, indexTime(s)
}

func accept(s *Segment, sc *Scanner, h *Head, previous, from int64, each func(h *Head, whole func() ([]byte, error)) error) error {
	if h.Base <= previous || !s.InRange(h.Last) {
		return corrupt("offset %d after %d in the segment at %d", h.Base, previous, s.base)
	}
	if err := sc.Verify(h); err != nil {
		return err
	}
	if each != nil {
		if err := each(h, func() ([]byte, error) { return sc.Whole(h) }); err != nil {
			return err
		}
	}
	if h.Pos == 0 {
		s.firstTS = h.MaxTimestamp
	}
	if h.Pos == from && from > 0 { // its entry is the last one kept
		s.since = h.Size
		return nil
	}
	return indexBatch(s, h.Last, h.MaxTimestamp, h.Pos, h.Size)
}

// resume decides where checking begins: at the batch of the last index entry
// below point, if both indexes are sane up to it, else at the start. What the
// indexes hold beyond is dropped.
func resume(s *Segment, sc *Scanner, point, size int64) (from int64, err error) {
	if point > s.base {
		if from, err = resumeAt(s, sc, point, size); err == nil && from > 0 {
			return from, nil
		}
	}
	s.lastTimeTS, s.maxTSOffset, s.since, s.firstTS = -1, s.base, 0, -1
	s.maxTS.Store(-1)
	if err := s.offsets.reset(s, IndexSuffix, 0); err != nil {
		return 0, err
	}
	return 0, s.times.reset(s, TimeIndexSuffix, 0)
}

// kafkaIndexBytes is the default of segment.index.bytes.
const kafkaIndexBytes = 10 << 20

// Preallocated tells whether the offset index is as Kafka keeps that of an
// active segment: as long as segment.index.bytes allows, and zero at the end.
// A few zeros alone prove nothing: a power cut may leave them in our own file.
func (s *Segment) Preallocated(indexBytes int64) (bool, error) {
	f, err := s.fs.OpenFile(pathOf(s, IndexSuffix), os.O_RDONLY, 0)
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

func resumeAt(s *Segment, sc *Scanner, point, size int64) (from int64, err error) {
	if err := loadTables(s); err != nil {
		return 0, err
	}
	offsets, err := s.offsets.all(s, IndexSuffix)
	if err != nil {
		return 0, err
	}
	times, err := s.times.all(s, TimeIndexSuffix)
	if err != nil {
		return 0, err
	}
	n := saneEntries(&s.offsets, offsets, point-1-s.base, size)
	if n == 0 {
		return 0, nil
	}
	e := offsets[(n-1)*indexEntry:]
	rel, pos := int64(binary.BigEndian.Uint32(e)), int64(binary.BigEndian.Uint32(e[4:]))
	m := 0
	for ; (m+1)*timeIndexEntry <= len(times); m++ {
		t := times[m*timeIndexEntry:]
		if int64(binary.BigEndian.Uint32(t[8:])) > rel || m > 0 && s.times.key(t) <= s.times.key(times[(m-1)*timeIndexEntry:]) {
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
	if err != nil || head.Base > s.base+rel || head.Last >= point || sc.Verify(&head) != nil {
		return 0, nil
	}
	if m == 0 && first.MaxTimestamp >= 0 { // there must be an entry: the time index is not to be trusted
		return 0, nil
	}
	s.firstTS = first.MaxTimestamp
	s.lastTimeTS, s.maxTSOffset = -1, s.base
	if m > 0 {
		t := times[(m-1)*timeIndexEntry:]
		s.lastTimeTS, s.maxTSOffset = s.times.key(t), s.base+int64(binary.BigEndian.Uint32(t[8:]))
	}
	s.maxTS.Store(s.lastTimeTS)
	if err := s.offsets.reset(s, IndexSuffix, n); err != nil {
		return 0, err
	}
	return pos, s.times.reset(s, TimeIndexSuffix, m)
}

// saneEntries counts the entries, from the first on, that grow in both fields,
// fit a file of size bytes and name nothing beyond rel.
func saneEntries(t *table, b []byte, rel, size int64) int {
	n, lastPos := 0, int64(0)
	for ; (n+1)*t.entry <= len(b); n++ {
		e := b[n*t.entry:]
		pos := int64(binary.BigEndian.Uint32(e[4:]))
		if t.key(e) > rel || pos <= lastPos || pos >= size || n > 0 && t.key(e) <= t.key(b[(n-1)*t.entry:]) {
			break
		}
		lastPos = pos
	}
	return n
}

// all reads every entry.
func (t *table) all(s *Segment, suffix string) ([]byte, error) {
	b, err := readFile(s.env, pathOf(s, suffix))
	if err != nil {
		return nil, err
	}
	tl := t.tail.Load()
	b = b[:min(len(b), tl.first*t.entry)]
	return append(b, tl.buf[:int(tl.n.Load())*t.entry]...), nil
}

// reset keeps the first n entries, which must stand in the file, and drops the
// others; the file becomes as long as they are.
func (t *table) reset(s *Segment, suffix string, n int) error {
	if t.file == nil {
		f, err := s.fs.OpenFile(pathOf(s, suffix), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		t.file = f
	}
	t.spill++
	t.tail.Store(&tail{first: n})
	return t.file.Truncate(int64(n) * int64(t.entry))
}

// rebuild makes both indexes anew from the .log. Holds mu; the owner does not append.
func rebuild(s *Segment, why error) error {
	h, opened, err := pinLocked(s)
	if err != nil {
		return err
	}
	if opened {
		s.limit.opened(s)
	}
	defer h.Unpin()
	for _, t := range [...]*table{&s.offsets, &s.times} {
		t.close()
		t.tail.Store(&tail{})
	}
	s.window.Store(nil)
	s.lastTimeTS, s.maxTSOffset, s.since = -1, s.base, 0
	s.maxTS.Store(-1)
	if err := s.offsets.reset(s, IndexSuffix, 0); err != nil {
		return err
	}
	if err := s.times.reset(s, TimeIndexSuffix, 0); err != nil {
		return err
	}
	sc := NewScanner(h.file, 0, s.size.Load())
	for {
		head, err := sc.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, ErrCorrupt) { // readers meet the bad place themselves
			break
		}
		if err != nil {
			return err
		}
		if err := indexBatch(s, head.Last, head.MaxTimestamp, head.Pos, head.Size); err != nil {
			return err
		}
	}
	if s.env.Rebuilt != nil {
		s.env.Rebuilt(Name(s.base, IndexSuffix), why)
	}
	return writeTables(s)
}

// writeTables brings rebuilt indexes to disk.
func writeTables(s *Segment) error {
	if err := indexTime(s); err != nil {
		return err
	}
	if err := s.offsets.settle(s, IndexSuffix); err != nil {
		return err
	}
	return s.times.settle(s, TimeIndexSuffix)
}

// settle writes the tail to the file, syncs and closes it.
func (t *table) settle(s *Segment, suffix string) error {
	if err := t.spillTail(s, suffix, t.tail.Load()); err != nil {
		return err
	}
	t.tail.Store(&tail{first: t.tail.Load().first})
	if t.file == nil {
		return nil
	}
	err := Sync(t.file)
	t.close()
	return err
}
