// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/segment"
)

// OffsetForTime finds the first record whose timestamp is at least ts (ms):
// its offset, timestamp and leader epoch. It answers -1 for all three when
// there is none. Nothing below the log start is found; the caller compares the
// offset with the end that its client may see.
func (v *View) OffsetForTime(ts int64) (at Offset, timestamp int64, epoch Epoch, err error) {
	return v.searchTime(ts, false)
}

// searchTime is OffsetForTime; with all it finds what lies below the log start, too.
func (v *View) searchTime(ts int64, all bool) (at Offset, timestamp int64, epoch Epoch, err error) {
	for {
		at, timestamp, epoch, err = v.offsetForTime(ts, all)
		newest := v.shelf.view.Load()
		if !errors.Is(err, segment.ErrGone) || newest == v {
			return at, timestamp, epoch, err
		}
		v = newest
	}
}

func (v *View) offsetForTime(ts int64, all bool) (Offset, int64, Epoch, error) {
	start := v.Start()
	if all {
		start = 0
	}
	for i, s := range v.segs {
		if i+1 < len(v.segs) && v.segs[i+1].Base() <= int64(start) || s.Size() == 0 {
			continue
		}
		largest, err := s.LargestTimestamp()
		if err != nil {
			return -1, -1, -1, err
		}
		if i+1 < len(v.segs) && largest < ts { // the last one's may be behind the picture
			continue
		}
		found, err := findTime(s, ts, start)
		if err != nil && s.Gone() {
			err = segment.ErrGone
		}
		if err != nil {
			return -1, -1, -1, fmt.Errorf("search for time %d in segment %d: %w", ts, s.Base(), err)
		}
		if found.at >= 0 {
			return found.at, found.timestamp, found.epoch, nil
		}
	}
	return -1, -1, -1, nil
}

// Boundaries lists where segments begin, newest first, and before them the log
// end, as it stands now, if the last segment holds anything: all of them with
// ts = -1, the oldest with -2, otherwise those whose file was last written at
// ts (ms) or before, with now as the time of the end. It is the answer that
// ListOffsets had before there were timestamps in records.
func (v *View) Boundaries(ts, now int64) ([]Offset, error) {
	for {
		all, err := v.boundaries(ts, now)
		newest := v.shelf.view.Load()
		if err == nil || newest == v {
			return all, err
		}
		v = newest
	}
}

func (v *View) boundaries(ts, now int64) ([]Offset, error) {
	var all []Offset
	start := v.Start()
	if n := len(v.segs); n > 0 && v.segs[n-1].Size() > 0 && (ts == -1 || ts >= now) {
		all = append(all, v.End())
	}
	for i := len(v.segs) - 1; i >= 0; i-- {
		if ts >= 0 && len(all) == 0 {
			modified, err := segment.LastModified(v.segs[i])
			if err != nil {
				return nil, err
			}
			if modified > ts {
				continue
			}
		}
		if ts != -2 || i == 0 {
			all = append(all, max(Offset(v.segs[i].Base()), start))
		}
	}
	return all, nil
}

// MaxTimestamp finds the record with the largest timestamp, the first of them
// if there are several; -1 for all when no record has one. As in Kafka it may
// lie below the log start, while its segment is there.
func (v *View) MaxTimestamp() (at Offset, timestamp int64, epoch Epoch, err error) {
	largest := batch.NoTimestamp
	for _, s := range v.segs {
		ts, err := s.MaxTimestamp()
		if err != nil {
			return -1, -1, -1, err
		}
		largest = max(largest, ts)
	}
	if largest == batch.NoTimestamp {
		return -1, -1, -1, nil
	}
	return v.searchTime(largest, true)
}

// timeFound is the answer of a search; at is -1 when there is none.
type timeFound struct {
	at        Offset
	timestamp int64
	epoch     Epoch
}

// findTime searches one segment.
func findTime(s *segment.Segment, ts int64, start Offset) (timeFound, error) {
	none := timeFound{at: -1, timestamp: -1, epoch: -1}
	sc, done, err := s.SeekTime(ts)
	if err != nil || sc == nil {
		return none, err
	}
	defer done()
	var body []byte
	var scratch batch.Scratch
	for {
		h, err := sc.Next()
		if errors.Is(err, io.EOF) {
			return none, nil
		}
		if err != nil {
			return none, err
		}
		if h.MaxTimestamp < ts || Offset(h.Last) < start {
			continue
		}
		if body, err = sc.Body(&h, body); err != nil {
			return none, err
		}
		found := none
		look := func(r *batch.Record) error {
			if r.Timestamp < ts || Offset(r.Offset) < start {
				return nil
			}
			found = timeFound{at: Offset(r.Offset), timestamp: r.Timestamp, epoch: Epoch(h.Epoch)}
			return errStop
		}
		if h.Magic == 2 {
			err = batch.Walk(batch.Batch(body), &scratch, look)
		} else {
			err = batch.WalkLegacy(batch.Legacy(body), &scratch, look)
		}
		if errors.Is(err, errStop) {
			return found, nil
		}
		if err != nil {
			return none, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
}

// AbortedTxn is an aborted transaction whose records a reader of committed
// records skips, from FirstOffset to the producer's next abort marker.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset Offset
}

// Aborted appends to dst the aborted transactions that have records in
// [from, to), ordered by their markers.
func (v *View) Aborted(from, to Offset, dst []AbortedTxn) ([]AbortedTxn, error) {
	had := len(dst)
	for {
		var err error
		dst, err = v.aborted(from, to, dst)
		newest := v.shelf.view.Load()
		if err == nil || !errors.Is(err, segment.ErrGone) || newest == v {
			return dst, err
		}
		dst, v = dst[:had], newest
	}
}

func (v *View) aborted(from, to Offset, dst []AbortedTxn) ([]AbortedTxn, error) {
	for at := max(v.find(from), 0); at < len(v.segs); at++ {
		txns, err := v.segs[at].Aborted()
		if err != nil {
			return dst, err
		}
		for _, t := range txns {
			if t.Last >= int64(from) && t.First < int64(to) {
				dst = append(dst, AbortedTxn{t.ProducerID, Offset(t.First)})
			}
			if t.LastStable >= int64(to) { // whatever ends later began later
				return dst, nil
			}
		}
	}
	return dst, nil
}
