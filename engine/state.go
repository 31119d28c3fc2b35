// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/producer"
	"github.com/samsa-broker/samsa/engine/segment"
)

// loadProducers makes producer state that of offset end: the newest snapshot
// that can be read and is not beyond it, then the headers of the batches from
// there on. It returns the bytes of segments it had to read.
func loadProducers(l *Log, end Offset) (read int64, err error) {
	from := loadSnapshot(l, end)
	if start := l.Start(); from < start {
		from = start
	}
	l.txns.Reset(l.producers)
	return replayProducers(l, from, end)
}

// loadSnapshot loads the newest usable snapshot that is not beyond end and
// returns its offset, or -1 and an empty state. Unusable ones are removed, as
// Kafka does.
func loadSnapshot(l *Log, end Offset) Offset {
	for i := len(l.snapshots) - 1; i >= 0; i-- {
		at := l.snapshots[i]
		if at > end {
			continue
		}
		name := segment.Name(int64(at), segment.SnapshotSuffix)
		entries, err := readSnapshot(l, name)
		if err == nil {
			l.producers.Load(entries, nowMs(l), l.expiryMs)
			return at
		}
		if l.events.Rebuilt != nil {
			l.events.Rebuilt(l.dir, name, err.Error())
		}
		if errors.Is(err, producer.ErrSnapshot) {
			_ = dropSnapshots(l, func(o Offset) bool { return o == at }) // else it is found bad again
		}
	}
	l.producers.Clear()
	return -1
}

func readSnapshot(l *Log, name string) ([]producer.Entry, error) {
	f, err := l.fs.OpenFile(pathOf(l, name), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	} else if n < len(b) {
		b = b[:n]
	}
	return producer.DecodeSnapshot(b)
}

// replayProducers feeds the batches of [from, end) to producer state.
func replayProducers(l *Log, from, end Offset) (read int64, err error) {
	if from >= end {
		return 0, nil
	}
	v := l.view.Load()
	for at := max(v.find(from), 0); at < len(v.segs) && v.segs[at].Base() < int64(end); at++ {
		n, err := v.segs[at].Walk(int64(from), func(h *segment.Head, whole func() ([]byte, error)) error {
			if h.Base >= int64(end) {
				return io.EOF
			}
			if h.Base < int64(from) {
				return nil
			}
			_, err := replayBatch(l, h, whole)
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
func replayBatch(l *Log, h *segment.Head, whole func() ([]byte, error)) (aborted *segment.AbortedTxn, err error) {
	if h.Magic != 2 || h.Batch.ProducerID() == batch.NoProducerID {
		return nil, nil
	}
	b := h.Batch
	if b.IsControl() {
		bytes, err := whole()
		if err != nil {
			return nil, err
		}
		b = batch.Batch(bytes)
	}
	effect, err := l.producers.Stage(b, producer.Trust)
	l.producers.Commit()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", segment.ErrCorrupt, err)
	}
	switch effect.Kind {
	case producer.Begins:
		l.txns.Begin(effect.Txn)
	case producer.Completes:
		t := effect.Txn
		stable := l.txns.Complete(t)
		if t.Aborted {
			return &segment.AbortedTxn{ProducerID: t.ProducerID, First: t.First, Last: t.Last, LastStable: stable}, nil
		}
	}
	return nil, nil
}
