// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// Sizes of the format, in bytes. All numbers are big-endian.
const (
	// GroupHeaderSize precedes the entries of a group.
	GroupHeaderSize = 64
	// EntryHeaderSize precedes the data of an entry.
	EntryHeaderSize = 72
	// Block is what groups are padded to at least; a group starts on a block.
	Block = 4096

	// FirstGroup is what the first group of a journal may be at most, padded:
	// the promise that no group has made. A batch of Kafka's default
	// max.message.bytes fits beside the room kept for small entries.
	FirstGroup = 2<<20 + 64<<10

	groupMagic   = 0x534a4731 // "SJG1"
	groupVersion = 1
	hashOffset   = 56
	maxGroup     = 1 << 31 // of every size in a header
)

// ErrFormat is returned for bytes that are not what they should be.
var ErrFormat = errors.New("journal: malformed bytes")

// ID names one life of a journal. Every start opens a new one, so groups of an
// earlier life are never read.
type ID [16]byte

// Kind tells entries apart.
type Kind uint8

// The kinds of entry.
const (
	// KindBatch holds one record batch as it stands in the segment.
	KindBatch Kind = 1
	// KindSynced says that the segment holds everything from Base to Last + 1,
	// synced before this group was written: a batch too large to be copied.
	KindSynced Kind = 2
	// KindCreated names a log: its data is the name of its directory.
	KindCreated Kind = 3
	// KindRemoved ends a log.
	KindRemoved Kind = 4
	// KindStart moves the log start offset up to Base.
	KindStart Kind = 5
	// KindReset empties a log; it goes on at Base.
	KindReset Kind = 6
	// KindExpire announces that retention may remove segments below Base.
	KindExpire Kind = 7
)

// LogID names a log across topics that were deleted and made again: by topic
// id and the number its creation was given in this directory, never by name.
type LogID struct {
	Topic     [16]byte
	Creation  uint64
	Partition int32
}

// Entry is one decoded entry; Data points into the group's bytes.
type Entry struct {
	Kind  Kind
	Log   LogID
	Epoch int32  // leader epoch of the batch, or of the last one synced
	Base  int64  // first offset; the new start of KindStart and KindReset
	Last  int64  // last offset
	End   int64  // log end offset the batch was appended at
	CRC   uint32 // the batch's own CRC-32C
	Data  []byte
}

// Size returns the bytes the entry takes in a group.
func (e *Entry) Size() int { return EntryHeaderSize + len(e.Data) }

// put writes the entry to dst, which has room for it.
//
//	0 kind u8 | 1 zero [3] | 4 size u32 | 8 topic id [16] | 24 creation u64 | 32 partition i32 | 36 epoch i32
//	40 base i64 | 48 last i64 | 56 log end i64 | 64 crc u32 | 68 zero u32 | 72 data
func (e *Entry) put(dst []byte) {
	h := dst[:EntryHeaderSize]
	binary.BigEndian.PutUint32(h[0:], uint32(e.Kind)<<24)
	binary.BigEndian.PutUint32(h[4:], uint32(e.Size()))
	copy(h[8:24], e.Log.Topic[:])
	binary.BigEndian.PutUint64(h[24:], e.Log.Creation)
	binary.BigEndian.PutUint32(h[32:], uint32(e.Log.Partition))
	binary.BigEndian.PutUint32(h[36:], uint32(e.Epoch))
	binary.BigEndian.PutUint64(h[40:], uint64(e.Base))
	binary.BigEndian.PutUint64(h[48:], uint64(e.Last))
	binary.BigEndian.PutUint64(h[56:], uint64(e.End))
	binary.BigEndian.PutUint32(h[64:], e.CRC)
	binary.BigEndian.PutUint32(h[68:], 0)
	copy(dst[EntryHeaderSize:], e.Data)
}

// DecodeEntry reads the entry that starts b and returns what follows it.
func DecodeEntry(b []byte) (Entry, []byte, error) {
	if len(b) < EntryHeaderSize {
		return Entry{}, nil, fmt.Errorf("%w: %d bytes where an entry should start", ErrFormat, len(b))
	}
	size := binary.BigEndian.Uint32(b[4:])
	if size < EntryHeaderSize || uint64(size) > uint64(len(b)) {
		return Entry{}, nil, fmt.Errorf("%w: an entry of %d bytes in %d", ErrFormat, size, len(b))
	}
	e := Entry{
		Kind:  Kind(b[0]),
		Epoch: int32(binary.BigEndian.Uint32(b[36:])),
		Base:  int64(binary.BigEndian.Uint64(b[40:])),
		Last:  int64(binary.BigEndian.Uint64(b[48:])),
		End:   int64(binary.BigEndian.Uint64(b[56:])),
		CRC:   binary.BigEndian.Uint32(b[64:]),
		Data:  b[EntryHeaderSize:size:size],
	}
	copy(e.Log.Topic[:], b[8:24])
	e.Log.Creation = binary.BigEndian.Uint64(b[24:])
	e.Log.Partition = int32(binary.BigEndian.Uint32(b[32:]))
	if e.Kind < KindBatch || e.Kind > KindExpire {
		return Entry{}, nil, fmt.Errorf("%w: an entry of kind %d", ErrFormat, e.Kind)
	}
	return e, b[size:], nil
}

// Header is the head of a group.
type Header struct {
	Journal  ID
	Position int64  // byte position in the journal's endless stream
	Sequence uint64 // 1 for the first group of a journal, then dense
	Size     int    // bytes of header and entries, without padding
	Padded   int64  // bytes to the next group of the same file
	Next     int64  // what the next group may be at most, padded
	Entries  int
	hash     uint64
}

// seal fills in the header of the group that fills b and its checksum.
//
//	0 magic u32 | 4 version u16 | 6 zero u16 | 8 journal id [16] | 24 position u64 | 32 sequence u64
//	40 size u32 | 44 entries u32 | 48 padded size u32 | 52 most the next may be u32 | 56 xxhash64 of all other bytes | 64 entries
func (h *Header) seal(b []byte) {
	binary.BigEndian.PutUint32(b[0:], groupMagic)
	binary.BigEndian.PutUint32(b[4:], groupVersion<<16)
	copy(b[8:24], h.Journal[:])
	binary.BigEndian.PutUint64(b[24:], uint64(h.Position))
	binary.BigEndian.PutUint64(b[32:], h.Sequence)
	binary.BigEndian.PutUint32(b[40:], uint32(len(b)))
	binary.BigEndian.PutUint32(b[44:], uint32(h.Entries))
	binary.BigEndian.PutUint32(b[48:], uint32(h.Padded))
	binary.BigEndian.PutUint32(b[52:], uint32(h.Next))
	binary.BigEndian.PutUint64(b[hashOffset:], groupHash(b))
}

// groupHash covers every byte of a group but the hash itself.
func groupHash(b []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(b[:hashOffset]) // a Digest never fails
	_, _ = d.Write(b[GroupHeaderSize:])
	return d.Sum64()
}

// DecodeHeader reads the head of a group; the entries are not looked at.
func DecodeHeader(b []byte) (Header, error) {
	if len(b) < GroupHeaderSize {
		return Header{}, fmt.Errorf("%w: %d bytes where a group should start", ErrFormat, len(b))
	}
	if m := binary.BigEndian.Uint32(b); m != groupMagic {
		return Header{}, fmt.Errorf("%w: magic %#08x where a group should start", ErrFormat, m)
	}
	if v := binary.BigEndian.Uint16(b[4:]); v != groupVersion {
		return Header{}, fmt.Errorf("%w: group of version %d", ErrFormat, v)
	}
	h := Header{
		Position: int64(binary.BigEndian.Uint64(b[24:])),
		Sequence: binary.BigEndian.Uint64(b[32:]),
		Size:     int(binary.BigEndian.Uint32(b[40:])),
		Entries:  int(binary.BigEndian.Uint32(b[44:])),
		Padded:   int64(binary.BigEndian.Uint32(b[48:])),
		Next:     int64(binary.BigEndian.Uint32(b[52:])),
		hash:     binary.BigEndian.Uint64(b[hashOffset:]),
	}
	copy(h.Journal[:], b[8:24])
	if h.Size < GroupHeaderSize || h.Position < 0 || h.Padded < int64(h.Size) || h.Padded%Block != 0 || h.Padded > maxGroup ||
		h.Next < Block || h.Next%Block != 0 || h.Next > maxGroup {
		return Header{}, fmt.Errorf("%w: group of %d bytes at %d, %d promised", ErrFormat, h.Size, h.Position, h.Next)
	}
	return h, nil
}

// DecodeGroup checks the whole group that starts b and returns its entries'
// bytes, for DecodeEntry.
func DecodeGroup(b []byte) (Header, []byte, error) {
	h, err := DecodeHeader(b)
	if err != nil {
		return Header{}, nil, err
	}
	if h.Size > len(b) {
		return Header{}, nil, fmt.Errorf("%w: group of %d bytes in %d", ErrFormat, h.Size, len(b))
	}
	if got := groupHash(b[:h.Size]); got != h.hash {
		return Header{}, nil, fmt.Errorf("%w: group %d has hash %#x, its bytes %#x", ErrFormat, h.Sequence, h.hash, got)
	}
	return h, b[GroupHeaderSize:h.Size], nil
}

// roundUp returns n rounded up to a multiple of unit.
func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
