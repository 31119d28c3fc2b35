// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/samsa-broker/samsa/engine"
)

// Several goroutines push, whoever finds the queue idle drains it. Every push is
// taken once, each pusher's own in order, and never do two hold the turn.
func TestQueueHasOneHolderAndLosesNothing(t *testing.T) {
	const pushers, each = 8, 5000
	type item struct {
		node
		who, n int
	}
	var q queue
	q.init()
	items := map[*node]*item{}
	all := make([][]item, pushers)
	for w := range all {
		all[w] = make([]item, each)
		for i := range all[w] {
			all[w][i] = item{who: w, n: i}
			items[&all[w][i].node] = &all[w][i]
		}
	}
	var holders atomic.Int32
	next := make([]int, pushers)
	taken := 0
	drain := func() {
		for {
			if holders.Add(1) != 1 {
				t.Error("two hold the turn")
			}
			for n := q.take(); n != nil; n = n.next {
				it := items[n]
				if it.n != next[it.who] {
					t.Errorf("pusher %d: got %d, want %d", it.who, it.n, next[it.who])
				}
				next[it.who]++
				taken++
			}
			holders.Add(-1)
			if q.leave() {
				return
			}
		}
	}
	var wait sync.WaitGroup
	for w := range all {
		wait.Go(func() {
			for i := range all[w] {
				if q.push(&all[w][i].node) {
					drain()
				}
			}
		})
	}
	wait.Wait()
	if taken != pushers*each {
		t.Fatalf("took %d of %d", taken, pushers*each)
	}
}

// A waitList keeps what a sorted slice keeps, through adds, removals and covers.
func TestWaitListAgainstSlice(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var list waitList
	var model []*entry
	for range 20000 {
		switch r.IntN(3) {
		case 0:
			e := &entry{need: engine.Offset(r.IntN(50))}
			list.add(e)
			at, _ := slices.BinarySearchFunc(model, e.need+1, func(e *entry, need engine.Offset) int { return int(e.need - need) })
			model = slices.Insert(model, at, e)
		case 1:
			if len(model) > 0 {
				i := r.IntN(len(model))
				list.remove(model[i])
				model = slices.Delete(model, i, i+1)
			}
		case 2:
			end := engine.Offset(r.IntN(60))
			for e := list.covered(end); e != nil; e = list.covered(end) {
				if len(model) == 0 || model[0] != e {
					t.Fatal("covered gave another entry than the first")
				}
				model = model[1:]
			}
			if len(model) > 0 && model[0].need <= end {
				t.Fatalf("need %d is not covered by %d", model[0].need, end)
			}
		}
		i := 0
		for e := list.head; e != nil; e = e.succ {
			if i >= len(model) || model[i] != e || e.list != &list {
				t.Fatalf("entry %d differs", i)
			}
			i++
		}
		if i != len(model) {
			t.Fatalf("%d entries, want %d", i, len(model))
		}
	}
}

// Marks give exactly the bytes below an end that a write ended at, and never
// claim to be exact when they are not, also when their ring overflows.
func TestMarksCountBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var m marks
	at := map[engine.Offset]int64{0: 0} // bytes below each end
	var end, passed engine.Offset
	var bytes, counted int64
	for range 5000 {
		if r.IntN(3) > 0 {
			n := int64(1 + r.IntN(1000))
			end, bytes = end+engine.Offset(1+r.IntN(9)), bytes+n
			m.add(end, n)
			at[end] = bytes
			continue
		}
		if r.IntN(20) > 0 {
			continue // let it overflow
		}
		to := passed + engine.Offset(r.IntN(int(end-passed)+1))
		n, exact := m.pass(to)
		counted += n
		passed = to
		want, known := at[to]
		if exact && (!known || counted != want) {
			t.Fatalf("pass(%d): counted %d exactly, want %d", to, counted, want)
		}
		if known && counted > want {
			t.Fatalf("pass(%d): counted %d, more than the %d there are", to, counted, want)
		}
	}
	if n, exact := m.pass(end); counted+n != bytes || n > 0 && !exact {
		t.Fatalf("at the end %d of %d bytes (exact %v)", counted+n, bytes, exact)
	}
}

// Rooms come back once each, never before their write's end is durable, all of
// them at the end.
func TestHeldGivesEveryRoomBackOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var h held
	below := map[engine.Offset]int64{}
	var end, durable engine.Offset
	var taken, back int64
	for range 5000 {
		if r.IntN(4) > 0 {
			n := int64(r.IntN(1000))
			end, taken = end+1, taken+n
			h.add(end, room{client: n, internal: 2 * n})
			below[end] = taken
			continue
		}
		durable += engine.Offset(r.IntN(int(end-durable) + 1))
		m := h.upTo(durable)
		back += m.client
		if m.internal != 2*m.client || back > below[durable] {
			t.Fatalf("at %d %d bytes are back, %d may be", durable, back, below[durable])
		}
	}
	if back += h.upTo(end).client; back != taken {
		t.Fatalf("%d bytes are back of %d", back, taken)
	}
}
