// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"
	"math"
	"time"
)

// Ready prepares a segment for appends: it reads what stands behind the last
// indexBatch entry, and returns the offset that follows the last batch. A segment
// that is ready already, or made by Create, answers -1.
func (s *Segment) Ready(now time.Time) (end int64, err error) {
	if s.ready {
		return -1, nil
	}
	if err := s.Load(); err != nil {
		return 0, err
	}
	s.file.mu.Lock()
	s.live.Store(true)
	s.file.mu.Unlock()
	h, err := s.Pin()
	if err != nil {
		return 0, err
	}
	defer h.Unpin()
	end = s.at.base
	size := s.size.Load()
	s.createdMs = now.UnixMilli()
	if size > 0 {
		sc := takeScanner(h.file, 0, size)
		defer sc.giveBack()
		first, err := sc.Next()
		if err != nil {
			return 0, err
		}
		s.firstTS = first.MaxTimestamp
		var e [indexEntry]byte
		pos := int64(0)
		if ok, err := s.index.offsets.floor(math.MaxUint32, e[:], nil); err != nil {
			return 0, err
		} else if ok {
			pos = int64(binary.BigEndian.Uint32(e[4:]))
		}
		if end, err = s.index.scanTail(sc, pos, size); err != nil {
			return 0, err
		}
	}
	s.ready = true
	return end, nil
}

// Roll is what decides whether a segment is full.
type Roll struct {
	Bytes        int64 // of the append that comes next
	MaxTimestamp int64 // its largest, ms
	LastOffset   int64 // its last
	NowMs        int64
	SegmentBytes int64
	SegmentMs    int64 // jitter taken off
	IndexBytes   int64
}

// Full tells whether the next append belongs into a new segment. The segment
// is ready.
func (s *Segment) Full(r *Roll) bool {
	size := s.size.Load()
	if size > r.SegmentBytes-r.Bytes || size > math.MaxInt32-r.Bytes {
		return size > 0 || !s.InRange(r.LastOffset)
	}
	if size > 0 {
		waited := r.NowMs - s.createdMs
		if s.firstTS >= 0 {
			waited = r.MaxTimestamp - s.firstTS
		}
		if waited > r.SegmentMs {
			return true
		}
	}
	return int64(s.index.offsets.count()) >= r.IndexBytes/indexEntry ||
		int64(s.index.times.count()) >= r.IndexBytes/timeIndexEntry-1 ||
		!s.InRange(r.LastOffset)
}

// Prepared tells whether a segment is ready and its .log open, so that WriteAt
// opens nothing. The owner's.
func Prepared(s *Segment) bool {
	h := s.file.handle.Load()
	if !s.ready || h == nil {
		return false
	}
	h.used.Store(true) // it stays open until it is written
	return true
}

// WriteWaits tells whether so many more batches with so many bytes may fill an
// index's tail in memory, or an aborted transaction among them has to be noted,
// while the file for that is not open. The owner's, ready.
func WriteWaits(s *Segment, batches int, bytes int64, aborts bool) bool {
	x := &s.index
	entries := 1 + min(int64(batches), (x.since+bytes)/max(1, int64(s.at.env.Interval.Load())))
	return x.offsets.spills(entries) || x.times.spills(entries) || aborts && (s.txns.file == nil || s.txns.list.Load() == nil)
}

// WriteAt appends bufs behind the batches that stand and at more bytes. It
// tells how many bytes went in; they do not stand until Stand.
func (s *Segment) WriteAt(bufs [][]byte, at int64) (int, error) {
	h, err := s.file.pinDirty()
	if err != nil {
		return 0, err
	}
	s.changes.touch()
	n, err := h.file.WritevAt(bufs, s.size.Load()+at)
	h.Unpin()
	return n, err
}

// Cut removes bytes that were written but do not stand.
func (s *Segment) Cut() error {
	h, err := s.file.pinDirty()
	if err != nil {
		return err
	}
	defer h.Unpin()
	return h.file.Truncate(s.size.Load())
}

// Stand makes the next batch that WriteAt wrote part of the segment: indexes
// first, then the size.
func (s *Segment) Stand(base, last, maxTS int64, size int) error {
	pos := s.size.Load()
	if pos == 0 {
		s.firstTS = maxTS
	}
	if err := s.index.add(last, maxTS, pos, int64(size)); err != nil { // WriteAt has touched
		return err
	}
	r := s.recent.Load()
	if r == nil {
		r = new(recent)
		s.recent.Store(r)
	}
	r.add(base, pos)
	s.size.Store(pos + int64(size))
	return nil
}

// Seal writes down the largest timestamp: no more batches will come, or the
// log is about to close.
func (s *Segment) Seal() error {
	if !s.ready || s.size.Load() == 0 {
		return nil
	}
	news, err := s.index.addTime()
	if news {
		s.changes.touch()
	}
	return err
}
