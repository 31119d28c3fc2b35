// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"testing"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
)

// A turn with more to do than its budget goes through the home's inbox, so that
// what was posted meanwhile comes between; nothing is lost and order is kept.
func TestTurnBudget(t *testing.T) {
	home := &inbox{}
	w := newWorld(t, worldOptions{homes: []Home{home}})
	p := w.lead(0)
	home.drain()
	var order []int
	var fair bool
	entries := make([]Entry, 3*turnOps)
	p.queue.hold() // as if a turn went on while these are pushed
	for i := range entries {
		entries[i].Run = func(*Turn, *Entry) {
			if order = append(order, i); i == 0 {
				home.Post(funcTask(func() { fair = len(order) == turnOps }))
			}
		}
		p.Enter(&entries[i])
	}
	p.turn.drain()
	if len(order) != turnOps {
		t.Fatalf("%d operations in one stretch, want %d", len(order), turnOps)
	}
	home.drain()
	if !fair || len(order) != len(entries) {
		t.Fatalf("%d of %d operations, another's task after %v operations: %v", len(order), len(entries), turnOps, fair)
	}
	for i, n := range order {
		if i != n {
			t.Fatalf("operation %d ran as number %d", n, i)
		}
	}
}

// The budget counts bytes too.
func TestTurnBudgetOfBytes(t *testing.T) {
	home := &inbox{}
	w := newWorld(t, worldOptions{homes: []Home{home}, budget: 16 << 20})
	p := w.lead(0)
	home.drain()
	batch := newBatch(make([]byte, turnBytes/4))
	var requests [12]AppendRequest
	done := 0
	p.queue.hold()
	for i := range requests {
		requests[i] = AppendRequest{Home: home, Acks: AcksNone, Done: funcTask(func() { done++ }),
			Parts: []AppendPart{{Partition: p, Batches: append([]byte(nil), batch...)}}}
		w.set.Append(&requests[i])
	}
	p.turn.drain()
	if end := p.LogEnd(); end != 4 {
		t.Fatalf("one stretch wrote %d batches of a quarter of the budget, want 4", end)
	}
	home.until(t, "the answers", func() bool { return done == 12 })
	if end := p.LogEnd(); end != 12 {
		t.Fatalf("log end %d, want 12", end)
	}
}

// Expire answers what the high watermark does not cover, once; what it covers
// keeps its success, and Done comes once either way.
func TestExpire(t *testing.T) {
	w := newWorld(t, worldOptions{})
	l := w.leadership(0, 5)
	l.ISR, l.Replicas = []meta.BrokerID{1, 2}, []meta.BrokerID{1, 2} // 2 never fetches
	if err := w.set.Lead(l); err != nil {
		t.Fatal(err)
	}
	stuck, fine := w.set.Lookup([]byte("orders"), 0), w.lead(1)
	home, done := w.loops[0], make(chan struct{}, 10)
	r := &AppendRequest{Acks: AcksAll, Home: home, Done: funcTask(func() { done <- struct{}{} })}
	for i := range engine.Offset(3) { // the request is used again
		r.Parts = append(r.Parts[:0],
			AppendPart{Partition: stuck, Batches: newBatch([]byte("a"))},
			AppendPart{Partition: fine, Batches: newBatch([]byte("b"))}, AppendPart{})
		home.call(func() { w.set.Append(r) })
		eventually(w, "the append that is fine", func() bool { return fine.HighWatermark() == i+1 })
		home.call(func() { r.Expire(); r.Expire() })
		within(t, "the answer", done)
		settled(w)
		home.call(func() { r.Expire() }) // too late: nothing
		settled(w)
		if len(done) != 0 {
			t.Fatal("done twice")
		}
		if !errors.Is(r.Parts[0].Err, ErrTimedOut) || r.Parts[1].Err != nil || r.Parts[1].Base < 0 {
			t.Fatalf("got %v and %v", r.Parts[0].Err, r.Parts[1].Err)
		}
	}
	if stuck.LogEnd() != 3 || stuck.HighWatermark() != 0 {
		t.Fatalf("log end %d, high watermark %d", stuck.LogEnd(), stuck.HighWatermark())
	}
}

// The high watermark is the least of our durable end and the positions of the
// in-sync replicas, and does not move while too few are in sync.
func TestHighWatermarkOfISR(t *testing.T) {
	w := newWorld(t, worldOptions{})
	l := w.leadership(0, 5)
	l.ISR, l.Replicas, l.MinISR = []meta.BrokerID{1, 2, 3}, []meta.BrokerID{1, 2, 3}, 3
	if err := w.set.Lead(l); err != nil {
		t.Fatal(err)
	}
	p := w.set.Lookup([]byte("orders"), 0)
	for range 5 {
		w.append1(p, AcksLeader, "x")
	}
	inTurn := func(f func(t *Turn)) {
		done := make(chan struct{})
		p.Enter(&Entry{Run: func(t *Turn, _ *Entry) { f(t); t.advance(); close(done) }})
		within(t, "a step", done)
	}
	for _, c := range []struct{ two, three, want engine.Offset }{{5, 0, 0}, {2, 4, 2}, {1, 1, 2}, {4, 3, 3}, {9, 9, 5}} {
		inTurn(func(t *Turn) { t.followers = followers{{2, c.two}, {3, c.three}} })
		if hw := p.HighWatermark(); hw != c.want {
			t.Fatalf("followers at %d and %d: high watermark %d, want %d", c.two, c.three, hw, c.want)
		}
	}
	l.Epoch, l.ISR = 6, []meta.BrokerID{1}
	if err := w.set.Lead(l); err != nil {
		t.Fatal(err)
	}
	if part := w.append1(p, AcksAll, "y"); !errors.Is(part.Err, ErrNotEnoughReplicas) || p.LogEnd() != 5 {
		t.Fatalf("appended with one of three in sync: %v, log end %d", part.Err, p.LogEnd())
	}
	if part := w.append1(p, AcksLeader, "y"); part.Err != nil || p.HighWatermark() != 5 {
		t.Fatalf("acks=1: %v, high watermark %d", part.Err, p.HighWatermark())
	}
}
