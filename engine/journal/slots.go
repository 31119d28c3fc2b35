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

// SlotName is the name of checkpoint slot i, 0 or 1.
func SlotName(i int) string { return [2]string{"samsa.checkpoint.0", "samsa.checkpoint.1"}[i] }

// slotBytes is what a slot is preallocated to; it doubles when that is little.
const slotBytes = 64 << 10

// ReadCheckpoint returns the newest valid checkpoint of a directory, nil if
// there is none. why says what was wrong with a slot that is not empty, if one
// was: a checkpoint that was being written when the power went, or rot.
func ReadCheckpoint(fsys vfs.FS, dir string) (c *Checkpoint, why error, err error) {
	for i := range 2 {
		b, err := readSlot(fsys, filepath.Join(dir, SlotName(i)))
		if err != nil {
			return nil, nil, err
		}
		one, err := DecodeCheckpoint(b)
		switch {
		case err != nil && !blank(b):
			why = fmt.Errorf("%s: %w", SlotName(i), err)
		case err == nil && (c == nil || one.Sequence > c.Sequence):
			c = one
		}
	}
	return c, why, nil
}

// blank tells that a slot was never written: missing, short or zeros.
func blank(b []byte) bool {
	for _, x := range b[:min(len(b), checkpointHeaderSize)] {
		if x != 0 {
			return false
		}
	}
	return true
}

// readSlot reads what the slot claims to hold, never more than it has.
func readSlot(fsys vfs.FS, name string) (b []byte, err error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	head := make([]byte, checkpointHeaderV1)
	if n, err := f.ReadAt(head, 0); err != nil {
		if errors.Is(err, io.EOF) {
			return head[:n], nil
		}
		return nil, err
	}
	claimed, _, err := checkpointSize(head)
	if err != nil {
		return head, nil // DecodeCheckpoint will say so
	}
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if claimed > size {
		return head, nil
	}
	b = make([]byte, claimed)
	_, err = f.ReadAt(b, 0)
	return b, err
}

// Slots writes checkpoints, to the two slots in turn.
type Slots struct {
	fs  vfs.FS
	dir string
	seq uint64 // of the last one written
	buf []byte
}

// OpenSlots makes the slots if they are not there. last is the sequence of the
// newest valid checkpoint, whose slot is not touched by the next Write.
func OpenSlots(fsys vfs.FS, dir string, last uint64) (*Slots, error) {
	s := &Slots{fs: fsys, dir: dir, seq: last}
	for i := range 2 {
		f, err := s.openSlot(i, slotBytes)
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return s, fsys.SyncDir(dir)
}

// openSlot opens slot i with room for n bytes.
func (s *Slots) openSlot(i int, n int64) (vfs.File, error) {
	f, err := s.fs.OpenFile(filepath.Join(s.dir, SlotName(i)), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := growSlot(f, n); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

func growSlot(f vfs.File, n int64) error {
	size, err := f.Size()
	if err != nil || size >= n {
		return err
	}
	size = max(size, slotBytes)
	for size < n {
		size *= 2
	}
	err = f.Allocate(0, size)
	if errors.Is(err, vfs.ErrUnsupported) {
		err = f.Truncate(size)
	}
	if err != nil {
		return err
	}
	return f.Sync()
}

// Write makes c durable, with the next sequence. It goes to the slot that does
// not hold the newest one, so a failure leaves that standing. Full tells that
// it failed for want of space, and that it may be tried again.
func (s *Slots) Write(c *Checkpoint) (full bool, err error) {
	c.Sequence = s.seq + 1
	s.buf = c.Append(s.buf[:0])
	f, err := s.openSlot(int(c.Sequence%2), int64(len(s.buf)))
	if err != nil {
		return vfs.IsNoSpace(err), err
	}
	if _, err := f.WriteAt(s.buf, 0); err != nil {
		_ = f.Close() // the slot is not used
		return vfs.IsNoSpace(err), err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close() // the error of the sync says it all
		return false, err
	}
	if err := f.Close(); err != nil {
		return false, err
	}
	s.seq = c.Sequence
	return false, nil
}
