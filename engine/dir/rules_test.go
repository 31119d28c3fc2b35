// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// First come, first served; a request larger than everything waits until
// nothing is reserved; internal appends have room when clients have none.
func TestReserve(t *testing.T) {
	d := &Dir{clients: share{budget: 100}, internal: share{budget: 10}}
	var order []int
	waiter := func(i int) *Waiter { return &Waiter{Ready: func() { order = append(order, i) }} }
	if !d.Reserve(60, nil) || d.Reserve(60, waiter(1)) || d.Reserve(10, waiter(2)) || !d.ReserveInternal(10, nil) {
		t.Fatal("the budget is not what it should be, or somebody overtook")
	}
	late := waiter(3)
	if d.Reserve(500, late) || d.Reserve(5, waiter(4)) {
		t.Fatal("more than everything was given")
	}
	d.Unreserve(60)
	if len(order) != 2 || order[0] != 1 || order[1] != 2 {
		t.Fatalf("served %v", order)
	}
	d.Unreserve(60)
	d.Unreserve(10)
	if len(order) != 3 || order[2] != 3 || d.Reserve(1, waiter(5)) {
		t.Fatalf("served %v: the large one must have everything", order)
	}
	if d.Withdraw(late) {
		t.Fatal("withdrawn after it was served")
	}
	d.Unreserve(500)
	if len(order) != 5 {
		t.Fatalf("served %v", order)
	}
	big := waiter(6)
	if d.Reserve(1000, big) || d.Reserve(1, waiter(7)) {
		t.Fatal("somebody overtook")
	}
	if !d.Withdraw(big) || len(order) != 6 || order[5] != 7 {
		t.Fatalf("served %v: who stood behind a withdrawn one goes on", order)
	}
}

// One slow write makes the directory slow, 64 fast ones in a row make it well.
func TestPace(t *testing.T) {
	var p pace
	if p.took(2*time.Millisecond, false) || !p.took(3*time.Millisecond, false) || !p.slow.Load() {
		t.Fatal("over 2 ms is slow")
	}
	for range 63 {
		p.took(time.Microsecond, false)
	}
	p.took(time.Millisecond, false) // not slow, but not fast
	for range 63 {
		p.took(time.Microsecond, false)
	}
	if !p.slow.Load() || !p.took(time.Microsecond, false) || p.slow.Load() {
		t.Fatal("64 in a row, no fewer")
	}
	if !p.took(0, true) || !p.slow.Load() {
		t.Fatal("a full disk is slow")
	}
}

// With durability kafka the page cache counts, and flush.messages parks what
// is due behind an fdatasync; nothing is journaled.
func TestDurabilityKafka(t *testing.T) {
	mem := memDir(t)
	r := newRig(t, mem)
	r.change = func(o *Options) { o.Durability = Kafka }
	r.open()
	c := *testConfig()
	l, err := r.d.Create([16]byte{1}, "t", 0, &c)
	if err != nil {
		t.Fatal(err)
	}
	r.append(l, records(3, "x"), 0)
	if l.DurableEnd() != 3 || l.SyncedEnd() != 0 {
		t.Fatalf("durable end %d, synced end %d", l.DurableEnd(), l.SyncedEnd())
	}
	c.FlushMessages = 1
	l.SetConfig(&c)
	r.append(l, records(1, "y"), 0)
	if !l.FlushDue() || l.DurableEnd() != 3 {
		t.Fatalf("durable end %d before the sync, which is due: %v", l.DurableEnd(), l.FlushDue())
	}
	if err := l.FlushWritten(); err != nil || l.FlushDue() || l.DurableEnd() != 4 || l.SyncedEnd() != 4 {
		t.Fatalf("%v, durable end %d, synced end %d", err, l.DurableEnd(), l.SyncedEnd())
	}
	if _, err := mem.Stat("/d/samsa.journal.0"); err == nil {
		t.Fatal("there is a journal")
	}
	r.close(true)
	r.change = nil
	r.open() // and back to a journal
	if got := r.logs["t-0"].End(); got != 4 || !r.d.Clean() {
		t.Fatalf("end %d, clean %v", got, r.d.Clean())
	}
	r.close(true)
}

// flush.ms bounds how long records stay above the synced end, with a journal and
// without; with a journal flush.messages is such a bound too, and nobody waits.
func TestFlushBounds(t *testing.T) {
	for _, durability := range []Durability{Journal, Kafka} {
		syncs := make(chan string, 100)
		r := newRig(t, vfs.Inject(memDir(t), func(op vfs.Op) error {
			if op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, ".log") {
				syncs <- op.Name
			}
			return nil
		}))
		now := time.Unix(1_700_000_000, 0)
		r.change = func(o *Options) { o.Durability, o.Now = durability, func() time.Time { return now } }
		r.open()
		c := *testConfig()
		c.FlushMs = 5_000
		l, err := r.d.Create([16]byte{1}, "t", 0, &c)
		if err != nil {
			t.Fatal(err)
		}
		r.append(l, records(1, "x"), 0)
		wantSyncs := func(after time.Duration, want engine.Offset) {
			t.Helper()
			r.d.logs.flushOld(now.Add(after).UnixMilli())
			r.chores()
			if l.SyncedEnd() != want {
				t.Fatalf("durability %d: synced end %d %v after the append, want %d", durability, l.SyncedEnd(), after, want)
			}
		}
		wantSyncs(4_999*time.Millisecond, 0)
		if wantSyncs(5*time.Second, 1); len(syncs) != 1 {
			t.Fatalf("%d syncs", len(syncs))
		}
		if wantSyncs(time.Hour, 1); len(syncs) != 1 {
			t.Fatalf("%d syncs of a log with nothing new", len(syncs))
		}
		c2 := c
		c2.FlushMessages, c2.FlushMs = 2, 1<<62
		l.SetConfig(&c2)
		r.append(l, records(1, "y"), 0)
		if wantSyncs(0, 1); durability == Journal {
			r.append(l, records(1, "z"), 0)
			if wantSyncs(0, 3); l.FlushDue() || len(syncs) != 2 {
				t.Fatalf("%d syncs, due %v", len(syncs), l.FlushDue())
			}
		}
		r.close(true)
	}
}

// chores waits until the directory has done what it was given.
func (r *rig) chores() {
	r.t.Helper()
	done := make(chan struct{})
	r.d.chores.add(func() { close(done) })
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		r.t.Fatal("the directory's chores do not end")
	}
}

// The real file system, O_DIRECT where it has it: a process that dies leaves
// everything to its successor.
func TestHostFileSystem(t *testing.T) {
	r := newRig(t, vfs.OS())
	path := t.TempDir()
	r.change = func(o *Options) { o.Path = path }
	r.open()
	t.Logf("direct %v (%v)", r.started.Direct, r.started.WhyNot)
	l := r.create(1, "t", 0)
	for range 50 {
		r.append(l, records(5, "on a real disk"), 0)
	}
	r.wait(l)
	r.close(false)
	r.open()
	if l := r.logs["t-0"]; l.End() != 250 || r.started.Appended != 50 {
		t.Fatalf("end %d, %+v", l.End(), r.started)
	}
	if _, err := Open(r.options()); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second owner: %v", err)
	}
	r.close(true)
	r.open()
	if !r.d.Clean() || r.logs["t-0"].End() != 250 {
		t.Fatalf("clean %v, end %d", r.d.Clean(), r.logs["t-0"].End())
	}
	r.close(true)
}

// A log that was trimmed may be begun anew below: the checkpoint knows where it
// starts now, not where it once was cut.
func TestResetBelowATrim(t *testing.T) {
	r := newRig(t, memDir(t))
	r.open()
	l := r.create(1, "t", 0)
	for range 20 {
		r.append(l, records(5, "before"), 0)
	}
	r.wait(l)
	if err := errors.Join(l.TrimTo(50), l.Reset(20)); err != nil {
		t.Fatal(err)
	}
	r.append(l, records(5, "after"), 1)
	r.wait(l)
	if err := r.d.checkpoints.now(); err != nil {
		t.Fatal(err)
	}
	r.close(false)
	r.open()
	if l := r.logs["t-0"]; l.Start() != 20 || l.End() != 25 {
		t.Fatalf("from %d to %d", l.Start(), l.End())
	}
	r.close(true)
}
