// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"os"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// Flush is what one segment needs to have its bytes so far on disk: taken by
// the owner, run by anyone, given back to the owner.
type Flush struct {
	s      *Segment
	handle *Handle
	writes int
	tables [2]tableFlush
	txn    vfs.File     // nil: nothing new, or no room to open it when there was
	txns   []AbortedTxn // all, if there is anything new
}

type tableFlush struct {
	table *table
	tail  *tail
	n     int64
	spill int
	file  vfs.File
}

// Unsynced tells whether there is anything to flush. The owner's.
func (s *Segment) Unsynced() bool { return s.changes.unsynced }

// StartFlush takes note of what must be on disk. The owner's.
func (s *Segment) StartFlush() (*Flush, error) {
	h, err := s.file.pinDirty()
	if err != nil {
		return nil, err
	}
	f := &Flush{s: s, handle: h, writes: s.changes.count, txn: s.txns.file}
	if p := s.txns.list.Load(); p != nil && s.changes.unsynced && s.txns.exists.Load() {
		f.txns = *p
	}
	for i, t := range [...]*table{&s.index.offsets, &s.index.times} {
		if tl := t.tail.Load(); tl != nil {
			f.tables[i] = tableFlush{table: t, tail: tl, n: tl.n.Load(), spill: t.spill, file: t.file}
		}
	}
	return f, nil
}

// Run syncs, unless the segment is gone. On any goroutine, beside the owner's
// appends, but not beside a truncation or deletion.
func (f *Flush) Run() error {
	if f.s.Gone() {
		return nil
	}
	if err := Sync(f.handle.file); err != nil {
		return err
	}
	for i := range f.tables {
		if err := f.tables[i].run(); err != nil {
			return err
		}
	}
	return f.runTxns()
}

// runTxns writes the whole index again, which is small: a full disk may have
// kept entries out of it.
func (f *Flush) runTxns() error {
	file := f.txn
	if file == nil {
		if len(f.txns) == 0 {
			return nil
		}
		opened, err := f.s.at.open(TxnIndexSuffix, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return err
		}
		defer opened.Close()
		file = opened
	}
	if err := writeTxns(file, f.txns, 0); err != nil {
		return err
	}
	return Sync(file)
}

func (t *tableFlush) run() error {
	if t.tail == nil || t.file == nil && t.n == 0 {
		return nil
	}
	file := t.file
	if file == nil {
		opened, err := t.table.at.open(t.table.suffix, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return err
		}
		defer opened.Close()
		file = opened
	}
	if t.n > 0 {
		entry := t.table.entry
		if _, err := file.WriteAt(t.tail.buf[:int(t.n)*entry], int64(t.tail.first)*int64(entry)); err != nil {
			return err
		}
	}
	return Sync(file)
}

// FlushDone takes a flush back. With ok, what it covered is on disk, and
// descriptors that served only to keep errors in sight may close. The owner's.
func (s *Segment) FlushDone(f *Flush, ok bool) {
	defer f.handle.Unpin()
	if !ok {
		return
	}
	for i, t := range [...]*table{&s.index.offsets, &s.index.times} {
		if f.tables[i].file != nil && t.file == f.tables[i].file && t.spill == f.tables[i].spill {
			t.close()
		}
	}
	if s.changes.count != f.writes {
		return
	}
	s.changes.unsynced = false
	if s.txns.file == f.txn {
		s.txns.close()
	}
	s.file.mu.Lock()
	f.handle.dirty = false
	s.file.mu.Unlock()
}

// Close gives the segment's own pin and files back. What was not flushed may
// be lost. The owner's.
func (s *Segment) Close() {
	if h := s.file.retire(); h != nil {
		h.Unpin()
	}
	s.index.offsets.close()
	s.index.times.close()
	s.txns.close()
}
