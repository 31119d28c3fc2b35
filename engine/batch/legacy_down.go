// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// OverflowMin is what an answer holds at least whose batches all vanished: see Overflow.
const OverflowMin = HeadSize

// Down appends to dst what the batch or message b, whole, is in the format of
// magic 0 or 1, as Kafka 3.9 converts it for old consumers, and returns dst as
// it was when nothing is left of it: control batches are left out, and records
// below from of what is not compressed, where each is a message of its own.
// What is compressed is wrapped by the same codec again, with every record.
// Headers have no place in the old formats. What is old enough goes unchanged.
//
// ErrUnsupportedCodec for zstd, which the old formats do not know; what Walk and
// WalkLegacy return for what cannot be read; ErrUnreadable for a timestamp below
// -1, which the old formats cannot hold. scratch may be nil.
func Down(dst, b []byte, magic int8, from int64, scratch *Scratch) ([]byte, error) {
	if scratch == nil {
		scratch = new(Scratch)
	}
	if size, has, err := Peek(b); err != nil || size != len(b) {
		return dst, fmt.Errorf("%w: %d bytes are not one whole batch: %w", ErrCorrupt, len(b), err)
	} else if has <= magic {
		return append(dst, b...), nil
	} else if has < 2 {
		m := Legacy(b)
		d := down{dst: dst, magic: magic, codec: m.Codec(), from: from, stamped: m.LogAppendTime(), maxTime: NoTimestamp, scratch: scratch}
		return d.finish(dst, WalkLegacy(m, scratch, d.add))
	}
	batch := Batch(b)
	if batch.IsControl() {
		return dst, nil
	}
	if batch.Codec() == CodecZstd {
		return dst, fmt.Errorf("%w: %s has no place in magic %d", ErrUnsupportedCodec, batch.Codec(), magic)
	}
	d := down{dst: dst, magic: magic, codec: batch.Codec(), from: from, stamped: batch.LogAppendTime(), maxTime: NoTimestamp, scratch: scratch}
	return d.finish(dst, Walk(batch, scratch, d.add))
}

// down is one conversion under way.
type down struct {
	dst     []byte
	magic   int8
	codec   Codec
	from    int64
	stamped bool // the timestamps are the broker's
	scratch *Scratch

	inside  []byte // the messages that will be compressed
	count   int
	base    int64 // offset of the first record
	last    int64
	maxTime int64
}

// add takes one record.
func (d *down) add(r *Record) error {
	if d.codec == CodecNone && r.Offset < d.from {
		return nil
	}
	if r.Timestamp < 0 && r.Timestamp != NoTimestamp {
		return fmt.Errorf("%w: timestamp %d at offset %d", ErrUnreadable, r.Timestamp, r.Offset)
	}
	if d.count == 0 {
		d.base = r.Offset
		d.inside = d.scratch.out[:0]
	} else if r.Offset <= d.last {
		return fmt.Errorf("%w: offset %d behind %d", ErrInvalidRecord, r.Offset, d.last)
	}
	d.count++
	d.last, d.maxTime = r.Offset, max(d.maxTime, r.Timestamp)
	switch {
	case d.codec == CodecNone:
		d.dst = d.message(d.dst, r.Offset, CodecNone, r.Timestamp, r.Key, r.Value)
	case d.magic == 0:
		d.inside = d.message(d.inside, r.Offset, CodecNone, r.Timestamp, r.Key, r.Value)
	default: // offsets count from the first
		d.inside = d.message(d.inside, r.Offset-d.base, CodecNone, r.Timestamp, r.Key, r.Value)
	}
	return nil
}

// finish compresses, and gives had back when there is nothing or an error.
func (d *down) finish(had []byte, err error) ([]byte, error) {
	if err != nil || d.count == 0 {
		return had, err
	}
	if d.codec == CodecNone {
		return d.dst, nil
	}
	d.scratch.out = d.inside
	at := len(d.dst)
	d.dst = d.header(d.dst, d.codec, d.maxTime)
	d.dst = binary.BigEndian.AppendUint32(d.dst, 1<<32-1) // a wrapper has no key
	value := len(d.dst)
	d.dst = append(d.dst, 0, 0, 0, 0)
	if d.dst, err = d.codec.Compress(d.dst, d.inside, LevelDefault, d.scratch); err != nil {
		return had, err
	}
	if d.codec == CodecLZ4 && d.magic == 0 {
		breakLZ4(d.dst[value+4:])
	}
	binary.BigEndian.PutUint32(d.dst[value:], uint32(len(d.dst)-value-4))
	d.seal(at, d.last)
	return d.dst, nil
}

// message appends an old message.
func (d *down) message(dst []byte, offset int64, codec Codec, ms int64, key, value []byte) []byte {
	at := len(dst)
	dst = d.header(dst, codec, ms)
	dst = appendLegacy(dst, key)
	dst = appendLegacy(dst, value)
	sealLegacy(dst[at:], offset)
	return dst
}

// header appends what stands before the key, with offset, length and checksum
// still to come.
func (d *down) header(dst []byte, codec Codec, ms int64) []byte {
	attributes := byte(codec)
	if d.magic > 0 && d.stamped {
		attributes |= logAppendTimeBit
	}
	var head [16]byte
	dst = append(append(dst, head[:]...), byte(d.magic), attributes)
	if d.magic > 0 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(ms))
	}
	return dst
}

// seal completes the message that begins at at.
func (d *down) seal(at int, offset int64) { sealLegacy(d.dst[at:], offset) }

// sealLegacy writes offset, length and checksum of a message.
func sealLegacy(m []byte, offset int64) {
	binary.BigEndian.PutUint64(m, uint64(offset))
	binary.BigEndian.PutUint32(m[atLength:], uint32(len(m)-HeadSize))
	binary.BigEndian.PutUint32(m[12:], crc32.ChecksumIEEE(m[16:]))
}

// appendLegacy appends a nullable key or value.
func appendLegacy(dst, v []byte) []byte {
	if v == nil {
		return binary.BigEndian.AppendUint32(dst, 1<<32-1)
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(v))), v...)
}

// breakLZ4 gives a frame the header checksum that the clients of magic 0 expect:
// wrongly, it covers the frame's magic number too.
func breakLZ4(frame []byte) { frame[6] = byte(xxh32(frame[:6]) >> 8) }

// overflowHead is the head of a message that goes on beyond the end of what is
// sent: a consumer takes it for one that was cut short. Kafka fills an answer
// up with it whose size was settled before its conversion was done.
func overflowHead(remaining int) (head [HeadSize]byte) {
	minusOne := int64(-1)
	binary.BigEndian.PutUint64(head[:], uint64(minusOne))
	binary.BigEndian.PutUint32(head[8:], uint32(max(remaining+1, HeaderSize)))
	return head
}

// OverflowStep is how far one head of Overflow reaches.
const OverflowStep = 128 << 10

// Overflow fills p with a message that consumers take for one cut short;
// remaining is how many bytes of the answer are left, p's included, and done
// how many of the filling stand before p.
func Overflow(p []byte, done, remaining int) {
	clear(p)
	for at := 0; at < len(p); {
		step := done % OverflowStep // Kafka begins a message anew every so often
		if step < HeadSize {
			head := overflowHead(remaining - at + step)
			n := copy(p[at:], head[step:])
			at, done = at+n, done+n
			continue
		}
		n := OverflowStep - step
		at, done = at+n, done+n
	}
}
