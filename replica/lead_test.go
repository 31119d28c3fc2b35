// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"fmt"
	"testing"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// fill appends n records to each of the partitions and gives what was written.
func (w *world) fill(n int, parts ...*Partition) {
	w.t.Helper()
	for i := range n {
		for _, p := range parts {
			if part := w.append1(p, AcksAll, fmt.Sprint("v", i)); part.Err != nil {
				w.t.Fatal(part.Err)
			}
		}
	}
}

// again leads partitions 0 to n-1 in a new world over the same disk, with the next epoch.
func (w *world) again(fs vfs.FS, o worldOptions, n int) (*world, []*Partition) {
	w.t.Helper()
	o.fs = fs
	next := newWorld(w.t, o)
	var parts []*Partition
	for i := range n {
		if err := next.set.Lead(next.leadership(int32(i), 6)); err != nil {
			w.t.Fatal(err)
		}
		parts = append(parts, next.set.Lookup([]byte("orders"), int32(i)))
	}
	return next, parts
}

// After a clean stop a log is opened by whatever needs it first, once: a read
// and its watch, an append, a question, a hosted step, a trim, retention.
func TestCleanStartOpensOnDemand(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.fill(4, w.lead(0), w.lead(1), w.lead(2), w.lead(3), w.lead(4), w.lead(5))
	w.stop(true)
	w, parts := w.again(w.fs, worldOptions{}, 6)
	for _, p := range parts {
		if p.log.Load() != nil || p.HighWatermark() != -1 || p.LeaderEpoch() != 6 {
			t.Fatalf("%v is open before anybody asked, or has ends", p.ID())
		}
	}
	c := newConsumer(w, w.loops[0], 1, 4, parts[0])
	w.loops[0].call(c.poll)
	within(t, "the records of the log that a read opened", c.ended)
	if part := w.append1(parts[1], AcksAll, "next"); part.Err != nil || part.Base != 4 {
		t.Fatalf("appended at %d, %v", part.Base, part.Err)
	}
	if a, err := timeOf(parts[2], TimeQuery{Timestamp: TimeLatest, LeaderEpoch: 6}); err != nil || a.Offset != 4 || a.Epoch != 6 {
		t.Fatalf("latest %+v, %v", a, err)
	}
	ran := make(chan struct{})
	parts[3].Enter(&Entry{Run: func(turn *Turn, _ *Entry) { close(ran) }})
	within(t, "the step", ran)
	if parts[3].LogEnd() != 4 {
		t.Fatalf("a step ran at log end %d", parts[3].LogEnd())
	}
	if start, err := trim(parts[4], 3); start != 3 || err != nil {
		t.Fatalf("trimmed to %d, %v", start, err)
	}
	w.set.Tick(w.set.o.Now())
	if err := parts[5].Await(); err != nil || parts[5].HighWatermark() != 4 || parts[5].LogStart() != 0 {
		t.Fatalf("%v: high watermark %d", err, parts[5].HighWatermark())
	}
	for _, p := range parts {
		if e, end, err := epochEnd(p, 5); e != 5 || end != 4 || err != nil {
			t.Fatalf("%v: epoch 5 ends as %d at %d, %v", p.ID(), e, end, err)
		}
	}
}

// After a power cut the logs are recovered before the Set serves; everything
// that was acknowledged is there.
func TestStartAfterPowerCut(t *testing.T) {
	for seed := range int64(5) {
		mem := vfs.NewMem()
		w := newWorld(t, worldOptions{fs: mem, dirs: 2, loops: 2})
		parts := []*Partition{w.lead(0), w.lead(1), w.lead(2)}
		acked, _ := w.hammer(parts, 4, 30, nil)
		left := mem.CrashClone(seed)
		w.stop(false)
		next, again := w.again(left, worldOptions{dirs: 2}, 3)
		for i, p := range again {
			if err := p.Await(); err != nil {
				t.Fatal(err)
			}
			safe := map[engine.Offset]string{}
			for base, v := range acked[parts[i]] {
				if base < p.LogEnd() || w.durableAcks[v] {
					safe[base] = v
				}
			}
			next.check(p, safe)
		}
		next.stop(true)
	}
}

// A log of another topic of that name is not taken; it stays among what nobody
// has claimed, until it is discarded.
func TestLeadLooksAtTheTopicID(t *testing.T) {
	w := newWorld(t, worldOptions{})
	w.fill(1, w.lead(0), w.lead(1))
	l := w.leadership(0, 9)
	l.Topic = meta.TopicID{9}
	if err := w.set.Lead(l); !errors.Is(err, ErrInconsistentTopic) {
		t.Fatalf("leading over another topic: %v", err)
	}
	w.stop(true)
	w = newWorld(t, worldOptions{fs: w.fs})
	if err := w.set.Lead(l); !errors.Is(err, ErrInconsistentTopic) {
		t.Fatalf("leading over another topic's log: %v", err)
	}
	if found := w.set.Found(); len(found) != 2 || found[0].Partition != 0 || !found[0].Known || found[1].Partition != 1 {
		t.Fatalf("found %v", found)
	}
	if err := w.set.Discard(l.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.set.Discard(l.ID); !errors.Is(err, ErrUnknownPartition) {
		t.Fatalf("discarding twice: %v", err)
	}
	if err := w.set.Lead(l); err != nil {
		t.Fatal(err)
	}
	if p := w.set.LookupID(l.Topic, 0); p == nil || p.LogEnd() != 0 {
		t.Fatal("not led anew, or not empty")
	}
	if w.set.LookupID(w.topic, 0) != nil || w.set.LookupID(l.Topic, 1) != nil {
		t.Fatal("found under an id that is not its")
	}
}

// New logs go where the fewest are; what lies there unclaimed counts.
func TestNewLogsAreSpread(t *testing.T) {
	w := newWorld(t, worldOptions{dirs: 3})
	for i := range int32(7) {
		w.lead(i)
	}
	count := map[string]int{}
	for _, p := range w.set.Partitions() {
		count[p.Dir().Path()]++
	}
	if len(count) != 3 || count["/data0"]+count["/data1"]+count["/data2"] != 7 || max(count["/data0"], count["/data1"], count["/data2"]) != 3 {
		t.Fatalf("spread %v", count)
	}
	for i, p := range w.set.Partitions() {
		if p.ID().Index != int32(i) {
			t.Fatalf("partition %d is listed at %d", p.ID().Index, i)
		}
	}
}

// A replica that was stopped and kept can be led again, with what it had.
func TestStopAndLeadAgain(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.lead(0)
	w.fill(3, p)
	if err := w.set.Stop(p.ID(), false); err != nil {
		t.Fatal(err)
	}
	if part := w.append1(p, AcksAll, "late"); !errors.Is(part.Err, ErrNotLeader) {
		t.Fatalf("late append: %v", part.Err)
	}
	if err := w.set.Lead(w.leadership(0, 6)); err != nil {
		t.Fatal(err)
	}
	p = w.set.Lookup([]byte("orders"), 0)
	w.fill(1, p)
	if got := w.readAll(p, 0); len(got) != 4 || got[2].value != "v2" || got[3].value != "v0" {
		t.Fatalf("read %v", got)
	}
}

// Everything pushed at a Set that closes is answered.
func TestCloseUnderLoad(t *testing.T) {
	w := newWorld(t, worldOptions{loops: 3})
	parts := []*Partition{w.lead(0), w.lead(1)}
	go func() {
		for parts[0].LogEnd() < 100 {
			if parts[0].Err() != nil {
				return
			}
		}
		w.set.Close()
	}()
	for failed := int64(0); failed == 0; { // until something has met the end
		_, failed = w.hammer(parts, 6, 200, func(err error) bool { return errors.Is(err, ErrClosed) })
	}
	if err := w.set.Lead(w.leadership(7, 1)); !errors.Is(err, ErrClosed) {
		t.Fatalf("leading in a closed Set: %v", err)
	}
}
