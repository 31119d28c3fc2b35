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
	tail  *tail
	n     int64
	spill int
	file  vfs.File
}

// Unsynced tells whether there is anything to flush. The owner's.
func (s *Segment) Unsynced() bool { return s.unsynced }

// StartFlush takes note of what must be on disk. The owner's.
func (s *Segment) StartFlush() (*Flush, error) {
	h, err := pinDirty(s)
	if err != nil {
		return nil, err
	}
	f := &Flush{s: s, handle: h, writes: s.writes, txn: s.txnFile}
	if p := s.txns.Load(); p != nil && s.unsynced && s.hasTxns.Load() {
		f.txns = *p
	}
	for i, t := range [...]*table{&s.offsets, &s.times} {
		if tl := t.tail.Load(); tl != nil {
			f.tables[i] = tableFlush{tail: tl, n: tl.n.Load(), spill: t.spill, file: t.file}
		}
	}
	return f, nil
}

// Run syncs, unless the segment is gone. On any goroutine, beside the owner's
// appends, but not beside a truncation or deletion.
func (f *Flush) Run() error {
	f.s.mu.Lock()
	gone := f.s.gone
	f.s.mu.Unlock()
	if gone {
		return nil
	}
	if err := Sync(f.handle.file); err != nil {
		return err
	}
	for i, suffix := range [...]string{IndexSuffix, TimeIndexSuffix} {
		if err := f.tables[i].run(f.s, suffix, [...]int{indexEntry, timeIndexEntry}[i]); err != nil {
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
		opened, err := f.s.fs.OpenFile(pathOf(f.s, TxnIndexSuffix), os.O_RDWR|os.O_CREATE, 0o644)
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

func (t *tableFlush) run(s *Segment, suffix string, entry int) error {
	if t.tail == nil || t.file == nil && t.n == 0 {
		return nil
	}
	file := t.file
	if file == nil {
		opened, err := s.fs.OpenFile(pathOf(s, suffix), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		defer opened.Close()
		file = opened
	}
	if t.n > 0 {
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
	for i, t := range [...]*table{&s.offsets, &s.times} {
		if f.tables[i].file != nil && t.file == f.tables[i].file && t.spill == f.tables[i].spill {
			t.close()
		}
	}
	if s.writes != f.writes {
		return
	}
	s.unsynced = false
	if s.txnFile != nil && s.txnFile == f.txn {
		_ = s.txnFile.Close() // synced
		s.txnFile = nil
	}
	s.mu.Lock()
	f.handle.dirty = false
	s.mu.Unlock()
}

// Close gives the segment's own pin and files back. What was not flushed may
// be lost. The owner's.
func (s *Segment) Close() {
	if h := retire(s); h != nil {
		h.Unpin()
	}
	s.offsets.close()
	s.times.close()
	if s.txnFile != nil {
		_ = s.txnFile.Close() // the caller flushed, or gives the bytes up
		s.txnFile = nil
	}
}
