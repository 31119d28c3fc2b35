// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// Place is where a batch stands.
type Place struct {
	Base int64
	Pos  int64
	End  int64 // position behind the batch; -1 if not known yet
}

// Locate finds the first batch that ends at offset or later. ok is false when
// the segment holds none. For any goroutine; allocates nothing for the newest
// batches.
func (s *Segment) Locate(offset int64) (p Place, ok bool, err error) {
	if r := s.recent.Load(); r != nil {
		if base, pos, next, ok := r.find(offset); ok && base == offset {
			return Place{Base: base, Pos: pos, End: next}, true, nil
		}
	}
	return locate(s, offset, s.size.Load())
}

// locate looks in the first size bytes, with the index.
func locate(s *Segment, offset, size int64) (p Place, ok bool, err error) {
	if size == 0 {
		return Place{}, false, nil
	}
	if err := s.Load(); err != nil {
		return Place{}, false, err
	}
	h, err := s.Pin()
	if err != nil {
		return Place{}, false, err
	}
	defer h.Unpin()
	sc := takeScanner(h.file, 0, size)
	defer sc.giveBack()
	head, ok, err := seek(s, sc, offset)
	return Place{Base: head.Base, Pos: head.Pos, End: head.Pos + head.Size}, ok, err
}

// Upper is the position behind all batches below limit, an offset at which a
// batch begins or the log ends. For any goroutine.
func (s *Segment) Upper(limit int64) (int64, error) {
	size := s.size.Load() // before the look at recent: what is added meanwhile is found there
	r := s.recent.Load()
	if r != nil {
		base, pos, next, ok := r.find(limit)
		if ok && base == limit {
			return pos, nil
		}
		if ok && next < 0 {
			return size, nil // all batches begin below limit
		}
	}
	p, ok, err := locate(s, limit, size)
	if err != nil || !ok {
		return size, err
	}
	return p.Pos, nil
}

// seek moves sc to the first batch that ends at offset or later. An index that
// leads astray is made anew, or passed by where that cannot be.
func seek(s *Segment, sc *Scanner, offset int64) (Head, bool, error) {
	var e [indexEntry]byte
	ok, err := s.index.offsets.floor(clampRelative(offset-s.at.base), e[:], &s.file.window)
	if err == nil && ok {
		entry := s.at.base + int64(binary.BigEndian.Uint32(e[:]))
		sc.pos = int64(binary.BigEndian.Uint32(e[4:]))
		head, found, serr := sc.walkTo(offset, entry, s.at.base)
		if serr == nil {
			return head, found, nil
		}
		err = serr
	}
	if err != nil {
		if !errors.Is(err, errInsane) && !errors.Is(err, ErrCorrupt) {
			return Head{}, false, err
		}
		if err := rebuildIdle(s, err); err != nil {
			return Head{}, false, err
		}
	}
	sc.pos = 0
	return sc.walkTo(offset, math.MaxInt64, s.at.base)
}

// clampRelative keeps a relative offset within what an entry can say.
func clampRelative(rel int64) int64 { return min(max(rel, -1), math.MaxUint32) }

// walkTo walks to the first batch that ends at offset or later. The batch
// where it begins must not begin beyond entry, the offset its index entry has,
// and none before first.
func (s *Scanner) walkTo(offset, entry, first int64) (Head, bool, error) {
	for {
		h, err := s.Next()
		if errors.Is(err, io.EOF) {
			return Head{}, false, nil
		}
		if err != nil {
			return Head{}, false, err
		}
		if h.Base > entry || h.Base < first {
			return Head{}, false, corrupt("index names %d for position %d where %d stands", entry, h.Pos, h.Base)
		}
		if h.Last >= offset {
			return h, true, nil
		}
		entry = math.MaxInt64
	}
}

// rebuildIdle makes the indexes anew unless the owner is appending.
func rebuildIdle(s *Segment, why error) error {
	s.file.mu.Lock()
	defer s.file.mu.Unlock()
	if s.file.gone {
		return ErrGone
	}
	if s.live.Load() {
		return nil
	}
	return rebuild(s, why)
}

// SeekTime moves to the first batch that may hold a record with a timestamp of
// at least ts, and gives a scanner there; nil if the segment has none. The
// caller gives both back with done. For any goroutine.
func (s *Segment) SeekTime(ts int64) (sc *Scanner, done func(), err error) {
	if err := s.Load(); err != nil {
		return nil, nil, err
	}
	var e [timeIndexEntry]byte
	from := s.at.base
	ok, err := s.index.times.floor(ts, e[:], nil)
	if err != nil && !errors.Is(err, errInsane) {
		return nil, nil, err
	}
	if ok && err == nil {
		from = s.at.base + int64(binary.BigEndian.Uint32(e[8:]))
	}
	h, err := s.Pin()
	if err != nil {
		return nil, nil, err
	}
	sc = takeScanner(h.file, 0, s.size.Load())
	done = func() { sc.giveBack(); h.Unpin() }
	head, ok, err := seek(s, sc, from)
	if err != nil || !ok {
		done()
		return nil, nil, err
	}
	sc.pos = head.Pos
	return sc, done, nil
}

// Walk gives the headers of all batches that end at from or later, in order,
// to fn; whole reads all of the one that fn is given, if it is as small as a
// control batch. It returns the bytes read. For any goroutine.
func (s *Segment) Walk(from int64, fn func(h *Head, whole func() ([]byte, error)) error) (read int64, err error) {
	return walk(s, from, false, fn)
}

// Hop is Walk that reads no more than the headers, one at a time.
func Hop(s *Segment, from int64, fn func(h *Head, whole func() ([]byte, error)) error) (read int64, err error) {
	return walk(s, from, true, fn)
}

// HopAt is Hop from a position on, where a batch stands or the file ends.
func HopAt(s *Segment, pos int64, fn func(h *Head, whole func() ([]byte, error)) error) (read int64, err error) {
	h, err := s.Pin()
	if err != nil {
		return 0, err
	}
	defer h.Unpin()
	return walkAt(h, pos, s.size.Load(), true, fn)
}

func walk(s *Segment, from int64, hops bool, fn func(h *Head, whole func() ([]byte, error)) error) (read int64, err error) {
	size := s.size.Load()
	place, ok, err := locate(s, from, size)
	if err != nil || !ok {
		return 0, err
	}
	h, err := s.Pin()
	if err != nil {
		return 0, err
	}
	defer h.Unpin()
	return walkAt(h, place.Pos, size, hops, fn)
}

func walkAt(h *Handle, pos, size int64, hops bool, fn func(h *Head, whole func() ([]byte, error)) error) (read int64, err error) {
	sc := NewScanner(h.file, pos, size)
	sc.hops = hops
	for {
		head, err := sc.Next()
		if errors.Is(err, io.EOF) && sc.pos == size {
			return sc.BytesRead, nil
		}
		if err == nil {
			err = fn(&head, func() ([]byte, error) { return sc.Whole(&head) })
		}
		if err != nil {
			return sc.BytesRead, err
		}
	}
}

// Body reads all bytes of the batch that Next gave last into dst, which grows.
func (s *Scanner) Body(h *Head, dst []byte) ([]byte, error) {
	if int64(cap(dst)) < h.Size {
		dst = make([]byte, h.Size)
	}
	dst = dst[:h.Size]
	if n, err := s.file.ReadAt(dst, h.Pos); n < len(dst) {
		return nil, err
	}
	return dst, nil
}

// EndOfFile reads the headers of a whole .log file under any name and returns
// the offset behind its last whole batch; base if it has none.
func EndOfFile(fsys vfs.FS, name string, base int64) (int64, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	sc := NewScanner(f, 0, size)
	for {
		h, err := sc.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, ErrCorrupt) {
			return base, nil
		}
		if err != nil {
			return 0, err
		}
		base = h.Last + 1
	}
}

// LocateWaits tells whether Locate needs files to find the batch that holds
// offset. For any goroutine.
func LocateWaits(s *Segment, offset int64) bool {
	if r := s.recent.Load(); r != nil {
		base, _, _, ok := r.find(offset)
		return !ok || base != offset
	}
	return s.size.Load() > 0
}

// UpperWaits tells whether Upper needs files to find limit. For any goroutine.
func UpperWaits(s *Segment, limit int64) bool {
	if r := s.recent.Load(); r != nil {
		base, _, next, ok := r.find(limit)
		return !ok || base != limit && next >= 0
	}
	return s.size.Load() > 0
}

// PinWaits tells whether Pin would open the file. For any goroutine.
func PinWaits(s *Segment) bool { return s.file.handle.Load() == nil }

// AbortedWaits tells whether Aborted would read a file. For any goroutine.
func AbortedWaits(s *Segment) bool { return s.txns.list.Load() == nil && s.txns.exists.Load() }
