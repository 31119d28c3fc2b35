// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/producer"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// story is a life of a log: it does a bit of everything and keeps a model of
// what must be in it. It stops at the first error.
type story struct {
	tb        testing.TB
	fs        vfs.FS
	o         Options
	l         *Log
	rng       *rand.Rand
	acked     []byte // every batch that was written, as it stood when it was written
	ends      []Offset
	pos       []int // of acked, after the batch that ends at ends[i]
	sequence  int32
	synced    Offset
	truncated bool // since the last sync
	trimmed   Offset
	producer  []byte
}

// errTruncated marks the errors of truncations.
var errTruncated = errors.New("truncation")

func newStory(tb testing.TB, fs vfs.FS, seed uint64) *story {
	s := &story{tb: tb, fs: fs, rng: rand.New(rand.NewPCG(seed, 3))}
	s.o = testOptions(fs)
	s.o.Config.SegmentBytes = 3000
	s.o.Config.IndexIntervalBytes = 200
	s.o.Config.DeleteDelayMs = 0
	s.o.ProducerExpiryMs = func() int64 { return 1 << 60 }
	return s
}

// put stages a few appends and writes them; n stand.
func (s *story) put() error {
	var staged []*Append
	for range 1 + s.rng.IntN(4) {
		h := batch.PlainHeader()
		n := 1 + s.rng.IntN(5)
		if s.rng.IntN(2) == 0 {
			h.ProducerID, h.ProducerEpoch, h.BaseSequence = 7, 0, s.sequence
		}
		a := &Append{Batches: batchOf(s.tb, h, n, s.rng.IntN(200), int64(1000+len(s.ends))), Epoch: max(0, s.l.LastEpoch())}
		if err := s.l.Stage(a); err != nil {
			if errors.Is(err, ErrOutOfOrderSequence) {
				s.tb.Fatal(err)
			}
			break
		}
		if h.ProducerID >= 0 {
			s.sequence += int32(n)
		}
		staged = append(staged, a)
	}
	n, err := s.l.Write()
	for i, a := range staged {
		if i < n {
			s.acked = append(s.acked, a.Batches...)
			s.ends, s.pos = append(s.ends, a.Last+1), append(s.pos, len(s.acked))
		} else if a.Err == nil {
			s.tb.Fatalf("append %d of %d does not stand and has no error", i, n)
		} else if b := batch.Batch(a.Batches); b.ProducerID() >= 0 {
			s.sequence = min(s.sequence, b.BaseSequence())
		}
	}
	return err
}

func (s *story) sync() error {
	f := s.l.Flush()
	err := s.l.FlushDone(f, f.Run())
	if err == nil {
		s.synced, s.producer, s.truncated = s.l.SyncedEnd(), f.Producers(), false
		if s.synced != s.end() {
			s.tb.Fatalf("synced to %d of %d", s.synced, s.end())
		}
	}
	return err
}

func (s *story) end() Offset {
	if len(s.ends) == 0 {
		return 0
	}
	return s.ends[len(s.ends)-1]
}

func (s *story) truncate() error {
	if len(s.ends) < 4 {
		return nil
	}
	n := len(s.ends) - 1 - s.rng.IntN(3)
	if s.ends[n-1] < s.trimmed {
		return nil
	}
	s.truncated = true
	err := s.l.TruncateTo(s.ends[n-1])
	if err != nil { // it was cut, or it was not: such a log is fenced whatever the cause
		s.synced = min(s.synced, s.ends[n-1])
		return fmt.Errorf("%w: %w", errTruncated, err)
	}
	s.ends, s.pos, s.acked = s.ends[:n], s.pos[:n], s.acked[:s.pos[n-1]]
	s.synced = min(s.synced, s.end())
	s.producer = nil
	if e := s.l.history.producers.Get(7); e != nil {
		s.sequence = e.LastSequence() + 1
	} else {
		s.sequence = 0
	}
	return err
}

func (s *story) expire() error {
	c := *s.o.Config
	c.RetentionBytes = 9000
	s.l.SetConfig(&c)
	_, err := s.l.Expire(testClock, s.l.SyncedEnd())
	if start := s.l.Start(); start > s.trimmed {
		s.trimmed = start
	}
	if rerr := s.l.Reap(testClock.Add(time.Hour)); err == nil {
		err = rerr
	}
	return err
}

func (s *story) reopen() error {
	if err := s.l.Close(true); err != nil {
		return err
	}
	s.synced, s.truncated = s.end(), false
	s.o.Clean, s.o.RecoveryPoint, s.o.LogStart = true, s.synced, s.trimmed
	return s.open()
}

func (s *story) open() error {
	l, err := Open(testDir, s.o)
	if err == nil {
		s.l = l
	}
	return err
}

func (s *story) step() error {
	switch s.rng.IntN(12) {
	default:
		return s.put()
	case 5:
		return s.sync()
	case 6:
		return s.l.Roll()
	case 7:
		return s.truncate()
	case 8:
		return s.expire()
	case 9:
		return s.l.BeginEpoch(s.l.LastEpoch() + 1)
	case 10:
		return s.reopen()
	}
}

// check compares the log with the model: everything from the start on, up to
// at least the synced end.
func (s *story) check(what string) {
	s.tb.Helper()
	l := s.l
	if s.truncated && l.End() > s.synced { // what a truncation removed may be back, but only behind what was synced
		readAll(s.tb, l, l.Start())
		if err := l.TruncateTo(s.synced); err != nil || l.End() != s.synced {
			s.tb.Fatalf("%s: %d after truncation to %d: %v", what, l.End(), s.synced, err)
		}
	}
	if l.End() < s.synced || l.End() > s.end() {
		s.tb.Fatalf("%s: ends at %d, synced to %d of %d", what, l.End(), s.synced, s.end())
	}
	got := readAll(s.tb, l, l.Start())
	from, to := 0, 0
	for i, e := range s.ends {
		if e <= l.Start() {
			from = s.pos[i]
		}
		if e <= l.End() {
			to = s.pos[i]
		}
	}
	if !bytes.Equal(got, s.acked[from:max(from, to)]) {
		s.tb.Fatalf("%s: %d bytes from %d to %d, want %d", what, len(got), l.Start(), l.End(), to-from)
	}
}

// TestStory lives through many random steps without faults.
func TestStory(t *testing.T) {
	for seed := range uint64(30) {
		s := newStory(t, testFS(t), seed)
		if err := s.open(); err != nil {
			t.Fatal(err)
		}
		for i := range 150 {
			if err := s.step(); err != nil {
				t.Fatalf("seed %d step %d: %v", seed, i, err)
			}
		}
		s.synced = s.end()
		s.check(fmt.Sprint("seed ", seed))
		if err := s.l.Close(true); err != nil {
			t.Fatal(err)
		}
		checkIndexes(t, s.fs)
	}
}

// TestCrash cuts the power at random moments: what was synced is there, what
// was not may be, in order, and nothing else is.
func TestCrash(t *testing.T) {
	for seed := range uint64(150) {
		mem := testFS(t)
		s := newStory(t, mem, seed)
		if err := s.open(); err != nil {
			t.Fatal(err)
		}
		for range 20 + s.rng.IntN(60) {
			if err := s.step(); err != nil {
				t.Fatal(err)
			}
		}
		for crash := range int64(6) {
			after := *s
			after.fs = mem.CrashClone(int64(seed)*10 + crash)
			after.o.FS, after.o.Clean = after.fs, false
			after.o.RecoveryPoint, after.o.LogStart = s.synced, s.trimmed
			if crash%2 == 0 {
				after.o.Producers = s.producer
			}
			if s.l.SyncedEnd() != s.synced {
				after.o.Producers = nil
			}
			if err := after.open(); err != nil {
				t.Fatalf("seed %d crash %d: %v", seed, crash, err)
			}
			after.check(fmt.Sprintf("seed %d crash %d", seed, crash))
			checkProducers(t, after.l)
			put(t, after.l, plain(t, 1, 1))
			if err := after.l.Close(true); err != nil {
				t.Fatal(err)
			}
			checkIndexes(t, after.fs)
		}
	}
}

// checkProducers compares producer state with what the batches say.
func checkProducers(tb testing.TB, l *Log) {
	tb.Helper()
	want := producer.NewState()
	for rest := readAll(tb, l, l.Start()); len(rest) > 0; {
		b, next, err := batch.Next(rest)
		if err == nil {
			_, err = want.Stage(b, producer.Trust)
		}
		if err != nil {
			tb.Fatal(err)
		}
		rest = next
	}
	for _, e := range want.Entries() {
		got := l.history.producers.Get(e.ID)
		if got == nil || got.LastSequence() != e.LastSequence() || got.Epoch != e.Epoch || got.TxnFirstOffset != e.TxnFirstOffset {
			tb.Fatalf("producer %d is remembered as %+v, the log says %+v", e.ID, got, e)
		}
	}
	if l.Start() == 0 && l.history.producers.Len() > want.Len() {
		tb.Fatalf("%d producers are remembered, the log knows %d", l.history.producers.Len(), want.Len())
	}
}

// TestFailEveryOperation makes the first file operation fail, then the second,
// and so on, with a full disk and with a broken one. Whatever stood before
// stands afterwards; a full disk never fences, and passes.
func TestFailEveryOperation(t *testing.T) {
	for _, cause := range []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EMFILE} {
		for short := range 2 {
			if cause == syscall.EMFILE && short == 1 {
				continue
			}
			for n := int64(1); ; n++ {
				if !failOnce(t, cause, short == 1, n) {
					t.Logf("%v short=%d: %d operations", cause, short, n-1)
					break
				}
			}
		}
	}
}

func failOnce(t *testing.T, cause syscall.Errno, short bool, n int64) (failed bool) {
	mem := testFS(t)
	var at vfs.Op
	count := int64(0)
	fs := vfs.Inject(mem, func(op vfs.Op) error {
		switch {
		case op.Kind == vfs.OpClose,
			cause == syscall.ENOSPC && op.Kind != vfs.OpWrite && op.Kind != vfs.OpOpen,
			cause == syscall.EMFILE && op.Kind != vfs.OpOpen,
			short && op.Kind != vfs.OpWrite:
			return nil
		}
		if count++; count != n {
			return nil
		}
		at, failed = op, true
		if short && op.Kind == vfs.OpWrite {
			return &vfs.ShortWrite{Written: op.Len * 2 / 3, Err: cause}
		}
		return cause
	})
	s := newStory(t, fs, 11)
	var err error
	if err = s.open(); err == nil {
		for i := 0; i < 45 && err == nil; i++ {
			err = s.step()
		}
	}
	if !failed {
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	what := fmt.Sprintf("%v at operation %d (%v): %v", cause, n, at, err)
	if err == nil || s.l == nil {
		if s.l == nil {
			return true // it could not be opened, and said so
		}
	}
	if cause != syscall.EIO && s.l.Err() != nil && !errors.Is(err, errTruncated) {
		t.Fatalf("%s: fenced: %v", what, s.l.Err())
	}
	if s.l.Err() == nil && !s.l.fence.closed {
		s.synced, s.truncated = s.l.End(), false
		s.check(what)
		put(t, s.l, plain(t, 1, 1))
		return true
	}
	// Fenced, or closing failed: a new process finds all that was synced, as
	// nothing of it was lost to a crash here.
	s.fs, s.o.FS, s.l = mem, mem, nil
	s.o.Clean, s.o.RecoveryPoint, s.o.LogStart = false, s.synced, s.trimmed
	if err := s.open(); err != nil {
		t.Fatalf("%s: then: %v", what, err)
	}
	s.check(what)
	return true
}
