// SPDX-License-Identifier: Apache-2.0

package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/replica"
)

// loadBytes is how much of the log is read at a time; Kafka's offsets.load.buffer.size.
const loadBytes = 5 << 20

// loader reads a partition's log into a Replay, from its start to its end, and
// hands it over in a turn in which nothing lies beyond what was read. It waits
// for the high watermark, so it loads only what will never be taken back.
type loader struct {
	s        *shard
	mu       sync.Mutex // Wake may come before Watch has returned
	read     replica.ReadRequest
	watching bool
	replay   *Replay
	next     engine.Offset
	buf      []byte
	scratch  batch.Scratch
	install  replica.Entry
	began    int64
}

func newLoader(s *shard) *loader {
	l := &loader{s: s, replay: NewReplay(), began: s.h.o.Now().UnixMilli()}
	l.read = replica.ReadRequest{
		Parts:    []replica.ReadPart{{Partition: s.p, LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: loadBytes}},
		MinBytes: 1, MaxBytes: loadBytes, Replica: replica.Consumer, Home: l, Wake: l,
	}
	l.install.Run = func(t *replica.Turn, _ *replica.Entry) { l.handOver(t) }
	return l
}

// Post runs t on the pool: the loader is the home of its own reads.
func (l *loader) Post(t replica.Task) { l.s.h.o.Pool(t.Run) }

// Run reads on. It never runs twice at a time: each run ends by asking for the
// next one, or with the handing over, or with a failure.
func (l *loader) Run() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watching {
		l.s.h.o.Set.Unwatch(&l.read)
		l.watching = false
	}
	for !l.s.gone.Load() {
		part := &l.read.Parts[0]
		part.Offset = l.next
		l.s.h.o.Set.Read(&l.read)
		switch {
		case errors.Is(part.Err, engine.ErrOffsetOutOfRange) && l.next < l.s.p.LogStart():
			l.next = l.s.p.LogStart()
		case part.Err != nil:
			l.fail(part.Err)
			return
		case part.Bytes > 0:
			err := l.take(part.Spans)
			l.read.Release()
			if err != nil {
				l.fail(err)
				return
			}
		case part.HighWatermark >= 0 && l.next >= l.s.p.LogEnd():
			l.s.p.Enter(&l.install)
			return
		case l.s.h.o.Set.Watch(&l.read):
			l.watching = true
			return // Wake brings us back
		}
	}
}

func (l *loader) fail(err error) {
	if !l.s.gone.Load() {
		l.s.h.o.Events.loadFailed(l.s.p.ID().Index, err)
	}
}

// handOver runs in a turn. Should more have been appended, reading goes on.
func (l *loader) handOver(t *replica.Turn) {
	switch {
	case l.s.gone.Load():
	case t.Err() != nil:
		l.fail(t.Err())
	case l.s.p.LogEnd() > l.next:
		l.Post(l)
	default:
		groups, offsets := l.s.install(t, l.replay)
		l.s.h.o.Events.loaded(l.s.p.ID().Index, groups, offsets, t.Now()-l.began)
		l.replay, l.buf = nil, nil
	}
}

// take reads the spans and replays the batches that are whole.
func (l *loader) take(spans []engine.Span) error {
	b := l.buf[:0]
	for i := range spans {
		span := &spans[i]
		from := len(b)
		b = append(b, make([]byte, span.Len())...)
		if _, err := span.File().ReadAt(b[from:], span.Off()); err != nil {
			return fmt.Errorf("group: reading %v at offset %d: %w", l.s.p.ID(), l.next, err)
		}
	}
	l.buf = b
	before := l.next
	for len(b) > 0 {
		size, magic, err := batch.Peek(b)
		if err != nil || size > len(b) {
			break // cut off: the next read begins here
		}
		if magic < 2 {
			err = l.takeLegacy(batch.Legacy(b[:size:size]))
		} else {
			err = l.takeBatch(batch.Batch(b[:size:size]))
		}
		if err != nil { // what does not match its checksum, or contradicts itself, is passed over by name
			l.s.h.o.Events.skipped(l.s.p.ID().Index, int64(l.next), err)
		}
		b = b[size:]
	}
	if l.next == before {
		return fmt.Errorf("%w: %v at offset %d has no whole batch", errBadRecord, l.s.p.ID(), l.next)
	}
	return nil
}

// takeBatch replays one batch. An error is about records that were passed over.
func (l *loader) takeBatch(b batch.Batch) error {
	base := b.BaseOffset()
	l.next = max(l.next, engine.Offset(b.LastOffset())+1)
	if err := b.Verify(); err != nil {
		return err
	}
	producer := int64(NoProducer)
	if b.IsTransactional() {
		producer = b.ProducerID()
	}
	return batch.Walk(b, &l.scratch, func(r *batch.Record) error {
		if !b.IsControl() {
			l.takeRecord(base, producer, r)
		} else if commit, ok := endOfTransaction(r.Key); ok {
			l.replay.Marker(base, b.ProducerID(), commit)
		}
		return nil
	})
}

// takeLegacy replays a message of a Kafka before 0.11, or those it wraps.
func (l *loader) takeLegacy(m batch.Legacy) error {
	l.next = max(l.next, engine.Offset(m.Offset())+1)
	if err := m.Verify(); err != nil {
		return err
	}
	return batch.WalkLegacy(m, &l.scratch, func(r *batch.Record) error {
		l.takeRecord(r.Offset, NoProducer, r)
		return nil
	})
}

func (l *loader) takeRecord(base, producer int64, r *batch.Record) {
	value := r.Value
	if value == nil && !r.ValueNull {
		value = []byte{} // malformed, but no tombstone
	}
	if err := l.replay.Record(base, producer, r.Key, value); err != nil {
		l.s.h.o.Events.skipped(l.s.p.ID().Index, r.Offset, err)
	}
}

// endOfTransaction reads the key of a control record: version, then type, 0 for
// abort and 1 for commit. Other types say nothing here.
func endOfTransaction(key []byte) (commit, ok bool) {
	if len(key) < 4 {
		return false, false
	}
	kind := binary.BigEndian.Uint16(key[2:])
	return kind == 1, kind <= 1
}
