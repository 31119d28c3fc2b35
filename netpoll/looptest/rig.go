// SPDX-License-Identifier: Apache-2.0

// Package looptest is one conformance suite for every backend of package
// netpoll: what a Loop promises, told as stories over loopback connections.
//
// A backend is named by three functions; Run plays every story on it. The
// stories wait on conditions with a deadline and never sleep.
package looptest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/netpoll"
)

// patience is how long a story waits for what must happen.
const patience = 10 * time.Second

// Backend is what the suite needs to know of a loop's make.
type Backend struct {
	Name   string
	Open   func(o netpoll.Options) (netpoll.Loop, error)
	Listen func(o netpoll.ListenOptions) (*netpoll.Listener, error)
	Dial   func(l *netpoll.Listener) (net.Conn, error)
	// Memory says that there is no kernel between the ends: stories about
	// descriptors, resets and socket buffers are told with what there is.
	Memory bool
}

// Run plays the suite on b.
func Run(t *testing.T, b Backend) {
	stories := []struct {
		name string
		tell func(*testing.T, Backend)
	}{
		{"Accept", accept},
		{"AcceptEnds", acceptEnds},
		{"RecvSplitAndMerged", recvSplit},
		{"RecvOnce", recvOnce},
		{"IdleHoldNothing", idleHoldNothing},
		{"BigRecvInto", bigRecvInto},
		{"RecvIntoEOF", recvIntoEOF},
		{"EndRightBehindBytes", endBehindBytes},
		{"SendOrder", sendOrder},
		{"SendFileToSlowReader", sendFileSlow},
		{"SendFileFromMemory", sendFileMemory},
		{"FileCutUnderSendFile", sendFileShort},
		{"ReadFile", readFile},
		{"WriteFile", writeFile},
		{"CancelRecv", cancelRecv},
		{"CancelQueuedSend", cancelSend},
		{"CloseWithOperationsOutstanding", closeOutstanding},
		{"ResetByPeer", resetByPeer},
		{"ThousandConnections", thousand},
		{"DoneNotOnSubmittersStack", doneStack},
		{"TimersInOrder", timersOrder},
		{"TimersMoveAndStop", timersMove},
		{"TimersCountFromArrival", timersArrival},
		{"PostKeepsOrder", postOrder},
		{"PostNeverLost", postWakes},
		{"BackPressure", backPressure},
		{"CloseLoop", closeLoop},
	}
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) { s.tell(t, b) })
	}
	if !b.Memory && b.Name != "portable" { // those two may allocate
		t.Run("SteadyStateAllocatesNothing", func(t *testing.T) { allocations(t, b) })
	}
}

// call makes a func a message.
type call func()

// Run implements netpoll.Message.
func (c call) Run() { c() }

// rig is a running loop with a listener.
type rig struct {
	t    *testing.T
	b    Backend
	loop netpoll.Loop
	lis  *netpoll.Listener
	over chan error

	accept netpoll.Op
	socks  chan *netpoll.Sock
}

func newRig(t *testing.T, b Backend, o netpoll.Options) *rig {
	return newRigWith(t, b, o, netpoll.ListenOptions{})
}

func newRigWith(t *testing.T, b Backend, o netpoll.Options, lo netpoll.ListenOptions) *rig {
	t.Helper()
	loop, err := b.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, b: b, loop: loop, over: make(chan error, 1), socks: make(chan *netpoll.Sock, 4096)}
	go func() { r.over <- loop.Run() }()
	t.Cleanup(r.close)
	if r.lis, err = b.Listen(lo); err != nil {
		t.Fatal(err)
	}
	r.accept = netpoll.Op{Kind: netpoll.Accept, Listener: r.lis, Done: func(op *netpoll.Op) {
		if op.Accepted != nil {
			r.socks <- op.Accepted
		}
	}}
	r.do(func() { loop.Submit(&r.accept) })
	return r
}

func (r *rig) close() {
	if r.loop.Close() == nil {
		r.wait("the loop to end", r.over)
	}
	if r.lis != nil {
		_ = r.lis.Close()
	}
}

// wait receives from c or fails the story.
func (r *rig) wait(what string, c <-chan error) {
	r.t.Helper()
	select {
	case err := <-c:
		if err != nil {
			r.t.Fatalf("%s: %v", what, err)
		}
	case <-time.After(patience):
		r.t.Fatalf("timed out waiting for %s", what)
	}
}

// do runs f on the loop and waits for it.
func (r *rig) do(f func()) {
	r.t.Helper()
	done := make(chan error, 1)
	r.loop.Post(call(func() { f(); done <- nil }))
	r.wait("a message to run", done)
}

// await runs f on the loop, and waits until the func it is given was called.
func (r *rig) await(what string, f func(done func(error))) {
	r.t.Helper()
	done := make(chan error, 1)
	r.loop.Post(call(func() { f(func(err error) { done <- err }) }))
	r.wait(what, done)
}

// pair dials and gives both ends.
func (r *rig) pair() (net.Conn, *netpoll.Sock) {
	r.t.Helper()
	c, err := r.b.Dial(r.lis)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	select {
	case s := <-r.socks:
		return c, s
	case <-time.After(patience):
		r.t.Fatal("timed out waiting for an accepted socket")
	}
	return nil, nil
}

// echo serves s as an echo server: one Send per received buffer.
type echo struct {
	loop  netpoll.Loop
	sock  *netpoll.Sock
	recv  netpoll.Op
	send  netpoll.Op
	shut  netpoll.Op
	bufs  [1][]byte
	queue []netpoll.Buf
	out   netpoll.Buf
	over  func(error)
	ended bool
}

// serveEcho starts an echo on the loop; over is told of its end (nil at EOF).
func serveEcho(l netpoll.Loop, s *netpoll.Sock, over func(error)) *echo {
	e := &echo{loop: l, sock: s, over: over}
	e.recv = netpoll.Op{Kind: netpoll.Recv, Sock: s, Done: e.onRecv}
	e.send = netpoll.Op{Kind: netpoll.Send, Sock: s, Done: e.onSend}
	e.shut = netpoll.Op{Kind: netpoll.CloseSock, Sock: s, Done: func(*netpoll.Op) {}}
	l.Submit(&e.recv)
	return e
}

func (e *echo) onRecv(op *netpoll.Op) {
	if op.N == 0 {
		e.end(op.Err)
		return
	}
	if e.out.Data != nil {
		e.queue = append(e.queue, op.Buf)
		return
	}
	e.put(op.Buf)
}

func (e *echo) put(b netpoll.Buf) {
	e.out = b
	e.bufs[0] = b.Data
	e.send.Bufs = e.bufs[:]
	e.loop.Submit(&e.send)
}

func (e *echo) onSend(op *netpoll.Op) {
	e.loop.Recycle(e.out)
	e.out = netpoll.Buf{}
	if op.Err != nil {
		e.end(op.Err)
	} else if len(e.queue) > 0 {
		b := e.queue[0]
		e.queue = e.queue[:copy(e.queue, e.queue[1:])]
		e.put(b)
	}
}

func (e *echo) end(err error) {
	if e.ended {
		return
	}
	e.ended = true
	if !errors.Is(err, netpoll.ErrClosed) {
		e.loop.Submit(&e.shut)
	}
	if e.over != nil {
		e.over(err)
	}
}

// random is n bytes that depend on seed alone.
func random(n int, seed uint64) []byte {
	p := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = src.Read(p)
	return p
}

// talk writes p and expects it back.
func talk(c net.Conn, p []byte) error {
	if _, err := c.Write(p); err != nil {
		return err
	}
	got := make([]byte, len(p))
	if _, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("read the echo: %w", err)
	}
	if string(got) != string(p) {
		return errors.New("the echo differs")
	}
	return nil
}

// log collects what happened on a loop, for stories that look from outside.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) add(format string, args ...any) {
	l.mu.Lock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
	l.mu.Unlock()
}

func (l *log) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.lines...)
}
