// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// Env is what the segments of one log share.
type Env struct {
	FS       vfs.FS
	Dir      string
	Limit    *Descriptors                 // nil: none
	Interval atomic.Int32                 // index.interval.bytes
	Rebuilt  func(file string, why error) // an index was made anew; may be nil
}

// location is where the files of a segment are.
type location struct {
	env  *Env
	base int64
}

func (at *location) path(suffix string) string {
	return filepath.Join(at.env.Dir, Name(at.base, suffix))
}

func (at *location) open(suffix string, flag int) (vfs.File, error) {
	return at.env.FS.OpenFile(at.path(suffix), flag, 0o644)
}

// read gives all bytes of a file.
func (at *location) read(suffix string) ([]byte, error) {
	f, err := at.open(suffix, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// Segment is the batches from its base offset up to the next segment's.
type Segment struct {
	at   location
	size atomic.Int64 // bytes of .log that stand; moves after what it covers

	file   logFile
	index  indexes
	txns   txnIndex
	recent atomic.Pointer[recent]
	loaded atomic.Bool // the index is; changes under file.mu
	live   atomic.Bool // the owner appends, or did: the indexes are not to be made anew beside it

	// The rest is the owner's, once ready.
	ready     bool
	firstTS   int64 // largest timestamp of the first batch; -1 if unknown
	createdMs int64
	changes   changes
}

// changes is what a flush must cover.
type changes struct {
	count    int
	unsynced bool // there are some
}

func (c *changes) touch() {
	c.count++
	c.unsynced = true
}

// Existing is a segment whose .log is there with size bytes. Nothing is opened.
func Existing(env *Env, base, size int64, hasTxnIndex bool) *Segment {
	s := &Segment{at: location{env: env, base: base}, firstTS: -1}
	s.file.at, s.file.limit = &s.at, env.Limit
	s.index.init(&s.at)
	s.txns.at = &s.at
	s.size.Store(size)
	s.txns.exists.Store(hasTxnIndex)
	return s
}

// Create makes an empty segment with its files, replacing what has their names.
func Create(env *Env, base int64, now time.Time) (*Segment, error) {
	s := Existing(env, base, 0, false)
	for _, suffix := range [...]string{TxnIndexSuffix} {
		if err := env.FS.Remove(s.at.path(suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	for _, suffix := range [...]string{TimeIndexSuffix, IndexSuffix} {
		f, err := env.FS.OpenFile(s.at.path(suffix), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	f, err := env.FS.OpenFile(s.at.path(LogSuffix), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	h := &Handle{file: f, dirty: true}
	h.pins.Store(1)
	h.used.Store(true)
	s.file.handle.Store(h)
	s.index.offsets.tail.Store(&tail{})
	s.index.times.tail.Store(&tail{})
	s.txns.list.Store(&[]AbortedTxn{})
	s.loaded.Store(true)
	s.live.Store(true)
	s.ready, s.changes.unsynced, s.createdMs = true, true, now.UnixMilli()
	s.file.limit.opened(&s.file)
	return s, nil
}

// Base is the segment's first possible offset.
func (s *Segment) Base() int64 { return s.at.base }

// Gone tells whether the segment was deleted or replaced. An error that a
// reader met in one that is gone may be of bytes that were cut under it.
func (s *Segment) Gone() bool {
	s.file.mu.Lock()
	defer s.file.mu.Unlock()
	return s.file.gone
}

// Size is the bytes of batches that stand. For any goroutine.
func (s *Segment) Size() int64 { return s.size.Load() }

// Load reads the ends of the indexes, once, and makes them anew if they do not
// fit. The reading methods do it themselves when they need to. For any goroutine.
func (s *Segment) Load() error {
	if s.loaded.Load() {
		return nil
	}
	s.file.mu.Lock()
	defer s.file.mu.Unlock()
	if s.loaded.Load() {
		return nil
	}
	if s.file.gone {
		return ErrGone
	}
	if err := s.index.load(s.size.Load()); err != nil {
		if !errors.Is(err, errInsane) {
			return err
		}
		if err := rebuild(s, err); err != nil {
			return err
		}
	}
	s.loaded.Store(true)
	return nil
}

// rebuild makes the indexes anew. Holds file.mu; the owner does not append.
func rebuild(s *Segment, why error) error {
	h, opened, err := s.file.pinLocked()
	if err != nil {
		return err
	}
	if opened {
		s.file.limit.opened(&s.file)
	}
	defer h.Unpin()
	s.file.window.Store(nil)
	if err := s.index.rebuild(h.file, s.size.Load()); err != nil {
		return err
	}
	if s.at.env.Rebuilt != nil {
		s.at.env.Rebuilt(Name(s.at.base, IndexSuffix), why)
	}
	return s.index.settle()
}

// InRange tells whether an offset can be written relative to the base.
func (s *Segment) InRange(offset int64) bool {
	return offset >= s.at.base && offset-s.at.base <= math.MaxInt32
}

// LargestTimestamp is the largest timestamp in the segment, or the time of the
// file's last change if no record has one. For any goroutine.
func (s *Segment) LargestTimestamp() (int64, error) {
	if err := s.Load(); err != nil {
		return 0, err
	}
	if ts := s.index.maxTS.Load(); ts >= 0 {
		return ts, nil
	}
	return LastModified(s)
}

// LastModified is when a segment's file was last written, in ms. For any
// goroutine.
func LastModified(s *Segment) (int64, error) {
	info, err := s.at.env.FS.Stat(s.at.path(LogSuffix))
	if err != nil {
		return 0, err
	}
	return info.ModTime().UnixMilli(), nil
}

// MaxTimestamp is the largest timestamp of a record, -1 if none has one. For
// any goroutine.
func (s *Segment) MaxTimestamp() (int64, error) {
	if err := s.Load(); err != nil {
		return 0, err
	}
	return s.index.maxTS.Load(), nil
}
