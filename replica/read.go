// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
)

// Consumer is the Replica of a ReadRequest that no follower sends.
const Consumer meta.BrokerID = -1

// ReadRequest reads from several partitions. It belongs to the caller, who sets
// the exported fields; Parts are read in their order.
type ReadRequest struct {
	Parts []ReadPart
	// MinBytes is what Watch waits for; MaxBytes bounds all parts together, except
	// that the first batch of the first part that has one always comes whole.
	MinBytes, MaxBytes int
	HardLimit          bool          // not even the first batch may exceed MaxBytes: what fits of it is given
	ReadCommitted      bool          // up to the last stable offset, with aborted transactions
	Replica            meta.BrokerID // a follower's id: reads up to the log end; else Consumer
	Home               Home          // whose goroutine calls Watch and Unwatch, and gets Wake
	Wake               Task

	later laterRead    // on the pool
	bytes int          // what the last Read gave
	got   atomic.Int64 // what there is by now, at least, counted while watching
	state atomic.Uint32
}

// ReadPart is one partition's share of a ReadRequest.
type ReadPart struct {
	Partition        *Partition // nil: Err is kept, or set to ErrUnknownPartition
	Offset           engine.Offset
	LeaderEpoch      engine.Epoch // the caller's, -1 for none
	LastFetchedEpoch engine.Epoch // epoch of the record before Offset, -1 for none (KIP-595)
	MaxBytes         int

	// Results. The three offsets are -1 with Err and while the log is being opened.
	Err                                 error
	HighWatermark, LastStable, LogStart engine.Offset
	// Spans are whole bytes of the log, pinned until Release; the last may end in
	// the middle of a batch. Bytes is their sum.
	Spans   []engine.Span
	Bytes   int
	Aborted []engine.AbortedTxn // with ReadCommitted
	// Diverging, when DivergingEpoch >= 0: the caller's log and ours part after
	// DivergingEpoch, which ends at DivergingEnd here. There are no bytes then.
	DivergingEpoch engine.Epoch
	DivergingEnd   engine.Offset

	seen  engine.Offset // the limit of the last Read, what Watch compares with
	epoch engine.Epoch  // the partition's leader epoch then
	watch watch
	head  [12]byte // of a batch: base offset and length
}

// Read fills r's results with what there is, and gives the sum of their bytes.
// It takes no turn, waits for nothing but files that ReadWaits tells of and,
// when its slices have grown, allocates nothing. Spans of an earlier Read must have been released.
func (s *Set) Read(r *ReadRequest) (bytes int) {
	if r.state.Load() != watchNone { // woken, and not taken out everywhere
		r.unlink()
		r.state.Store(watchNone)
	}
	left, minOne := r.MaxBytes, !r.HardLimit
	for i := range r.Parts {
		part := &r.Parts[i]
		part.reset()
		if part.Partition == nil {
			if part.Err == nil {
				part.Err = ErrUnknownPartition
			}
			continue
		}
		part.Err = nil
		if err := part.read(r, max(0, min(part.MaxBytes, left)), minOne); err != nil {
			part.fail(err)
			continue
		}
		if part.Bytes > 0 {
			minOne = false
			left -= part.Bytes
			bytes += part.Bytes
		}
	}
	r.bytes = bytes
	return bytes
}

// ReadWaits tells whether Read would have to look into files first, or wait for
// a directory that is slow. Then it belongs on the pool: see ReadLater.
func (s *Set) ReadWaits(r *ReadRequest) bool {
	for i := range r.Parts {
		part := &r.Parts[i]
		p := part.Partition
		if p == nil {
			continue
		}
		log := p.log.Load()
		if log == nil || part.Offset < log.Start() {
			continue
		}
		limit := p.limit(r)
		if part.Offset < limit && (p.dir.Slow() || engine.ReadWaits(log.View(), part.Offset, limit, r.ReadCommitted)) {
			return true
		}
	}
	return false
}

// ReadLater is Read on the pool; done is posted to r.Home when r has the
// results. Until then r must not be touched.
func (s *Set) ReadLater(r *ReadRequest, done Task) {
	l := &r.later
	l.set, l.done = s, done
	if l.run == nil { // once for a request that is used again and again
		l.run = func() {
			l.set.Read(r)
			r.Home.Post(l.done)
		}
	}
	s.o.Pool(l.run)
}

// laterRead is a read on its way through the pool.
type laterRead struct {
	set  *Set
	done Task
	run  func()
}

// Bytes is what the last Read gave.
func (r *ReadRequest) Bytes() int { return r.bytes }

// Release unpins what the last Read pinned.
func (r *ReadRequest) Release() {
	for i := range r.Parts {
		r.Parts[i].release()
	}
}

func (part *ReadPart) release() {
	for i := range part.Spans {
		part.Spans[i].Release()
	}
	part.Spans = part.Spans[:0]
}

func (part *ReadPart) reset() {
	part.HighWatermark, part.LastStable, part.LogStart = -1, -1, -1
	part.Spans, part.Bytes, part.Aborted = part.Spans[:0], 0, part.Aborted[:0]
	part.DivergingEpoch, part.DivergingEnd = -1, -1
	part.seen, part.epoch = -1, -1
}

func (part *ReadPart) fail(err error) {
	part.release()
	part.reset()
	part.Err = err
}

// read does one part.
func (part *ReadPart) read(r *ReadRequest, maxBytes int, minOne bool) error {
	p := part.Partition
	if err := p.Err(); err != nil {
		return err
	}
	part.epoch = p.LeaderEpoch()
	if err := p.checkEpoch(part.LeaderEpoch); err != nil {
		return err
	}
	if r.Replica >= 0 && !p.follows(r.Replica) {
		if part.LeaderEpoch >= 0 {
			return fmt.Errorf("%w: broker %d is not assigned to %v", ErrUnknownEpoch, r.Replica, p.id)
		}
		return fmt.Errorf("%w: broker %d is not assigned to %v", ErrNotLeader, r.Replica, p.id)
	}
	log := p.log.Load()
	if log == nil {
		p.askOpen() // nothing to read yet; Watch waits for the opening
		return nil
	}
	// The ends come before the bytes: what is appended meanwhile is news.
	end := log.End()
	part.HighWatermark = p.HighWatermark()
	part.LastStable = log.LastStable(part.HighWatermark)
	limit := part.HighWatermark
	switch {
	case r.Replica >= 0:
		limit = end
	case r.ReadCommitted:
		limit = part.LastStable
	}
	part.seen = limit
	view := log.View()
	part.LogStart = log.Start()
	if part.Offset < part.LogStart || part.Offset > end {
		return fmt.Errorf("%w: %d of %v, which has %d to %d", engine.ErrOffsetOutOfRange, part.Offset, p.id, part.LogStart, end)
	}
	if part.LastFetchedEpoch >= 0 {
		if diverges, err := part.diverges(log); err != nil || diverges {
			return err
		}
	}
	if part.Offset >= limit || maxBytes == 0 && !minOne {
		return nil
	}
	return part.fill(r, view, limit, maxBytes, minOne)
}

// fill reads spans, and the aborted transactions that concern them.
func (part *ReadPart) fill(r *ReadRequest, view *engine.View, limit engine.Offset, maxBytes int, minOne bool) error {
	var err error
	if part.Spans, err = view.Read(part.Spans, part.Offset, limit, maxBytes, minOne); err != nil {
		return err
	}
	for i := range part.Spans {
		part.Bytes += part.Spans[i].Len()
	}
	if !minOne && !r.HardLimit && part.Bytes >= maxBytes {
		if whole, err := part.startsWhole(); err != nil || !whole {
			part.release()
			part.Bytes = 0
			return err
		}
	}
	if r.ReadCommitted && part.Bytes > 0 {
		part.Aborted, err = view.Aborted(part.Offset, limit, part.Aborted)
	}
	return err
}

// startsWhole tells whether the first batch is not cut by the limit: an answer
// that another part has begun ends rather than with a piece of a batch alone.
func (part *ReadPart) startsWhole() (bool, error) {
	s := &part.Spans[0]
	if s.Len() < len(part.head) {
		return false, nil
	}
	if _, err := s.File().ReadAt(part.head[:], s.Off()); err != nil {
		return false, fmt.Errorf("replica: read of %v: %w", part.Partition.id, err)
	}
	size := int64(len(part.head)) + int64(binary.BigEndian.Uint32(part.head[8:]))
	return size <= int64(s.Len()), nil
}

// diverges looks whether the caller's last epoch ends where ours does. One that
// we never heard of has no place here where the caller could go on.
func (part *ReadPart) diverges(log interface {
	EpochEnd(engine.Epoch) (engine.Epoch, engine.Offset)
}) (bool, error) {
	epoch, end := log.EpochEnd(part.LastFetchedEpoch)
	if epoch < 0 || end < 0 {
		return false, fmt.Errorf("%w: %d of %v after epoch %d, which it does not know", engine.ErrOffsetOutOfRange, part.Offset, part.Partition.id, part.LastFetchedEpoch)
	}
	if epoch >= part.LastFetchedEpoch && end >= part.Offset {
		return false, nil
	}
	part.DivergingEpoch, part.DivergingEnd = epoch, end
	return true, nil
}

// limit is how far r may read: a follower to the log end, read_committed to the
// last stable offset, else to the high watermark. -1 until the log is open.
func (p *Partition) limit(r *ReadRequest) engine.Offset {
	switch {
	case r.Replica >= 0:
		return p.LogEnd()
	case r.ReadCommitted:
		return p.LastStable()
	default:
		return p.HighWatermark()
	}
}

// follows tells whether another broker is assigned to the partition.
func (p *Partition) follows(id meta.BrokerID) bool {
	for _, r := range p.lead.Load().replicas {
		if r == id && id != p.set.o.Broker {
			return true
		}
	}
	return false
}
