// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// storm opens connections as fast as asked for a while, treats each with use
// and resets it. It returns how many there were a second.
func (s *scene) storm(rate int, d time.Duration, use func(i int, c net.Conn)) float64 {
	var made, failed atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	const workers = 8
	for w := range workers {
		all.Go(func() {
			for i := w; time.Since(began) < d; i += workers {
				due := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
				if wait := time.Until(due); wait > time.Millisecond {
					<-time.After(wait)
				}
				c, err := s.tryDial(i)
				if err != nil {
					failed.Add(1)
					continue
				}
				made.Add(1)
				use(i, c)
				reset(c)
			}
		})
	}
	all.Wait()
	if failed.Load() > made.Load()/100 {
		s.t.Errorf("%d of %d connections failed", failed.Load(), failed.Load()+made.Load())
	}
	return float64(made.Load()) / time.Since(began).Seconds()
}

// stormVictim runs a storm and judges the victim in it, by the best of several
// windows: clients and broker share the processors here, and the clients of a
// storm need most of them.
func (s *scene) stormVictim(rate int, d time.Duration, use func(i int, c net.Conn)) {
	s.t.Helper()
	got := make(chan float64, 1)
	go func() { got <- s.storm(rate, d, use) }()
	p99 := d
	for range 5 {
		p99 = min(p99, s.v.p99(d/6))
	}
	grown := s.resident() - s.before.resident
	reached := <-got
	s.t.Logf("%.0f connections a second: p99 %v (before: %v), resident memory %+.1f MiB", reached,
		p99.Round(10*time.Microsecond), s.base.Round(10*time.Microsecond), mib(grown))
	if limit := max(2*s.base, 4*slack); p99 > limit {
		s.t.Errorf("the victim's p99 rose from %v to %v", s.base, p99)
	}
	if grown > budgetBytes+fixedBytes+backlog*(12<<10) { // as many may be open at once
		s.t.Errorf("the broker grew by %.1f MiB", mib(grown))
	}
	s.over()
}

// 10,000 connections a second for ten seconds: closed at once, reset in the
// middle of a frame, reset with a request under way.
func TestStorm(t *testing.T) {
	ask := frame(kmsg.NewPtrApiVersionsRequest())
	poll := frame(e2e.FetchRequest("victim", 0, 1<<40, 1<<20))
	begun := announce()
	s := begin(t, nil)
	s.stormVictim(10_000, size(1500*time.Millisecond, 10*time.Second), func(i int, c net.Conn) {
		switch i % 4 {
		case 1:
			_, _ = c.Write(begun)
		case 2:
			_, _ = c.Write(ask)
		case 3:
			_, _ = c.Write(poll)
		}
	})
	if n := s.lines("level=WARN"); n > 5 {
		t.Errorf("the storm left %d lines in the log:\n%s", n, s.b.Log())
	}
}

// TLS hellos at a plaintext listener: each is hung up on, and the log has one
// line about them all.
func TestTLSHellos(t *testing.T) {
	s := begin(t, nil)
	s.stormVictim(5_000, size(time.Second, 10*time.Second), func(_ int, c net.Conn) {
		_, _ = c.Write(hello)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("a TLS hello is answered")
		}
	})
	if n := s.lines("looks like a TLS handshake"); n < 1 || n > size(1, 3) {
		t.Errorf("%d lines about TLS:\n%s", n, s.b.Log())
	}
}
