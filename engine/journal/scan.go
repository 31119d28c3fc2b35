// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// Gap is damage: groups that are not valid although a later one is.
type Gap struct {
	Position    int64  // where the first of them should start
	First, Next uint64 // sequences: First up to, not including, Next are lost
}

// Scanned is what Scan saw.
type Scanned struct {
	Groups, Entries int
	BytesRead       int64 // of valid groups
	BytesSearched   int64 // behind the last valid one, for a later one
	Torn            bool  // the last group was begun and is not whole
	Gaps            []Gap
	Position        int64 // behind the last valid group
}

// scanner reads the stream of one journal, group by group.
type scanner struct {
	files     [Files]vfs.File // nil: missing
	id        ID
	fileBytes int64
	buf       []byte // the group looked at
	chunk     []byte // what is searched
	out       Scanned
}

// Scan calls each for every entry of every valid group from checkpoint c on, in
// order, with the sequence of the group; Data is valid during the call. Past
// damage it goes on with the next valid group and notes the gap. An error of
// each ends the scan and is returned.
func Scan(fsys vfs.FS, dir string, c *Checkpoint, each func(sequence uint64, e *Entry) error) (Scanned, error) {
	s := &scanner{id: c.Journal, fileBytes: c.FileBytes}
	defer s.close()
	if c.FileBytes < 4*Block {
		return s.out, fmt.Errorf("%w: checkpoint names files of %d bytes", ErrFormat, c.FileBytes)
	}
	for i := range s.files {
		f, err := fsys.OpenFile(filepath.Join(dir, FileName(i)), os.O_RDONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue // if it mattered, what comes later tells
		}
		if err != nil {
			return s.out, err
		}
		s.files[i] = f
	}
	err := s.run(c.Position, c.GroupSequence, each)
	return s.out, err
}

func (s *scanner) close() {
	for _, f := range s.files {
		if f != nil {
			_ = f.Close() // it was only read
		}
	}
}

func (s *scanner) run(pos int64, seq uint64, each func(uint64, *Entry) error) error {
	for {
		h, entries, err := s.groupAt(pos, seq)
		if err != nil {
			return err
		}
		if entries == nil && pos%s.fileBytes != 0 { // it may not have fitted
			torn := s.out.Torn
			next := roundUp(pos, s.fileBytes)
			if h, entries, err = s.groupAt(next, seq); err != nil {
				return err
			}
			if entries != nil {
				pos, s.out.Torn = next, torn
			}
		}
		if entries == nil {
			next, nextSeq, err := s.search(pos, seq)
			if err != nil || nextSeq == 0 {
				s.out.Position = pos
				return err
			}
			s.out.Gaps = append(s.out.Gaps, Gap{Position: pos, First: seq, Next: nextSeq})
			s.out.Torn = false
			pos, seq = next, nextSeq
			continue
		}
		s.out.Groups++
		s.out.BytesRead += int64(h.Size)
		for range h.Entries {
			var e Entry
			if e, entries, err = DecodeEntry(entries); err != nil {
				return fmt.Errorf("group %d: %w", seq, err) // its hash was right: not damage, another format
			}
			s.out.Entries++
			if err := each(seq, &e); err != nil {
				return err
			}
		}
		pos, seq = pos+h.Padded, seq+1
	}
}

// groupAt reads the group at pos if it is the one with sequence seq; entries
// are nil if it is not, or not whole.
func (s *scanner) groupAt(pos int64, seq uint64) (h Header, entries []byte, err error) {
	b, err := s.read(&s.buf, pos, GroupHeaderSize)
	if err != nil {
		return h, nil, err
	}
	h, bad := DecodeHeader(b)
	if bad != nil || h.Journal != s.id || h.Position != pos || h.Sequence != seq {
		return h, nil, nil
	}
	s.out.Torn = true // until it proves whole
	if pos%s.fileBytes+h.Padded > s.fileBytes {
		return h, nil, nil
	}
	if b, err = s.read(&s.buf, pos, h.Size); err != nil {
		return h, nil, err
	}
	if h, entries, bad = DecodeGroup(b); bad != nil {
		return h, nil, nil
	}
	s.out.Torn = false
	return h, entries, nil
}

// search looks for a valid group later than (pos, seq): in the rest of pos's
// file, then at the start of the files that follow.
func (s *scanner) search(pos int64, seq uint64) (int64, uint64, error) {
	const chunk = 256 << 10
	torn := s.out.Torn
	defer func() { s.out.Torn = torn }()
	end := roundUp(pos+1, s.fileBytes)
	for at := pos; at < end; at += chunk {
		b, err := s.read(&s.chunk, at, int(min(chunk, end-at)))
		if err != nil {
			return 0, 0, err
		}
		s.out.BytesSearched += int64(len(b))
		for off := 0; off < len(b); off += Block {
			if found, next, err := s.later(b[off:], at+int64(off), seq); err != nil || next != 0 {
				return found, next, err
			}
		}
	}
	for i := range int64(Files - 1) {
		at := end + i*s.fileBytes
		b, err := s.read(&s.chunk, at, GroupHeaderSize)
		if err != nil {
			return 0, 0, err
		}
		s.out.BytesSearched += int64(len(b))
		if found, next, err := s.later(b, at, seq); err != nil || next != 0 {
			return found, next, err
		}
	}
	return 0, 0, nil
}

// later returns place and sequence of the whole group that starts b, which was
// read at pos, if it is of this journal and later than seq; else 0. It may be
// of a later time around the files.
func (s *scanner) later(b []byte, pos int64, seq uint64) (int64, uint64, error) {
	h, bad := DecodeHeader(b)
	lap := Files * s.fileBytes
	if bad != nil || h.Journal != s.id || h.Position < pos || (h.Position-pos)%lap != 0 || h.Sequence <= seq {
		return 0, 0, nil
	}
	_, entries, err := s.groupAt(h.Position, h.Sequence)
	if err != nil || entries == nil {
		return 0, 0, err
	}
	return h.Position, h.Sequence, nil
}

// read returns up to n bytes at pos, in *buf; fewer where a file is short or
// missing.
func (s *scanner) read(buf *[]byte, pos int64, n int) ([]byte, error) {
	f, off := s.files[pos/s.fileBytes%Files], pos%s.fileBytes
	if f == nil {
		return nil, nil
	}
	if cap(*buf) < n {
		*buf = make([]byte, n) // n is bounded by the size of a file
	}
	b := (*buf)[:n]
	n, err := f.ReadAt(b, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}
