// SPDX-License-Identifier: Apache-2.0

//go:build !race

package replica

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// flag is a Task that remembers that it ran.
type flag struct{ ran int }

func (f *flag) Run() { f.ran++ }

// clock moves on at each look, by 1 µs or by 3 ms: appends are fast or slow.
type clock struct {
	nanos atomic.Int64
	slow  atomic.Bool
}

func (c *clock) now() time.Time {
	step := time.Microsecond
	if c.slow.Load() {
		step = 3 * time.Millisecond
	}
	return time.Unix(1_700_000_000, c.nanos.Add(int64(step)))
}

// In steady state an append over three partitions and what completes it
// allocates nothing, with the journal and without, nor does a read of what was
// appended, nor a watch that is woken. It makes no difference that the directory
// is slow, or becomes slow and well again all the time.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	always, sometimes := &clock{}, &clock{}
	always.slow.Store(true)
	for name, o := range map[string]worldOptions{
		"journal": {}, "kafka": {kafka: true}, "slow": {now: always.now}, "slow at times": {now: sometimes.now},
	} {
		home := &inbox{}
		o.fs, o.root, o.homes = vfs.OS(), t.TempDir(), []Home{home}
		w := newWorld(t, o)
		parts := []*Partition{w.lead(0), w.lead(1), w.lead(2)}
		var placed, done, woken flag
		a := &AppendRequest{Acks: AcksAll, Home: home, Placed: &placed, Done: &done}
		r := &ReadRequest{MinBytes: 1, MaxBytes: 1 << 20, Replica: Consumer, Home: home, Wake: &woken}
		for _, p := range parts {
			a.Parts = append(a.Parts, AppendPart{Partition: p, Batches: newBatch(make([]byte, 300), make([]byte, 20))})
			r.Parts = append(r.Parts, ReadPart{Partition: p, LeaderEpoch: 5, LastFetchedEpoch: -1, MaxBytes: 1 << 20})
		}
		until := func(f *flag, n int) {
			for f.ran < n {
				home.drain()
				runtime.Gosched()
			}
		}
		var slow, well int // steps that began with the directory so
		step := func() {
			sometimes.slow.Store((slow+well)%50 == 0)
			if w.dirs[0].Slow() {
				slow++
			} else {
				well++
			}
			if w.set.Read(r) != 0 || !w.set.Watch(r) {
				t.Fatal("something to read before the append")
			}
			n := done.ran + 1
			w.set.Append(a)
			until(&done, n)
			until(&woken, n)
			w.set.Unwatch(r)
			for i := range r.Parts { // until every part is there
				for r.Parts[i].Partition.HighWatermark() != r.Parts[i].Offset+2 {
					home.drain()
				}
			}
			if bytes := w.set.Read(r); bytes != 3*len(a.Parts[0].Batches) {
				t.Fatalf("read %d bytes", bytes)
			}
			r.Release()
			for i := range r.Parts {
				if a.Parts[i].Err != nil || r.Parts[i].Err != nil || a.Parts[i].Base != r.Parts[i].Offset {
					t.Fatal(a.Parts[i].Err, r.Parts[i].Err, a.Parts[i].Base)
				}
				r.Parts[i].Offset += 2
			}
		}
		for range 500 { // let everything grow to its size
			step()
		}
		if n := testing.AllocsPerRun(1000, step); n != 0 {
			t.Errorf("%s: %v allocations for an append, a read, a watch and a wake of 3 partitions", name, n)
		}
		if name == "slow" && slow < 1000 || name == "slow at times" && (slow < 100 || well < 100) {
			t.Errorf("%s: the directory was slow in %d steps and well in %d", name, slow, well)
		}
		t.Logf("%s: %d steps slow, %d well", name, slow, well)
	}
}
