// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/producer"
	"github.com/samsa-broker/samsa/engine/segment"
)

// Write writes everything staged, in one call to the file system where no new
// segment is due, and makes it readable. It returns how many of the staged
// appends stand, counted from the first; those after them have their Err set,
// which is also returned: ErrNoSpace when the disk is full (the log is as it
// was after the last whole append), ErrIO when the log is fenced now. Nothing
// is staged afterwards.
func (l *Log) Write() (n int, err error) {
	s := &l.staging
	for n < len(s.appends) && err == nil {
		var stood int
		stood, err = s.writeGroup(n)
		n += stood
	}
	if err != nil {
		s.undo(n, err)
	}
	l.history.producers.Commit()
	s.appends = s.appends[:0]
	return n, err
}

// undo takes back what was staged from staged[n] on. A duplicate of something
// that stands is not hurt.
func (s *staging) undo(n int, err error) {
	if n < len(s.appends) {
		s.log.history.producers.Rewind(s.appends[n].place.undo)
	}
	for _, a := range s.appends[n:] {
		if !a.Duplicate || a.Last >= s.log.End() {
			a.Err = err
		}
	}
}

// writeGroup writes staged appends from the n-th on: as many as surely fit the
// active segment, at least one; before that it begins a new one if due.
func (s *staging) writeGroup(n int) (stood int, err error) {
	if err := s.rollIfDue(n); err != nil {
		return 0, err
	}
	seg := s.log.shelf.active()
	count := 1
	if s.allFit(seg, n) {
		count = len(s.appends) - n
	}
	group := s.appends[n : n+count]
	s.bufs = s.bufs[:0]
	for _, a := range group {
		if a.place.bytes > 0 {
			s.bufs = append(s.bufs, a.Batches)
		}
	}
	wrote := 0
	if len(s.bufs) > 0 {
		wrote, err = seg.WriteAt(s.bufs, 0)
	}
	clear(s.bufs)
	stood, serr := s.stand(seg, group, int64(wrote))
	if stood < count && err == nil {
		err = serr
	}
	if stood == count && serr == nil {
		return stood, nil
	}
	if err == nil {
		err = fmt.Errorf("short write: %d bytes", wrote)
	}
	if cerr := seg.Cut(); cerr != nil {
		return stood, s.log.fence.fail("truncate after a short write", cerr)
	}
	if serr != nil {
		return stood, s.log.fence.fail("index", serr)
	}
	return stood, s.log.fence.ioError("append", err)
}

// stand makes those appends of a group that were written whole part of the log.
func (s *staging) stand(seg *segment.Segment, group []*Append, wrote int64) (stood int, err error) {
	end := s.log.shelf.end.Load()
	for _, a := range group {
		if a.place.bytes > wrote {
			break
		}
		wrote -= a.place.bytes
		for i := range s.items[a.place.first : a.place.first+a.place.count] {
			it := &s.items[a.place.first+i]
			if err := seg.Stand(it.base, it.last, it.maxTS, it.size); err != nil {
				return stood, err
			}
			if it.effect.Kind != producer.Plain {
				if aborted := s.log.history.transact(&it.effect); aborted != nil {
					s.log.folder.dirty = true // its file may be new
					if err := seg.Abort(*aborted); err != nil {
						return stood, err
					}
				}
			}
			s.log.epochs.assign(Epoch(it.epoch), Offset(it.base))
			end = it.last + 1
		}
		s.log.shelf.size.Add(a.place.bytes)
		s.log.shelf.end.Store(end)
		stood++
	}
	return stood, nil
}

// allFit tells whether everything staged from n on goes into the active
// segment without a roll before any of it, judged with room to spare.
func (s *staging) allFit(seg *segment.Segment, n int) bool {
	rest := s.appends[n:]
	if len(rest) == 1 {
		return true
	}
	bytes, maxTS := int64(0), batch.NoTimestamp
	minTS := int64(1<<63 - 1)
	for _, a := range rest {
		bytes += a.place.bytes
		maxTS = max(maxTS, a.place.maxTS)
		minTS = min(minTS, a.place.maxTS)
	}
	r := s.rollRule(seg)
	r.Bytes, r.MaxTimestamp, r.LastOffset = bytes, maxTS, int64(s.end-1)
	room := int64(len(s.items)) * 12 // as if each batch got an index entry
	r.IndexBytes -= room
	if seg.Size() == 0 { // the first of them sets the segment's time
		return bytes <= r.SegmentBytes && maxTS-minTS <= r.SegmentMs && r.IndexBytes > 24 && seg.InRange(r.LastOffset)
	}
	return !seg.Full(&r)
}

// rollRule is the part of the roll decision that the log knows.
func (s *staging) rollRule(seg *segment.Segment) segment.Roll {
	c := s.log.Config()
	jitter := int64(0)
	if c.SegmentJitterMs > 0 { // spread by the base offset: the same for a segment each time it is asked
		jitter = int64(uint64(seg.Base())*0x9e3779b97f4a7c15>>1) % c.SegmentJitterMs
	}
	return segment.Roll{
		NowMs: s.atMs, SegmentBytes: int64(c.SegmentBytes),
		SegmentMs: c.SegmentMs - jitter, IndexBytes: int64(c.IndexBytes),
	}
}

// rollDue tells whether a staged append belongs into a new segment.
func (s *staging) rollDue(seg *segment.Segment, a *Append) bool {
	if a.place.bytes == 0 {
		return false
	}
	r := s.rollRule(seg)
	r.Bytes, r.MaxTimestamp, r.LastOffset = a.place.bytes, a.place.maxTS, int64(a.lastStaged(s))
	return seg.Full(&r)
}

// rollIfDue begins a new segment if staged[n] belongs into one.
func (s *staging) rollIfDue(n int) error {
	a := s.appends[n]
	if !s.rollDue(s.log.shelf.active(), a) {
		return nil
	}
	// The snapshot at the new base must not know what comes behind it.
	s.log.history.producers.Rewind(a.place.undo)
	s.log.history.producers.Commit()
	err := s.log.shelf.roll(max(a.Base, s.log.End()), &s.log.history)
	for _, later := range s.appends[n:] {
		later.place.undo = s.log.history.producers.Mark()
		s.restage(later)
	}
	return err
}

func (a *Append) lastStaged(s *staging) Offset {
	return Offset(s.items[a.place.first+a.place.count-1].last)
}

// restage puts an append that was already judged back into producer state.
func (s *staging) restage(a *Append) {
	if a.place.bytes == 0 {
		return
	}
	for rest := a.Batches; len(rest) > 0; {
		b, next, err := batch.Next(rest)
		if err == nil {
			_, err = s.log.history.producers.Stage(b, producer.Trust)
		}
		if err != nil {
			panic("BUG: engine: a staged batch cannot be staged again: " + err.Error())
		}
		rest = next
	}
}
