// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/wire/api"
)

// desk is a handler whose requests wait until the test lets them go on.
type desk struct {
	mu    sync.Mutex
	begun []string
	calls map[string]*api.Call
}

func (d *desk) handler(key int16, produce bool) api.Handler {
	return api.Handler{Key: key, Max: 3, Raw: true, Produce: produce, Serve: func(c *api.Call) {
		d.mu.Lock()
		defer d.mu.Unlock()
		name := fmt.Sprintf("%d/%d", key, c.CorrelationID)
		d.begun = append(d.begun, name)
		d.calls[name] = c
	}}
}

func (d *desk) has(names ...string) func() bool {
	return func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return slices.Equal(d.begun, names)
	}
}

// do runs f for a begun call, on its loop.
func (d *desk) do(name string, f func(c *api.Call)) {
	d.mu.Lock()
	c := d.calls[name]
	d.mu.Unlock()
	done := make(chan struct{})
	c.Home().Post(task(func() { f(c); close(done) }))
	<-done
}

func answer(c *api.Call) { c.Begin(); c.Done() }

// A Produce starts when every earlier Produce is placed and everything else
// before it has finished; anything else when everything before it has finished.
// Replies come in request order, whoever is ready first.
func TestOrder(t *testing.T) {
	d := &desk{calls: map[string]*api.Call{}}
	r := newRig(t, Limits{}, d.handler(0, true), d.handler(1, false))
	c := r.dial()
	for i, key := range []int16{0, 0, 0, 1, 0, 1} {
		c.send(request(key, 3, int32(i), nil))
	}
	r.eventually("only the first Produce begins", d.has("0/0"))
	d.do("0/0", (*api.Call).Placed)
	r.eventually("placed lets the next Produce begin", d.has("0/0", "0/1"))
	d.do("0/1", answer) // finished, which includes being placed
	r.eventually("the third begins, the Fetch does not", d.has("0/0", "0/1", "0/2"))
	d.do("0/2", (*api.Call).Placed)
	d.do("0/2", answer)
	if !d.has("0/0", "0/1", "0/2")() {
		t.Fatal("another request began while a Produce had not finished")
	}
	d.do("0/0", answer)
	r.eventually("all Produces finished: the Fetch begins", d.has("0/0", "0/1", "0/2", "1/3"))
	for want := range int32(3) {
		if id, _ := c.receive(); id != want {
			t.Fatalf("reply %d, want %d", id, want)
		}
	}
	d.do("1/3", answer)
	r.eventually("then the Produce behind it", d.has("0/0", "0/1", "0/2", "1/3", "0/4"))
	d.do("0/4", (*api.Call).Placed)
	if !d.has("0/0", "0/1", "0/2", "1/3", "0/4")() {
		t.Fatal("placed was enough for a Fetch")
	}
	d.do("0/4", answer)
	r.eventually("and the last", d.has("0/0", "0/1", "0/2", "1/3", "0/4", "1/5"))
	d.do("1/5", answer)
	for want := int32(3); want < 6; want++ {
		if id, _ := c.receive(); id != want {
			t.Fatalf("reply %d, want %d", id, want)
		}
	}
}

// A silent request leaves no gap in the replies; a closing one ends the
// connection, with one line.
func TestSilenceAndClose(t *testing.T) {
	h := api.Handler{Key: 0, Max: 3, Raw: true, Produce: true, Serve: func(c *api.Call) {
		switch c.CorrelationID % 3 {
		case 0:
			answer(c)
		case 1:
			c.Silent()
		case 2:
			if c.CorrelationID > 10 {
				c.Close(errors.New("no leader"))
				return
			}
			c.Silent()
		}
	}}
	r := newRig(t, Limits{}, h)
	c := r.dial()
	for i := range int32(12) {
		c.send(request(0, 3, i, nil))
	}
	for _, want := range []int32{0, 3, 6, 9} {
		id, _, err := c.tryReceive()
		if err != nil {
			return // replies not yet out when the connection was closed are lost, as in Kafka
		}
		if id != want {
			t.Fatalf("reply %d, want %d", id, want)
		}
	}
	c.expectClosed()
	r.eventually("a line says why", func() bool { return len(r.warned()) == 1 })
}

// stepTask is a Task that runs once for one call.
type stepTask struct{ f func() }

func (s *stepTask) Run() { s.f() }

// A parked request is woken by its timer; when the connection dies instead,
// its abort runs, and only that.
func TestPark(t *testing.T) {
	events := make(chan string, 10)
	h := api.Handler{Key: 1, Max: 3, Raw: true, Serve: func(c *api.Call) {
		wait := time.Millisecond
		if len(c.Raw) > 0 {
			wait = time.Hour
		}
		c.ReleaseFrame()
		c.Park(wait, &stepTask{func() { events <- "timeout"; answer(c) }}, &stepTask{func() { events <- "abort"; c.Silent() }})
	}}
	r := newRig(t, Limits{}, h)
	c := r.dial()
	c.send(request(1, 3, 7, nil))
	if id, _ := c.receive(); id != 7 || <-events != "timeout" {
		t.Fatal("the timer did not answer")
	}
	c.send(request(1, 3, 8, []byte("long")))
	lent := func() bool {
		ch := make(chan bool)
		l := r.server.lanes[0]
		l.loop.Post(task(func() { ch <- l.conns.head.running == 1 && l.lent == 0 && l.conns.head.bytes == 0 }))
		return <-ch
	}
	r.eventually("a parked request holds no frame memory", lent)
	_ = c.conn.Close()
	if got := <-events; got != "abort" {
		t.Fatalf("%s ran", got)
	}
	r.eventually("the connection is gone", func() bool { return r.server.Connections() == 0 })
	if len(events) != 0 {
		t.Fatal("both ran")
	}
}

// A connection with a long line does not hold up the others: only some of its
// requests begin in one turn of the loop, and another's is answered between.
func TestDeepLineLetsOthersIn(t *testing.T) {
	var begun []int16
	note := func(key int16) api.Handler {
		return api.Handler{Key: key, Max: 3, Raw: true, Serve: func(c *api.Call) {
			begun = append(begun, key)
			c.Begin()
			c.Done()
		}}
	}
	r := newRig(t, Limits{}, note(1), note(2))
	deep, other := r.dial(), r.dial()
	l := r.server.lanes[0]
	r.eventually("both are open", func() bool { return r.server.Connections() == 2 })
	held, let := make(chan struct{}), make(chan struct{})
	l.loop.Post(task(func() { close(held); <-let })) // both lines arrive in the same turn
	<-held
	var burst []byte
	for i := range int32(100) {
		burst = append(burst, request(1, 3, i, nil)...)
	}
	deep.send(burst)
	other.send(request(2, 3, 7, nil))
	close(let)
	for i := range int32(100) {
		if id, _ := deep.receive(); id != i {
			t.Fatalf("reply %d has id %d", i, id)
		}
	}
	other.receive()
	at := make(chan int)
	l.loop.Post(task(func() { at <- slices.Index(begun, 2) }))
	if n := <-at; n > 2*startsPerTurn {
		t.Errorf("%d requests of one connection began before the other's", n)
	}
}
