// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The wheel is held against a list that is simply searched: whatever is armed,
// moved and disarmed, each timer fires once, at the first tick not before its
// time, in order, over spans that use every level.
func TestWheelAgainstList(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 7))
		now := rng.Int64N(1 << 50)
		var w wheel
		w.next = noTick
		type entry struct {
			Timer
			tick int64
		}
		var waiting []*entry
		var fired []*entry
		timers := make([]*entry, 40)
		for i := range timers {
			e := &entry{}
			e.Fire = func(*Timer) { fired = append(fired, e) }
			timers[i] = e
		}
		for range 300 {
			e := timers[rng.IntN(len(timers))]
			waiting = slices.DeleteFunc(waiting, func(x *entry) bool { return x == e })
			w.disarm(&e.Timer)
			if rng.IntN(4) > 0 {
				at := now + rng.Int64N(int64(time.Millisecond)<<rng.IntN(34))
				w.arm(&e.Timer, now, at)
				e.tick = max((at+wheelTick-1)/wheelTick, now/wheelTick+1)
				waiting = append(waiting, e)
			}
			now += rng.Int64N(int64(time.Millisecond) << rng.IntN(30))
			if due, any := w.due(); any != (len(waiting) > 0) || (any && due > earliest(waiting, func(e *entry) int64 { return e.tick })*wheelTick) {
				t.Fatalf("seed %d: due in %d, %v; %d waiting, the first in %d", seed, due/wheelTick-now/wheelTick, any, len(waiting), earliest(waiting, func(e *entry) int64 { return e.tick })-now/wheelTick)
			}
			fired = fired[:0]
			n := w.advance(now)
			var want int
			for _, e := range waiting {
				if e.tick <= now/wheelTick {
					want++
				}
			}
			if n != want || len(fired) != want {
				t.Fatalf("seed %d: %d fired, want %d", seed, n, want)
			}
			for i, e := range fired {
				if e.tick > now/wheelTick || e.Armed() || (i > 0 && e.tick < fired[i-1].tick) {
					t.Fatalf("seed %d: fired in the wrong order, or early", seed)
				}
			}
			waiting = slices.DeleteFunc(waiting, func(x *entry) bool { return x.tick <= now/wheelTick })
		}
	}
}

func earliest[T any](list []T, of func(T) int64) int64 {
	least := int64(1 << 62)
	for _, x := range list {
		least = min(least, of(x))
	}
	return least
}
