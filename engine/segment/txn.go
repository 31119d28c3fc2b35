// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"sync/atomic"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// AbortedTxn is one entry of a .txnindex (Kafka's AbortedTxn, version 0).
type AbortedTxn struct {
	ProducerID int64
	First      int64 // first offset of the transaction
	Last       int64 // offset of its abort marker
	LastStable int64 // last stable offset after the marker
}

const txnEntry = 34

func (a AbortedTxn) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(a.ProducerID))
	b = binary.BigEndian.AppendUint64(b, uint64(a.First))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Last))
	return binary.BigEndian.AppendUint64(b, uint64(a.LastStable))
}

// DecodeTxnIndex reads the bytes of a .txnindex whose segment begins at base.
// A last entry that is not whole is left out; ErrCorrupt when an entry cannot be,
// beside those before it.
func DecodeTxnIndex(b []byte, base int64) ([]AbortedTxn, error) {
	txns := make([]AbortedTxn, 0, len(b)/txnEntry)
	for ; len(b) >= txnEntry; b = b[txnEntry:] {
		a := AbortedTxn{
			ProducerID: int64(binary.BigEndian.Uint64(b[2:])), First: int64(binary.BigEndian.Uint64(b[10:])),
			Last: int64(binary.BigEndian.Uint64(b[18:])), LastStable: int64(binary.BigEndian.Uint64(b[26:])),
		}
		if v := binary.BigEndian.Uint16(b); v != 0 || a.Last < base || a.First > a.Last {
			return txns, corrupt("aborted transaction version %d, %d to %d, in the segment at %d", v, a.First, a.Last, base)
		}
		if n := len(txns); n > 0 && txns[n-1].Last >= a.Last {
			return txns, corrupt("aborted transaction ends at %d after %d, in the segment at %d", a.Last, txns[n-1].Last, base)
		}
		txns = append(txns, a)
	}
	return txns, nil
}

// txnIndex is the aborted transactions of a segment.
type txnIndex struct {
	at     *location
	list   atomic.Pointer[[]AbortedTxn] // nil: not read yet
	exists atomic.Bool                  // there is a .txnindex
	file   vfs.File                     // open while entries are not synced; the owner's
}

// load reads the file, if there is one.
func (x *txnIndex) load() (txns []AbortedTxn, err error) {
	if x.exists.Load() {
		b, err := x.at.read(TxnIndexSuffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if txns, err = DecodeTxnIndex(b, x.at.base); err != nil {
			return txns, fmt.Errorf("%s: %w", x.at.path(TxnIndexSuffix), err)
		}
	}
	x.list.Store(&txns)
	return txns, nil
}

// open sees to it that there is a file to write to.
func (x *txnIndex) open() (err error) {
	if x.file == nil {
		x.file, err = x.at.open(TxnIndexSuffix, os.O_RDWR|os.O_CREATE)
	}
	return err
}

// close gives up the file without a sync.
func (x *txnIndex) close() {
	if x.file != nil {
		_ = x.file.Close() // the caller synced, or gives the bytes up
		x.file = nil
	}
}

// Aborted gives the segment's aborted transactions, in the order of their
// markers. The slice must not be changed. For any goroutine.
func (s *Segment) Aborted() ([]AbortedTxn, error) {
	if t := s.txns.list.Load(); t != nil {
		return *t, nil
	}
	s.file.mu.Lock()
	defer s.file.mu.Unlock()
	if t := s.txns.list.Load(); t != nil {
		return *t, nil
	}
	if s.file.gone {
		return nil, ErrGone
	}
	return s.txns.load()
}

// Abort adds an aborted transaction. The owner's.
func (s *Segment) Abort(a AbortedTxn) error {
	txns, err := s.Aborted()
	if err != nil {
		return err
	}
	txns = append(txns, a) // readers of the shorter slice never look at the new place
	s.txns.list.Store(&txns)
	s.changes.touch()
	s.txns.exists.Store(true)
	if err := s.txns.open(); err != nil {
		return spaceless(err)
	}
	return spaceless(writeTxns(s.txns.file, txns, len(txns)-1))
}

// spaceless forgives a full disk: the flush writes the entry again.
func spaceless(err error) error {
	if vfs.IsNoSpace(err) {
		return nil
	}
	return err
}

// writeTxns writes the entries from the n-th on to their places.
func writeTxns(f vfs.File, txns []AbortedTxn, n int) error {
	var b []byte
	for _, a := range txns[n:] {
		b = a.appendTo(b)
	}
	_, err := f.WriteAt(b, int64(n)*txnEntry)
	return err
}

// CutAborted drops the transactions whose marker is at end or later. The owner's.
func (s *Segment) CutAborted(end int64) error {
	if !s.txns.exists.Load() {
		return nil
	}
	txns, err := s.Aborted()
	// Behind the last sync the power may have left anything; recovery writes
	// anew what comes from end on.
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	n := sort.Search(len(txns), func(i int) bool { return txns[i].Last >= end })
	kept := append([]AbortedTxn(nil), txns[:n]...)
	s.txns.list.Store(&kept)
	if err := s.txns.open(); err != nil {
		return err
	}
	s.changes.touch()
	return s.txns.file.Truncate(int64(n) * txnEntry)
}
