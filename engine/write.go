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
	for n < len(l.staged) && err == nil {
		var stood int
		stood, err = writeGroup(l, n)
		n += stood
	}
	if err != nil {
		undo(l, n, err)
	}
	l.producers.Commit()
	l.staged = l.staged[:0]
	return n, err
}

// undo takes back what was staged from staged[n] on. A duplicate of something
// that stands is not hurt.
func undo(l *Log, n int, err error) {
	if n < len(l.staged) {
		l.producers.Rewind(l.staged[n].place.undo)
	}
	for _, a := range l.staged[n:] {
		if !a.Duplicate || a.Last >= l.End() {
			a.Err = err
		}
	}
}

// writeGroup writes staged appends from the n-th on: as many as surely fit the
// active segment, at least one; before that it begins a new one if due.
func writeGroup(l *Log, n int) (stood int, err error) {
	if err := rollIfDue(l, n); err != nil {
		return 0, err
	}
	seg := active(l)
	count := 1
	if allFit(l, seg, n) {
		count = len(l.staged) - n
	}
	group := l.staged[n : n+count]
	l.bufs = l.bufs[:0]
	for _, a := range group {
		if a.place.bytes > 0 {
			l.bufs = append(l.bufs, a.Batches)
		}
	}
	wrote := 0
	if len(l.bufs) > 0 {
		wrote, err = seg.WriteAt(l.bufs, 0)
	}
	clear(l.bufs)
	stood, serr := stand(l, seg, group, int64(wrote))
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
		return stood, fail(l, "truncate after a short write", cerr)
	}
	if serr != nil {
		return stood, fail(l, "index", serr)
	}
	return stood, ioError(l, "append", err)
}

// stand makes those appends of a group that were written whole part of the log.
func stand(l *Log, seg *segment.Segment, group []*Append, wrote int64) (stood int, err error) {
	end := l.end.Load()
	for _, a := range group {
		if a.place.bytes > wrote {
			break
		}
		wrote -= a.place.bytes
		for i := range l.items[a.place.first : a.place.first+a.place.count] {
			it := &l.items[a.place.first+i]
			if err := seg.Stand(it.base, it.last, it.maxTS, it.size); err != nil {
				return stood, err
			}
			if it.effect.Kind != producer.Plain {
				if err := transact(l, seg, &it.effect); err != nil {
					return stood, err
				}
			}
			assignEpoch(l, Epoch(it.epoch), Offset(it.base))
			end = it.last + 1
		}
		l.size.Add(a.place.bytes)
		l.end.Store(end)
		stood++
	}
	return stood, nil
}

// transact tells readers of a transaction that a batch began or ended.
func transact(l *Log, seg *segment.Segment, e *producer.Effect) error {
	if e.Kind == producer.Begins {
		l.txns.Begin(e.Txn)
		return nil
	}
	stable := l.txns.Complete(e.Txn)
	if !e.Txn.Aborted {
		return nil
	}
	return seg.Abort(segment.AbortedTxn{ProducerID: e.Txn.ProducerID, First: e.Txn.First, Last: e.Txn.Last, LastStable: stable})
}

// allFit tells whether everything staged from n on goes into the active
// segment without a roll before any of it, judged with room to spare.
func allFit(l *Log, seg *segment.Segment, n int) bool {
	rest := l.staged[n:]
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
	r := rollRule(l, seg)
	r.Bytes, r.MaxTimestamp, r.LastOffset = bytes, maxTS, int64(l.stagedEnd-1)
	room := int64(len(l.items)) * 12 // as if each batch got an index entry
	r.IndexBytes -= room
	if seg.Size() == 0 { // the first of them sets the segment's time
		return bytes <= r.SegmentBytes && maxTS-minTS <= r.SegmentMs && r.IndexBytes > 24 && seg.InRange(r.LastOffset)
	}
	return !seg.Full(&r)
}

// rollRule is the part of the roll decision that the log knows.
func rollRule(l *Log, seg *segment.Segment) segment.Roll {
	c := l.Config()
	jitter := int64(0)
	if c.SegmentJitterMs > 0 { // spread by the base offset: the same for a segment each time it is asked
		jitter = int64(uint64(seg.Base())*0x9e3779b97f4a7c15>>1) % c.SegmentJitterMs
	}
	return segment.Roll{
		NowMs: nowMs(l), SegmentBytes: int64(c.SegmentBytes),
		SegmentMs: c.SegmentMs - jitter, IndexBytes: int64(c.IndexBytes),
	}
}

// rollIfDue begins a new segment if staged[n] belongs into one.
func rollIfDue(l *Log, n int) error {
	a := l.staged[n]
	if a.place.bytes == 0 {
		return nil
	}
	seg := active(l)
	r := rollRule(l, seg)
	r.Bytes, r.MaxTimestamp, r.LastOffset = a.place.bytes, a.place.maxTS, int64(a.lastStaged(l))
	if !seg.Full(&r) {
		return nil
	}
	// The snapshot at the new base must not know what comes behind it.
	l.producers.Rewind(a.place.undo)
	l.producers.Commit()
	err := roll(l, max(a.Base, l.End()))
	for _, later := range l.staged[n:] {
		later.place.undo = l.producers.Mark()
		restage(l, later)
	}
	return err
}

func (a *Append) lastStaged(l *Log) Offset {
	return Offset(l.items[a.place.first+a.place.count-1].last)
}

// restage puts an append that was already judged back into producer state.
func restage(l *Log, a *Append) {
	if a.place.bytes == 0 {
		return
	}
	for rest := a.Batches; len(rest) > 0; {
		b, next, err := batch.Next(rest)
		if err == nil {
			_, err = l.producers.Stage(b, producer.Trust)
		}
		if err != nil {
			panic("BUG: engine: a staged batch cannot be staged again: " + err.Error())
		}
		rest = next
	}
}
