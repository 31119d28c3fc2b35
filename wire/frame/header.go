// SPDX-License-Identifier: Apache-2.0

package frame

import "encoding/binary"

// Header is a request header. ClientID is a view of the frame; nil means null.
type Header struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      []byte
}

// The keys that the headers themselves treat specially.
const (
	KeyProduce            = 0
	KeyFetch              = 1
	KeyControlledShutdown = 7
	KeyApiVersions        = 18
)

// PreambleSize is the fixed start of every request: key, version, correlation.
const PreambleSize = 8

// flexibleFrom holds, by API key, the first version whose messages are in the
// flexible encoding (KIP-482); never stands for keys without one.
var flexibleFrom = [...]int16{
	0: 9, 1: 12, 2: 6, 3: 9, 4: 4, 5: 2, 6: 6, 7: 3, 8: 8, 9: 6, 10: 3, 11: 6, 12: 4, 13: 4, 14: 4, 15: 5,
	16: 3, 17: never, 18: 3, 19: 5, 20: 4, 21: 2, 22: 2, 23: 4, 24: 3, 25: 3, 26: 3, 27: 1, 28: 3, 29: 2,
	30: 2, 31: 2, 32: 4, 33: 2, 34: 2, 35: 2, 36: 2, 37: 2, 38: 2, 39: 2, 40: 2, 41: 2, 42: 2, 43: 2, 44: 1,
	45: 0, 46: 0, 47: never, 48: 1, 49: 1, 50: 0, 51: 0, 52: 0, 53: 1, 54: 1,
}

const never = 1<<15 - 1

// Flexible reports whether messages of this key and version use the flexible
// encoding. Every key above 54 does from its version 0.
func Flexible(key, version int16) bool {
	if key < 0 {
		return false
	}
	if int(key) < len(flexibleFrom) {
		return version >= flexibleFrom[key]
	}
	return true
}

// ReadPreamble reads what all header versions share. Only key, version and
// correlation id are set; it serves those who must judge a request whose
// version, and so whose header version, they do not know.
func ReadPreamble(b []byte) (Header, error) {
	if len(b) < PreambleSize {
		return Header{}, ErrMalformed
	}
	return Header{
		Key:           int16(binary.BigEndian.Uint16(b)),
		Version:       int16(binary.BigEndian.Uint16(b[2:])),
		CorrelationID: int32(binary.BigEndian.Uint32(b[4:])),
	}, nil
}

// ReadHeader reads the request header at the start of a frame (its length
// prefix already removed) and returns the body after it. Header v0 belongs to
// ControlledShutdown v0 alone, v2 to flexible versions, v1 to all others. The
// client id is encoded the old way in v2 too, so that any broker can read an
// ApiVersions request.
func ReadHeader(b []byte) (h Header, body []byte, err error) {
	h, err = ReadPreamble(b)
	if err != nil {
		return h, nil, err
	}
	r := NewReader(b[PreambleSize:])
	if h.Key == KeyControlledShutdown && h.Version == 0 {
		return h, r.Rest(), nil
	}
	h.ClientID = r.NullableString(false)
	if Flexible(h.Key, h.Version) {
		r.Tags()
	}
	return h, r.Rest(), r.Err()
}

// AppendHeader appends a request header as ReadHeader expects it; a nil
// ClientID is null.
func AppendHeader(dst []byte, h Header) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.Key))
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.Version))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.CorrelationID))
	if h.Key == KeyControlledShutdown && h.Version == 0 {
		return dst
	}
	dst = appendNullableString(dst, h.ClientID, false)
	if Flexible(h.Key, h.Version) {
		dst = append(dst, 0)
	}
	return dst
}

// AppendResponseHeader appends the header of the response to h: v1 (with an
// empty tag section) for flexible versions, else v0. ApiVersions is always
// answered with v0, because a client that got its version wrong must still be
// able to read the answer.
func AppendResponseHeader(dst []byte, h Header) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.CorrelationID))
	if h.Key != KeyApiVersions && Flexible(h.Key, h.Version) {
		dst = append(dst, 0)
	}
	return dst
}
