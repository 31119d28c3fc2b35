// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
)

// Retention runs in turns, once per interval, and moves the log start; the
// checkpointed high watermarks name every partition, opened or not.
func TestTickExpires(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.fill(4, w.lead(0), w.lead(1))
	w.stop(true)
	w = newWorld(t, worldOptions{fs: w.fs})
	for i := range int32(2) {
		l := w.leadership(i, 6)
		if i == 0 {
			l.Config = engine.DefaultConfig() // a week, and newBatch stamps 2023
		}
		if err := w.set.Lead(l); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.set.watermarks(w.dirs[0]); len(got) != 2 || got[dir.Partition{Topic: "orders", Index: 1}] != 4 {
		t.Fatalf("watermarks of logs that are not open: %v", got)
	}
	now := time.Now()
	w.set.Tick(now)
	old, kept := w.set.Lookup([]byte("orders"), 0), w.set.Lookup([]byte("orders"), 1)
	eventually(w, "the end of what is old", func() bool { return old.LogStart() == 4 })
	if err := kept.Await(); err != nil || kept.LogStart() != 0 || kept.HighWatermark() != 4 {
		t.Fatalf("what is kept begins at %d, %v", kept.LogStart(), err)
	}
	w.fill(1, old, kept)
	if got := w.set.watermarks(w.dirs[0]); got[dir.Partition{Topic: "orders", Index: 0}] != 5 || len(got) != 2 {
		t.Fatalf("watermarks %v", got)
	}
	due := w.set.nextExpire.Load()
	if w.set.Tick(now.Add(time.Second)); w.set.nextExpire.Load() != due {
		t.Fatal("retention ran again before its interval was over")
	}
	if w.set.Tick(now.Add(6 * time.Minute)); w.set.nextExpire.Load() == due {
		t.Fatal("retention did not run after its interval")
	}
}

// Retention leaves logs alone for a while after the start: who produces old
// records then can read them, as with Kafka.
func TestFirstRetentionWaits(t *testing.T) {
	now := time.Now()
	s := NewSet(Options{FirstRetention: 30 * time.Second, Now: func() time.Time { return now }})
	first := s.nextExpire.Load()
	if s.Tick(now.Add(29 * time.Second)); s.nextExpire.Load() != first {
		t.Fatal("retention ran before its first delay was over")
	}
	if s.Tick(now.Add(30 * time.Second)); s.nextExpire.Load() == first {
		t.Fatal("retention did not run after its first delay")
	}
}
