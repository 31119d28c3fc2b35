// SPDX-License-Identifier: Apache-2.0

package producer

import (
	"encoding/binary"
	"fmt"

	"github.com/samsa-broker/samsa/engine/batch"
)

// marker is the record of a control batch. Key: i16 version, i16 type (0
// abort, 1 commit). Value: i16 version, i32 coordinator epoch (KIP-98).
type marker struct {
	endsTxn          bool
	abort            bool
	coordinatorEpoch int32
	timestamp        int64
}

// parseMarker reads the first record of a control batch. Control types other
// than abort and commit end no transaction.
func parseMarker(b batch.Batch) (marker, error) {
	bad := func(what string) (marker, error) {
		return marker{}, fmt.Errorf("%w: %s, at offset %d", ErrMarker, what, b.BaseOffset())
	}
	if len(b) < b.Size() || b.Codec() != 0 {
		return bad("not whole or compressed")
	}
	r := reader{b: b.Records()}
	r.varint()                   // length
	r.skip(1)                    // attributes
	delta := r.varint()          // timestamp
	r.varint()                   // offset
	key := r.bytes(r.varint())   // never null
	value := r.bytes(r.varint()) // null where compaction kept the key only
	if r.bad || len(key) < 4 {
		return bad("short record")
	}
	m := marker{coordinatorEpoch: -1, timestamp: b.BaseTimestamp() + delta}
	if b.LogAppendTime() {
		m.timestamp = b.MaxTimestamp()
	}
	kind := int16(binary.BigEndian.Uint16(key[2:]))
	if kind != 0 && kind != 1 {
		return m, nil
	}
	if len(value) < 6 {
		return bad("short value")
	}
	m.endsTxn, m.abort = true, kind == 0
	m.coordinatorEpoch = int32(binary.BigEndian.Uint32(value[2:]))
	return m, nil
}

// reader takes fields off b; after a field that does not fit, bad stays set.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) skip(n int) { r.bytes(int64(n)) }

func (r *reader) bytes(n int64) []byte {
	if n < 0 {
		return nil
	}
	if n > int64(len(r.b)) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}
