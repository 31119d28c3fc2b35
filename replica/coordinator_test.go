// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/samsa-broker/samsa/engine"
)

// Steps entered from several goroutines never run side by side. What they append
// stands in the order of the steps, becomes visible in that order and never
// within Append, and only once the high watermark has passed it.
func TestHostedSteps(t *testing.T) {
	w := newWorld(t, worldOptions{loops: 3, budget: 40000})
	p := w.lead(0)
	const goroutines, each = 4, 200
	var running, appended, seen int // of the turn: -race would tell
	var wrote []string
	var all, visible sync.WaitGroup
	visible.Add(goroutines * each)
	for g := range goroutines {
		all.Go(func() {
			for range each {
				ran := make(chan struct{})
				e := &Entry{Reserve: 500}
				e.Run = func(turn *Turn, _ *Entry) {
					running++
					if running != 1 || turn.Err() != nil || turn.Epoch() != 5 || turn.Partition() != p || turn.Now() == 0 {
						t.Errorf("%d run, %v, epoch %d", running, turn.Err(), turn.Epoch())
					}
					n := appended
					appended++
					value := fmt.Sprint(g, "/", n)
					wrote = append(wrote, value)
					inside := true
					turn.Append(newBatch([]byte(value)), func(err error) {
						if inside || err != nil || n != seen || p.HighWatermark() <= engine.Offset(n) {
							t.Errorf("%d visible after %d: inside %v, high watermark %d, %v", n, seen, inside, p.HighWatermark(), err)
						}
						seen++
						visible.Done()
					})
					inside = false
					running--
					close(ran)
				}
				p.Enter(e)
				within(t, "a step", ran)
			}
		})
	}
	all.Wait()
	done := make(chan struct{})
	go func() { visible.Wait(); close(done) }()
	within(t, "the last visible", done)
	got := w.readAll(p, 0)
	for i, r := range got {
		if r.value != wrote[i] {
			t.Fatalf("record %d is %q, want %q", i, r.value, wrote[i])
		}
	}
	if len(got) != goroutines*each {
		t.Fatalf("%d records, want %d", len(got), goroutines*each)
	}
}

// A step may append from visible and enter itself again; on a deleted partition
// it runs too, hears of it from Err, and its appends fail.
func TestHostedStepsOfDeletedPartition(t *testing.T) {
	w := newWorld(t, worldOptions{})
	p := w.lead(0)
	var e Entry
	var runs atomic.Int32
	again, over := make(chan struct{}), make(chan error, 1)
	e.Run = func(turn *Turn, _ *Entry) {
		if runs.Add(1) == 1 {
			turn.Append(newBatch([]byte("first")), func(err error) {
				turn.Append(newBatch([]byte("second")), func(err error) { close(again) })
				p.Enter(&e)
			})
			return
		}
		if err := turn.Err(); err != nil {
			turn.Append(newBatch([]byte("third")), func(err error) { over <- err })
		}
	}
	p.Enter(&e)
	within(t, "the append from visible", again)
	eventually(w, "the second run", func() bool { return runs.Load() == 2 })
	if err := w.set.Stop(p.ID(), true); err != nil {
		t.Fatal(err)
	}
	p.Enter(&e)
	if err := <-over; !errors.Is(err, ErrDeleted) {
		t.Fatalf("got %v", err)
	}
}
