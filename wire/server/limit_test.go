// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/wire/api"
)

// An idle connection is closed, one with a request under way is not.
func TestIdle(t *testing.T) {
	d := &desk{calls: map[string]*api.Call{}}
	r := newRig(t, Limits{Idle: 50 * time.Millisecond}, d.handler(1, false), echo(2))
	idle, busy := r.dial(), r.dial()
	busy.send(request(1, 3, 1, nil))
	r.eventually("it has begun", d.has("1/1"))
	idle.expectClosed()
	r.eventually("the reason is told", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.closed) == 1 && errors.Is(r.closed[0], ErrIdle)
	})
	d.do("1/1", answer)
	busy.receive()
}

// Large frames wait for memory in the order they came; one that is larger than
// the whole budget gets it once nobody else has any.
func TestFrameBudget(t *testing.T) {
	d := &desk{calls: map[string]*api.Call{}}
	r := newRig(t, Limits{TotalBytes: 1 << 20}, d.handler(1, false))
	sizes := []int{100 << 10, 200 << 10, 2 << 20, 100 << 10} // of a quarter of 1 MiB one address may hold
	for i, n := range sizes {
		c := r.dial()
		go func() { _, _ = c.conn.Write(request(1, 3, int32(i), make([]byte, n))) }()
		if i == 0 {
			r.eventually("the first has its memory", d.has("1/0"))
			continue
		}
		r.eventually("it stands in line", func() bool {
			r.server.frames.mu.Lock()
			defer r.server.frames.mu.Unlock()
			return r.server.frames.waiting == i
		})
	}
	names := []string{"1/0"}
	for i := range sizes {
		d.do(names[i], answer)
		if i+1 < len(sizes) {
			names = append(names, []string{"1/1", "1/2", "1/3"}[i])
			r.eventually("the next in line has it", d.has(names...))
		}
	}
}

// A connection that claims a large frame and sends little holds a receive
// buffer's worth and reserves nothing.
func TestClaimedFrameReservesNothing(t *testing.T) {
	r := newRig(t, Limits{TotalBytes: 64 << 20}, echo(keyEcho))
	for range 20 {
		c := r.dial()
		c.send(request(keyEcho, 3, 1, make([]byte, 90<<20))[:1000])
	}
	ok := r.dial()
	ok.send(request(keyEcho, 3, 1, nil))
	ok.receive()
	r.server.frames.mu.Lock()
	defer r.server.frames.mu.Unlock()
	if r.server.frames.used != 0 {
		t.Errorf("%d bytes reserved for claims", r.server.frames.used)
	}
}

// Requests that become objects are charged their worst case: past the budget
// one is decoded at a time, and all are answered.
func TestControlBudget(t *testing.T) {
	var now, most atomic.Int32
	release := make(chan struct{})
	h := api.Handler{Key: 3, Max: 12, Slow: true, Serve: func(c *api.Call) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		<-release
		now.Add(-1)
		c.Reply(c.Response())
	}}
	r := newRig(t, Limits{ControlBytes: 1}, h)
	var clients []*client
	for range 5 {
		c := r.dial()
		c.send(request(3, 1, 4, []byte{0, 0, 0, 0}))
		clients = append(clients, c)
	}
	for range clients {
		release <- struct{}{}
	}
	for _, c := range clients {
		if id, _ := c.receive(); id != 4 {
			t.Fatal("wrong reply")
		}
	}
	if most.Load() != 1 {
		t.Errorf("%d were decoded at once", most.Load())
	}
}

// A body that is not what its header says closes the connection with a line.
func TestMalformedBody(t *testing.T) {
	r := newRig(t, Limits{}, api.Handler{Key: 3, Max: 12, Serve: func(c *api.Call) { c.Reply(c.Response()) }})
	c := r.dial()
	c.send(request(3, 1, 4, []byte{0x7f, 0xff, 0xff, 0xff}))
	c.expectClosed()
	r.eventually("one line", func() bool { return len(r.warned()) == 1 && strings.Contains(r.warned()[0], "malformed") })
}

// Replies given on other goroutines, and replies after several answers, find
// their way home.
func TestReplyFromElsewhere(t *testing.T) {
	h := api.Handler{Key: 3, Max: 12, Slow: true, Serve: func(c *api.Call) {
		resp := c.Response().(*kmsg.MetadataResponse)
		resp.ControllerID = 42
		done := c.ReplyAfter(10, resp)
		for range 10 {
			go done()
		}
	}}
	r := newRig(t, Limits{}, h)
	c := r.dial()
	for i := range int32(50) {
		c.send(request(3, 1, i, []byte{0xff, 0xff, 0xff, 0xff}))
		if id, body := c.receive(); id != i || body[7] != 42 {
			t.Fatalf("id %d body %x", id, body)
		}
	}
}

// Drain answers what has begun and closes; what does not end in time is closed.
func TestDrain(t *testing.T) {
	d := &desk{calls: map[string]*api.Call{}}
	r := newRig(t, Limits{}, d.handler(1, false))
	idle, busy := r.dial(), r.dial()
	busy.send(request(1, 3, 1, nil))
	r.eventually("it has begun", d.has("1/1"))
	busy.send(request(1, 3, 2, nil)) // stands in line and is not begun
	ended := make(chan error)
	go func() { ended <- r.server.Drain(t.Context()) }()
	idle.expectClosed()
	d.do("1/1", answer)
	if id, _ := busy.receive(); id != 1 {
		t.Fatal("what had begun was not answered")
	}
	busy.expectClosed()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestDrainForced(t *testing.T) {
	d := &desk{calls: map[string]*api.Call{}}
	r := newRig(t, Limits{}, d.handler(1, false))
	busy := r.dial()
	busy.send(request(1, 3, 1, nil))
	r.eventually("it has begun", d.has("1/1"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.server.Drain(ctx) }()
	cancel()
	busy.expectClosed() // the peer sees the end at once, though the handler is still at it
	d.do("1/1", answer)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
