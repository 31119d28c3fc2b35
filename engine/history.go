// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/producer"
	"github.com/samsa-broker/samsa/engine/segment"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// history is what a log knows of its idempotent producers, and the snapshots
// that spare it from reading the log again to know it.
type history struct {
	folder   *folder
	now      func() time.Time
	expiryMs func() int64 // as it is now
	rebuilt  func(what string, why error)
	txns     producer.Txns

	// What follows belongs to the holder of the turn.
	producers *producer.State
	recalled  Offset     // what producers is of after a cut; see Options.Recalled
	snapshots []Offset   // of the .snapshot files, ascending
	unsynced  []vfs.File // snapshots that were written, not synced
}

// load makes producer state that of offset end: the newest snapshot
// that can be read and is not beyond it, then the headers of the batches from
// there on. It returns the bytes of segments it had to read.
func (h *history) load(v *View, end Offset) (read int64, err error) {
	from := h.loadSnapshot(end)
	if start := v.Start(); from < start {
		from = start
	}
	h.txns.Reset(h.producers)
	return h.replay(v, from, end)
}

// loadSnapshot loads the newest usable snapshot that is not beyond end and
// returns its offset, or -1 and an empty state. Unusable ones are removed, as
// Kafka does.
func (h *history) loadSnapshot(end Offset) Offset {
	for i := len(h.snapshots) - 1; i >= 0; i-- {
		at := h.snapshots[i]
		if at > end {
			continue
		}
		name := segment.Name(int64(at), segment.SnapshotSuffix)
		entries, err := h.readSnapshot(name)
		if err == nil {
			h.producers.Load(entries, h.now().UnixMilli(), h.expiryMs())
			return at
		}
		h.rebuilt(name, err)
		if errors.Is(err, producer.ErrSnapshot) {
			_ = h.drop(func(o Offset) bool { return o == at }) // else it is found bad again
		}
	}
	h.producers.Clear()
	return -1
}

func (h *history) readSnapshot(name string) ([]producer.Entry, error) {
	b, err := h.folder.read(name)
	if err != nil {
		return nil, err
	}
	return producer.DecodeSnapshot(b)
}

// loadCheckpoint takes producer state from what Flush.Producers gave, if that
// was of the recovery point.
func (h *history) loadCheckpoint(b []byte, point Offset) bool {
	if at, ok := checkpointOf(b); !ok || at != point {
		return false
	}
	entries, err := producer.DecodeFull(b[8:])
	if err != nil {
		h.rebuilt("producer state of the checkpoint", err)
		return false
	}
	h.producers.Load(entries, h.now().UnixMilli(), h.expiryMs())
	h.txns.Reset(h.producers)
	return true
}

// NoProducers is what Flush.Producers gives of an empty log that ends at at.
func NoProducers(at Offset) []byte {
	return producer.NewState().AppendFull(binary.BigEndian.AppendUint64(nil, uint64(at)))
}

// checkpointOf is the offset that what Flush.Producers gave is of.
func checkpointOf(b []byte) (at Offset, ok bool) {
	if len(b) < 8 {
		return 0, false
	}
	return Offset(binary.BigEndian.Uint64(b)), true
}

// walker is segment.Hop, or (*segment.Segment).Walk.
type walker func(s *segment.Segment, from int64, fn func(h *segment.Head, whole func() ([]byte, error)) error) (read int64, err error)

// replay feeds the batches of [from, end) to producer state.
func (h *history) replay(v *View, from, end Offset) (read int64, err error) {
	return h.replayBy((*segment.Segment).Walk, v, from, end)
}

func (h *history) replayBy(walk walker, v *View, from, end Offset) (read int64, err error) {
	if from >= end {
		return 0, nil
	}
	for at := max(v.find(from), 0); at < len(v.segs) && v.segs[at].Base() < int64(end); at++ {
		n, err := walk(v.segs[at], int64(from), func(head *segment.Head, whole func() ([]byte, error)) error {
			if head.Base >= int64(end) {
				return io.EOF
			}
			if head.Base < int64(from) {
				return nil
			}
			_, err := h.replayBatch(head, whole)
			return err
		})
		read += n
		if errors.Is(err, io.EOF) {
			return read, nil
		}
		if err != nil {
			return read, fmt.Errorf("producer state from %d on: %w", v.segs[at].Base(), err)
		}
	}
	return read, nil
}

// replayBatch feeds one batch of the log to producer state and open
// transactions, without judging it.
func (h *history) replayBatch(head *segment.Head, whole func() ([]byte, error)) (aborted *segment.AbortedTxn, err error) {
	if head.Magic != 2 || head.Batch.ProducerID() == batch.NoProducerID {
		return nil, nil
	}
	b := head.Batch
	if b.IsControl() {
		bytes, err := whole()
		if err != nil {
			return nil, err
		}
		b = batch.Batch(bytes)
	}
	effect, err := h.producers.Stage(b, producer.Trust)
	h.producers.Commit()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", segment.ErrCorrupt, err)
	}
	return h.transact(&effect), nil
}

// transact tells readers of a transaction that a batch began or ended, and gives
// it if it was aborted: the segment of the batch takes note of that.
func (h *history) transact(e *producer.Effect) *segment.AbortedTxn {
	switch e.Kind {
	case producer.Begins:
		h.txns.Begin(e.Txn)
	case producer.Completes:
		stable := h.txns.Complete(e.Txn)
		if e.Txn.Aborted {
			return &segment.AbortedTxn{ProducerID: e.Txn.ProducerID, First: e.Txn.First, Last: e.Txn.Last, LastStable: stable}
		}
	}
	return nil
}

// take writes producer state as of offset, unless there is a snapshot
// of that or a later offset. It is synced by the next flush.
func (h *history) take(offset Offset) error {
	if n := len(h.snapshots); n > 0 && h.snapshots[n-1] >= offset || n == 0 && offset == 0 {
		return nil
	}
	name := h.folder.path(segment.Name(int64(offset), segment.SnapshotSuffix))
	f, err := h.folder.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(h.producers.AppendSnapshot(nil), 0); err != nil {
		return errors.Join(err, f.Close(), h.folder.fs.Remove(name))
	}
	h.folder.dirty = true
	h.unsynced = append(h.unsynced, f)
	h.snapshots = append(h.snapshots, offset)
	return nil
}

// drop removes the snapshots for which gone is true.
func (h *history) drop(gone func(Offset) bool) error {
	var first error
	h.snapshots = slices.DeleteFunc(h.snapshots, func(o Offset) bool {
		if !gone(o) {
			return false
		}
		err := h.folder.fs.Remove(h.folder.path(segment.Name(int64(o), segment.SnapshotSuffix)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && first == nil {
			first = fmt.Errorf("remove snapshot: %w", err)
		}
		h.folder.dirty = true
		return true
	})
	return first
}
