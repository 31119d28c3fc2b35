// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/samsa-broker/samsa/engine/producer"
	"github.com/samsa-broker/samsa/engine/segment"
)

// Prepared tells whether Stage and Write find the active segment open and read.
// If not, they open and read files, unless Prepare has done it before. The
// holder's.
func Prepared(l *Log) bool {
	return l.fence.usable() != nil || segment.Prepared(l.shelf.active())
}

// Prepare opens and reads what the next Stage and Write need. It may wait for
// the disk. Nothing may be staged.
func Prepare(l *Log) error {
	if err := l.shelf.ready(); err != nil {
		return err
	}
	h, err := l.shelf.active().Pin()
	if err != nil {
		return l.fence.ioError("open for append", err)
	}
	h.Unpin() // the segment keeps it open
	return nil
}

// WriteWaits tells whether Write, with what is staged, would do more to the
// file system than write into files that are open: begin a segment, or open a
// file. Such a Write does not belong on a goroutine that must not wait. It may
// say so where Write then finds a way without.
func WriteWaits(l *Log) bool {
	s := &l.staging
	if len(s.appends) == 0 || l.fence.usable() != nil {
		return false
	}
	seg := l.shelf.active()
	if !segment.Prepared(seg) || s.rollDue(seg, s.appends[0]) || !s.allFit(seg, 0) {
		return true
	}
	bytes := int64(0)
	for _, a := range s.appends {
		bytes += a.place.bytes
	}
	return segment.WriteWaits(seg, len(s.items), bytes, s.aborts())
}

// aborts tells whether a marker that aborts a transaction is staged.
func (s *staging) aborts() bool {
	for i := range s.items {
		if e := &s.items[i].effect; e.Kind == producer.Completes && e.Txn.Aborted {
			return true
		}
	}
	return false
}

// ReadWaits tells whether View.Read, and with aborted also View.Aborted, would
// look into files to find the batches from from up to limit, or open one: what
// lies behind the newest batches' places, or was not read since the start. Such
// a Read does not belong on a goroutine that must not wait. For any goroutine.
func ReadWaits(v *View, from, limit Offset, aborted bool) bool {
	at := v.find(from)
	if at < 0 || from >= limit {
		return false
	}
	if segment.LocateWaits(v.segs[at], int64(from)) {
		return true
	}
	for ; at < len(v.segs) && v.segs[at].Base() < int64(limit); at++ {
		s := v.segs[at]
		last := at+1 == len(v.segs) || v.segs[at+1].Base() >= int64(limit)
		if segment.PinWaits(s) || last && segment.UpperWaits(s, int64(limit)) || aborted && segment.AbortedWaits(s) {
			return true
		}
	}
	return false
}
