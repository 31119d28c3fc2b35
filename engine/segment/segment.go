// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
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

// Segment is the batches from its base offset up to the next segment's.
type Segment struct {
	base  int64
	env   *Env
	fs    vfs.FS
	limit *Descriptors

	size  atomic.Int64 // bytes of .log that stand; moves after what it covers
	maxTS atomic.Int64 // largest timestamp, -1 if none; valid once loaded

	mu     sync.Mutex // guards opening, loading and going
	handle atomic.Pointer[Handle]
	gone   bool
	loaded atomic.Bool
	live   atomic.Bool // the owner appends, or did: the indexes are not to be made anew beside it

	offsets, times table
	window         atomic.Pointer[window]
	recent         atomic.Pointer[recent]
	txns           atomic.Pointer[[]AbortedTxn] // nil: not read yet
	hasTxns        atomic.Bool                  // there is a .txnindex
	txnFile        vfs.File                     // open while entries are not synced

	// The rest is the owner's, once ready.
	ready       bool
	since       int64 // bytes from the batch of the last index entry on
	maxTSOffset int64 // last offset of the batch with maxTS
	lastTimeTS  int64 // of the last time index entry
	firstTS     int64 // largest timestamp of the first batch; -1 if unknown
	createdMs   int64
	writes      int  // counts changes that a flush must cover
	unsynced    bool // there are such changes
}

// Existing is a segment whose .log is there with size bytes. Nothing is opened.
func Existing(env *Env, base, size int64, hasTxnIndex bool) *Segment {
	s := &Segment{base: base, env: env, fs: env.FS, limit: env.Limit, lastTimeTS: -1, firstTS: -1}
	s.offsets.entry, s.times.entry = indexEntry, timeIndexEntry
	s.size.Store(size)
	s.maxTS.Store(-1)
	s.hasTxns.Store(hasTxnIndex)
	return s
}

// Create makes an empty segment with its files, replacing what has their names.
func Create(env *Env, base int64, now time.Time) (*Segment, error) {
	s := Existing(env, base, 0, false)
	for _, suffix := range [...]string{TxnIndexSuffix} {
		if err := env.FS.Remove(pathOf(s, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	for _, suffix := range [...]string{TimeIndexSuffix, IndexSuffix} {
		f, err := env.FS.OpenFile(pathOf(s, suffix), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
		if err != nil {
			return nil, err
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	f, err := env.FS.OpenFile(pathOf(s, LogSuffix), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	h := &Handle{file: f, dirty: true}
	h.pins.Store(1)
	h.used.Store(true)
	s.handle.Store(h)
	s.offsets.tail.Store(&tail{})
	s.times.tail.Store(&tail{})
	s.txns.Store(&[]AbortedTxn{})
	s.loaded.Store(true)
	s.live.Store(true)
	s.ready, s.unsynced, s.createdMs = true, true, now.UnixMilli()
	s.limit.opened(s)
	return s, nil
}

func pathOf(s *Segment, suffix string) string {
	return filepath.Join(s.env.Dir, Name(s.base, suffix))
}

// Base is the segment's first possible offset.
func (s *Segment) Base() int64 { return s.base }

// Gone tells whether the segment was deleted or replaced. An error that a
// reader met in one that is gone may be of bytes that were cut under it.
func (s *Segment) Gone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gone
}

// Size is the bytes of batches that stand. For any goroutine.
func (s *Segment) Size() int64 { return s.size.Load() }

// Load reads the ends of the indexes, once, and makes them anew if they do not
// fit. The reading methods do it themselves when they need to. For any goroutine.
func (s *Segment) Load() error {
	if s.loaded.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded.Load() {
		return nil
	}
	if s.gone {
		return ErrGone
	}
	if err := loadTables(s); err != nil {
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

// loadTables takes both indexes from their files; errInsane if they cannot
// belong to this segment. Holds mu, or is alone.
func loadTables(s *Segment) error {
	insane := func(err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return errors.Join(errInsane, err)
		}
		return err
	}
	last, zeros, err := s.offsets.load(s.fs, pathOf(s, IndexSuffix))
	if err != nil {
		return insane(err)
	}
	if last != nil {
		if pos := int64(binary.BigEndian.Uint32(last[4:])); pos == 0 || pos >= s.size.Load() {
			return errInsane
		}
	}
	lastTime, timeZeros, err := s.times.load(s.fs, pathOf(s, TimeIndexSuffix))
	if err != nil {
		return insane(err)
	}
	if long := s.size.Load() > int64(s.env.Interval.Load()); long && (zeros && last == nil || timeZeros && lastTime == nil) {
		return errInsane // zeroed, not merely empty
	}
	s.lastTimeTS, s.maxTSOffset = -1, s.base
	s.maxTS.Store(-1)
	if lastTime != nil {
		s.lastTimeTS = int64(binary.BigEndian.Uint64(lastTime))
		s.maxTSOffset = s.base + int64(binary.BigEndian.Uint32(lastTime[8:]))
		s.maxTS.Store(s.lastTimeTS)
	}
	if zeros || timeZeros {
		return trimTables(s)
	}
	return nil
}

// trimTables makes the index files exactly as long as their entries, all of
// which must be in the files.
func trimTables(s *Segment) error {
	for _, t := range [...]struct {
		table  *table
		suffix string
	}{{&s.offsets, IndexSuffix}, {&s.times, TimeIndexSuffix}} {
		f, err := s.fs.OpenFile(pathOf(s, t.suffix), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		want := int64(t.table.count()) * int64(t.table.entry)
		size, err := f.Size()
		if err == nil && size != want {
			err = f.Truncate(want)
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// indexBatch takes note of a batch that stands at pos: entries as Kafka makes them.
func indexBatch(s *Segment, last, maxTS, pos, size int64) error {
	if maxTS > s.maxTS.Load() {
		s.maxTS.Store(maxTS)
		s.maxTSOffset = last
	}
	if s.since > int64(s.env.Interval.Load()) {
		var e [indexEntry]byte
		binary.BigEndian.PutUint32(e[:], uint32(last-s.base))
		binary.BigEndian.PutUint32(e[4:], uint32(pos))
		if err := s.offsets.add(s, IndexSuffix, e[:]); err != nil {
			return err
		}
		if err := indexTime(s); err != nil {
			return err
		}
		s.since = 0
	}
	s.since += size
	return nil
}

// indexTime writes down the largest timestamp so far, if it is news.
func indexTime(s *Segment) error {
	ts := s.maxTS.Load()
	if ts <= s.lastTimeTS {
		return nil
	}
	var e [timeIndexEntry]byte
	binary.BigEndian.PutUint64(e[:], uint64(ts))
	binary.BigEndian.PutUint32(e[8:], uint32(s.maxTSOffset-s.base))
	if err := s.times.add(s, TimeIndexSuffix, e[:]); err != nil {
		return err
	}
	s.lastTimeTS = ts
	if s.live.Load() {
		touch(s)
	}
	return nil
}

func touch(s *Segment) {
	s.writes++
	s.unsynced = true
}

// InRange tells whether an offset can be written relative to the base.
func (s *Segment) InRange(offset int64) bool {
	return offset >= s.base && offset-s.base <= math.MaxInt32
}

// LargestTimestamp is the largest timestamp in the segment, or the time of the
// file's last change if no record has one. For any goroutine.
func (s *Segment) LargestTimestamp() (int64, error) {
	if err := s.Load(); err != nil {
		return 0, err
	}
	if ts := s.maxTS.Load(); ts >= 0 {
		return ts, nil
	}
	info, err := s.fs.Stat(pathOf(s, LogSuffix))
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
	return s.maxTS.Load(), nil
}
