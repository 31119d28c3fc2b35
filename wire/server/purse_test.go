// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/netpoll"
	"github.com/samsa-broker/samsa/wire/api"
)

// dialFrom connects from another loopback address.
func (r *rig) dialFrom(ip string) *client {
	r.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	c, err := d.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{r.t, c}
}

// heldBy adds up what the lane's connections hold, beyond a buffer each.
func heldBy(r *rig) (all, overdrawn int64) {
	l, done := r.server.lanes[0], make(chan struct{})
	l.loop.Post(task(func() {
		for _, p := range l.purses {
			all += p.used
			overdrawn += max(0, p.used-p.have)
		}
		close(done)
	}))
	<-done
	return all, overdrawn
}

// Many connections whose first request waits, each with as much in line behind
// it as a connection may have: what they hold beyond a buffer each stays within
// a quarter of the budget, as they are of one address, and within the budget if
// they are of many. When the first requests end, all are answered.
func TestSmallFramesAreCharged(t *testing.T) {
	for name, c := range map[string]struct {
		from  func(i int) string
		bound int64
	}{
		"one address":    {func(int) string { return "127.0.0.1" }, 1 << 20},
		"many addresses": {func(i int) string { return fmt.Sprintf("127.0.1.%d", i+1) }, 4 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			const conns, frames, size = 200, 100, 2500
			d := &desk{calls: map[string]*api.Call{}}
			r := newRig(t, Limits{TotalBytes: 4 << 20, LentBuffers: 1}, d.handler(1, false), echo(2))
			var all []*client
			for i := range conns {
				c := r.dialFrom(c.from(i))
				c.send(request(1, 3, int32(i), nil))
				all = append(all, c)
				go func() {
					for n := range frames {
						_, _ = c.conn.Write(request(2, 3, int32(n), bytes.Repeat([]byte{'x'}, size)))
					}
				}()
			}
			r.eventually("somebody waits for memory", func() bool { return r.server.frames.anyWaiting.Load() })
			// On top comes what the loop's buffers held when the budget ended, and a buffer a connection.
			const late = (64 + conns) * netpoll.BufBytes
			for range 50 {
				if held, over := heldBy(r); held-over > c.bound || over > late {
					t.Fatalf("%d bytes are held, %d of them not covered; the budget is %d", held, over, c.bound)
				}
			}
			for i, c := range all {
				d.do(fmt.Sprintf("1/%d", i), answer)
				c.receive()
				for n := range frames {
					if id, body := c.receive(); int(id) != n || len(body) < size {
						t.Fatalf("connection %d: reply %d has id %d and %d bytes", i, n, id, len(body))
					}
				}
			}
		})
	}
}

// A large frame does not wait for what idle connections have to spare.
func TestSpareMemoryIsGivenBack(t *testing.T) {
	d := &desk{calls: map[string]*api.Call{}}
	r := newRig(t, Limits{TotalBytes: 1 << 20, LentBuffers: 1}, d.handler(1, false), echo(2))
	c := r.dial()
	c.send(request(1, 3, 1, nil))
	for range 60 {
		c.send(request(2, 3, 2, make([]byte, 1500)))
	}
	r.eventually("it has taken from the budget", func() bool { held, _ := heldBy(r); return held > 0 })
	d.do("1/1", answer)
	for range 61 {
		c.receive()
	}
	large := r.dial()
	large.send(request(2, 3, 3, make([]byte, 200<<10))) // with the spare of the other above a quarter
	large.receive()
}

// Replies that nobody reads are charged, too: one connection keeps asking for
// more than it reads, and is not served beyond its share.
func TestUnreadRepliesAreCharged(t *testing.T) {
	reply := make([]byte, 30<<10)
	h := api.Handler{Key: 1, Min: 0, Max: 3, Raw: true, Serve: func(c *api.Call) {
		c.Begin()
		c.Out = append(c.Out, reply...)
		c.Done()
	}}
	r := newRig(t, Limits{TotalBytes: 1 << 20, UnsentBytes: 64 << 20, ConnRequests: 1000}, h)
	const conns, asked = 20, 300
	var all []*client
	for range conns {
		c := r.dial()
		all = append(all, c)
		for n := range asked {
			c.send(request(1, 3, int32(n), nil))
		}
	}
	r.eventually("somebody waits for memory", func() bool { return r.server.frames.anyWaiting.Load() })
	for range 50 {
		if held, over := heldBy(r); held > 256<<10+conns*(heapWeight*int64(len(reply))+64*callCost) || over > conns*(heapWeight*int64(len(reply))+64*callCost) {
			t.Fatalf("%d bytes are held, %d not covered", held, over)
		}
	}
	for _, c := range all {
		for n := range asked {
			if id, _ := c.receive(); int(id) != n {
				t.Fatalf("reply %d has id %d", n, id)
			}
		}
	}
}
