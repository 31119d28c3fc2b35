// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
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
	Bytes           int64 // of the valid groups, and of the torn one
	BytesRead       int64 // to read them, and where the next one should have been
	BytesSearched   int64 // behind the last valid one, for a later one
	Window          int64 // how far that search may go: the promise of the last valid one
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
	most      int64  // what the group looked for may be
	from      int64  // where a search began
	begun     Header // a later group that a search found, not whole
	kept      *Kept  // nil: nothing is
	torn      int64  // bytes read of a group that is not whole
	out       Scanned
}

// Scan calls each for every entry of every valid group from checkpoint c on, in
// order, with the sequence of the group; Data is valid during the call. Past
// damage it goes on with the next valid group and notes the gap. An error of
// each ends the scan and is returned.
func Scan(fsys vfs.FS, dir string, c *Checkpoint, each func(sequence uint64, e *Entry) error) (Scanned, error) {
	return ScanInto(nil, fsys, dir, c, each)
}

// ScanInto is Scan that keeps what it read.
func ScanInto(kept *Kept, fsys vfs.FS, dir string, c *Checkpoint, each func(sequence uint64, e *Entry) error) (Scanned, error) {
	s, err := openScanner(fsys, dir, c)
	if err != nil {
		return Scanned{}, err
	}
	defer s.close()
	s.kept = kept
	err = s.run(c.Position, c.GroupSequence, each)
	return s.out, err
}

// scanFrom is Scan from a group in its middle on.
func scanFrom(p *where, fsys vfs.FS, dir string, c *Checkpoint, each func(sequence uint64, e *Entry) error) (Scanned, error) {
	s, err := openScanner(fsys, dir, c)
	if err != nil {
		return Scanned{}, err
	}
	defer s.close()
	s.most = p.most
	err = s.run(p.position, p.sequence, each)
	return s.out, err
}

func openScanner(fsys vfs.FS, dir string, c *Checkpoint) (*scanner, error) {
	s := &scanner{id: c.Journal, fileBytes: c.FileBytes, most: max(c.GroupMax, Block)}
	if c.FileBytes < 4*Block {
		return nil, fmt.Errorf("%w: checkpoint names files of %d bytes", ErrFormat, c.FileBytes)
	}
	for i := range s.files {
		f, err := fsys.OpenFile(filepath.Join(dir, FileName(i)), os.O_RDONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue // if it mattered, what comes later tells
		}
		if err != nil {
			s.close()
			return nil, err
		}
		s.files[i] = f
	}
	return s, nil
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
		h, entries, err := s.groupAt(pos, seq) // entries end where the group's bytes do
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
			found, err := s.search(pos, seq)
			if err != nil || found.Sequence == 0 {
				s.out.Position = pos
				if s.out.Torn {
					s.out.Bytes += s.torn
				}
				return err
			}
			s.out.Gaps = append(s.out.Gaps, Gap{Position: pos, First: seq, Next: found.Sequence})
			s.out.Torn = false
			pos, seq, s.most = found.Position, found.Sequence, max(found.Padded, s.most)
			continue
		}
		s.out.Groups++
		s.out.Bytes += h.Padded
		s.kept.add(entries, where{pos, seq, s.most})
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
		pos, seq, s.most = pos+h.Padded, seq+1, h.Next
	}
}

// groupAt reads the group at pos if it is the one with sequence seq; entries
// are nil if it is not, or not whole.
func (s *scanner) groupAt(pos int64, seq uint64) (h Header, entries []byte, err error) {
	b, err := s.read(&s.buf, pos, GroupHeaderSize)
	if err != nil {
		return h, nil, err
	}
	s.out.BytesRead += int64(len(b))
	h, bad := DecodeHeader(b)
	if bad != nil || h.Journal != s.id || h.Position != pos || h.Sequence != seq {
		return h, nil, nil
	}
	s.out.Torn = true // until it proves whole
	if h.Padded > s.most || pos%s.fileBytes+h.Padded > s.fileBytes {
		return h, nil, nil
	}
	if b, err = s.read(&s.buf, pos, h.Size); err != nil {
		return h, nil, err
	}
	s.out.BytesRead += int64(len(b)) - GroupHeaderSize
	if h, entries, bad = DecodeGroup(b); bad != nil {
		s.torn = int64(len(b))
		return h, nil, nil
	}
	s.out.Torn, s.torn = false, 0
	return h, entries, nil
}

// search looks for a group later than seq, which should stand at pos and is not
// whole. What it may be at most is known, so the group behind it starts within
// that of pos; or within that of the start of the next file, if it did not fit
// behind pos. The starts of the other files are looked at because it is cheap.
//
// If none is whole, the head of one is proof enough: one group is in flight, so
// it was begun when all before it were on disk. At pos it is none.
func (s *scanner) search(pos int64, seq uint64) (Header, error) {
	torn, size, most := s.out.Torn, s.torn, s.most
	s.out.Window = min(most, s.fileBytes)
	s.from, s.begun, s.most = pos, Header{}, s.fileBytes // the promise on a later one may be lost
	defer func() { s.out.Torn, s.torn, s.most = torn, size, most }()
	end := roundUp(pos+1, s.fileBytes)
	if h, err := s.searchIn(pos, min(end, pos+most+Block), seq); err != nil || h.Sequence != 0 {
		return h, err
	}
	for i := range int64(Files - 1) {
		at, n := end+i*s.fileBytes, int64(Block)
		if i == 0 && pos+most > end {
			n = min(s.fileBytes, most+Block)
		}
		if h, err := s.searchIn(at, at+n, seq); err != nil || h.Sequence != 0 {
			return h, err
		}
	}
	if s.begun.Position == pos {
		return Header{}, nil
	}
	return s.begun, nil
}

// searchIn looks at every block from at to end, in one file: at its first bytes,
// which tell whether a group may start there.
func (s *scanner) searchIn(at, end int64, seq uint64) (Header, error) {
	const magic = 4
	for ; at < end; at += Block {
		b, err := s.read(&s.chunk, at, magic)
		if err != nil {
			return Header{}, err
		}
		s.out.BytesSearched += int64(len(b))
		if len(b) < magic || binary.BigEndian.Uint32(b) != groupMagic {
			continue
		}
		if b, err = s.read(&s.chunk, at, GroupHeaderSize); err != nil {
			return Header{}, err
		}
		s.out.BytesSearched += int64(len(b))
		if h, err := s.later(b, at, seq); err != nil || h.Sequence != 0 {
			return h, err
		}
	}
	return Header{}, nil
}

// later returns the head that starts b, which was read at pos, if it is that of
// a whole group of this journal later than seq. It may be of a later time
// around the files. The first that is not whole is kept in begun.
func (s *scanner) later(b []byte, pos int64, seq uint64) (Header, error) {
	h, bad := DecodeHeader(b)
	lap := Files * s.fileBytes
	if bad != nil || h.Journal != s.id || h.Position < pos || (h.Position-pos)%lap != 0 || h.Sequence <= seq {
		return Header{}, nil
	}
	_, entries, err := s.groupAt(h.Position, h.Sequence)
	if err == nil && entries != nil {
		return h, nil
	}
	if s.begun.Sequence == 0 || s.begun.Position == s.from {
		s.begun = h
	}
	return Header{}, err
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
