// SPDX-License-Identifier: Apache-2.0

package producer

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
)

// Layout of a .snapshot file, big-endian:
//
//	i16 version = 1
//	u32 CRC-32C of everything after it
//	i32 number of entries
//	then per producer, 46 bytes:
//	i64 id, i16 epoch, i32 last sequence, i64 last offset, i32 offset delta,
//	i64 timestamp, i32 coordinator epoch, i64 first offset of the open transaction or -1
//
// Only the last batch of a producer survives; last offset -1 says there is none.
const (
	snapshotVersion = 1
	snapshotHead    = 10
	snapshotEntry   = 46
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendSnapshot appends the bytes of a .snapshot file to dst, producers
// sorted by id.
func (s *State) AppendSnapshot(dst []byte) []byte {
	at := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, snapshotVersion)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(s.entries)))
	for _, e := range s.Entries() {
		last := Seen{LastOffset: noOffset, LastSequence: noSequence}
		if e.n > 0 {
			last = e.seen[e.n-1]
		}
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.ID))
		dst = binary.BigEndian.AppendUint16(dst, uint16(e.Epoch))
		dst = binary.BigEndian.AppendUint32(dst, uint32(last.LastSequence))
		dst = binary.BigEndian.AppendUint64(dst, uint64(last.LastOffset))
		dst = binary.BigEndian.AppendUint32(dst, uint32(last.OffsetDelta))
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.LastTimestamp))
		dst = binary.BigEndian.AppendUint32(dst, uint32(e.CoordinatorEpoch))
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.TxnFirstOffset))
	}
	binary.BigEndian.PutUint32(dst[at+2:], crc32.Checksum(dst[at+6:], castagnoli))
	return dst
}

// DecodeSnapshot reads the bytes of a .snapshot file. ErrSnapshot when they
// are not one.
func DecodeSnapshot(b []byte) ([]Entry, error) {
	count, err := snapshotCount(b, snapshotVersion)
	if err != nil {
		return nil, err
	}
	b = b[snapshotHead:]
	if int64(count)*snapshotEntry != int64(len(b)) {
		return nil, fmt.Errorf("%w: %d entries in %d bytes", ErrSnapshot, count, len(b))
	}
	entries := make([]Entry, count)
	for i := range entries {
		e := &entries[i]
		p := b[i*snapshotEntry:]
		*e = newEntry(int64(binary.BigEndian.Uint64(p)))
		e.Epoch = int16(binary.BigEndian.Uint16(p[8:]))
		last := Seen{
			LastSequence: int32(binary.BigEndian.Uint32(p[10:])),
			LastOffset:   int64(binary.BigEndian.Uint64(p[14:])),
			OffsetDelta:  int32(binary.BigEndian.Uint32(p[22:])),
			Timestamp:    int64(binary.BigEndian.Uint64(p[26:])),
		}
		e.LastTimestamp = last.Timestamp
		e.CoordinatorEpoch = int32(binary.BigEndian.Uint32(p[34:]))
		e.TxnFirstOffset = max(int64(binary.BigEndian.Uint64(p[38:])), noOffset)
		if last.LastOffset >= 0 {
			e.add(last)
		}
	}
	return entries, nil
}

func snapshotCount(b []byte, version uint16) (int32, error) {
	if len(b) < snapshotHead {
		return 0, fmt.Errorf("%w: %d bytes", ErrSnapshot, len(b))
	}
	if v := binary.BigEndian.Uint16(b); v != version {
		return 0, fmt.Errorf("%w: version %d", ErrSnapshot, v)
	}
	if got, want := crc32.Checksum(b[6:], castagnoli), binary.BigEndian.Uint32(b[2:]); got != want {
		return 0, fmt.Errorf("%w: checksum %08x, computed %08x", ErrSnapshot, want, got)
	}
	return int32(binary.BigEndian.Uint32(b[6:])), nil
}

// fullVersion marks AppendFull's bytes, which are ours alone: a snapshot entry
// without its one batch, then a count of batches and the batches.
const (
	fullVersion = 0x5331
	fullEntry   = 31
	fullSeen    = 24
)

// AppendFull appends all that is known, five batches a producer, in a form of
// our own: Kafka's snapshot keeps but one. For checkpoints.
func (s *State) AppendFull(dst []byte) []byte {
	at := len(dst)
	dst = slices.Grow(dst, snapshotHead+len(s.entries)*(fullEntry+Remembered*fullSeen))
	dst = binary.BigEndian.AppendUint16(dst, fullVersion)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(s.entries)))
	for _, e := range s.Entries() {
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.ID))
		dst = binary.BigEndian.AppendUint16(dst, uint16(e.Epoch))
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.LastTimestamp))
		dst = binary.BigEndian.AppendUint32(dst, uint32(e.CoordinatorEpoch))
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.TxnFirstOffset))
		dst = append(dst, e.n)
		for _, q := range e.Seen() {
			dst = binary.BigEndian.AppendUint64(dst, uint64(q.LastOffset))
			dst = binary.BigEndian.AppendUint64(dst, uint64(q.Timestamp))
			dst = binary.BigEndian.AppendUint32(dst, uint32(q.LastSequence))
			dst = binary.BigEndian.AppendUint32(dst, uint32(q.OffsetDelta))
		}
	}
	binary.BigEndian.PutUint32(dst[at+2:], crc32.Checksum(dst[at+6:], castagnoli))
	return dst
}

// DecodeFull reads what AppendFull made.
func DecodeFull(b []byte) ([]Entry, error) {
	count, err := snapshotCount(b, fullVersion)
	if err != nil {
		return nil, err
	}
	b = b[snapshotHead:]
	var entries []Entry
	for ; count > 0; count-- {
		if len(b) < fullEntry {
			return nil, fmt.Errorf("%w: %d entries more than there are", ErrSnapshot, count)
		}
		e := newEntry(int64(binary.BigEndian.Uint64(b)))
		e.Epoch = int16(binary.BigEndian.Uint16(b[8:]))
		e.LastTimestamp = int64(binary.BigEndian.Uint64(b[10:]))
		e.CoordinatorEpoch = int32(binary.BigEndian.Uint32(b[18:]))
		e.TxnFirstOffset = int64(binary.BigEndian.Uint64(b[22:]))
		n := int(b[30])
		b = b[fullEntry:]
		if n > Remembered || len(b) < n*fullSeen {
			return nil, fmt.Errorf("%w: producer %d has %d batches", ErrSnapshot, e.ID, n)
		}
		for ; n > 0; n-- {
			e.add(Seen{
				LastOffset: int64(binary.BigEndian.Uint64(b)), Timestamp: int64(binary.BigEndian.Uint64(b[8:])),
				LastSequence: int32(binary.BigEndian.Uint32(b[16:])), OffsetDelta: int32(binary.BigEndian.Uint32(b[20:])),
			})
			b = b[fullSeen:]
		}
		entries = append(entries, e)
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%w: %d bytes too many", ErrSnapshot, len(b))
	}
	return entries, nil
}
