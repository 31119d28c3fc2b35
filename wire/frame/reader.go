// SPDX-License-Identifier: Apache-2.0

package frame

import "encoding/binary"

// Reader takes protocol primitives off the front of a slice. The first
// impossible read makes it bad for good: every later read returns zero values,
// so a decoder checks Err once at the end. Byte slices it returns are views.
type Reader struct {
	b   []byte
	bad bool
}

// NewReader returns a Reader at the start of b.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Err reports ErrMalformed once any read has failed.
func (r *Reader) Err() error {
	if r.bad {
		return ErrMalformed
	}
	return nil
}

// Rest returns the bytes not yet read.
func (r *Reader) Rest() []byte { return r.b }

// Len returns how many bytes are left.
func (r *Reader) Len() int { return len(r.b) }

// fail makes the reader bad and empty.
func (r *Reader) fail() { r.bad, r.b = true, nil }

// Take returns the next n bytes as a view, nil when there are fewer.
func (r *Reader) Take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// Int8 reads one byte.
func (r *Reader) Int8() int8 {
	if v := r.Take(1); v != nil {
		return int8(v[0])
	}
	return 0
}

// Int16 reads a big-endian int16.
func (r *Reader) Int16() int16 {
	if v := r.Take(2); v != nil {
		return int16(binary.BigEndian.Uint16(v))
	}
	return 0
}

// Int32 reads a big-endian int32.
func (r *Reader) Int32() int32 {
	if v := r.Take(4); v != nil {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

// Int64 reads a big-endian int64.
func (r *Reader) Int64() int64 {
	if v := r.Take(8); v != nil {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

// UUID reads sixteen bytes.
func (r *Reader) UUID() (id [16]byte) {
	copy(id[:], r.Take(16))
	return id
}

// Uvarint reads an unsigned varint of at most 32 bits (KIP-482).
func (r *Reader) Uvarint() uint32 {
	var v uint64
	for i := 0; i < 5; i++ {
		if i >= len(r.b) {
			break
		}
		c := r.b[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if v > 1<<32-1 {
				break
			}
			r.b = r.b[i+1:]
			return uint32(v)
		}
	}
	r.fail()
	return 0
}

// MaxString is how many bytes a string may have, in compact form too.
const MaxString = 1<<15 - 1

// length reads the length that precedes a string (short), byte field or array:
// in compact form n+1 as a varint, else an int16 (strings) or an int32. It is -1
// for null.
func (r *Reader) length(compact, short bool) int {
	switch {
	case compact:
		n := int(int64(r.Uvarint()) - 1)
		if short && n > MaxString {
			r.fail()
		}
		return n
	case short:
		return int(r.Int16())
	}
	return int(r.Int32())
}

// String reads a string that must not be null.
func (r *Reader) String(compact bool) []byte {
	n := r.length(compact, true)
	return r.Take(n)
}

// NullableString reads a string; nil means null, as any negative length does in
// Kafka; an empty one is not nil.
func (r *Reader) NullableString(compact bool) []byte {
	n := r.length(compact, true)
	if n < 0 {
		return nil
	}
	return r.Take(n)
}

// NullableBytes reads a byte field; nil means null, as any negative length does
// in Kafka; an empty one is not nil.
func (r *Reader) NullableBytes(compact bool) []byte {
	n := r.length(compact, false)
	if n < 0 {
		return nil
	}
	return r.Take(n)
}

// Count reads the length of an array whose elements take at least min bytes
// each. A count that the remaining bytes cannot hold is malformed, and so is
// null.
func (r *Reader) Count(compact bool, min int) int {
	return r.count(r.length(compact, false), min)
}

// NullableCount is Count for an array that may be null, which counts as none.
func (r *Reader) NullableCount(compact bool, min int) int {
	return r.count(max(0, r.length(compact, false)), min)
}

func (r *Reader) count(n, min int) int {
	if n < 0 || n > len(r.b)/min {
		r.fail()
		return 0
	}
	return n
}

// Tags skips a tagged-field section, which every flexible structure ends with.
func (r *Reader) Tags() {
	for left := r.tagCount(); left > 0 && !r.bad; left-- {
		r.tag()
	}
}

// tagCount reads how many fields a tagged-field section has. A field takes at
// least two bytes, so a section of millions of them costs its own length and
// no more.
func (r *Reader) tagCount() uint32 {
	n := r.Uvarint()
	if int64(n)*2 > int64(len(r.b)) {
		r.fail()
		return 0
	}
	return n
}

// tag reads one tagged field.
func (r *Reader) tag() (tag uint32, field []byte) {
	tag = r.Uvarint()
	n := r.Uvarint()
	if int64(n) > int64(len(r.b)) {
		r.fail()
		return 0, nil
	}
	return tag, r.Take(int(n))
}
