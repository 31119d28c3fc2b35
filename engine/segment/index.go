// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"sync/atomic"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// indexes are the sparse indexes of a segment, by offset and by time, and what
// their next entries depend on.
type indexes struct {
	at             *location
	offsets, times table
	maxTS          atomic.Int64 // largest timestamp, -1 if none; valid once loaded

	// The rest is the owner's, once ready.
	since       int64 // bytes from the batch of the last entry on
	maxTSOffset int64 // last offset of the batch with maxTS
	lastTimeTS  int64 // of the last time entry
}

func (x *indexes) init(at *location) {
	x.at = at
	x.offsets.at, x.offsets.suffix, x.offsets.entry = at, IndexSuffix, indexEntry
	x.times.at, x.times.suffix, x.times.entry = at, TimeIndexSuffix, timeIndexEntry
	x.lastTimeTS = -1
	x.maxTS.Store(-1)
}

// load takes both indexes from their files; errInsane if they cannot belong to
// a segment of that size. The caller holds the segment's mu, or is alone.
func (x *indexes) load(size int64) error {
	insane := func(err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return errors.Join(errInsane, err)
		}
		return err
	}
	last, zeros, err := x.offsets.load()
	if err != nil {
		return insane(err)
	}
	if last != nil {
		if pos := int64(binary.BigEndian.Uint32(last[4:])); pos == 0 || pos >= size {
			return errInsane
		}
	}
	lastTime, timeZeros, err := x.times.load()
	if err != nil {
		return insane(err)
	}
	if long := size > int64(x.at.env.Interval.Load()); long && (zeros && last == nil || timeZeros && lastTime == nil) {
		return errInsane // zeroed, not merely empty
	}
	x.lastTimeTS, x.maxTSOffset = -1, x.at.base
	x.maxTS.Store(-1)
	if lastTime != nil {
		x.lastTimeTS = int64(binary.BigEndian.Uint64(lastTime))
		x.maxTSOffset = x.at.base + int64(binary.BigEndian.Uint32(lastTime[8:]))
		x.maxTS.Store(x.lastTimeTS)
	}
	if zeros || timeZeros {
		return x.trim()
	}
	return nil
}

// trim makes the index files exactly as long as their entries, all of
// which must be in the files.
func (x *indexes) trim() error {
	for _, t := range [...]*table{&x.offsets, &x.times} {
		f, err := t.at.open(t.suffix, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return err
		}
		want := int64(t.count()) * int64(t.entry)
		size, err := f.Size()
		if err == nil && size != want {
			err = f.Truncate(want)
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add takes note of a batch that stands at pos: entries as Kafka makes them.
func (x *indexes) add(last, maxTS, pos, size int64) error {
	if maxTS > x.maxTS.Load() {
		x.maxTS.Store(maxTS)
		x.maxTSOffset = last
	}
	if x.since > int64(x.at.env.Interval.Load()) {
		var e [indexEntry]byte
		binary.BigEndian.PutUint32(e[:], uint32(last-x.at.base))
		binary.BigEndian.PutUint32(e[4:], uint32(pos))
		if err := x.offsets.add(e[:]); err != nil {
			return err
		}
		if _, err := x.addTime(); err != nil {
			return err
		}
		x.since = 0
	}
	x.since += size
	return nil
}

// addTime writes down the largest timestamp so far, if it is news.
func (x *indexes) addTime() (news bool, err error) {
	ts := x.maxTS.Load()
	if ts <= x.lastTimeTS {
		return false, nil
	}
	var e [timeIndexEntry]byte
	binary.BigEndian.PutUint64(e[:], uint64(ts))
	binary.BigEndian.PutUint32(e[8:], uint32(x.maxTSOffset-x.at.base))
	if err := x.times.add(e[:]); err != nil {
		return false, err
	}
	x.lastTimeTS = ts
	return true, nil
}

// clear drops all entries, in the files too.
func (x *indexes) clear() error {
	x.lastTimeTS, x.maxTSOffset, x.since = -1, x.at.base, 0
	x.maxTS.Store(-1)
	if err := x.offsets.reset(0); err != nil {
		return err
	}
	return x.times.reset(0)
}

// scanTail walks from the batch of the last index entry to the end.
func (x *indexes) scanTail(sc *Scanner, pos, size int64) (end int64, err error) {
	sc.pos, sc.end, end = pos, size, x.at.base
	for {
		h, err := sc.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		if h.MaxTimestamp > x.maxTS.Load() {
			x.maxTS.Store(h.MaxTimestamp)
			x.maxTSOffset = h.Last
		}
		end = h.Last + 1
	}
	x.since = size - pos
	return end, nil
}

// keptEntries is what of the indexes outlives a truncation.
type keptEntries struct {
	offsets, times     int
	lastTS, lastOffset int64 // of the last time entry
}

// below brings all index entries to their files and counts those that
// speak of batches before end, which stand below size.
func (x *indexes) below(end, size int64) (k keptEntries, err error) {
	for _, t := range [...]*table{&x.offsets, &x.times} {
		if err := t.spillTail(t.tail.Load()); err != nil {
			return k, err
		}
	}
	rel := min(end-1-x.at.base, math.MaxInt32)
	b, err := x.offsets.all()
	if err != nil {
		return k, err
	}
	k.offsets = saneEntries(&x.offsets, b, rel, size)
	if b, err = x.times.all(); err != nil {
		return k, err
	}
	k.lastTS, k.lastOffset = -1, x.at.base
	for ; (k.times+1)*timeIndexEntry <= len(b); k.times++ {
		e := b[k.times*timeIndexEntry:]
		at := int64(binary.BigEndian.Uint32(e[8:]))
		if at > rel {
			break
		}
		k.lastTS, k.lastOffset = x.times.key(e), x.at.base+at
	}
	return k, nil
}

// rebuild makes both anew from size bytes of the .log.
func (x *indexes) rebuild(log vfs.File, size int64) error {
	for _, t := range [...]*table{&x.offsets, &x.times} {
		t.close()
		t.tail.Store(&tail{})
	}
	if err := x.clear(); err != nil {
		return err
	}
	sc := NewScanner(log, 0, size)
	for {
		head, err := sc.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, ErrCorrupt) { // readers meet the bad place themselves
			break
		}
		if err != nil {
			return err
		}
		if err := x.add(head.Last, head.MaxTimestamp, head.Pos, head.Size); err != nil {
			return err
		}
	}
	return nil
}

// settle brings rebuilt indexes to disk.
func (x *indexes) settle() error {
	if _, err := x.addTime(); err != nil {
		return err
	}
	if err := x.offsets.settle(); err != nil {
		return err
	}
	return x.times.settle()
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
