// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Bytes of a message after its length field, with null key and value.
const (
	legacyOverheadV0 = 14 // crc, magic, attributes, key length, value length
	legacyOverheadV1 = 22 // and a timestamp
)

// Legacy is one message of magic 0 or 1 (Kafka before 0.11), offset and length
// included. A compressed one wraps a set of messages in its value. Like those
// of Batch, its methods expect what NextLegacy gave.
type Legacy []byte

// NextLegacy takes the message of magic 0 or 1 that starts at b, whole; its
// checksum is not verified. rest is what follows it.
func NextLegacy(b []byte) (m Legacy, rest []byte, err error) {
	size, magic, err := Peek(b)
	if err != nil {
		return nil, b, err
	}
	if magic > 1 {
		return nil, b, fmt.Errorf("%w: %d where 0 or 1 is needed", ErrUnsupportedMagic, magic)
	}
	if size > len(b) {
		return nil, b, fmt.Errorf("%w: message of %d, %d there", ErrShort, size, len(b))
	}
	return Legacy(b[:size:size]), b[size:], nil
}

// Offset is the message's offset; of a wrapper, that of its last message.
func (m Legacy) Offset() int64 { return int64(binary.BigEndian.Uint64(m)) }

// Size is the whole message in bytes, by its length field.
func (m Legacy) Size() int { return HeadSize + int(int32(binary.BigEndian.Uint32(m[atLength:]))) }

// CRC is the CRC-32 (IEEE) that the message carries.
func (m Legacy) CRC() uint32 { return binary.BigEndian.Uint32(m[12:]) }

// Magic is 0 or 1.
func (m Legacy) Magic() int8 { return int8(m[atMagic]) }

// Attributes are the codec and the timestamp type.
func (m Legacy) Attributes() byte { return m[17] }

// Codec is the compression of what the message wraps.
func (m Legacy) Codec() Codec { return Codec(m.Attributes() & codecMask) }

// LogAppendTime says that the timestamp is the broker's.
func (m Legacy) LogAppendTime() bool { return m.Magic() > 0 && m.Attributes()&logAppendTimeBit != 0 }

// Timestamp is in ms; magic 0 has none. Of a wrapper it is the largest.
func (m Legacy) Timestamp() int64 {
	if m.Magic() == 0 {
		return NoTimestamp
	}
	return int64(binary.BigEndian.Uint64(m[18:]))
}

// Verify compares the checksum with the bytes.
func (m Legacy) Verify() error {
	if got := crc32.ChecksumIEEE(m[16:]); got != m.CRC() {
		return fmt.Errorf("%w: message checksum %08x, computed %08x, at offset %d", ErrCorrupt, m.CRC(), got, m.Offset())
	}
	return nil
}

// fields takes key and value out of the message.
func (m Legacy) fields() (key, value []byte, err error) {
	at := 18
	if m.Magic() == 1 {
		at += 8
	}
	key, rest, ok := legacyBytes(m[at:])
	if ok {
		value, rest, ok = legacyBytes(rest)
	}
	if !ok || len(rest) > 0 {
		return nil, nil, fmt.Errorf("%w: key and value do not fill the message at offset %d", ErrInvalidRecord, m.Offset())
	}
	return key, value, nil
}

// legacyBytes takes a 32-bit length and as many bytes; negative is null.
func legacyBytes(b []byte) (v, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := int32(binary.BigEndian.Uint32(b))
	b = b[4:]
	if n < 0 {
		return nil, b, true
	}
	if int(n) > len(b) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// WalkLegacy gives the message, or every message that it wraps, to fn as a
// record with its absolute offset (OffsetDelta counts from 0), and stops at
// fn's first error, which it returns. It verifies no checksum. scratch may be
// nil. ErrInvalidRecord for a wrapper that does not decompress, is empty, wraps
// wrappers or another magic; ErrTooLarge above scratch.MaxSize.
func WalkLegacy(m Legacy, scratch *Scratch, fn func(r *Record) error) error {
	if scratch == nil {
		scratch = new(Scratch)
	}
	key, value, err := m.fields()
	if err != nil {
		return err
	}
	if m.Codec() != CodecNone {
		return scratch.walkWrapper(m, value, fn)
	}
	scratch.rec = Record{Offset: m.Offset(), Timestamp: m.Timestamp(), Key: key, Value: value,
		KeyNull: key == nil, ValueNull: value == nil, Size: len(m)}
	return fn(&scratch.rec)
}

// walkWrapper opens a compressed set. The offsets inside count from 0 with
// magic 1, and are absolute with magic 0.
func (s *Scratch) walkWrapper(m Legacy, value []byte, fn func(r *Record) error) error {
	plain, err := s.openWrapper(m, value)
	if err != nil {
		return err
	}
	last, err := lastInside(m, plain)
	if err != nil {
		return err
	}
	base := int64(0)
	if m.Magic() == 1 {
		base = m.Offset() - last
	}
	for i := int32(0); len(plain) > 0; i++ {
		var inner Legacy
		inner, plain, _ = NextLegacy(plain) // lastInside has been here
		key, value, err := inner.fields()
		if err != nil {
			return err
		}
		s.rec = Record{Offset: base + inner.Offset(), OffsetDelta: i, Timestamp: inner.Timestamp(), Key: key, Value: value,
			KeyNull: key == nil, ValueNull: value == nil, Size: len(inner)}
		if m.LogAppendTime() {
			s.rec.Timestamp = m.Timestamp()
		}
		if err := fn(&s.rec); err != nil {
			return err
		}
	}
	return nil
}

// openWrapper decompresses a wrapper's value.
func (s *Scratch) openWrapper(m Legacy, value []byte) (plain []byte, err error) {
	switch codec := m.Codec(); {
	case value == nil:
		return nil, fmt.Errorf("%w: compressed message without a value at offset %d", ErrInvalidRecord, m.Offset())
	case !codec.valid() || codec == CodecZstd:
		return nil, fmt.Errorf("%w: %s in magic %d", ErrUnsupportedCodec, codec, m.Magic())
	case codec == CodecLZ4 && m.Magic() == 0: // its clients computed the header's checksum wrongly
		plain, err = lz4Decompress(s.plain[:0], value, s.limit(), lz4Lenient)
	default:
		plain, err = codec.Decompress(s.plain[:0], value, s.limit(), s)
	}
	if err != nil {
		if errors.Is(err, ErrCorrupt) {
			err = fmt.Errorf("%w: %v", ErrInvalidRecord, err)
		}
		return nil, err
	}
	s.plain = plain
	return plain, nil
}

// lastInside checks the messages of a wrapper and returns the last one's offset.
func lastInside(m Legacy, plain []byte) (offset int64, err error) {
	if len(plain) == 0 {
		return 0, fmt.Errorf("%w: compressed message with nothing inside at offset %d", ErrInvalidRecord, m.Offset())
	}
	for len(plain) > 0 {
		inner, rest, err := NextLegacy(plain)
		if err != nil {
			return 0, fmt.Errorf("%w: inside the compressed message at offset %d: %v", ErrInvalidRecord, m.Offset(), err)
		}
		if inner.Magic() != m.Magic() || inner.Codec() != CodecNone {
			return 0, fmt.Errorf("%w: message of magic %d, %s, inside a compressed one of magic %d",
				ErrInvalidRecord, inner.Magic(), inner.Codec(), m.Magic())
		}
		offset, plain = inner.Offset(), rest
	}
	return offset, nil
}
