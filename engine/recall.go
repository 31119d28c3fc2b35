// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/segment"
)

// Recollection brings the producer state of a log that was opened with Cut
// through the batches that Options.Recalled left out, in order. What the caller
// has costs no reading; of the others the headers are read, one after the other.
// It belongs to the holder of the turn, before the first append.
type Recollection struct {
	log *Log
	at  Offset // producer state is of
	seg int    // the segment that holds at
	pos int64  // where at stands in it; -1: not known
}

// Recall begins a Recollection where Open ended.
func Recall(l *Log) *Recollection { return &Recollection{log: l, at: l.history.recalled, pos: -1} }

// Batch takes a batch that stands in the log, from the caller.
func (r *Recollection) Batch(b batch.Batch) error {
	if Offset(b.LastOffset()) < r.at {
		return nil // a snapshot knew it
	}
	head := segment.Head{Size: int64(len(b)), Base: b.BaseOffset(), Last: b.LastOffset(), Magic: b.Magic(), Batch: b}
	if _, err := r.log.history.replayBatch(&head, func() ([]byte, error) { return b, nil }); err != nil {
		return fmt.Errorf("producer state at %d: %w", head.Base, err)
	}
	r.at = Offset(head.Last + 1)
	if r.pos >= 0 {
		r.pos += head.Size
	}
	return nil
}

// Read takes the headers of what stands below end, an offset where a batch
// begins or the log ends. It returns the bytes it read.
func (r *Recollection) Read(end Offset) (read int64, err error) {
	v := r.log.View()
	for r.at < end {
		if r.pos < 0 {
			if err := r.locate(v); err != nil {
				return read, err
			}
		}
		if r.pos >= v.segs[r.seg].Size() { // the log was rolled there
			if r.seg+1 >= len(v.segs) {
				return read, fmt.Errorf("%w: log ends at %d, want %d", segment.ErrCorrupt, r.at, end)
			}
			r.seg, r.pos = r.seg+1, 0
		}
		n, err := segment.HopAt(v.segs[r.seg], r.pos, func(head *segment.Head, whole func() ([]byte, error)) error {
			_, err := r.log.history.replayBatch(head, whole)
			r.at, r.pos = Offset(head.Last+1), head.Pos+head.Size
			if err == nil && r.at >= end {
				err = io.EOF
			}
			return err
		})
		read += n
		if err != nil && !errors.Is(err, io.EOF) {
			return read, fmt.Errorf("producer state at %d: %w", r.at, err)
		}
	}
	return read, nil
}

// locate finds where at stands.
func (r *Recollection) locate(v *View) error {
	r.seg = max(v.find(r.at), 0)
	p, ok, err := v.segs[r.seg].Locate(int64(r.at))
	if err != nil {
		return err
	}
	if r.pos = p.Pos; !ok {
		r.pos = v.segs[r.seg].Size()
	}
	return nil
}
