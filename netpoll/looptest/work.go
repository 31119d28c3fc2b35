// SPDX-License-Identifier: Apache-2.0

package looptest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/netpoll"
)

// readFile: reads run beside the loop, are short at the end of the file, and
// fail alone.
func readFile(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	body := random(1<<20, 21)
	f := tempFile(t, body)
	cases := []*netpoll.Op{
		{File: f.Fd(), Off: 12345, Data: make([]byte, 300_000)},
		{File: f.Fd(), Off: 0, Data: make([]byte, 500), Len: 100},
		{File: f.Fd(), Off: 1<<20 - 10, Data: make([]byte, 50)},
		{File: f.Fd(), Off: 2 << 20, Data: make([]byte, 50)},
		{FileAt: bytes.NewReader(body), Off: 99, Data: make([]byte, 70_000)},
	}
	counts := []int{300_000, 100, 10, 0, 70_000}
	r.await("the reads", func(done func(error)) {
		left := len(cases)
		for i, op := range cases {
			op.Kind = netpoll.ReadFile
			op.Done = func(op *netpoll.Op) {
				if op.Err != nil || op.N != counts[i] || !bytes.Equal(op.Data[:op.N], body[min(op.Off, 1<<20):][:op.N]) {
					done(fmt.Errorf("read %d: N %d, %w", i, op.N, op.Err))
				}
				if left--; left == 0 {
					done(nil)
				}
			}
			r.loop.Submit(op)
		}
	})
	r.await("a read of a bad descriptor", func(done func(error)) {
		r.loop.Submit(&netpoll.Op{Kind: netpoll.ReadFile, File: 1 << 20, Data: make([]byte, 10), Done: func(op *netpoll.Op) {
			if op.Err == nil {
				done(errors.New("succeeded"))
				return
			}
			done(nil)
		}})
	})
}

// writeFile: durable writes land where they were aimed, several at once, those
// that may block where they are begun among them.
func writeFile(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	f := tempFile(t, nil)
	const n, size = 32, 8192
	r.await("the writes", func(done func(error)) {
		left := n
		for i := range n {
			r.loop.Submit(&netpoll.Op{Kind: netpoll.WriteFile, File: f.Fd(), Off: int64(i * size), Data: random(size, uint64(i)), Blocking: i%2 == 1, Done: func(op *netpoll.Op) {
				if op.Err != nil || op.N != size {
					done(fmt.Errorf("write: N %d, %w", op.N, op.Err))
				}
				if left--; left == 0 {
					done(nil)
				}
			}})
		}
	})
	got, err := os.ReadFile(f.Name())
	if err != nil || len(got) != n*size {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for i := range n {
		if !bytes.Equal(got[i*size:(i+1)*size], random(size, uint64(i))) {
			t.Fatalf("write %d is not there", i)
		}
	}
}

// doneStack: Submit returns before any Done runs, also when the operation is
// over at once.
func doneStack(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	_, s := r.pair()
	inside, left := false, 50
	r.await("all ends", func(done func(error)) {
		inside = true
		for range left {
			r.loop.Submit(&netpoll.Op{Kind: netpoll.Send, Sock: s, Bufs: [][]byte{{1}}, Done: func(*netpoll.Op) {
				if inside {
					t.Error("Done ran inside Submit")
				}
				if left--; left == 0 {
					done(nil)
				}
			}})
		}
		inside = false
	})
}

// timersOrder: timers fire in the order of their time, not before it, and a
// sleeping loop wakes for them.
func timersOrder(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	delays := []int{90, 3, 250, 15, 64, 63, 65, 128, 1, 200, 40, 5, 129}
	var fired []int
	r.await("the timers", func(done func(error)) {
		start := r.loop.Now()
		for _, d := range delays {
			tm := &netpoll.Timer{Fire: func(*netpoll.Timer) {
				if r.loop.Now()-start < int64(d)*1e6 {
					done(fmt.Errorf("the timer of %d ms fired after %d ns", d, r.loop.Now()-start))
				}
				if fired = append(fired, d); len(fired) == len(delays) {
					done(nil)
				}
			}}
			r.loop.Arm(tm, time.Duration(d)*time.Millisecond)
		}
	})
	for i := 1; i < len(fired); i++ {
		if fired[i] < fired[i-1] {
			t.Fatalf("fired in order %v", fired)
		}
	}
}

// timersMove: an armed timer can be moved and taken back; one may arm itself
// again from its own Fire.
func timersMove(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	var story log
	r.await("the last timer", func(done func(error)) {
		note := func(name string) *netpoll.Timer {
			return &netpoll.Timer{Fire: func(*netpoll.Timer) { story.add("%s", name) }}
		}
		sooner, later, never, mate := note("sooner"), note("later"), note("never"), note("mate")
		r.loop.Arm(later, 5*time.Millisecond)
		r.loop.Arm(later, 60*time.Millisecond)
		r.loop.Arm(sooner, time.Hour)
		r.loop.Arm(sooner, 20*time.Millisecond)
		r.loop.Arm(never, 30*time.Millisecond)
		r.loop.Disarm(never)
		r.loop.Arm(mate, 10*time.Millisecond)
		thief := &netpoll.Timer{Fire: func(*netpoll.Timer) { r.loop.Disarm(mate) }}
		r.loop.Arm(thief, 2*time.Millisecond)
		left := 3
		again := &netpoll.Timer{}
		again.Fire = func(tm *netpoll.Timer) {
			story.add("again")
			if left--; left > 0 {
				r.loop.Arm(tm, 30*time.Millisecond)
				return
			}
			done(nil)
		}
		r.loop.Arm(again, 40*time.Millisecond)
	})
	want := "[sooner again later again again]"
	if got := fmt.Sprint(story.all()); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
}

// timersArrival: a timer that is armed for what was received fires no sooner
// after it was sent than it was armed for, however long the turn lasted in which
// it arrived: its time counts from the beginning of a later one.
func timersArrival(t *testing.T, b Backend) {
	if b.Memory {
		return // it has a clock of its own
	}
	r := newRig(t, b, netpoll.Options{})
	const long, delay = 30 * time.Millisecond, 20 * time.Millisecond
	first, busy := r.pair()
	second, late := r.pair()
	held, goOn, fired := make(chan error, 1), make(chan struct{}), make(chan error, 1)
	tm := &netpoll.Timer{Fire: func(*netpoll.Timer) { fired <- nil }}
	recv := func(s *netpoll.Sock, then func()) {
		op := &netpoll.Op{Kind: netpoll.Recv, Sock: s}
		op.Done = func(op *netpoll.Op) {
			if op.N > 0 {
				r.loop.Recycle(op.Buf)
				then()
			}
		}
		r.loop.Submit(op)
	}
	r.do(func() {
		recv(busy, func() { held <- nil; <-goOn })
		recv(late, func() { r.loop.Arm(tm, delay) })
	})
	if _, err := first.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	r.wait("the long turn", held)
	<-time.After(long)
	sent := time.Now()
	if _, err := second.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	r.wait("the timer", fired)
	if took := time.Since(sent); took < delay {
		t.Errorf("the timer of %v fired %v after what it was armed for was sent", delay, took)
	}
}

// tick is a message that checks its poster's order.
type tick struct {
	n    int
	next *int
	bad  *int
}

// Run implements netpoll.Message.
func (m *tick) Run() {
	if *m.next != m.n {
		*m.bad++
	}
	*m.next = m.n + 1
}

// postOrder: what many goroutines post at full speed all runs, in each poster's
// order, also when there is more than the inbox holds at once.
func postOrder(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	const posters, each = 8, 4000
	next := make([]int, posters)
	bad := 0
	gate := make(chan struct{})
	r.loop.Post(call(func() { <-gate })) // so that the inbox overflows first
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for i := range each {
				if p == 0 && i == each/2 {
					close(gate)
				}
				r.loop.Post(&tick{i, &next[p], &bad})
			}
		})
	}
	wg.Wait()
	r.do(func() {
		for p, n := range next {
			if n != each {
				t.Errorf("poster %d: %d of %d messages ran", p, n, each)
			}
		}
		if bad > 0 {
			t.Errorf("%d messages out of order", bad)
		}
	})
}

// postWakes: a loop that falls asleep again and again hears every post.
func postWakes(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			heard := make(chan struct{}, 1)
			m := call(func() {
				if !r.loop.OnLoop() {
					t.Error("a message ran elsewhere")
				}
				heard <- struct{}{}
			})
			for i := range 1500 {
				r.loop.Post(m)
				select {
				case <-heard:
				case <-time.After(patience):
					t.Errorf("post %d was lost", i)
					return
				}
				if i%16 == 0 {
					runtime.Gosched()
				}
			}
		})
	}
	wg.Wait()
	if r.loop.OnLoop() {
		t.Error("the test runs on the loop")
	}
}

// backPressure: with all buffers lent out nothing more is received; when they
// come back receiving goes on, on every connection, and no byte is lost.
func backPressure(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{RecvBuffers: 4})
	const conns, each = 3, 400_000
	type side struct {
		want, got []byte
	}
	var held []netpoll.Buf
	full := make(chan error, 100)
	over := make(chan error, conns)
	holding := true
	sides := make([]*side, conns)
	for i := range sides {
		sd := &side{want: random(each, uint64(30+i))}
		sides[i] = sd
		c, s := r.pair()
		go func() { _, _ = c.Write(sd.want); _ = c.Close() }()
		r.do(func() {
			r.loop.Submit(&netpoll.Op{Kind: netpoll.Recv, Sock: s, Done: func(op *netpoll.Op) {
				if op.N == 0 {
					over <- op.Err
					return
				}
				sd.got = append(sd.got, op.Buf.Data...)
				if !holding {
					r.loop.Recycle(op.Buf)
					return
				}
				if held = append(held, op.Buf); len(held) >= 4 {
					full <- nil
				}
			}})
		})
	}
	r.wait("all buffers to be lent", full)
	for range 20 {
		r.do(func() {})
	}
	r.do(func() {
		if len(held) != 4 {
			t.Errorf("%d of 4 buffers are lent", len(held))
		}
		holding = false
		for _, b := range held {
			r.loop.Recycle(b)
		}
	})
	for range sides {
		r.wait("all connections' ends", over)
	}
	for i, sd := range sides {
		if !bytes.Equal(sd.got, sd.want) {
			t.Errorf("connection %d received %d bytes that differ", i, len(sd.got))
		}
	}
}

// allocations: a request and its reply cost the loop no memory, nor does a
// message posted to it or a timer armed.
func allocations(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	c, s := r.pair()
	request, reply := random(1000, 40), make([]byte, 1000)
	var tm netpoll.Timer
	tm.Fire = func(*netpoll.Timer) {}
	heard := make(chan struct{}, 1)
	var m netpoll.Message = call(func() {
		r.loop.Arm(&tm, time.Hour)
		heard <- struct{}{}
	})
	r.do(func() { serveEcho(r.loop, s, nil) })
	once := func() {
		if _, err := c.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, reply); err != nil {
			t.Fatal(err)
		}
		r.loop.Post(m)
		<-heard
	}
	// Not testing.AllocsPerRun: it leaves the program one processor, which the
	// loop's raw wait would share with the client in slices of 10 ms.
	// The rest of the program allocates now and then, so the best of some runs counts.
	const runs, rounds = 5, 1000
	least := uint64(rounds)
	for range runs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			once()
		}
		runtime.ReadMemStats(&after)
		least = min(least, after.Mallocs-before.Mallocs)
	}
	if least > rounds/100 {
		t.Fatalf("%d allocations in %d requests", least, rounds)
	}
}
