// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine"
)

// consumer long-polls one or more partitions on its loop without any timeout:
// a wake-up that is lost leaves it waiting for ever.
type consumer struct {
	w     *world
	home  *loop
	r     ReadRequest
	want  int // records to see
	seen  int
	wakes int
	reads int
	ended chan struct{}
	over  bool
}

func newConsumer(w *world, home *loop, minBytes, want int, parts ...*Partition) *consumer {
	c := &consumer{w: w, home: home, want: want, ended: make(chan struct{})}
	c.r = ReadRequest{MinBytes: minBytes, MaxBytes: 1 << 20, Replica: Consumer, Home: home, Wake: (*onWake)(c)}
	for _, p := range parts {
		c.r.Parts = append(c.r.Parts, ReadPart{Partition: p, LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: 1 << 20})
	}
	return c
}

type onWake consumer

func (k *onWake) Run() {
	c := (*consumer)(k)
	c.wakes++
	if !c.w.set.Unwatch(&c.r) {
		c.w.t.Error("woken, and Unwatch does not know")
	}
	c.poll()
}

// poll reads until there is nothing and a watch stands.
func (c *consumer) poll() {
	for !c.over {
		c.reads++
		bytes := c.w.set.Read(&c.r)
		for i := range c.r.Parts {
			part := &c.r.Parts[i]
			if part.Err != nil {
				c.over = true
				close(c.ended)
				return
			}
			for _, rec := range records(c.w.t, bytesOf(c.w.t, part)) {
				if rec.offset >= part.Offset {
					part.Offset = rec.offset + 1
					c.seen++
				}
			}
		}
		c.r.Release()
		if c.seen >= c.want {
			c.over = true
			close(c.ended)
			return
		}
		if bytes > 0 {
			continue
		}
		if c.w.set.Watch(&c.r) {
			return
		}
	}
}

// Consumers on several loops wait for one, two or three partitions while
// producers append little by little: every consumer sees every record, so no
// wake-up was lost.
func TestNoWakeUpIsLost(t *testing.T) {
	requests := 300
	if testing.Short() {
		requests = 60
	}
	w := newWorld(t, worldOptions{loops: 3})
	parts := []*Partition{w.lead(0), w.lead(1), w.lead(2)}
	const producers = 4
	var consumers []*consumer
	for i := range 9 {
		some := parts[:1+i%3]
		c := newConsumer(w, w.loops[i%3], 1, producers*requests*len(some), some...)
		consumers = append(consumers, c)
		c.home.Post(funcTask(c.poll))
	}
	// One batch of one record each, waiting for the answer: many small turns.
	var all sync.WaitGroup
	for i := range producers {
		all.Go(func() {
			home := w.loops[i%3]
			for range requests {
				done := make(chan struct{})
				r := &AppendRequest{Acks: AcksAll, Home: home, Done: funcTask(func() { close(done) })}
				for _, p := range parts {
					r.Parts = append(r.Parts, AppendPart{Partition: p, Batches: newBatch([]byte("v"))})
				}
				home.Post(funcTask(func() { w.set.Append(r) }))
				<-done
			}
		})
	}
	all.Wait()
	for i, c := range consumers {
		within(t, fmt.Sprintf("consumer %d of %d records", i, c.want), c.ended)
	}
}

// A request with MinBytes is woken when that much is there, not before, and
// counts over its partitions.
func TestWakeAtMinBytes(t *testing.T) {
	w := newWorld(t, worldOptions{})
	a, b := w.lead(0), w.lead(1)
	one := len(newBatch(make([]byte, 100)))
	c := newConsumer(w, w.loops[0], 3*one, 5, a, b)
	w.loops[0].call(c.poll)
	for i, p := range []*Partition{a, b, a} {
		if w.loops[0].call(func() {}); c.wakes != 0 {
			t.Fatalf("woken after %d of 3 batches", i)
		}
		w.append1(p, AcksAll, string(make([]byte, 100)))
	}
	eventually(w, "one wake-up for three records", func() bool { return c.wakes == 1 && c.seen == 3 })
	// What was there when the wait began counts too; the limit of a part caps it.
	w.loops[0].call(func() { w.set.Unwatch(&c.r); c.r.Parts[0].MaxBytes = one; c.r.MinBytes = 2 * one; c.poll() })
	w.append1(a, AcksAll, string(make([]byte, 100)))
	w.append1(a, AcksAll, string(make([]byte, 100)))
	settled(w)
	if c.wakes != 1 {
		t.Fatal("woken by more of a part than its MaxBytes lets it have")
	}
	w.append1(b, AcksAll, string(make([]byte, 100)))
	within(t, "the last record", c.ended)
}

// eventually asks on the first loop until something has come true.
func eventually(w *world, what string, true func() bool) {
	w.t.Helper()
	ok := false
	for deadline := time.Now().Add(20 * time.Second); !ok; runtime.Gosched() {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s did not come within 20 s", what)
		}
		w.loops[0].call(func() { ok = true() })
	}
}

// settled lets every loop finish what is posted by now.
func settled(w *world) {
	for range 3 {
		for _, l := range w.loops {
			l.call(func() {})
		}
	}
}

// Watch tells at once when something moved since the Read, and registers nothing.
func TestWatchLooksAgain(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.lead(0)
	c := newConsumer(w, w.loops[0], 1, 1, p)
	w.loops[0].call(func() { w.set.Read(&c.r) })
	w.append1(p, AcksAll, "between")
	w.loops[0].call(func() {
		if w.set.Watch(&c.r) {
			t.Error("watching although there is something to read")
		}
	})
	if n := p.watchers.n.Load(); n != 0 {
		t.Fatalf("%d watchers are left", n)
	}
	w.append1(p, AcksAll, "after")
	settled(w)
	if c.wakes != 0 {
		t.Fatal("woken without a watch")
	}
}

// Stopping and starting to watch races with wake-ups: each watch ends in exactly
// one way, woken or withdrawn.
func TestUnwatchRacesWithWake(t *testing.T) {
	w := newWorld(t, worldOptions{loops: 3})
	p := w.lead(0)
	var stop atomic.Bool
	var all sync.WaitGroup
	for i := range 2 {
		all.Go(func() {
			home := w.loops[i]
			r := &ReadRequest{MinBytes: 1, MaxBytes: 1 << 20, Replica: Consumer, Home: home}
			r.Parts = []ReadPart{{Partition: p, LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: 1 << 20}}
			woken := make(chan struct{}, 10)
			r.Wake = funcTask(func() { woken <- struct{}{} })
			rnd := rand.New(rand.NewPCG(uint64(i), 3))
			for !stop.Load() {
				var watching, fired bool
				home.call(func() {
					r.Parts[0].Offset = p.HighWatermark()
					w.set.Read(r)
					r.Release()
					watching = w.set.Watch(r)
				})
				if !watching {
					continue
				}
				for range rnd.IntN(20) {
					p.HighWatermark()
				}
				home.call(func() { fired = w.set.Unwatch(r) })
				if fired {
					within(t, "the wake-up that Unwatch told of", woken)
				}
				home.call(func() {})
				if len(woken) > 0 {
					t.Error("woken twice, or after it was withdrawn")
					return
				}
			}
		})
	}
	for range 300 {
		w.append1(p, AcksAll, "x")
	}
	stop.Store(true)
	all.Wait()
	if n := p.watchers.n.Load(); n != 0 {
		t.Fatalf("%d watchers are left", n)
	}
}

// A deletion and a new epoch wake those who wait, so that they hear of it.
func TestWatchersHearOfChange(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.lead(0)
	c := newConsumer(w, w.loops[0], 1, 1, p)
	w.loops[0].call(c.poll)
	if err := w.set.Lead(w.leadership(0, 6)); err != nil {
		t.Fatal(err)
	}
	eventually(w, "the wake-up by a new epoch", func() bool { return c.wakes == 1 })
	if err := w.set.Lead(w.leadership(0, 6)); !errors.Is(err, ErrStaleEpoch) {
		t.Fatalf("the same epoch again: %v", err)
	}
	if err := w.set.Stop(p.ID(), true); err != nil {
		t.Fatal(err)
	}
	within(t, "the end by deletion", c.ended)
	if err := c.r.Parts[0].Err; !errors.Is(err, ErrDeleted) {
		t.Fatalf("got %v", err)
	}
}

// What a Read answers that cannot be served, and the order of its checks.
func TestReadRefusals(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.lead(0)
	w.append1(p, AcksAll, "a", "b")
	for _, c := range []struct {
		part    ReadPart
		replica int32
		want    error
	}{
		{ReadPart{}, -1, ErrUnknownPartition},
		{ReadPart{Partition: p, LeaderEpoch: 4}, -1, ErrFencedEpoch},
		{ReadPart{Partition: p, LeaderEpoch: 6}, -1, ErrUnknownEpoch},
		{ReadPart{Partition: p, LeaderEpoch: 5, Offset: 3}, -1, engine.ErrOffsetOutOfRange},
		{ReadPart{Partition: p, LeaderEpoch: -1, Offset: -1}, -1, engine.ErrOffsetOutOfRange},
		{ReadPart{Partition: p, LeaderEpoch: 5, Offset: 2}, -1, nil},
		{ReadPart{Partition: p, LeaderEpoch: 5}, 9, ErrUnknownEpoch},
		{ReadPart{Partition: p, LeaderEpoch: -1}, 9, ErrNotLeader},
	} {
		c.part.MaxBytes, c.part.LastFetchedEpoch = 1<<20, -1
		r := &ReadRequest{Parts: []ReadPart{c.part}, MaxBytes: 1 << 20, Replica: -1}
		r.Replica = Consumer
		if c.replica >= 0 {
			r.Replica = 9
		}
		w.set.Read(r)
		got := &r.Parts[0]
		if !errors.Is(got.Err, c.want) || c.want == nil && got.Err != nil {
			t.Errorf("epoch %d offset %d replica %d: %v, want %v", c.part.LeaderEpoch, c.part.Offset, c.replica, got.Err, c.want)
		}
		if c.want == nil && (got.HighWatermark != 2 || got.LastStable != 2 || got.LogStart != 0) {
			t.Errorf("ends %d, %d, %d", got.HighWatermark, got.LastStable, got.LogStart)
		}
		r.Release()
	}
}

// MaxBytes bounds the request; the first batch of the first part that has one
// comes whole all the same, and later parts never start with a cut batch.
func TestReadLimits(t *testing.T) {
	w := newWorld(t, worldOptions{})
	parts := []*Partition{w.lead(0), w.lead(1), w.lead(2)}
	size := len(newBatch(make([]byte, 500)))
	for _, p := range parts[1:] {
		for range 3 {
			w.append1(p, AcksAll, string(make([]byte, 500)))
		}
	}
	read := func(request, part int) (sizes [3]int) {
		r := &ReadRequest{MaxBytes: request, Replica: Consumer}
		for _, p := range parts {
			r.Parts = append(r.Parts, ReadPart{Partition: p, LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: part})
		}
		total := w.set.Read(r)
		defer r.Release()
		for i := range r.Parts {
			if r.Parts[i].Err != nil {
				t.Fatal(r.Parts[i].Err)
			}
			sizes[i] = r.Parts[i].Bytes
			total -= sizes[i]
		}
		if total != 0 {
			t.Fatalf("sum is off by %d", total)
		}
		return sizes
	}
	for _, c := range []struct {
		request, part int
		least, most   [3]int
	}{
		{1, 1, [3]int{0, size, 0}, [3]int{0, size, 0}},
		{size + 10, 1 << 20, [3]int{0, size, 0}, [3]int{0, size + 10, 0}},
		{1 << 20, 10, [3]int{0, size, 0}, [3]int{0, size, 0}},
		{1 << 20, size, [3]int{0, size, size}, [3]int{0, size, size}},
		{1 << 20, 1 << 20, [3]int{0, 3 * size, 3 * size}, [3]int{0, 3 * size, 3 * size}},
		{4 * size, 1 << 20, [3]int{0, 3 * size, size}, [3]int{0, 3 * size, size}},
	} {
		got := read(c.request, c.part)
		for i := range got {
			if got[i] < c.least[i] || got[i] > c.most[i] {
				t.Errorf("request %d, part %d (batch %d): got %v, want %v to %v", c.request, c.part, size, got, c.least, c.most)
				break
			}
		}
	}
}
