// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

const (
	checkpointMagic      = 0x53435031 // "SCP1"
	checkpointVersion    = 2
	checkpointHeaderSize = 136
	checkpointHeaderV1   = 128 // version 1 says nothing of the store's version
	checkpointHashOffset = 120
	logRecordSize        = 56
)

// Mark identifies the clean-shutdown mark that this broker wrote: another
// broker's has another inode or another time. Zero means none.
type Mark struct {
	Inode  uint64
	MtimeN int64 // nanoseconds since 1970
}

// Checkpoint says from where on the journal matters, and what was true of each
// log then.
type Checkpoint struct {
	Sequence      uint64 // the newest valid slot counts
	Journal       ID
	Position      int64  // groups before it are covered by synced segments
	GroupSequence uint64 // of the first group at or after Position
	GroupMax      int64  // what that group may be at most, padded; see Header.Next
	FileBytes     int64  // size of each journal file
	Zeroed        int64  // bytes of the four files that were written at least once
	Store         [16]byte
	StoreVersion  int64 // of the metadata store, which only grows; 0: not known
	Mark          Mark
	NextCreation  uint64 // the next log made here gets this number
	Logs          []LogState
}

// LogState is one log at a checkpoint.
type LogState struct {
	ID        LogID
	Name      string // of its directory, without path
	Synced    int64  // offsets below are synced in segments
	Start     int64  // log start offset
	Producers []byte // producer state at Synced, up to five batches a producer, as engine.Flush gives it
}

// Append encodes the checkpoint behind dst.
//
//	0 magic u32 | 4 version u16 | 6 zero u16 | 8 sequence u64 | 16 size u64 | 24 journal id [16] | 40 position u64
//	48 group sequence u64 | 56 file bytes u64 | 64 zeroed u64 | 72 store id [16] | 88 mark inode u64
//	96 mark mtime i64 | 104 next creation u64 | 112 logs u32 | 116 most the group there may be u32 | 120 xxhash64 of all other bytes
//	128 store version u64
//	136 one record per log:
//	0 size u32 | 4 partition i32 | 8 topic id [16] | 24 creation u64 | 32 synced end i64 | 40 log start i64
//	48 name length u16 | 50 zero u16 | 52 bytes of producer state u32 | 56 name | producer state
func (c *Checkpoint) Append(dst []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, checkpointHeaderSize)...)
	for i := range c.Logs {
		dst = c.Logs[i].append(dst)
	}
	b := dst[at:]
	be := binary.BigEndian
	be.PutUint32(b[0:], checkpointMagic)
	be.PutUint32(b[4:], checkpointVersion<<16)
	be.PutUint64(b[8:], c.Sequence)
	be.PutUint64(b[16:], uint64(len(b)))
	copy(b[24:40], c.Journal[:])
	be.PutUint64(b[40:], uint64(c.Position))
	be.PutUint64(b[48:], c.GroupSequence)
	be.PutUint64(b[56:], uint64(c.FileBytes))
	be.PutUint64(b[64:], uint64(c.Zeroed))
	copy(b[72:88], c.Store[:])
	be.PutUint64(b[88:], c.Mark.Inode)
	be.PutUint64(b[96:], uint64(c.Mark.MtimeN))
	be.PutUint64(b[104:], c.NextCreation)
	be.PutUint32(b[112:], uint32(len(c.Logs)))
	be.PutUint32(b[116:], uint32(c.GroupMax))
	be.PutUint64(b[128:], uint64(c.StoreVersion))
	be.PutUint64(b[checkpointHashOffset:], checkpointHash(b))
	return dst
}

func (l *LogState) append(dst []byte) []byte {
	be := binary.BigEndian
	at := len(dst)
	dst = be.AppendUint32(dst, 0)
	dst = be.AppendUint32(dst, uint32(l.ID.Partition))
	dst = append(dst, l.ID.Topic[:]...)
	dst = be.AppendUint64(dst, l.ID.Creation)
	dst = be.AppendUint64(dst, uint64(l.Synced))
	dst = be.AppendUint64(dst, uint64(l.Start))
	dst = be.AppendUint16(dst, uint16(len(l.Name)))
	dst = be.AppendUint16(dst, 0)
	dst = be.AppendUint32(dst, uint32(len(l.Producers)))
	dst = append(dst, l.Name...)
	dst = append(dst, l.Producers...)
	be.PutUint32(dst[at:], uint32(len(dst)-at))
	return dst
}

func checkpointHash(b []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(b[:checkpointHashOffset]) // a Digest never fails
	_, _ = d.Write(b[checkpointHashOffset+8:])
	return d.Sum64()
}

// checkpointSize reads how long the checkpoint that starts b claims to be, and
// how long its header is.
func checkpointSize(b []byte) (size, header int64, err error) {
	if len(b) < checkpointHeaderV1 || binary.BigEndian.Uint32(b) != checkpointMagic {
		return 0, 0, fmt.Errorf("%w: no checkpoint", ErrFormat)
	}
	header = checkpointHeaderSize
	switch v := binary.BigEndian.Uint16(b[4:]); v {
	case 1:
		header = checkpointHeaderV1
	case checkpointVersion:
	default:
		return 0, 0, fmt.Errorf("%w: checkpoint of version %d", ErrFormat, v)
	}
	claimed := binary.BigEndian.Uint64(b[16:])
	if claimed < uint64(header) || claimed > 1<<40 {
		return 0, 0, fmt.Errorf("%w: checkpoint of %d bytes", ErrFormat, claimed)
	}
	return int64(claimed), header, nil
}

// DecodeCheckpoint reads the checkpoint that starts b. Nothing of it is
// believed before its hash is right.
func DecodeCheckpoint(b []byte) (*Checkpoint, error) {
	size, header, err := checkpointSize(b)
	if err != nil {
		return nil, err
	}
	if size > int64(len(b)) {
		return nil, fmt.Errorf("%w: checkpoint of %d bytes in %d", ErrFormat, size, len(b))
	}
	b = b[:size]
	be := binary.BigEndian
	if want, got := be.Uint64(b[checkpointHashOffset:]), checkpointHash(b); want != got {
		return nil, fmt.Errorf("%w: checkpoint has hash %#x, its bytes %#x", ErrFormat, want, got)
	}
	c := &Checkpoint{
		Sequence:      be.Uint64(b[8:]),
		Position:      int64(be.Uint64(b[40:])),
		GroupSequence: be.Uint64(b[48:]),
		GroupMax:      int64(be.Uint32(b[116:])),
		FileBytes:     int64(be.Uint64(b[56:])),
		Zeroed:        int64(be.Uint64(b[64:])),
		Mark:          Mark{be.Uint64(b[88:]), int64(be.Uint64(b[96:]))},
		NextCreation:  be.Uint64(b[104:]),
	}
	copy(c.Journal[:], b[24:40])
	copy(c.Store[:], b[72:88])
	if header == checkpointHeaderSize {
		c.StoreVersion = int64(be.Uint64(b[128:]))
	}
	if c.Position < 0 || c.FileBytes < 0 || c.FileBytes%Block != 0 {
		return nil, fmt.Errorf("%w: checkpoint at %d of files of %d bytes", ErrFormat, c.Position, c.FileBytes)
	}
	logs, rest := be.Uint32(b[112:]), b[header:]
	for range logs {
		var l LogState
		if l, rest, err = decodeLog(rest); err != nil {
			return nil, err
		}
		c.Logs = append(c.Logs, l)
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes behind the last log of a checkpoint", ErrFormat, len(rest))
	}
	return c, nil
}

func decodeLog(b []byte) (l LogState, rest []byte, err error) {
	be := binary.BigEndian
	if len(b) < logRecordSize {
		return l, nil, fmt.Errorf("%w: %d bytes where a log should start", ErrFormat, len(b))
	}
	size := be.Uint32(b)
	nameLen, producers := uint64(be.Uint16(b[48:])), uint64(be.Uint32(b[52:]))
	if uint64(size) > uint64(len(b)) || logRecordSize+nameLen+producers != uint64(size) {
		return l, nil, fmt.Errorf("%w: a log of %d bytes in %d", ErrFormat, size, len(b))
	}
	l.ID.Partition = int32(be.Uint32(b[4:]))
	copy(l.ID.Topic[:], b[8:24])
	l.ID.Creation = be.Uint64(b[24:])
	l.Synced, l.Start = int64(be.Uint64(b[32:])), int64(be.Uint64(b[40:]))
	l.Name = string(b[logRecordSize : logRecordSize+nameLen])
	if producers > 0 {
		l.Producers = append([]byte(nil), b[logRecordSize+nameLen:size]...)
	}
	return l, b[size:], nil
}
