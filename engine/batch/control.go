// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"encoding/binary"
	"fmt"
)

// Marker is what the record of a control batch says about its transaction.
type Marker struct {
	Commit           bool  // else abort
	CoordinatorEpoch int32 // of the transaction coordinator that wrote it
}

// markerVersion is written in key and value; readers accept later ones, which
// only add fields.
const markerVersion = 0

// AppendMarker adds an end-of-transaction marker; the header needs Control and
// Transactional, and the batch holds no other record.
func (b *Builder) AppendMarker(timestampMs int64, m Marker) {
	var key [4]byte
	var value [6]byte
	binary.BigEndian.PutUint16(key[:], markerVersion)
	if m.Commit {
		key[3] = 1
	}
	binary.BigEndian.PutUint16(value[:], markerVersion)
	binary.BigEndian.PutUint32(value[2:], uint32(m.CoordinatorEpoch))
	b.Append(timestampMs, key[:], value[:])
}

// Marker reads the record of a control batch. ok is false for control types
// other than commit and abort, which readers skip; ErrInvalidRecord when it is
// cut.
func (r *Record) Marker() (m Marker, ok bool, err error) {
	if len(r.Key) < 4 {
		return m, false, fmt.Errorf("%w: control record with a key of %d bytes", ErrInvalidRecord, len(r.Key))
	}
	kind := int16(binary.BigEndian.Uint16(r.Key[2:]))
	if kind != 0 && kind != 1 {
		return m, false, nil
	}
	if len(r.Value) < 6 {
		return m, false, fmt.Errorf("%w: marker with a value of %d bytes", ErrInvalidRecord, len(r.Value))
	}
	m = Marker{Commit: kind == 1, CoordinatorEpoch: int32(binary.BigEndian.Uint32(r.Value[2:]))}
	return m, true, nil
}
