// SPDX-License-Identifier: Apache-2.0

// Package batch knows the bytes of Kafka's record batches: how to find them in
// a run of bytes, check them as Kafka's LogValidator does, walk their records
// and build new ones.
//
// The current format is magic 2 (KIP-98); messages of magic 0 and 1 are only
// read, so that old log directories can be scanned and served. The package
// does no I/O and knows nothing of logs, producers' state or the protocol.
//
// # Promises
//
// Bytes from outside never panic and never size an allocation: counts are
// checked against the bytes that carry them, and decompression has a cap. What
// is not compressed is peeked at, verified, walked and checked without any
// allocation; compressed batches use the memory of a Scratch.
//
// # Ownership
//
// A Batch is a view of the caller's bytes. Records given to a Walk function,
// and what Check returned in memory of its own, live until the Scratch is used
// again. A Scratch belongs to one goroutine at a time.
package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Sizes in bytes.
const (
	HeaderSize = 61 // of a magic 2 batch, before its records
	HeadSize   = 12 // base offset and length, common to every magic
	PeekSize   = 17 // what Peek needs: up to the magic byte
)

// NoTimestamp is what a batch or message without a timestamp carries.
const NoTimestamp int64 = -1

// NoProducerID is the producer id of a producer that is not idempotent.
const NoProducerID int64 = -1

// NoSequence is the base sequence of a batch without sequence numbers.
const NoSequence int32 = -1

// Failures of bytes from outside. Each is wrapped with what was found.
var (
	// ErrShort says that more bytes are needed.
	ErrShort = errors.New("batch: too few bytes")
	// ErrCorrupt says that bytes contradict each other or their checksum.
	ErrCorrupt = errors.New("batch: corrupt")
	// ErrTooLarge says that a size, or what decompression yields, is over its cap.
	ErrTooLarge = errors.New("batch: too large")
	// ErrInvalidTimestamp says that a record's timestamp is out of the topic's bounds.
	ErrInvalidTimestamp = errors.New("batch: invalid timestamp")
	// ErrInvalidRecord says that a client's batch breaks a rule.
	ErrInvalidRecord = errors.New("batch: invalid record")
	// ErrUnsupportedMagic says that the format version is unknown or not allowed here.
	ErrUnsupportedMagic = errors.New("batch: unsupported magic")
	// ErrUnsupportedCodec says that the compression is unknown or not allowed for the magic.
	ErrUnsupportedCodec = errors.New("batch: unsupported compression")
	// ErrUnreadable says that bytes whose checksum is right cannot be read: an
	// unknown codec, records that do not decompress, a message that does not fit
	// its length. Kafka has no code for it and answers an unknown server error.
	ErrUnreadable = errors.New("batch: unreadable records")
)

// Batch is one magic 2 record batch, header included. Its methods read fixed
// places and panic when the slice is shorter than HeaderSize; Next gives only
// batches that are long enough.
type Batch []byte

// Places of the header's fields.
const (
	atBaseOffset      = 0
	atLength          = 8
	atLeaderEpoch     = 12
	atMagic           = 16
	atCRC             = 17
	atAttributes      = 21 // the checksum covers everything from here on
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atProducerEpoch   = 51
	atBaseSequence    = 53
	atCount           = 57
)

// Bits of the attributes.
const (
	codecMask        = 0x07
	logAppendTimeBit = 0x08
	transactionalBit = 0x10
	controlBit       = 0x20
	deleteHorizonBit = 0x40
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (b Batch) i16(at int) int16 { return int16(binary.BigEndian.Uint16(b[at:])) }
func (b Batch) i32(at int) int32 { return int32(binary.BigEndian.Uint32(b[at:])) }
func (b Batch) i64(at int) int64 { return int64(binary.BigEndian.Uint64(b[at:])) }

// BaseOffset is the offset of the first record the batch was built with.
func (b Batch) BaseOffset() int64 { return b.i64(atBaseOffset) }

// LastOffset is the offset of the last record the batch was built with;
// compaction may have removed it, the batch still covers it.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// Length is the length field: the bytes after it.
func (b Batch) Length() int32 { return b.i32(atLength) }

// Size is the whole batch in bytes, by its length field.
func (b Batch) Size() int { return HeadSize + int(b.Length()) }

// LeaderEpoch is the epoch of the leader that appended the batch.
func (b Batch) LeaderEpoch() int32 { return b.i32(atLeaderEpoch) }

// Magic is the format version, 2.
func (b Batch) Magic() int8 { return int8(b[atMagic]) }

// CRC is the CRC-32C that the header carries.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[atCRC:]) }

// Attributes are the flags and the codec.
func (b Batch) Attributes() int16 { return b.i16(atAttributes) }

// Codec is the compression of the records.
func (b Batch) Codec() Codec { return Codec(b.Attributes() & codecMask) }

// IsControl says that the records are transaction markers and the like.
func (b Batch) IsControl() bool { return b.Attributes()&controlBit != 0 }

// IsTransactional says that the batch belongs to a transaction.
func (b Batch) IsTransactional() bool { return b.Attributes()&transactionalBit != 0 }

// LogAppendTime says that MaxTimestamp is the broker's and holds for every record.
func (b Batch) LogAppendTime() bool { return b.Attributes()&logAppendTimeBit != 0 }

// DeleteHorizon is the time in ms after which compaction may drop the batch's
// tombstones; ok is false where compaction has not set one (KIP-534).
func (b Batch) DeleteHorizon() (ms int64, ok bool) {
	if b.Attributes()&deleteHorizonBit == 0 {
		return NoTimestamp, false
	}
	return b.BaseTimestamp(), true
}

// LastOffsetDelta is LastOffset minus BaseOffset.
func (b Batch) LastOffsetDelta() int32 { return b.i32(atLastOffsetDelta) }

// BaseTimestamp is what the records' timestamps are relative to, in ms.
func (b Batch) BaseTimestamp() int64 { return b.i64(atBaseTimestamp) }

// MaxTimestamp is the largest timestamp of the records, in ms.
func (b Batch) MaxTimestamp() int64 { return b.i64(atMaxTimestamp) }

// ProducerID is the idempotent producer's id, or NoProducerID.
func (b Batch) ProducerID() int64 { return b.i64(atProducerID) }

// ProducerEpoch is that producer's epoch.
func (b Batch) ProducerEpoch() int16 { return b.i16(atProducerEpoch) }

// BaseSequence is the sequence number of the first record, or NoSequence.
func (b Batch) BaseSequence() int32 { return b.i32(atBaseSequence) }

// LastSequence is the sequence number of the last record. Sequences wrap from
// 2^31-1 to 0.
func (b Batch) LastSequence() int32 {
	base := b.BaseSequence()
	if base == NoSequence {
		return NoSequence
	}
	return AddSequence(base, b.LastOffsetDelta())
}

// AddSequence is sequence s moved on by n records, wrapping from 2^31-1 to 0.
func AddSequence(s, n int32) int32 { return int32((int64(s) + int64(n)) & 0x7fffffff) }

// Count is the number of records.
func (b Batch) Count() int32 { return b.i32(atCount) }

// Records are the bytes after the header, compressed when Codec says so.
func (b Batch) Records() []byte { return b[HeaderSize:] }

// SetBaseOffset moves the batch to another offset. The checksum does not cover it.
func (b Batch) SetBaseOffset(offset int64) {
	binary.BigEndian.PutUint64(b[atBaseOffset:], uint64(offset))
}

// SetLeaderEpoch stamps the leader's epoch. The checksum does not cover it.
func (b Batch) SetLeaderEpoch(epoch int32) {
	binary.BigEndian.PutUint32(b[atLeaderEpoch:], uint32(epoch))
}

// SetMaxTimestampAndType changes the largest timestamp and its type, and
// computes the checksum anew.
func (b Batch) SetMaxTimestampAndType(ms int64, logAppendTime bool) {
	attributes := b.Attributes() &^ logAppendTimeBit
	if logAppendTime {
		attributes |= logAppendTimeBit
	}
	binary.BigEndian.PutUint16(b[atAttributes:], uint16(attributes))
	binary.BigEndian.PutUint64(b[atMaxTimestamp:], uint64(ms))
	b.seal()
}

// seal writes the checksum of what stands there.
func (b Batch) seal() {
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
}

// Verify compares the checksum (CRC-32C of everything after it) with the bytes.
func (b Batch) Verify() error {
	if got := crc32.Checksum(b[atAttributes:], castagnoli); got != b.CRC() {
		return fmt.Errorf("%w: checksum %08x, computed %08x, at offset %d", ErrCorrupt, b.CRC(), got, b.BaseOffset())
	}
	return nil
}

// Peek tells the size in bytes and the magic of the batch or message that
// starts at b, of which it reads PeekSize bytes. The size may be more than
// there is. ErrShort when there are not enough bytes, ErrCorrupt when the
// length is impossible, ErrUnsupportedMagic when the format is unknown; with
// the last the size is still told.
func Peek(b []byte) (size int, magic int8, err error) {
	if len(b) < PeekSize {
		return 0, 0, fmt.Errorf("%w: %d of %d for the start of a batch", ErrShort, len(b), PeekSize)
	}
	length := int32(binary.BigEndian.Uint32(b[atLength:]))
	magic = int8(b[atMagic])
	smallest := HeaderSize - HeadSize
	switch magic {
	case 0:
		smallest = legacyOverheadV0
	case 1:
		smallest = legacyOverheadV1
	case 2:
	default:
		smallest = PeekSize - HeadSize
	}
	if int64(length) < int64(smallest) {
		return 0, magic, fmt.Errorf("%w: length %d, magic %d needs at least %d", ErrCorrupt, length, magic, smallest)
	}
	if int64(length) > maxLength {
		return 0, magic, fmt.Errorf("%w: length %d", ErrTooLarge, length)
	}
	size = HeadSize + int(length)
	if magic < 0 || magic > 2 {
		return size, magic, fmt.Errorf("%w: %d", ErrUnsupportedMagic, magic)
	}
	return size, magic, nil
}

// maxLength keeps every size within a 32-bit int.
const maxLength = 1<<31 - 1 - HeadSize

// Next takes the magic 2 batch that starts at b: whole, and long enough for
// its header; its checksum is not verified. rest is what follows it. Messages
// of magic 0 and 1 are ErrUnsupportedMagic: see Legacy.
func Next(b []byte) (batch Batch, rest []byte, err error) {
	size, magic, err := Peek(b)
	if err != nil {
		return nil, b, err
	}
	if magic != 2 {
		return nil, b, fmt.Errorf("%w: %d where 2 is needed", ErrUnsupportedMagic, magic)
	}
	if size > len(b) {
		return nil, b, fmt.Errorf("%w: batch of %d, %d there", ErrShort, size, len(b))
	}
	return Batch(b[:size:size]), b[size:], nil
}
