// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Header is what a Builder puts into a batch's header. Start from PlainHeader,
// whose producer fields say that there is none.
type Header struct {
	BaseOffset    int64
	LeaderEpoch   int32
	Codec         Codec
	Level         int // LevelDefault for the codec's own
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Control       bool
	AppendTime    int64 // ms, stamps the batch; NoTimestamp for create time
}

// PlainHeader is the header of an uncompressed batch without producer, epoch
// or append time.
func PlainHeader() Header {
	return Header{LeaderEpoch: -1, Level: LevelDefault, ProducerID: NoProducerID, ProducerEpoch: -1,
		BaseSequence: NoSequence, AppendTime: NoTimestamp}
}

// RecordHeader is a header of a record. A nil value is null.
type RecordHeader struct {
	Key   string
	Value []byte
}

// Builder builds a batch record by record, in memory that it reuses: control
// markers, coordinators' records, conversions, tests. Reset comes first.
type Builder struct {
	h        Header
	buf      []byte // header and records, not compressed
	out      []byte // compressed batch
	count    int32
	last     int32 // offset delta of the last record
	baseTime int64
	maxTime  int64
	scratch  Scratch
	err      error
}

// Reset starts a new batch. What Finish returned before is gone.
func (b *Builder) Reset(h Header) {
	b.h, b.count, b.last, b.err = h, 0, -1, nil
	b.baseTime, b.maxTime = NoTimestamp, NoTimestamp
	var zero [HeaderSize]byte
	b.buf = append(b.buf[:0], zero[:]...)
}

// Count is the number of records so far.
func (b *Builder) Count() int { return int(b.count) }

// Size is the size in bytes the batch would have, uncompressed.
func (b *Builder) Size() int { return len(b.buf) }

// Append adds a record at the next offset. A nil key or value is null.
func (b *Builder) Append(timestampMs int64, key, value []byte, headers ...RecordHeader) {
	b.AppendAt(b.last+1, timestampMs, key, value, headers...)
}

// AppendAt adds a record at an offset delta beyond the last one's, for batches
// with gaps as compaction leaves them.
func (b *Builder) AppendAt(delta int32, timestampMs int64, key, value []byte, headers ...RecordHeader) {
	size := varintSize(int64(len(headers)))
	for _, h := range headers {
		size += varintSize(int64(len(h.Key))) + len(h.Key) + nullableSize(h.Value)
	}
	b.begin(delta, timestampMs, key, value, size)
	b.buf = appendVarint(b.buf, int64(len(headers)))
	for _, h := range headers {
		b.buf = appendVarint(b.buf, int64(len(h.Key)))
		b.buf = append(b.buf, h.Key...)
		b.buf = appendNullable(b.buf, h.Value)
	}
}

// copyRecord adds a record as another batch had it, at the next offset.
func (b *Builder) copyRecord(r *Record) {
	b.begin(b.last+1, r.Timestamp, r.Key, r.Value, varintSize(int64(r.HeaderCount))+len(r.Headers))
	b.buf = appendVarint(b.buf, int64(r.HeaderCount))
	b.buf = append(b.buf, r.Headers...)
}

// begin writes a record up to its headers, which take size bytes.
func (b *Builder) begin(delta int32, timestampMs int64, key, value []byte, size int) {
	if delta <= b.last || b.count == math.MaxInt32 {
		b.err = fmt.Errorf("%w: offset delta %d after %d", ErrInvalidRecord, delta, b.last)
	}
	if b.count == 0 {
		b.baseTime = timestampMs
	}
	b.maxTime = max(b.maxTime, timestampMs)
	b.count++
	b.last = delta
	size += 1 + varintSize(timestampMs-b.baseTime) + varintSize(int64(delta)) + nullableSize(key) + nullableSize(value)
	b.buf = appendVarint(b.buf, int64(size))
	b.buf = append(b.buf, 0)
	b.buf = appendVarint(b.buf, timestampMs-b.baseTime)
	b.buf = appendVarint(b.buf, int64(delta))
	b.buf = appendNullable(b.buf, key)
	b.buf = appendNullable(b.buf, value)
}

func nullableSize(v []byte) int {
	if v == nil {
		return 1
	}
	return varintSize(int64(len(v))) + len(v)
}

func appendNullable(b, v []byte) []byte {
	if v == nil {
		return appendVarint(b, -1)
	}
	b = appendVarint(b, int64(len(v)))
	return append(b, v...)
}

// Finish closes the batch and returns it; it lives until the next Reset. An
// empty batch is allowed: compaction keeps those. ErrTooLarge above 2 GiB,
// ErrInvalidRecord for offsets out of order.
func (b *Builder) Finish() (Batch, error) {
	if b.err != nil {
		return nil, b.err
	}
	whole := b.buf
	if b.h.Codec != CodecNone {
		var err error
		b.out = append(b.out[:0], b.buf[:HeaderSize]...)
		if b.out, err = b.h.Codec.Compress(b.out, b.buf[HeaderSize:], b.h.Level, &b.scratch); err != nil {
			return nil, err
		}
		whole = b.out
	}
	if len(whole) > maxLength {
		return nil, fmt.Errorf("%w: batch of %d bytes", ErrTooLarge, len(whole))
	}
	batch := Batch(whole)
	batch.SetBaseOffset(b.h.BaseOffset)
	batch.SetLeaderEpoch(b.h.LeaderEpoch)
	put := binary.BigEndian
	put.PutUint32(batch[atLength:], uint32(len(whole)-HeadSize))
	batch[atMagic] = 2
	maxTime := b.maxTime
	if b.h.AppendTime != NoTimestamp {
		maxTime = b.h.AppendTime
	}
	put.PutUint16(batch[atAttributes:], uint16(b.attributes()))
	put.PutUint32(batch[atLastOffsetDelta:], uint32(b.last))
	put.PutUint64(batch[atBaseTimestamp:], uint64(b.baseTime))
	put.PutUint64(batch[atMaxTimestamp:], uint64(maxTime))
	put.PutUint64(batch[atProducerID:], uint64(b.h.ProducerID))
	put.PutUint16(batch[atProducerEpoch:], uint16(b.h.ProducerEpoch))
	put.PutUint32(batch[atBaseSequence:], uint32(b.h.BaseSequence))
	put.PutUint32(batch[atCount:], uint32(b.count))
	batch.seal()
	return batch, nil
}

func (b *Builder) attributes() int16 {
	a := int16(b.h.Codec)
	if b.h.AppendTime != NoTimestamp {
		a |= logAppendTimeBit
	}
	if b.h.Transactional {
		a |= transactionalBit
	}
	if b.h.Control {
		a |= controlBit
	}
	return a
}
