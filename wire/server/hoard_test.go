// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/wire/api"
)

// Requests that wait for something for as long as their peers like, and hold
// all of the control budget, keep nobody else from being decoded.
func TestParkedRequestsDoNotHoldUpOthers(t *testing.T) {
	parked := make(chan *api.Call, 10)
	park := api.Handler{Key: 3, Max: 12, Serve: func(c *api.Call) { parked <- c }}
	ask := api.Handler{Key: 18, Max: 4, Serve: func(c *api.Call) { c.Reply(c.Response()) }}
	r := newRig(t, Limits{ControlBytes: 1}, park, ask)
	names := make([]byte, 0, smallControl+1000)
	names = binary.BigEndian.AppendUint32(names, 500)
	for range 500 {
		names = append(names, 0, 8, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h')
	}
	holder := r.dial()
	holder.send(request(3, 1, 1, names))
	var c *api.Call
	select {
	case c = <-parked:
	case <-time.After(10 * time.Second):
		t.Fatal("it was not served")
	}
	other := r.dial()
	other.send(request(18, 0, 2, nil))
	if id, _ := other.receive(); id != 2 {
		t.Fatal("wrong reply")
	}
	greedy := r.dial() // of the same address, which holds more than its quarter
	greedy.send(request(3, 1, 3, names))
	greedy.expectClosed()
	c.Home().Post(task(func() { c.Reply(c.Response()) }))
	holder.receive()
}

// Peers that send byte by byte to a line that takes no more do not keep the
// receive buffers from the others.
func TestHoardedReceiveBuffers(t *testing.T) {
	d := &desk{calls: map[string]*api.Call{}}
	r := newRig(t, Limits{LentBuffers: 8, ConnRequests: 1}, d.handler(1, false), echo(2))
	const hoarders = 40
	for i := range hoarders {
		c := r.dial()
		c.send(request(1, 3, int32(i), nil))
		r.eventually("it has begun", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return len(d.begun) == i+1 })
		for n := range 6 {
			c.send([]byte{0})
			r.eventually("the byte has come", func() bool { return pieces(r, i) > n })
		}
	}
	done := make(chan int)
	l := r.server.lanes[0]
	l.loop.Post(task(func() { done <- l.lent }))
	if lent := <-done; lent > 8 {
		t.Errorf("%d receive buffers are in use", lent)
	}
	defer func() {
		for i := range hoarders {
			d.do(fmt.Sprintf("1/%d", i), answer)
		}
	}()
	c := r.dial()
	c.send(request(2, 3, 77, []byte("through")))
	if id, _ := c.receive(); id != 77 {
		t.Fatal("wrong reply")
	}
}

// pieces is how many pieces the connection number i of the first lane holds.
func pieces(r *rig, i int) int {
	l, n := r.server.lanes[0], make(chan int)
	l.loop.Post(task(func() {
		all := 0
		for c := l.conns.head; c != nil; c = c.next {
			if c.head != nil && int(c.head.CorrelationID) == i {
				all = len(c.pieces)
			}
		}
		n <- all
	}))
	return <-n
}
