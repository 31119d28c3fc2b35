// SPDX-License-Identifier: Apache-2.0

package frame

import "encoding/binary"

func appendInt16(dst []byte, v int16) []byte { return binary.BigEndian.AppendUint16(dst, uint16(v)) }
func appendInt32(dst []byte, v int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(v)) }
func appendInt64(dst []byte, v int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(v)) }

// appendUvarint appends an unsigned varint (KIP-482).
func appendUvarint(dst []byte, v uint32) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// appendCount appends the length of an array.
func appendCount(dst []byte, n int, compact bool) []byte {
	if compact {
		return appendUvarint(dst, uint32(n)+1)
	}
	return appendInt32(dst, int32(n))
}

// appendString appends a string that is not null; it serves text and views.
func appendString[T string | []byte](dst []byte, s T, compact bool) []byte {
	if compact {
		dst = appendUvarint(dst, uint32(len(s))+1)
	} else {
		dst = appendInt16(dst, int16(len(s)))
	}
	return append(dst, s...)
}

// appendNullableString appends a string, nil as null.
func appendNullableString(dst, s []byte, compact bool) []byte {
	switch {
	case s != nil:
		return appendString(dst, s, compact)
	case compact:
		return append(dst, 0)
	}
	return appendInt16(dst, -1)
}

// appendBytesLen appends the length that precedes n bytes of records, -1 for null.
func appendBytesLen(dst []byte, n int, compact bool) []byte {
	if compact {
		return appendUvarint(dst, uint32(int64(n)+1))
	}
	return appendInt32(dst, int32(n))
}
