// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"testing"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
)

// timeOf, epochEnd and trim ask and wait.
func timeOf(p *Partition, q TimeQuery) (TimeAnswer, error) {
	type answer struct {
		TimeAnswer
		error
	}
	c := make(chan answer, 1)
	p.OffsetForTime(q, nil, func(a TimeAnswer, err error) { c <- answer{a, err} })
	a := <-c
	return a.TimeAnswer, a.error
}

func epochEnd(p *Partition, epoch engine.Epoch) (at engine.Epoch, end engine.Offset, err error) {
	done := make(chan struct{})
	p.EpochEnd(epoch, -1, nil, func(a engine.Epoch, o engine.Offset, e error) {
		at, end, err = a, o, e
		close(done)
	})
	<-done
	return at, end, err
}

func trim(p *Partition, to engine.Offset) (start engine.Offset, err error) {
	done := make(chan struct{})
	p.TrimTo(to, nil, func(o engine.Offset, e error) {
		start, err = o, e
		close(done)
	})
	<-done
	return start, err
}

// Offsets by time, with what ListOffsets says of each special time.
func TestOffsetForTime(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.lead(0)
	w.fill(3, p)
	if err := w.set.Lead(w.leadership(0, 7)); err != nil {
		t.Fatal(err)
	}
	w.fill(2, p)
	const at = 1_700_000_000_000 // what newBatch stamps
	for _, c := range []struct {
		time int64
		want TimeAnswer
	}{
		{TimeLatest, TimeAnswer{5, -1, 7}},
		{TimeEarliest, TimeAnswer{0, -1, 5}},
		{TimeEarliestLocal, TimeAnswer{0, -1, 5}},
		{TimeMax, TimeAnswer{0, at, 5}},
		{at, TimeAnswer{0, at, 5}},
		{0, TimeAnswer{0, at, 5}},
		{at + 1, TimeAnswer{-1, -1, -1}},
	} {
		for _, committed := range []bool{false, true} {
			if a, err := timeOf(p, TimeQuery{Timestamp: c.time, LeaderEpoch: -1, ReadCommitted: committed}); a != c.want || err != nil {
				t.Errorf("time %d: %+v, %v; want %+v", c.time, a, err, c.want)
			}
		}
	}
	if _, err := timeOf(p, TimeQuery{Timestamp: TimeLatest, LeaderEpoch: 6}); !errors.Is(err, ErrFencedEpoch) {
		t.Errorf("old epoch: %v", err)
	}
	if _, err := timeOf(p, TimeQuery{Timestamp: TimeLatest, LeaderEpoch: 8}); !errors.Is(err, ErrUnknownEpoch) {
		t.Errorf("epoch to come: %v", err)
	}
	if e, end, err := epochEnd(p, 6); e != 5 || end != 3 || err != nil {
		t.Errorf("epoch 6 ends as %d at %d, %v", e, end, err)
	}
	if e, end, err := epochEnd(p, 7); e != 7 || end != 5 || err != nil {
		t.Errorf("epoch 7 ends as %d at %d, %v", e, end, err)
	}
	if err := w.set.Stop(p.ID(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := timeOf(p, TimeQuery{Timestamp: TimeLatest, LeaderEpoch: -1}); !errors.Is(err, ErrDeleted) {
		t.Errorf("of a deleted partition: %v", err)
	}
}

// While the in-sync replicas have not reached the start of the leader's epoch
// the end is not known to consumers (KIP-207).
func TestOffsetNotAvailable(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.lead(0)
	w.fill(2, p)
	w.stop(true)
	w = newWorld(t, worldOptions{fs: w.fs})
	l := w.leadership(0, 6)
	l.ISR, l.Replicas = []meta.BrokerID{1, 2}, []meta.BrokerID{1, 2}
	if err := w.set.Lead(l); err != nil {
		t.Fatal(err)
	}
	p = w.set.Lookup([]byte("orders"), 0)
	_ = p.Await()
	p.hw.Store(1) // as if the checkpoint had been older
	if _, err := timeOf(p, TimeQuery{Timestamp: TimeLatest, LeaderEpoch: -1}); !errors.Is(err, ErrOffsetNotAvailable) {
		t.Fatalf("got %v", err)
	}
	if a, err := timeOf(p, TimeQuery{Timestamp: TimeEarliest, LeaderEpoch: -1}); err != nil || a.Offset != 0 {
		t.Fatalf("earliest: %+v, %v", a, err)
	}
}

// DeleteRecords moves the log start up to the high watermark and not beyond,
// only where the policy deletes; readers below it are out of range.
func TestTrimTo(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.lead(0)
	w.fill(5, p)
	for _, c := range []struct {
		to, start engine.Offset
		err       error
	}{{2, 2, nil}, {1, 2, nil}, {6, -1, engine.ErrOffsetOutOfRange}, {-2, -1, engine.ErrOffsetOutOfRange}, {-1, 5, nil}} {
		if start, err := trim(p, c.to); start != c.start || !errors.Is(err, c.err) {
			t.Fatalf("trim to %d: start %d, %v; want %d, %v", c.to, start, err, c.start, c.err)
		}
	}
	w.fill(1, p)
	if got := w.readAll(p, 5); len(got) != 1 || got[0].offset != 5 {
		t.Fatalf("read %v", got)
	}
	r := &ReadRequest{MaxBytes: 1000, Replica: Consumer, Parts: []ReadPart{{Partition: p, Offset: 4, LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: 1000}}}
	if w.set.Read(r); !errors.Is(r.Parts[0].Err, engine.ErrOffsetOutOfRange) {
		t.Fatalf("read below the start: %v", r.Parts[0].Err)
	}
	compacted := *engine.DefaultConfig()
	compacted.Delete, compacted.Compact = false, true
	w.set.Configure("orders", &compacted, 1)
	if _, err := trim(p, 6); !errors.Is(err, ErrPolicyViolation) {
		t.Fatalf("trim of a compacted log: %v", err)
	}
}
