// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/netpoll"
)

// served asks once and wants the answer.
func (c *client) served() *client {
	c.t.Helper()
	c.send(request(keyEcho, 3, 1, nil))
	c.receive()
	return c
}

// listen opens another listener of the rig's server, and returns how to connect
// to it.
func (r *rig) listen(name string) (dial func() *client) {
	r.t.Helper()
	ln, err := netpoll.Listen("127.0.0.1:0", netpoll.ListenOptions{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.server.Serve(ln, name)
	return func() *client {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			r.t.Fatal(err)
		}
		r.t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return &client{r.t, c}
	}
}

// says waits for a line with the text.
func (r *rig) says(text string) {
	r.t.Helper()
	r.eventually("a line says "+text, func() bool { return strings.Contains(strings.Join(r.warned(), "\n"), text) })
}

// Above max.connections newcomers wait, unanswered and uncounted, until somebody
// leaves: Kafka's acceptor does the same. SetLimits lets them in, too.
func TestNewcomersWaitForAPlace(t *testing.T) {
	r := newRig(t, Limits{Connections: 2}, echo(keyEcho))
	a := r.dial().served()
	r.dial().served()
	var late []*client
	for range 5 {
		c := r.dial()
		c.send(request(keyEcho, 3, 1, nil))
		late = append(late, c)
	}
	r.says("new connections wait: server: too many connections: max.connections is 2")
	if n := r.server.Connections(); n != 2 {
		t.Errorf("%d connections", n)
	}
	_ = a.conn.Close()
	late[0].receive()
	r.server.SetLimits(Limits{})
	for _, c := range late[1:] {
		c.receive()
	}
}

// A listener's own limit makes newcomers of that listener wait, not of others.
func TestListenerLimit(t *testing.T) {
	limits := Limits{Listeners: map[string]ListenerLimits{"OTHER": {Connections: 1}}}
	r := newRig(t, limits, echo(keyEcho))
	other := r.listen("OTHER")
	first := other().served()
	second := other()
	second.send(request(keyEcho, 3, 1, nil))
	r.says("listener.name.other.max.connections is 1")
	for range 3 {
		r.dial().served()
	}
	_ = first.conn.Close()
	second.receive()
}

// max.connections.per.ip closes the newcomer, says so, and makes room again
// when somebody leaves.
func TestConnectionsPerAddress(t *testing.T) {
	r := newRig(t, Limits{ConnectionsPerIP: 1, PerIP: map[netip.Addr]int{netip.MustParseAddr("127.0.0.1"): 2}}, echo(keyEcho))
	a := r.dial().served()
	r.dial().served()
	r.dial().expectClosed()
	r.says("max.connections.per.ip is 2")
	_ = a.conn.Close()
	r.eventually("one left", func() bool { return r.server.Connections() == 1 })
	r.dial().served()
	r.server.SetLimits(Limits{ConnectionsPerIP: -1})
	r.dial().expectClosed()
}

// The listener of the brokers accepts above max.connections, and whoever has
// been idle longest on another one makes room.
func TestProtectedListenerPushesOut(t *testing.T) {
	r := newRigLoops(t, 2, Limits{Connections: 3, Protected: "BROKERS"}, echo(keyEcho))
	brokers := r.listen("BROKERS")
	kept := brokers().served()
	old, young := r.dial().served(), r.dial().served()
	old.served()
	young.served()
	brokers().served()
	brokers().served()
	old.expectClosed()
	young.expectClosed()
	r.eventually("3 are left", func() bool { return r.server.Connections() == 3 })
	kept.served()
	r.says("the one idle longest makes room")
}

// A max.connections that falls below what there is closes the excess, the
// longest idle first.
func TestLimitLowered(t *testing.T) {
	r := newRig(t, Limits{}, echo(keyEcho))
	var all []*client
	for range 4 {
		all = append(all, r.dial().served())
	}
	all[0].served() // now the last used
	r.server.SetLimits(Limits{Connections: 2})
	all[1].expectClosed()
	all[2].expectClosed()
	all[3].served()
	all[0].served()
	r.eventually("the reason is told", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.closed) == 2 && errors.Is(r.closed[0], ErrTooMany)
	})
}

// Connections that come faster than max.connection.creation.rate are all served,
// the later ones later.
func TestCreationRate(t *testing.T) {
	r := newRig(t, Limits{CreationRate: 20, RateWindows: 2, RateWindow: 50 * time.Millisecond}, echo(keyEcho))
	began := time.Now()
	for range 8 {
		r.dial().served()
	}
	if took := time.Since(began); took < 200*time.Millisecond { // one is free, then one in 50 ms
		t.Errorf("8 connections at 20 a second took %v", took)
	}
	r.says("max.connection.creation.rate is reached")
}

// Drain does not wait for those that wait to be let in.
func TestDrainTurnsWaitingAway(t *testing.T) {
	r := newRig(t, Limits{Connections: 1}, echo(keyEcho))
	r.dial().served()
	late := r.dial()
	r.says("new connections wait")
	if err := r.server.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	late.expectClosed()
}

// The rate is Kafka's: events of the last windows over their time, of which at
// least all but one window are counted. Worked out by its formula, one window
// of 1 s, eleven of them, 10 a second: 100 at once pass, the next waits for
// (10.1-10)/10 of 10 s, and never more than a window.
func TestRate(t *testing.T) {
	r := newRate(11, time.Second)
	for i := range 100 {
		if wait := r.record(5e9, 10); wait != 0 {
			t.Fatalf("event %d waits %v", i, wait)
		}
	}
	if wait := r.record(5e9, 10); wait != 100*time.Millisecond {
		t.Errorf("event 101 waits %v, want 100ms", wait)
	}
	for range 50 {
		r.add(5e9)
	}
	if wait := r.record(5e9, 10); wait != time.Second {
		t.Errorf("far above the rate: %v, want a window", wait)
	}
	if wait := r.record(5e9, 0); wait != time.Second {
		t.Errorf("no rate at all: %v, want a window", wait)
	}
	if wait := r.record(17e9, 10); wait != 0 {
		t.Errorf("after all windows are over: %v", wait)
	}
}

// Whatever the pauses, those who wait as they are told stay at the rate.
func TestRateHolds(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	r := newRate(11, time.Second)
	var now int64
	const each, events = 50, 20_000
	for range events {
		now += int64(r.record(now, each)) + rng.Int64N(int64(time.Second)/each/4)
	}
	if got := float64(events) / (float64(now) / 1e9); got > each*1.2 {
		t.Errorf("seed %d: %.1f a second, want %d", seed, got, each)
	}
}
