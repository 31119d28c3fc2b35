// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
)

// One append at each acks level gets dense offsets and can be read back.
func TestAppendAtEveryAcks(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.lead(0)
	next := engine.Offset(0)
	for i, acks := range []int16{AcksNone, AcksLeader, AcksAll, AcksNone, AcksAll} {
		part := w.append1(p, acks, fmt.Sprint("a", i), fmt.Sprint("b", i))
		if part.Err != nil || part.Base != next || part.LogStart != 0 || part.AppendTimeMs != -1 {
			t.Fatalf("acks %d: base %d, start %d, time %d, %v; want base %d", acks, part.Base, part.LogStart, part.AppendTimeMs, part.Err, next)
		}
		next += 2
		if acks == AcksAll && p.HighWatermark() < next {
			t.Fatalf("acks=-1 answered at high watermark %d, below %d", p.HighWatermark(), next)
		}
	}
	got := w.readAll(p, 3)
	if len(got) != 7 || got[0] != (record{3, "b1"}) || got[6] != (record{9, "b4"}) {
		t.Fatalf("read %v", got)
	}
}

// Parts without partition answer for themselves; a request of nothing is done too.
func TestAppendPartsWithoutPartition(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.lead(0)
	mine := errors.New("refused before")
	done := make(chan struct{})
	r := &AppendRequest{Acks: 1, Home: w.loops[0], Done: funcTask(func() { close(done) }),
		Parts: []AppendPart{{}, {Partition: p, Batches: newBatch([]byte("x"))}, {Err: mine}}}
	w.loops[0].call(func() { w.set.Append(r) })
	within(t, "the answer", done)
	if !errors.Is(r.Parts[0].Err, ErrUnknownPartition) || r.Parts[1].Err != nil || r.Parts[2].Err != mine {
		t.Fatalf("got %v, %v, %v", r.Parts[0].Err, r.Parts[1].Err, r.Parts[2].Err)
	}
	done = make(chan struct{})
	empty := &AppendRequest{Home: w.loops[0], Done: funcTask(func() { close(done) })}
	w.loops[0].call(func() { w.set.Append(empty) })
	within(t, "the empty answer", done)
}

// caller appends on one loop, one request after the other is placed, and checks
// what every request must keep: Placed once, then Done once.
type caller struct {
	w     *world
	name  string
	home  *loop
	parts []*Partition
	rand  *rand.Rand
	left  int
	ahead int // requests placed and not done
	n     int
	ended chan struct{}

	mu    *sync.Mutex
	acked map[*Partition]map[engine.Offset]string
	fails func(error) bool // which errors are fine
	lost  *atomic.Int64
}

type trip struct {
	c            *caller
	r            AppendRequest
	values       []string
	placed, done int
}

type (
	onPlaced trip
	onDone   trip
)

func (c *caller) next() {
	if c.left == 0 {
		if c.ahead == 0 {
			close(c.ended)
		}
		return
	}
	c.left--
	c.ahead++
	x := &trip{c: c}
	x.r = AppendRequest{Home: c.home, Placed: (*onPlaced)(x), Done: (*onDone)(x), Acks: []int16{AcksLeader, AcksAll, AcksAll, AcksNone}[c.rand.IntN(4)]}
	for _, i := range c.rand.Perm(len(c.parts))[:1+c.rand.IntN(len(c.parts))] {
		value := fmt.Sprintf("%s/%06d/%s", c.name, c.n, strings.Repeat("x", c.rand.IntN(200)))
		x.values = append(x.values, value)
		x.r.Parts = append(x.r.Parts, AppendPart{Partition: c.parts[i], Batches: newBatch([]byte(value), []byte(value+"+"))})
	}
	c.n++
	c.w.set.Append(&x.r)
}

func (x *onPlaced) Run() {
	if x.placed++; x.placed != 1 || x.done != 0 {
		x.c.w.t.Errorf("%s: placed %d times, done %d times", x.c.name, x.placed, x.done)
	}
	x.c.next()
}

func (x *onDone) Run() {
	c := x.c
	if x.done++; x.done != 1 || x.placed != 1 {
		c.w.t.Errorf("%s: done %d times, placed %d times", c.name, x.done, x.placed)
	}
	c.mu.Lock()
	for i := range x.r.Parts {
		part := &x.r.Parts[i]
		switch {
		case part.Err != nil && (c.fails == nil || !c.fails(part.Err)):
			c.w.t.Errorf("%s: %v", c.name, part.Err)
		case part.Err != nil:
			c.lost.Add(1)
		default:
			if x.r.Acks == AcksAll && part.Partition.HighWatermark() < part.Base+2 {
				c.w.t.Errorf("%s: answered %d above the high watermark", c.name, part.Base)
			}
			c.acked[part.Partition][part.Base] = x.values[i]
			if x.r.Acks != AcksNone {
				c.w.durableAcks[x.values[i]] = true
			}
		}
	}
	c.mu.Unlock()
	if c.ahead--; c.ahead == 0 && c.left == 0 {
		close(c.ended)
	}
}

// hammer runs callers on every loop against the partitions, and gives what was acknowledged.
func (w *world) hammer(parts []*Partition, callers, requests int, fails func(error) bool) (acked map[*Partition]map[engine.Offset]string, failed int64) {
	w.t.Helper()
	acked, w.durableAcks = map[*Partition]map[engine.Offset]string{}, map[string]bool{}
	for _, p := range parts {
		acked[p] = map[engine.Offset]string{}
	}
	var mu sync.Mutex
	var lost atomic.Int64
	var all []*caller
	for i := range callers {
		c := &caller{w: w, name: fmt.Sprint("c", i), home: w.loops[i%len(w.loops)], parts: parts, rand: rand.New(rand.NewPCG(uint64(i), 9)),
			left: requests, ended: make(chan struct{}), mu: &mu, acked: acked, fails: fails, lost: &lost}
		all = append(all, c)
		c.home.Post(funcTask(c.next))
	}
	for _, c := range all {
		within(w.t, "the end of "+c.name, c.ended)
	}
	return acked, lost.Load()
}

// check reads a partition and compares: offsets dense, every caller's records
// in its order, everything acknowledged where it was said to be.
func (w *world) check(p *Partition, acked map[engine.Offset]string) []record {
	w.t.Helper()
	all := w.readAll(p, p.LogStart())
	last := map[string]string{}
	for i, r := range all {
		if r.offset != p.LogStart()+engine.Offset(i) {
			w.t.Fatalf("%v: record %d has offset %d", p.ID(), i, r.offset)
		}
		name, _, _ := strings.Cut(r.value, "/")
		seq := r.value[:len(name)+7]
		if i%2 == 0 && seq <= last[name] {
			w.t.Fatalf("%v: %q after %q", p.ID(), seq, last[name])
		}
		last[name] = seq
	}
	for base, value := range acked {
		i := int(base - p.LogStart())
		if i >= len(all) || all[i].value != value || all[i+1].value != value+"+" {
			w.t.Fatalf("%v: acknowledged %.20q is not at %d of %d to %d (high watermark %d)", p.ID(), value, base, p.LogStart(), p.LogEnd(), p.HighWatermark())
		}
	}
	return all
}

// Many callers on several loops append to few partitions, several at once and
// each pipelining, while readers look: offsets are dense, each caller's order is
// kept, everything is answered once and is there, the high watermark never
// falls and nobody reads above it.
func TestManyCallersFewPartitions(t *testing.T) {
	requests := 400
	if testing.Short() {
		requests = 100
	}
	w := newWorld(t, worldOptions{dirs: 2, loops: 3})
	parts := []*Partition{w.lead(0), w.lead(1), w.lead(2)}
	var stop atomic.Bool
	var readers sync.WaitGroup
	for _, p := range parts {
		readers.Go(func() { w.watchEnds(p, &stop) })
	}
	acked, _ := w.hammer(parts, 12, requests, nil)
	stop.Store(true)
	readers.Wait()
	for _, p := range parts {
		w.check(p, acked[p])
	}
}

// watchEnds reads until told to stop and checks that no byte lies above the
// high watermark told with it, and that this never falls.
func (w *world) watchEnds(p *Partition, stop *atomic.Bool) {
	var from, last engine.Offset
	r := &ReadRequest{MaxBytes: 1 << 16, Replica: Consumer}
	for !stop.Load() {
		r.Parts = append(r.Parts[:0], ReadPart{Partition: p, Offset: from, LeaderEpoch: 5, LastFetchedEpoch: -1, MaxBytes: 1 << 16})
		n := w.set.Read(r)
		part := &r.Parts[0]
		if part.Err != nil {
			w.t.Error(part.Err)
			return
		}
		if part.HighWatermark < last {
			w.t.Errorf("%v: high watermark fell from %d to %d", p.ID(), last, part.HighWatermark)
		}
		last = part.HighWatermark
		if n > 0 {
			for _, rec := range records(w.t, bytesOf(w.t, part)) {
				if rec.offset >= last {
					w.t.Errorf("%v: read %d at high watermark %d", p.ID(), rec.offset, last)
				}
				if rec.offset >= from {
					from = rec.offset + 1
				}
			}
		}
		r.Release()
	}
}

// A request that needs two directories and finds one full holds nothing of the
// other meanwhile, and goes on when there is room. Small budgets starve nobody.
func TestReservationStarvesNobody(t *testing.T) {
	w := newWorld(t, worldOptions{dirs: 2, loops: 3, budget: 2000})
	parts := []*Partition{w.lead(0), w.lead(1), w.lead(2), w.lead(3)}
	acked, _ := w.hammer(parts, 9, 60, nil)
	for _, p := range parts {
		w.check(p, acked[p])
	}
	// Everything was given back: the whole budget can be had again.
	for _, d := range w.dirs {
		ready := make(chan struct{})
		waiter := &dir.Waiter{Ready: func() { close(ready) }}
		if !d.Reserve(2000, waiter) {
			within(t, "room", ready)
		}
		d.Unreserve(2000)
	}
}

// A partition deleted under load answers every append once: those before with
// success, those after with ErrDeleted; the other partition does not notice.
func TestDeleteUnderLoad(t *testing.T) {
	w := newWorld(t, worldOptions{loops: 3})
	doomed, other := w.lead(0), w.lead(1)
	go func() {
		for doomed.LogEnd() < 200 {
			if doomed.Err() != nil {
				return
			}
		}
		if err := w.set.Stop(doomed.ID(), true); err != nil {
			t.Error(err)
		}
	}()
	acked, failed := w.hammer([]*Partition{doomed, other}, 9, 300, func(err error) bool { return errors.Is(err, ErrDeleted) })
	if failed == 0 {
		t.Fatal("nothing met the deletion")
	}
	w.check(other, acked[other])
	if p := w.set.Lookup([]byte("orders"), 0); p != nil {
		t.Fatal("the deleted partition can be found")
	}
	if part := w.append1(doomed, AcksNone, "late"); !errors.Is(part.Err, ErrDeleted) {
		t.Fatalf("late append: %v", part.Err)
	}
	if err := w.set.Stop(doomed.ID(), true); !errors.Is(err, ErrUnknownPartition) {
		t.Fatalf("stopping twice: %v", err)
	}
	w.lead(0) // made again: nothing of the old one
	p := w.set.Lookup([]byte("orders"), 0)
	if part := w.append1(p, AcksAll, "new"); part.Err != nil || part.Base != 0 {
		t.Fatalf("recreated: base %d, %v", part.Base, part.Err)
	}
}

// A producer that did not hear an answer sends its batch again: the duplicate is
// answered with the original's offsets, though nothing is written any more that
// could wake it.
func TestDuplicateIsAnswered(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.lead(0)
	w.append1(p, AcksAll, "before")
	for i, acks := range []int16{AcksAll, AcksAll, AcksLeader, AcksAll} {
		part := w.appendBytes(p, acks, idempotentBatch(7, 0, "once"))
		if part.Err != nil || part.Base != 1 {
			t.Fatalf("try %d, acks %d: base %d, %v", i, acks, part.Base, part.Err)
		}
	}
	if got := w.readAll(p, 0); len(got) != 2 {
		t.Fatalf("the log holds %v", got)
	}
}

// idempotentBatch is newBatch with a producer and a sequence.
func idempotentBatch(producer uint64, sequence uint32, values ...string) []byte {
	var vs [][]byte
	for _, v := range values {
		vs = append(vs, []byte(v))
	}
	b := newBatch(vs...)
	binary.BigEndian.PutUint64(b[43:], producer)
	binary.BigEndian.PutUint16(b[51:], 0)
	binary.BigEndian.PutUint32(b[53:], sequence)
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}
