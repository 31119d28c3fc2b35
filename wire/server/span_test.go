// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"errors"
	"os"
	"sync/atomic"
	"testing"

	"github.com/samsa-broker/samsa/engine/vfs"
	"github.com/samsa-broker/samsa/wire/api"
)

// spanServer answers with "<", a span, "|", another span, ">".
func spanServer(f vfs.File, sizes [][2]int, released *atomic.Int32) api.Handler {
	return api.Handler{Key: 1, Max: 3, Raw: true, Serve: func(c *api.Call) {
		size := sizes[int(c.CorrelationID)%len(sizes)]
		c.Begin()
		c.Out = append(c.Out, '<')
		c.AddSpan(&memSpan{f, 11, size[0], released})
		c.Out = append(c.Out, '|')
		c.AddSpan(&memSpan{f, int64(11 + size[0]), size[1], released})
		c.Out = append(c.Out, '>')
		c.Done()
	}}
}

var spanSizes = [][2]int{{0, 1}, {100, 200}, {32 << 10, 32 << 10}, {40_000, 10}, {10, 700_000}, {3 << 20, 1 << 20}, {1, 0}}

func checkSpans(t *testing.T, r *rig, content []byte, released *atomic.Int32) {
	t.Helper()
	c := r.dial()
	for i, size := range spanSizes {
		c.send(request(1, 3, int32(i), nil))
		id, body := c.receive()
		want := append([]byte("<"), content[11:11+size[0]]...)
		want = append(append(append(want, '|'), content[11+size[0]:11+size[0]+size[1]]...), '>')
		if id != int32(i) || !bytes.Equal(body, want) {
			t.Fatalf("sizes %v: id %d, %d bytes, want %d", size, id, len(body), len(want))
		}
	}
	want := int32(2 * len(spanSizes))
	r.eventually("every span is released once", func() bool { return released.Load() == want })
}

// Hot bytes of a real file: small ones are read into the send, large ones go
// by sendfile.
func TestHotSpans(t *testing.T) {
	content := pattern(5 << 20)
	f := osFile(t, content)
	var released atomic.Int32
	checkSpans(t, newRig(t, Limits{}, spanServer(f, spanSizes, &released)), content, &released)
	if f.dropped.Load() != 0 {
		t.Error("cached bytes were dropped from the page cache")
	}
	if n := f.reads.Load(); n == 0 || n > 8 {
		t.Errorf("%d reads; only the small spans are read", n)
	}
}

// Cold bytes are read beside the loop and do not stay in the page cache.
func TestColdSpans(t *testing.T) {
	content := pattern(5 << 20)
	f := osFile(t, content)
	f.cold = true
	var released atomic.Int32
	r := newRig(t, Limits{ColdReads: 1}, spanServer(f, spanSizes, &released))
	checkSpans(t, r, content, &released)
	if f.reads.Load() != 0 {
		t.Error("the loop itself read cold bytes")
	}
	if f.dropped.Load() == 0 {
		t.Error("nothing was dropped")
	}
}

// Many cold readers share one read at a time, and all get everything, even
// when some of them die waiting.
func TestColdLine(t *testing.T) {
	content := pattern(5 << 20)
	f := osFile(t, content)
	f.cold = true
	var released atomic.Int32
	r := newRig(t, Limits{ColdReads: 1}, spanServer(f, spanSizes, &released))
	var clients []*client
	for i := range 12 {
		c := r.dial()
		c.send(request(1, 3, 5, nil))
		if i%3 == 0 {
			_ = c.conn.Close()
			continue
		}
		clients = append(clients, c)
	}
	for _, c := range clients {
		if _, body := c.receive(); len(body) != 4<<20+3 || !bytes.Equal(body[1:1+3<<20], content[11:11+3<<20]) {
			t.Fatalf("%d bytes", len(body))
		}
	}
	r.eventually("every span is released", func() bool { return released.Load() == 24 })
}

// A file in memory has no descriptor; its bytes come through ReadAt.
func TestMemorySpans(t *testing.T) {
	content := pattern(5 << 20)
	f, err := vfs.NewMem().OpenFile("segment", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	var released atomic.Int32
	checkSpans(t, newRig(t, Limits{}, spanServer(f, spanSizes, &released)), content, &released)
}

// A file that is shorter than its spans closes the connection: half a response
// must not be taken for a whole one.
func TestCutFile(t *testing.T) {
	for name, size := range map[string][2]int{"read": {100, 100}, "sendfile": {1 << 20, 100}, "cold": {90_000, 1}} {
		t.Run(name, func(t *testing.T) {
			f := osFile(t, pattern(50))
			f.cold = name == "cold"
			var released atomic.Int32
			r := newRig(t, Limits{}, spanServer(f, [][2]int{size}, &released))
			c := r.dial()
			c.t = t
			c.send(request(1, 3, 0, nil))
			if _, _, err := c.tryReceive(); err == nil {
				t.Fatal("a whole response came from half a file")
			}
			r.eventually("the spans are released", func() bool { return released.Load() == 2 })
			r.eventually("the reason is told", func() bool {
				r.mu.Lock()
				defer r.mu.Unlock()
				return len(r.closed) == 1 && errors.Is(r.closed[0], errCut)
			})
		})
	}
}

// A reader that never reads holds one response and no more, and its spans are
// released when it dies.
func TestSlowReader(t *testing.T) {
	content := pattern(5 << 20)
	f := osFile(t, content)
	var released, served atomic.Int32
	h := spanServer(f, [][2]int{{4 << 20, 1 << 10}}, &released)
	serve := h.Serve
	h.Serve = func(c *api.Call) { served.Add(1); serve(c) }
	r := newRig(t, Limits{}, h)
	c := r.dial()
	for i := range int32(50) {
		c.send(request(1, 3, i, nil))
	}
	r.eventually("one is served", func() bool { return served.Load() >= 1 })
	other := r.dial()
	for i := range int32(5) { // the other connection does not notice
		other.send(request(1, 3, i, nil))
		if id, body := other.receive(); id != i || len(body) != 4<<20+1<<10+3 {
			t.Fatal("the other connection suffers")
		}
	}
	if n := served.Load() - 5; n > 3 {
		t.Errorf("%d of its requests were served for a reader that does not read", n)
	}
	_ = c.conn.Close()
	r.eventually("all spans are released", func() bool { return released.Load() == 2*served.Load() })
}
