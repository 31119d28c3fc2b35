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

// keyAt is where the length of the key stands.
func (m Legacy) keyAt() int {
	if m.Magic() == 0 {
		return 18
	}
	return 26
}

// hasKey tells whether the key is not null; ok is false where the message ends
// before it could say.
func (m Legacy) hasKey() (has, ok bool) {
	at := m.keyAt()
	if len(m) < at+4 {
		return false, false
	}
	return int32(binary.BigEndian.Uint32(m[at:])) >= 0, true
}

// fields takes key and value out of the message. As in Kafka, what follows the
// value is not looked at.
func (m Legacy) fields() (key, value []byte, err error) {
	ok := len(m) >= m.keyAt()
	var rest []byte
	if ok {
		key, rest, ok = legacyBytes(m[m.keyAt():])
	}
	if ok {
		value, _, ok = legacyBytes(rest)
	}
	if !ok {
		return nil, nil, fmt.Errorf("%w: key and value do not fit into the message at offset %d", ErrUnreadable, m.Offset())
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
// nil. ErrInvalidRecord for a wrapper that is empty, has an offset below those
// inside, wraps wrappers or another magic; ErrUnreadable for what does not
// decompress or has lengths that do not fit; ErrTooLarge above scratch.MaxSize.
func WalkLegacy(m Legacy, scratch *Scratch, fn func(r *Record) error) error {
	if scratch == nil {
		scratch = new(Scratch)
	}
	if m.Codec() != CodecNone {
		return scratch.walkWrapper(m, fn)
	}
	key, value, err := m.fields()
	if err != nil {
		return err
	}
	scratch.rec = Record{Offset: m.Offset(), Timestamp: m.Timestamp(), Key: key, Value: value,
		KeyNull: key == nil, ValueNull: value == nil, Size: len(m)}
	return fn(&scratch.rec)
}

// walkWrapper gives the messages inside.
func (s *Scratch) walkWrapper(m Legacy, fn func(r *Record) error) error {
	w, err := s.openWrapper(m)
	if err != nil {
		return err
	}
	for i := int32(0); ; i++ {
		inner, ok := w.next()
		if !ok {
			return nil
		}
		if inner.Magic() != m.Magic() || inner.Codec() != CodecNone {
			return fmt.Errorf("%w: message of magic %d, %s, inside a compressed one of magic %d",
				ErrInvalidRecord, inner.Magic(), inner.Codec(), m.Magic())
		}
		key, value, err := inner.fields()
		if err != nil {
			return err
		}
		s.rec = Record{Offset: w.base + inner.Offset(), OffsetDelta: i, Timestamp: w.timestamp(inner), Key: key, Value: value,
			KeyNull: key == nil, ValueNull: value == nil, Size: len(inner)}
		if err := fn(&s.rec); err != nil {
			return err
		}
	}
}

// wrapped is the set of messages inside a compressed one.
type wrapped struct {
	outer Legacy
	plain []byte
	base  int64 // what the offsets inside count from
}

// next takes the next message; one that is cut short ends the set.
func (w *wrapped) next() (m Legacy, ok bool) {
	if size := wholeLegacy(w.plain); size > 0 {
		m, w.plain = Legacy(w.plain[:size:size]), w.plain[size:]
		return m, true
	}
	return nil, false
}

// timestamp is a message's own, or the wrapper's where the broker stamped that.
func (w *wrapped) timestamp(inner Legacy) int64 {
	if w.outer.LogAppendTime() && inner.Magic() > 0 {
		return w.outer.Timestamp()
	}
	return inner.Timestamp()
}

// wholeLegacy is the size of the message that b begins with, 0 when it is not
// all there and -1 when its length is impossible.
func wholeLegacy(b []byte) int {
	if len(b) < HeadSize {
		return 0
	}
	length := int32(binary.BigEndian.Uint32(b[atLength:]))
	switch {
	case length < legacyOverheadV0:
		return -1
	case int64(length) > int64(len(b)-HeadSize):
		return 0
	}
	return HeadSize + int(length)
}

// openWrapper decompresses a wrapper and finds what the offsets inside count
// from: with magic 1 the last one is the wrapper's, with magic 0 they are
// absolute. Some clients leave a wrapper's offset 0.
func (s *Scratch) openWrapper(m Legacy) (w wrapped, err error) {
	plain, err := s.unwrap(m)
	if err != nil {
		return wrapped{}, err
	}
	whole, last := 0, int64(-1)
	for {
		size := wholeLegacy(plain[whole:])
		if size < 0 {
			return wrapped{}, fmt.Errorf("%w: the length of a message inside the compressed one at offset %d", ErrCorrupt, m.Offset())
		}
		if size == 0 {
			break
		}
		last = Legacy(plain[whole:]).Offset()
		whole += size
	}
	if whole == 0 {
		return wrapped{}, fmt.Errorf("%w: compressed message with nothing inside at offset %d", ErrInvalidRecord, m.Offset())
	}
	w = wrapped{outer: m, plain: plain[:whole]}
	if m.Magic() == 1 && m.Offset() != 0 {
		if w.base = m.Offset() - last; w.base < 0 {
			return wrapped{}, fmt.Errorf("%w: compressed message at offset %d, the last inside at %d", ErrInvalidRecord, m.Offset(), last)
		}
	}
	return w, nil
}

// unwrap decompresses a wrapper's value.
func (s *Scratch) unwrap(m Legacy) (plain []byte, err error) {
	_, value, err := m.fields()
	if err != nil {
		return nil, err
	}
	switch codec := m.Codec(); {
	case !codec.valid():
		return nil, fmt.Errorf("%w: %s", ErrUnreadable, codec)
	case codec == CodecZstd:
		return nil, fmt.Errorf("%w: %s in magic %d", ErrInvalidRecord, codec, m.Magic())
	case value == nil:
		return nil, fmt.Errorf("%w: compressed message without a value at offset %d", ErrInvalidRecord, m.Offset())
	case codec == CodecLZ4 && m.Magic() == 0: // its clients computed the header's checksum wrongly
		plain, err = lz4Decompress(s.plain[:0], value, s.limit(), lz4Lenient)
	default:
		plain, err = codec.Decompress(s.plain[:0], value, s.limit(), s)
	}
	if err != nil {
		if errors.Is(err, ErrCorrupt) {
			err = fmt.Errorf("%w: %v", ErrUnreadable, err)
		}
		return nil, err
	}
	s.plain = plain
	return plain, nil
}
