// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ConnectionRule is what a broker does about connections under a few keys, as a
// script that tells what happened. A real Kafka 3.9 and samsa must tell the
// same; the script counts no connections, because Kafka has some to itself.
type ConnectionRule struct {
	Name  string
	Props map[string]string
	// Two: there is a second listener, BROKERS, for other brokers.
	Two bool
	// Tell connects to the first and to the second listener.
	Tell func(t testing.TB, addr, brokers string) []string
	// Want is what Kafka 3.9 told.
	Want []string
}

// ListenerProps are the keys for listeners PLAINTEXT and BROKERS.
func ListenerProps(addr, brokers string) map[string]string {
	return map[string]string{
		"listeners":                      "PLAINTEXT://" + addr + ",BROKERS://" + brokers,
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,BROKERS:PLAINTEXT",
		"inter.broker.listener.name":     "BROKERS",
	}
}

// ConnectionRules are the rules of Kafka's ConnectionQuotas and of its
// selector's idle expiry, one broker each.
var ConnectionRules = []ConnectionRule{
	{Name: "max.connections", Props: map[string]string{"max.connections": "8"}, Tell: tellFull,
		Want: []string{"the next is not answered", "when one leaves it is answered"}},
	{Name: "max.connections of a listener", Props: map[string]string{"listener.name.plaintext.max.connections": "4"}, Two: true,
		Tell: tellListenerFull, Want: []string{"the next is not answered", "the other listener is answered", "when one leaves it is answered"}},
	{Name: "max.connections.per.ip", Props: map[string]string{"max.connections.per.ip": "8"}, Tell: tellFull,
		Want: []string{"the next is closed", "when one leaves another is answered"}},
	{Name: "overrides", Props: map[string]string{"max.connections.per.ip": "0", "max.connections.per.ip.overrides": "10.1.2.3:1,localhost:8"}, Tell: tellFull,
		Want: []string{"the next is closed", "when one leaves another is answered"}},
	// Each loop, and each of Kafka's threads, looks for the least recently used of its own: one of either makes it certain.
	{Name: "inter-broker listener", Props: map[string]string{"max.connections": "8", "num.network.threads": "1", "samsa.event.loops": "1"}, Two: true, Tell: tellPushedOut,
		Want: []string{"the next is not answered", "the brokers' listener is answered", "the least recently used is closed", "the others are answered"}},
	{Name: "max.connection.creation.rate", Props: map[string]string{"max.connection.creation.rate": "5", "quota.window.num": "2"}, Tell: tellRate,
		Want: []string{"12 connections are answered", "they are slowed down"}},
	{Name: "connections.max.idle.ms", Props: map[string]string{"connections.max.idle.ms": "1500"}, Tell: tellIdle,
		Want: []string{"a silent one is closed", "one that asks every second is answered"}},
}

// answered asks for the versions; it is false when there is no answer in time.
func answered(r *Raw, within time.Duration) (bool, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	if err := r.Send(req); err != nil {
		return false, err
	}
	return r.comes(within)
}

// comes waits for a reply to begin.
func (r *Raw) comes(within time.Duration) (bool, error) {
	_ = r.conn.SetReadDeadline(time.Now().Add(within))
	_, err := r.in.Peek(4)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	if err == nil {
		_, err = r.Receive(kmsg.NewPtrApiVersionsRequest())
	}
	return err == nil, err
}

// unanswered is how long a connection that should wait is listened to.
const unanswered = 1500 * time.Millisecond

// fill connects until a connection is not answered any more.
func fill(t testing.TB, addr string) (all []*Raw, next *Raw, closed bool) {
	t.Helper()
	for range 20 {
		r := Dial(t, addr)
		ok, err := answered(r, unanswered)
		if !ok {
			return all, r, err != nil
		}
		all = append(all, r)
	}
	t.Fatal("20 connections are answered")
	return nil, nil, false
}

func tellFull(t testing.TB, addr, _ string) (lines []string) {
	all, next, closed := fill(t, addr)
	if !closed {
		lines = append(lines, "the next is not answered")
		_ = all[0].conn.Close()
		if ok, err := next.comes(20 * time.Second); !ok {
			t.Fatalf("no answer after one left: %v", err)
		}
		return append(lines, "when one leaves it is answered")
	}
	lines = append(lines, "the next is closed")
	_ = all[0].conn.Close()
	Eventually(t, 20*time.Second, func() error {
		if ok, err := answered(Dial(t, addr), 5*time.Second); !ok {
			return fmt.Errorf("no answer after one left: %v", err)
		}
		return nil
	})
	return append(lines, "when one leaves another is answered")
}

func tellListenerFull(t testing.TB, addr, brokers string) (lines []string) {
	all, next, closed := fill(t, addr)
	if closed {
		return []string{"the next is closed"}
	}
	lines = append(lines, "the next is not answered")
	if ok, err := answered(Dial(t, brokers), 20*time.Second); !ok {
		t.Fatalf("the other listener: %v", err)
	}
	lines = append(lines, "the other listener is answered")
	_ = all[0].conn.Close()
	if ok, err := next.comes(20 * time.Second); !ok {
		t.Fatalf("no answer after one left: %v", err)
	}
	return append(lines, "when one leaves it is answered")
}

func tellPushedOut(t testing.TB, addr, brokers string) (lines []string) {
	all, _, closed := fill(t, addr)
	if closed {
		return []string{"the next is closed"}
	}
	lines = append(lines, "the next is not answered")
	if ok, err := answered(all[0], 20*time.Second); !ok { // now the second is the oldest
		t.Fatal(err)
	}
	if ok, err := answered(Dial(t, brokers), 20*time.Second); !ok {
		t.Fatalf("the brokers' listener: %v", err)
	}
	lines = append(lines, "the brokers' listener is answered")
	if !hungUp(all[1].conn, 20*time.Second) {
		t.Fatal("the least recently used is still open")
	}
	lines = append(lines, "the least recently used is closed")
	for i, r := range all {
		if ok, err := answered(r, 20*time.Second); i != 1 && !ok {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	return append(lines, "the others are answered")
}

func tellRate(t testing.TB, addr, _ string) (lines []string) {
	began := time.Now()
	for i := range 12 {
		if ok, err := answered(Dial(t, addr), 20*time.Second); !ok {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	lines = append(lines, "12 connections are answered")
	if took := time.Since(began); took > 700*time.Millisecond { // 5 or so at once, the others at the rate
		return append(lines, "they are slowed down")
	}
	return append(lines, "they are as fast as ever")
}

func tellIdle(t testing.TB, addr, _ string) (lines []string) {
	silent, busy := Dial(t, addr), Dial(t, addr)
	if ok, err := answered(silent, 20*time.Second); !ok {
		t.Fatal(err)
	}
	ends := make(chan bool, 1)
	go func() { ends <- hungUp(silent.conn, 20*time.Second) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for range 5 {
		<-tick.C
		if ok, err := answered(busy, 20*time.Second); !ok {
			t.Fatal(err)
		}
	}
	if <-ends {
		lines = append(lines, "a silent one is closed")
	}
	return append(lines, "one that asks every second is answered")
}

// hungUp tells whether the broker closes a connection in time.
func hungUp(conn net.Conn, within time.Duration) bool {
	_ = conn.SetReadDeadline(time.Now().Add(within))
	_, err := io.Copy(io.Discard, conn)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}
