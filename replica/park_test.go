// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// guard is a memory disk that remembers what the loops of a test asked of it,
// counts syncs of segments, and can hold operations back.
type guard struct {
	mem *vfs.Mem

	mu      sync.Mutex
	onLoops []string             // operations on a loop's goroutine, writes into open files apart
	syncs   int                  // of .log files
	held    func(op vfs.Op) bool // these wait for release
	release chan struct{}
	waiting int // operations that wait
}

func newGuard() *guard { return &guard{mem: vfs.NewMem(), release: make(chan struct{})} }

func (g *guard) fs() vfs.FS { return vfs.Inject(g.mem, g.before) }

func (g *guard) before(op vfs.Op) error {
	stack := make([]byte, 16<<10)
	stack = stack[:runtime.Stack(stack, false)]
	g.mu.Lock()
	if bytes.Contains(stack, []byte("replica.(*loop).run")) && op.Kind != vfs.OpWrite {
		g.onLoops = append(g.onLoops, op.String())
	}
	if op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, ".log") {
		g.syncs++
	}
	wait := g.held != nil && g.held(op)
	if wait {
		g.waiting++
	}
	release := g.release
	g.mu.Unlock()
	if wait {
		<-release
	}
	return nil
}

// hold makes the operations for which which is true wait for let, or for the
// end of the test, however it ends.
func (g *guard) hold(t *testing.T, which func(op vfs.Op) bool) {
	t.Cleanup(g.let)
	g.mu.Lock()
	g.held, g.waiting = which, 0
	g.mu.Unlock()
}

func (g *guard) let() {
	g.mu.Lock()
	g.held = nil
	close(g.release)
	g.release = make(chan struct{})
	g.mu.Unlock()
}

func (g *guard) stuck() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting > 0
}

func (g *guard) logSyncs() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.syncs
}

// still is a clock by which no directory is ever slow: appends to a slow one all
// go through its one writer, and wait there for each other.
func still() time.Time { return time.Unix(1_700_000_000, 0) }

// begin starts an append of one record on the first loop.
func (w *world) begin(p *Partition, acks int16, value string) (part *AppendPart, done chan struct{}) {
	done = make(chan struct{})
	r := &AppendRequest{Acks: acks, Home: w.loops[0], Parts: []AppendPart{{Partition: p, Batches: newBatch([]byte(value))}}}
	r.Done = funcTask(func() { close(done) })
	w.loops[0].Post(funcTask(func() { w.set.Append(r) }))
	return &r.Parts[0], done
}

// leadWith leads partition index of "orders" with settings of its own.
func (w *world) leadWith(index int32, epoch engine.Epoch, c *engine.Config) *Partition {
	w.t.Helper()
	l := w.leadership(index, epoch)
	l.Config = c
	if err := w.set.Lead(l); err != nil {
		w.t.Fatal(err)
	}
	return w.set.Lookup([]byte("orders"), index)
}

func open(c <-chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return true
	}
}

// Whatever happens to a log, its loop only writes into open files: segments
// roll, indexes spill, logs are opened, retention and upkeep run elsewhere.
func TestLoopsDoNoFileWork(t *testing.T) {
	g := newGuard()
	c := *keepAll()
	c.SegmentBytes, c.IndexIntervalBytes, c.RetentionBytes, c.DeleteDelayMs = 64<<10, 1, 128<<10, 0
	for run := range engine.Epoch(3) {
		w := newWorld(t, worldOptions{fs: g.fs()})
		parts := []*Partition{w.leadWith(0, 5+run, &c), w.leadWith(1, 5+run, &c)}
		for i := range 4 {
			w.hammer(parts, 3, 200, func(error) bool { return false })
			w.set.Tick(time.Now().Add(time.Duration(i) * 11 * time.Minute))
		}
		for _, p := range parts {
			if n := w.rolled(p); n < 2 {
				t.Fatalf("%v has %d segments: the test rolls none", p.ID(), n)
			}
		}
		w.stop(run == 0)
	}
	slices.Sort(g.onLoops)
	if bad := slices.Compact(g.onLoops); len(bad) > 0 {
		t.Fatalf("%d kinds of operations on a loop:\n%s", len(bad), strings.Join(bad, "\n"))
	}
}

// rolled counts a partition's segments.
func (w *world) rolled(p *Partition) (n int) {
	w.t.Helper()
	entries, err := w.fs.ReadDir(p.log.Load().Log.Dir())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".log" {
			n++
		}
	}
	return n
}

// While a segment is being begun the partition's appends queue and nothing else
// stops: not the loop, not another partition on it. Then they go on in order.
func TestRollParks(t *testing.T) {
	g := newGuard()
	w := newWorld(t, worldOptions{fs: g.fs(), now: still})
	c := *keepAll()
	c.SegmentBytes = 256
	p, other := w.leadWith(0, 5, &c), w.lead(1)
	w.fill(3, p)
	g.hold(t, func(op vfs.Op) bool { return op.Kind == vfs.OpOpen && strings.Contains(op.Name, "orders-0") })
	var parts []*AppendPart
	var ends []chan struct{}
	for i := range 5 {
		part, done := w.begin(p, AcksAll, fmt.Sprint(i))
		parts, ends = append(parts, part), append(ends, done)
	}
	eventually(w, "the new segment", g.stuck)
	if part := w.append1(other, AcksAll, "beside it"); part.Err != nil {
		t.Fatal(part.Err)
	}
	if p.LogEnd() != 3 || !open(ends[4]) {
		t.Fatalf("log end %d while no segment could be begun", p.LogEnd())
	}
	g.let()
	for i, done := range ends {
		within(t, "the end of the roll", done)
		if parts[i].Err != nil || parts[i].Base != engine.Offset(3+i) {
			t.Fatalf("append %d: offset %d, %v", i, parts[i].Base, parts[i].Err)
		}
	}
}

// A failed roll fails the append that needed it; the next one tries again.
func TestRollFails(t *testing.T) {
	d := &disk{mem: vfs.NewMem(), failAt: 1, err: syscall.ENOSPC}
	w := newWorld(t, worldOptions{fs: vfs.Inject(d.mem, d.before)})
	c := *keepAll()
	c.SegmentBytes = 256
	p := w.leadWith(0, 5, &c)
	w.fill(3, p)
	d.armed.Store(true)
	if part := w.append1(p, AcksAll, "no room"); !errors.Is(part.Err, ErrStorage) {
		t.Fatalf("got %v", part.Err)
	}
	d.armed.Store(false)
	if part := w.append1(p, AcksAll, "room"); part.Err != nil || part.Base != 3 {
		t.Fatalf("offset %d, %v", part.Base, part.Err)
	}
}

// The first append after a start reads the end of its segment; the loop does not.
func TestFirstAppendParks(t *testing.T) {
	g := newGuard()
	w := newWorld(t, worldOptions{fs: g.fs(), now: still})
	w.fill(3, w.lead(0), w.lead(1))
	w.stop(true)
	w = newWorld(t, worldOptions{fs: g.fs(), now: still})
	for i := range int32(2) {
		if err := w.set.Lead(w.leadership(i, 6)); err != nil {
			t.Fatal(err)
		}
	}
	p, other := w.set.Lookup([]byte("orders"), 0), w.set.Lookup([]byte("orders"), 1)
	if err := errors.Join(p.Await(), other.Await()); err != nil {
		t.Fatal(err)
	}
	g.hold(t, func(op vfs.Op) bool {
		return op.Kind == vfs.OpRead && strings.Contains(op.Name, "orders-0") && strings.HasSuffix(op.Name, ".log")
	})
	first, one := w.begin(p, AcksAll, "one")
	second, two := w.begin(p, AcksAll, "two")
	eventually(w, "the look at the segment", g.stuck)
	if part := w.append1(other, AcksAll, "beside it"); part.Err != nil || part.Base != 3 {
		t.Fatal(part.Err)
	}
	if !open(one) || !open(two) {
		t.Fatal("appended to what was not read")
	}
	g.let()
	within(t, "the first", one)
	within(t, "the second", two)
	if first.Base != 3 || second.Base != 4 {
		t.Fatalf("offsets %d and %d, %v, %v", first.Base, second.Base, first.Err, second.Err)
	}
}

// With durability Kafka an append that makes flush.messages due is acknowledged
// after one fdatasync, which the loop does not wait for; what came meanwhile
// shares the next one. Without it due nothing is synced.
func TestFlushMessages(t *testing.T) {
	g := newGuard()
	w := newWorld(t, worldOptions{fs: g.fs(), kafka: true, now: still})
	c := *keepAll()
	c.FlushMessages = 3
	p, other := w.leadWith(0, 5, &c), w.lead(1)
	for want, n := range []int{0, 0, 1, 1, 1, 2} {
		if part := w.append1(p, AcksLeader, fmt.Sprint(want)); part.Err != nil {
			t.Fatal(part.Err)
		}
		if got := g.logSyncs(); got != n {
			t.Fatalf("%d syncs after %d messages, want %d", got, want+1, n)
		}
	}
	g.hold(t, func(op vfs.Op) bool { return op.Kind == vfs.OpSync })
	w.fill(2, p)
	_, due := w.begin(p, AcksLeader, "due")
	eventually(w, "the sync", g.stuck)
	var rest []chan struct{}
	for range 6 {
		_, done := w.begin(p, AcksAll, "behind")
		rest = append(rest, done)
	}
	if part := w.append1(other, AcksAll, "beside it"); part.Err != nil {
		t.Fatal(part.Err)
	}
	if !open(due) || !open(rest[0]) || p.HighWatermark() != 8 {
		t.Fatalf("acknowledged before the sync, high watermark %d", p.HighWatermark())
	}
	g.let()
	within(t, "the sync's append", due)
	for _, done := range rest {
		within(t, "what came behind", done)
	}
	if got := g.logSyncs(); got != 4 { // 2 before, the held one, one for the six
		t.Fatalf("%d syncs, want 4", got)
	}
}

// A changed min.insync.replicas counts for the next append, and a lower one for
// what waits, without a new leader epoch.
func TestConfigureMinISR(t *testing.T) {
	w := newWorld(t, worldOptions{})
	l := w.leadership(0, 5)
	l.Replicas, l.MinISR = []meta.BrokerID{1, 2, 3}, 1
	if err := w.set.Lead(l); err != nil {
		t.Fatal(err)
	}
	p := w.set.Lookup([]byte("orders"), 0)
	w.fill(1, p)
	w.set.Configure("orders", keepAll(), 2)
	if part := w.append1(p, AcksAll, "two wanted"); !errors.Is(part.Err, ErrNotEnoughReplicas) {
		t.Fatalf("got %v with one of two in sync", part.Err)
	}
	if part := w.append1(p, AcksLeader, "one is enough"); part.Err != nil || p.HighWatermark() != 1 {
		t.Fatalf("%v, high watermark %d", part.Err, p.HighWatermark())
	}
	w.set.Configure("orders", keepAll(), 1)
	eventually(w, "the high watermark", func() bool { return p.HighWatermark() == 2 })
	if part := w.append1(p, AcksAll, "one wanted"); part.Err != nil || p.LeaderEpoch() != 5 {
		t.Fatalf("%v in epoch %d", part.Err, p.LeaderEpoch())
	}
	w.set.Configure("orders", keepAll(), 9) // of three replicas
	eventually(w, "3 of 3", func() bool { return p.lead.Load().minISR == 3 })
}

// A loop reads what it finds without files; the rest, and everything of a
// directory that is slow, it has read on the pool, to the same results.
func TestReadLater(t *testing.T) {
	g := newGuard()
	c := *keepAll()
	c.SegmentBytes = 16 << 10
	w := newWorld(t, worldOptions{fs: g.fs()})
	p := w.leadWith(0, 5, &c)
	w.fill(500, p)
	w.stop(true)
	w = newWorld(t, worldOptions{fs: g.fs()})
	p = w.leadWith(0, 6, &c)
	if err := p.Await(); err != nil {
		t.Fatal(err)
	}
	w.fill(3, p)
	home := w.loops[0]
	read := func(from engine.Offset) (got []record, later bool) {
		r := &ReadRequest{MinBytes: 1, MaxBytes: 1 << 20, Replica: Consumer, Home: home}
		r.Parts = []ReadPart{{Partition: p, Offset: from, LeaderEpoch: -1, LastFetchedEpoch: -1, MaxBytes: 4 << 10}}
		done := make(chan struct{})
		home.call(func() {
			if later = w.set.ReadWaits(r); later {
				w.set.ReadLater(r, funcTask(func() { close(done) }))
				return
			}
			w.set.Read(r)
			close(done)
		})
		within(t, "the read", done)
		if r.Parts[0].Err != nil || r.Bytes() == 0 {
			t.Fatalf("%d bytes at %d, %v", r.Bytes(), from, r.Parts[0].Err)
		}
		got = records(t, bytesOf(t, &r.Parts[0]))
		r.Release()
		return got, later
	}
	for from, latest := engine.Offset(0), p.HighWatermark(); from < latest; {
		got, later := read(from)
		if got[0].offset != from || !later && from < 500 {
			t.Fatalf("read at %d begins at %d, on the pool: %v", from, got[0].offset, later)
		}
		from = got[len(got)-1].offset + 1
	}
	if _, later := read(501); later && !p.dir.Slow() {
		t.Fatal("the newest batches need no file")
	}
	if g.mu.Lock(); len(g.onLoops) > 0 {
		t.Errorf("on a loop: %v", g.onLoops)
	}
	g.mu.Unlock()
}
