// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/samsa-broker/samsa/wire/api"
)

// However a stream of requests is cut into packets, the replies are the same
// and in order: a byte at a time, at random, all at once; frames from nothing
// to many receive buffers.
func TestFramesHoweverCut(t *testing.T) {
	r := newRig(t, Limits{}, echo(keyEcho))
	rnd := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 3, 100, 4000, 16370, 16384, 16385, 40000, 70000, 300_000, 5}
	var stream []byte
	for i, n := range sizes {
		stream = append(stream, request(keyEcho, 3, int32(i), pattern(n))...)
	}
	cuts := map[string]func() int{
		"whole":  func() int { return len(stream) },
		"random": func() int { return 1 + rnd.IntN(5000) },
		"small":  func() int { return 1 + rnd.IntN(37) },
	}
	for name, next := range cuts {
		t.Run(name, func(t *testing.T) {
			c := r.dial()
			c.t = t
			go func() {
				for rest := stream; len(rest) > 0; {
					n := min(next(), len(rest))
					if _, err := c.conn.Write(rest[:n]); err != nil {
						return
					}
					rest = rest[n:]
				}
			}()
			for i, n := range sizes {
				id, body := c.receive()
				if id != int32(i) || !bytes.Equal(body, pattern(n)) {
					t.Fatalf("reply %d: id %d, %d bytes, want %d", i, id, len(body), n)
				}
			}
		})
	}
}

// A large frame is received into memory of its own, which is given back.
func TestLargeFrames(t *testing.T) {
	r := newRig(t, Limits{TotalBytes: 16 << 20}, echo(keyEcho))
	c := r.dial()
	for i := range 20 {
		n := 3<<20 + i
		go func() { _, _ = c.conn.Write(request(keyEcho, 0, int32(i), pattern(n))) }()
		id, body := c.receive()
		if id != int32(i) || !bytes.Equal(body, pattern(n)) {
			t.Fatalf("reply %d: id %d, %d bytes, want %d", i, id, len(body), n)
		}
	}
}

// A client that pipelines far more than the line takes loses nothing.
func TestDeepPipeline(t *testing.T) {
	r := newRig(t, Limits{ConnRequests: 4, ConnBytes: 2000}, echo(keyEcho))
	c := r.dial()
	const n = 3000
	go func() {
		var b []byte
		for i := range int32(n) {
			b = append(b, request(keyEcho, 3, i, pattern(int(i)%300))...)
		}
		_, _ = c.conn.Write(b)
	}()
	for i := range int32(n) {
		if id, body := c.receive(); id != i || len(body) != int(i)%300 {
			t.Fatalf("reply %d has id %d and %d bytes", i, id, len(body))
		}
	}
}

// What a client sent before it closed is carried out all the same: an acks=0
// producer sends and is gone.
func TestHalfClosed(t *testing.T) {
	done := make(chan int32, 100)
	h := api.Handler{Key: 0, Max: 3, Raw: true, Produce: true, Serve: func(c *api.Call) {
		done <- c.CorrelationID
		c.Placed()
		c.Silent()
	}}
	r := newRig(t, Limits{ConnRequests: 3}, h)
	c := r.dial()
	for i := range int32(100) {
		c.send(request(0, 3, i, pattern(50)))
	}
	_ = c.conn.Close()
	for i := range int32(100) {
		if id := <-done; id != i {
			t.Fatalf("request %d came as %d", i, id)
		}
	}
}

// Several connections on several loops do not mix.
func TestSeveralLoops(t *testing.T) {
	r := newRigLoops(t, 3, Limits{}, echo(keyEcho))
	var clients []*client
	for range 12 {
		clients = append(clients, r.dial())
	}
	for round := range int32(20) {
		for i, c := range clients {
			c.send(request(keyEcho, 3, round, bytes.Repeat([]byte{byte(i)}, i*37)))
		}
		for i, c := range clients {
			if id, body := c.receive(); id != round || !bytes.Equal(body, bytes.Repeat([]byte{byte(i)}, i*37)) {
				t.Fatalf("client %d, round %d: id %d, %d bytes", i, round, id, len(body))
			}
		}
	}
}
