// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"sync"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// Head is what the header of one batch, or of one message of magic 0 or 1,
// says. Of a compressed message of the old formats only the last offset is
// known without opening it; Base is then the same.
type Head struct {
	Pos          int64
	Size         int64
	Base, Last   int64
	MaxTimestamp int64 // ms, -1 if none
	Epoch        int32 // leader epoch, -1 if none
	Magic        int8
	Batch        batch.Batch // magic 2: its header, until the next Next; not its records
}

// Scanner walks the batches of a .log file in order, reading as little as it
// must. It allocates its buffer only.
type Scanner struct {
	BytesRead int64 // from the file, in all

	hops     bool // only heads are wanted: nothing is read ahead
	file     vfs.File
	pos, end int64
	buf      []byte // buf[:have] are the bytes of the file at from
	from     int64
	have     int
	lastSize int64
	head     [batch.HeaderSize]byte
}

const (
	lookupBuffer  = 16 << 10
	recoverBuffer = 256 << 10
	sparseRead    = 512 // what is read for a header when batches are larger than the buffer
	markerMax     = 64 << 10
)

// NewScanner walks file from pos to end.
func NewScanner(file vfs.File, pos, end int64) *Scanner {
	s := &Scanner{buf: make([]byte, recoverBuffer)}
	s.reset(file, pos, end)
	return s
}

func (s *Scanner) reset(file vfs.File, pos, end int64) {
	s.file, s.pos, s.end, s.from, s.have, s.lastSize, s.BytesRead, s.hops = file, pos, end, 0, 0, 0, 0, false
}

var scanners = sync.Pool{New: func() any { return &Scanner{buf: make([]byte, lookupBuffer)} }}

func takeScanner(file vfs.File, pos, end int64) *Scanner {
	s := scanners.Get().(*Scanner)
	s.reset(file, pos, end)
	return s
}

func (s *Scanner) giveBack() {
	s.file = nil
	scanners.Put(s)
}

// bytes gives n bytes of the file at pos, which must lie before end. It reads
// ahead up to want.
func (s *Scanner) bytes(pos int64, n, want int) ([]byte, error) {
	if pos >= s.from && pos+int64(n) <= s.from+int64(s.have) {
		at := int(pos - s.from)
		return s.buf[at : at+n], nil
	}
	if n > len(s.buf) {
		panic("BUG: segment: scanner asked for more than its buffer")
	}
	kept := 0
	if pos >= s.from && pos < s.from+int64(s.have) {
		kept = copy(s.buf, s.buf[pos-s.from:s.have])
	}
	want = min(max(want, n), len(s.buf))
	if left := s.end - pos; int64(want) > left {
		want = int(left)
	}
	s.from, s.have = pos, kept
	for s.have < want {
		m, err := s.file.ReadAt(s.buf[s.have:want], pos+int64(s.have))
		s.have += m
		s.BytesRead += int64(m)
		if err != nil && (s.have < n || !errors.Is(err, io.EOF)) {
			return nil, err
		}
		if m == 0 {
			break
		}
	}
	if s.have < n {
		return nil, io.ErrUnexpectedEOF
	}
	return s.buf[:n], nil
}

// Next gives the header of the next batch. io.EOF at the end; ErrCorrupt when
// what stands there is no whole batch; other errors are the disk's.
func (s *Scanner) Next() (Head, error) {
	left := s.end - s.pos
	if left == 0 {
		return Head{}, io.EOF
	}
	if left < batch.PeekSize {
		return Head{}, corrupt("%d bytes at position %d", left, s.pos)
	}
	want := len(s.buf)
	if s.lastSize > int64(want)/2 {
		want = sparseRead
	}
	n := int(min(left, batch.HeaderSize))
	if s.hops {
		want = n
	}
	b, err := s.bytes(s.pos, n, want)
	if err != nil {
		return Head{}, err
	}
	h, err := parseHead(b)
	if err != nil {
		return Head{}, corrupt("%v at position %d", err, s.pos)
	}
	if h.Size > left {
		return Head{}, corrupt("batch of %d bytes at position %d, %d there", h.Size, s.pos, left)
	}
	if h.Magic == 2 {
		copy(s.head[:], b)
		h.Batch = s.head[:]
	}
	h.Pos = s.pos
	s.pos += h.Size
	s.lastSize = h.Size
	return h, nil
}

func parseHead(b []byte) (Head, error) {
	size, magic, err := batch.Peek(b)
	if err != nil {
		return Head{}, err
	}
	h := Head{Size: int64(size), Magic: magic, Epoch: -1, MaxTimestamp: batch.NoTimestamp}
	if magic < 2 {
		h.Base = int64(binary.BigEndian.Uint64(b))
		h.Last = h.Base
		if magic == 1 { // Peek saw to it that a message of magic 1 is long enough
			if len(b) < 26 {
				return Head{}, batch.ErrShort
			}
			h.MaxTimestamp = int64(binary.BigEndian.Uint64(b[18:]))
		}
	} else {
		if len(b) < batch.HeaderSize {
			return Head{}, batch.ErrShort
		}
		h.Batch = batch.Batch(b[:batch.HeaderSize:batch.HeaderSize])
		h.Base, h.Last = h.Batch.BaseOffset(), h.Batch.LastOffset()
		h.MaxTimestamp, h.Epoch = h.Batch.MaxTimestamp(), h.Batch.LeaderEpoch()
	}
	if h.Base < 0 || h.Last < h.Base {
		return Head{}, corrupt("offsets %d to %d", h.Base, h.Last)
	}
	return h, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Verify compares the checksum of the batch that Next gave last. It needs no
// more memory than the scanner has.
func (s *Scanner) Verify(h *Head) error {
	table, at, field := castagnoli, h.Pos+21, 17 // from the attributes on
	if h.Magic < 2 {
		table, at, field = crc32.IEEETable, h.Pos+16, 12 // from the magic on
	}
	head, err := s.bytes(h.Pos, field+4, len(s.buf))
	if err != nil {
		return err
	}
	want, got := binary.BigEndian.Uint32(head[field:]), uint32(0)
	for end := h.Pos + h.Size; at < end; {
		n := int(min(end-at, int64(len(s.buf))))
		if inBuf := s.from + int64(s.have) - at; at >= s.from && inBuf > 0 {
			n = int(min(int64(n), inBuf))
		}
		b, err := s.bytes(at, n, len(s.buf))
		if err != nil {
			return err
		}
		got = crc32.Update(got, table, b)
		at += int64(n)
	}
	if got != want {
		return corrupt("checksum %08x, computed %08x, offset %d at position %d", want, got, h.Base, h.Pos)
	}
	return nil
}

// Whole gives all bytes of a batch that Next gave last, if it is not larger
// than a transaction marker may be; ErrCorrupt if it is.
func (s *Scanner) Whole(h *Head) (batch.Batch, error) {
	if h.Size > markerMax || h.Magic != 2 {
		return nil, corrupt("control batch of %d bytes, magic %d, at position %d", h.Size, h.Magic, h.Pos)
	}
	if int(h.Size) > len(s.buf) {
		s.buf = append(make([]byte, 0, markerMax), s.buf...)[:markerMax]
	}
	b, err := s.bytes(h.Pos, int(h.Size), len(s.buf))
	return batch.Batch(b), err
}
