// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine/vfs"
	"github.com/samsa-broker/samsa/netpoll"
	"github.com/samsa-broker/samsa/wire/api"
	"github.com/samsa-broker/samsa/wire/frame"
)

// rig is a server on real loops and loopback sockets, with handlers of the
// test's own.
type rig struct {
	t      *testing.T
	server *Server
	addr   string

	mu     sync.Mutex
	lines  []string
	closed []error
	opened int
}

// backend is what the tests run on: SAMSA_NETPOLL, or what Open finds.
func backend() string { return os.Getenv("SAMSA_NETPOLL") }

func newRig(t *testing.T, limits Limits, handlers ...api.Handler) *rig {
	t.Helper()
	return newRigLoops(t, 1, limits, handlers...)
}

func newRigLoops(t *testing.T, loops int, limits Limits, handlers ...api.Handler) *rig {
	t.Helper()
	r := &rig{t: t}
	var all []netpoll.Loop
	for range loops {
		l, _, err := netpoll.Open(netpoll.Options{Backend: backend(), RecvBuffers: 64})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	s, err := New(Options{Loops: all, Handlers: handlers, Limits: limits, Events: Events{
		Warn:   func(line string) { r.mu.Lock(); r.lines = append(r.lines, line); r.mu.Unlock() },
		Opened: func(string, netip.AddrPort) { r.mu.Lock(); r.opened++; r.mu.Unlock() },
		Closed: func(_ string, _ netip.AddrPort, why error) {
			r.mu.Lock()
			r.closed = append(r.closed, why)
			r.mu.Unlock()
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	for _, l := range all {
		running.Go(func() { _ = l.Run() })
	}
	ln, err := netpoll.Listen("127.0.0.1:0", netpoll.ListenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.server, r.addr = s, ln.Addr().String()
	s.Serve(ln, "PLAINTEXT")
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		r.checkLeaks()
		for _, l := range all {
			_ = l.Close()
		}
		running.Wait()
	})
	return r
}

// checkLeaks: with no connection left, nothing may be held.
func (r *rig) checkLeaks() {
	for _, l := range r.server.lanes {
		done := make(chan struct{})
		l.loop.Post(task(func() {
			if l.lent != 0 || l.coldBusy != 0 || l.coldFirst != nil {
				r.t.Errorf("lane keeps %d receive buffers, %d cold reads", l.lent, l.coldBusy)
			}
			close(done)
		}))
		<-done
	}
	r.server.frames.mu.Lock()
	defer r.server.frames.mu.Unlock()
	if r.server.frames.used != 0 || len(r.server.frames.accounts) != 0 || r.server.frames.waiting != 0 {
		r.t.Errorf("frame budget still has %d bytes, %d accounts", r.server.frames.used, len(r.server.frames.accounts))
	}
	if r.server.control.used != 0 {
		r.t.Errorf("control budget still has %d bytes", r.server.control.used)
	}
}

func (r *rig) warned() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines...)
}

// eventually waits for a condition, ten seconds at most.
func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			r.t.Fatalf("never: %s", what)
		}
		runtime.Gosched()
	}
}

// client is one connection to the rig.
type client struct {
	t    *testing.T
	conn net.Conn
}

func (r *rig) dial() *client {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &client{r.t, c}
}

// patience is how long a client waits for the next reply.
const patience = 20 * time.Second

// request encodes a frame with a v1 or v2 header around body.
func request(key, version int16, id int32, body []byte) []byte {
	b := append([]byte{0, 0, 0, 0}, frame.AppendHeader(nil, frame.Header{Key: key, Version: version, CorrelationID: id, ClientID: []byte("test")})...)
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// receive reads one response: correlation id and the rest.
func (c *client) receive() (id int32, body []byte) {
	c.t.Helper()
	id, body, err := c.tryReceive()
	if err != nil {
		c.t.Fatal(err)
	}
	_ = c.conn.SetDeadline(time.Now().Add(patience)) // for the next one: the machine may be busy
	return id, body
}

func (c *client) tryReceive() (id int32, body []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return 0, nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c.conn, b); err != nil {
		return 0, nil, err
	}
	return int32(binary.BigEndian.Uint32(b)), b[4:], nil
}

// closed checks that the server hangs up without a byte.
func (c *client) expectClosed() {
	c.t.Helper()
	var b [1]byte
	n, err := c.conn.Read(b[:])
	var timeout net.Error
	if n != 0 || err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatalf("read %d bytes, %v; want a closed connection", n, err)
	}
}

// echo answers a raw request with its body.
func echo(key int16) api.Handler {
	return api.Handler{Key: key, Min: 0, Max: 3, Raw: true, Serve: func(c *api.Call) {
		c.Begin()
		c.Out = append(c.Out, c.Raw...)
		c.Done()
	}}
}

// keyEcho is flexible in no version below its first flexible one.
const keyEcho = 1

// memSpan is a span of a file, counting its releases.
type memSpan struct {
	f        vfs.File
	off      int64
	n        int
	released *atomic.Int32
}

func (s *memSpan) File() vfs.File { return s.f }
func (s *memSpan) Off() int64     { return s.off }
func (s *memSpan) Len() int       { return s.n }
func (s *memSpan) Release()       { s.released.Add(1) }

// spanFile is a file whose residency the test decides.
type spanFile struct {
	vfs.File
	cold    bool
	dropped atomic.Int64
	reads   atomic.Int64
}

func (f *spanFile) Cached(int64, int64) (bool, bool) { return !f.cold, true }
func (f *spanFile) Drop(_, n int64)                  { f.dropped.Add(n) }
func (f *spanFile) ReadAt(b []byte, off int64) (int, error) {
	f.reads.Add(1)
	return f.File.ReadAt(b, off)
}

// osFile writes content to a real file, which has a descriptor.
func osFile(t *testing.T, content []byte) *spanFile {
	t.Helper()
	name := t.TempDir() + "/segment"
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := vfs.OS().OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &spanFile{File: f}
}

// pattern is n bytes that tell where they are.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i)*7
	}
	return b
}
