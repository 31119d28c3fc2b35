// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"sort"

	"github.com/samsa-broker/samsa/engine/segment"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// View is an immutable picture of a log's segments. Its methods are for any
// goroutine. The ends are the log's own and may move on; when a segment of the
// picture is gone, the newest picture serves.
type View struct {
	shelf *shelf
	segs  []*segment.Segment
}

// View is the picture of now. It allocates nothing.
func (l *Log) View() *View { return l.shelf.view.Load() }

// Start is the log start offset.
func (v *View) Start() Offset { return Offset(v.shelf.start.Load()) }

// End is the log end offset.
func (v *View) End() Offset { return Offset(v.shelf.end.Load()) }

// Span is a run of bytes of one segment file that nothing can close before it
// is released. It may be copied, but released only once.
type Span struct {
	handle *segment.Handle
	off    int64
	n      int
}

// File is the open segment file.
func (s *Span) File() vfs.File { return s.handle.File() }

// Off is where the bytes begin in the file.
func (s *Span) Off() int64 { return s.off }

// Len is the number of bytes.
func (s *Span) Len() int { return s.n }

// Trim keeps the first n bytes.
func (s *Span) Trim(n int) { s.n = min(s.n, n) }

// Release unpins. The Span is not usable afterwards.
func (s *Span) Release() {
	s.handle.Unpin()
	s.handle = nil
}

// find is the place of the last segment whose base is at most offset, -1 if
// there is none.
func (v *View) find(offset Offset) int {
	if n := len(v.segs); n > 0 && v.segs[n-1].Base() <= int64(offset) { // most readers are at the end
		return n - 1
	}
	return sort.Search(len(v.segs), func(i int) bool { return v.segs[i].Base() > int64(offset) }) - 1
}

// Read appends to dst the places of the batches from the one that holds from
// up to limit, which is an offset where a batch begins or the log end. At most
// maxBytes are given, and the last batch may be cut short by that; with minOne
// the first batch is given whole even if it is larger. The first batch may
// begin below from. The caller releases the Spans.
//
// ErrOffsetOutOfRange when from is below the log start or beyond the log end;
// other errors are the disk's.
func (v *View) Read(dst []Span, from, limit Offset, maxBytes int, minOne bool) ([]Span, error) {
	had := len(dst)
	for {
		var err error
		dst, err = v.read(dst, from, limit, maxBytes, minOne)
		if err == nil || len(dst) > had { // bytes in hand are an answer; what was wrong is met again
			return dst, nil
		}
		newest := v.shelf.view.Load()
		if !errors.Is(err, segment.ErrGone) {
			return dst, fmt.Errorf("read at %d: %w", from, err)
		}
		if newest == v { // closed
			return dst, ErrClosed
		}
		v = newest
	}
}

func (v *View) read(dst []Span, from, limit Offset, maxBytes int, minOne bool) ([]Span, error) {
	end := v.End()
	if start := v.Start(); from < start || from > end {
		return dst, fmt.Errorf("%w: %d, log is %d to %d", ErrOffsetOutOfRange, from, start, end)
	}
	limit = min(limit, end)
	if from >= limit {
		return dst, nil
	}
	at := v.find(from)
	if at < 0 { // the segment was deleted after the look at the start
		return dst, segment.ErrGone
	}
	for ; at < len(v.segs) && from < limit; at++ {
		s := v.segs[at]
		upper, last := s.Size(), true
		if at+1 < len(v.segs) {
			last = v.segs[at+1].Base() >= int64(limit)
		}
		var err error
		if last {
			upper, err = s.Upper(int64(limit))
		}
		var span Span
		var n int
		if err == nil {
			span, n, err = readSegment(s, from, upper, maxBytes, minOne)
		}
		if err != nil {
			if s.Gone() {
				err = segment.ErrGone
			}
			return dst, err
		}
		if n > 0 {
			dst = append(dst, span)
			maxBytes -= n
			minOne = false
			if span.off+int64(n) < upper || maxBytes <= 0 {
				break
			}
		}
		if !last {
			from = Offset(v.segs[at+1].Base())
		}
	}
	return dst, nil
}

// readSegment gives the part of one segment; n is 0 when it has none.
func readSegment(s *segment.Segment, from Offset, upper int64, maxBytes int, minOne bool) (span Span, n int, err error) {
	p, ok, err := s.Locate(int64(from))
	if err != nil || !ok || p.Pos >= upper {
		return Span{}, 0, err
	}
	left := upper - p.Pos
	size := min(left, int64(max(maxBytes, 0)))
	if minOne {
		first := left
		if p.End >= 0 {
			first = min(p.End-p.Pos, left)
		}
		size = max(size, first)
	}
	if size == 0 {
		return Span{}, 0, nil
	}
	h, err := s.Pin()
	if err != nil {
		return Span{}, 0, err
	}
	return Span{handle: h, off: p.Pos, n: int(size)}, int(size), nil
}
