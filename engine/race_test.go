// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine/batch"
)

// TestReadersBesideTheWriter: readers, a flusher and somebody who closes idle
// descriptors run beside appends, rolls, truncations and retention. Readers
// see good batches in order, or are told that an offset is out of range; a
// span stays readable until released unless its file was cut.
func TestReadersBesideTheWriter(t *testing.T) {
	fs := testFS(t)
	o := testOptions(fs)
	o.Config.SegmentBytes, o.Config.IndexIntervalBytes, o.Config.RetentionBytes = 20_000, 300, 60_000
	o.Config.DeleteDelayMs = 0
	o.Descriptors = NewDescriptors(3)
	l := open(t, o)
	var stop atomic.Bool
	var safe atomic.Int64 // truncation never goes below: the high watermark
	var wg sync.WaitGroup
	var reads atomic.Int64
	for r := range 3 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				readRandom(t, l, Offset(safe.Load()), i*7+r, &reads)
			}
		})
	}
	wg.Go(func() {
		for !stop.Load() {
			l.CloseIdle()
		}
	})
	flushes := make(chan *Flush)
	done := make(chan error)
	wg.Go(func() {
		for f := range flushes {
			done <- f.Run()
		}
	})
	var running *Flush
	deadline := time.Now().Add(2 * time.Second)
	for i := 0; time.Now().Before(deadline); i++ {
		put(t, l, plain(t, 1+i%4, int64(i)), plain(t, 3, int64(i)))
		switch {
		case running == nil && i%5 == 0:
			running = l.Flush()
			flushes <- running
		case running != nil:
			select {
			case err := <-done:
				if err := l.FlushDone(running, err); err != nil {
					t.Fatal(err)
				}
				running = nil
			default:
			}
		}
		if i%11 == 0 {
			safe.Store(int64(l.End()))
		}
		if i%17 == 0 {
			if err := l.TruncateTo(max(Offset(safe.Load()), l.End()-5)); err != nil {
				t.Fatal(err)
			}
		}
		if i%50 == 0 {
			if _, err := l.Expire(testClock, Offset(safe.Load())); err != nil {
				t.Fatal(err)
			}
			if err := l.Reap(testClock.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop.Store(true)
	if running != nil {
		if err := l.FlushDone(running, <-done); err != nil {
			t.Fatal(err)
		}
	}
	close(flushes)
	wg.Wait()
	if reads.Load() < 100 {
		t.Fatalf("%d reads only", reads.Load())
	}
	if err := l.Close(true); err != nil {
		t.Fatal(err)
	}
	checkIndexes(t, fs)
	if n := o.Descriptors.Open(); n != 0 {
		t.Fatalf("%d descriptors are counted open after Close", n)
	}
}

func readRandom(t *testing.T, l *Log, limit Offset, i int, reads *atomic.Int64) {
	start := l.Start()
	if limit <= start {
		return
	}
	from := start + Offset(i*13)%(limit-start)
	spans, err := l.View().Read(nil, from, limit, 5000, i%2 == 0)
	if errors.Is(err, ErrOffsetOutOfRange) {
		return // retention came between
	}
	if err != nil {
		t.Error(err)
		return
	}
	defer func() {
		for i := range spans {
			spans[i].Release()
		}
	}()
	next := from
	for i := range spans {
		p := make([]byte, spans[i].Len())
		if _, err := spans[i].File().ReadAt(p, spans[i].Off()); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
			return
		}
		for len(p) > 0 {
			b, rest, err := batch.Next(p)
			if err != nil {
				break // cut at maxBytes
			}
			if err := b.Verify(); err != nil || Offset(b.LastOffset()) < next || next != from && Offset(b.BaseOffset()) != next {
				t.Errorf("batch %d to %d where %d was due (asked for %d): %v", b.BaseOffset(), b.LastOffset(), next, from, err)
				return
			}
			if next = Offset(b.LastOffset()) + 1; next > limit {
				t.Errorf("batch up to %d beyond the limit %d", next, limit)
				return
			}
			p = rest
			reads.Add(1)
		}
	}
	if _, _, _, err := l.View().OffsetForTime(int64(i % 1000)); err != nil {
		t.Error(err)
	}
	l.LastStable(limit)
	l.EpochEnd(0)
}
