// SPDX-License-Identifier: Apache-2.0

package looptest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/netpoll"
)

// accept: each connection is delivered once, with both its addresses.
func accept(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	for range 20 {
		c, s := r.pair()
		if got, want := s.RemoteAddr().String(), c.LocalAddr().String(); got != want {
			t.Fatalf("remote %s, dialed from %s", got, want)
		}
		if got, want := s.LocalAddr().String(), c.RemoteAddr().String(); got != want {
			t.Fatalf("local %s, dialed %s", got, want)
		}
		if err := s.RemoteAddr().IsValid(); !err {
			t.Fatal("no address")
		}
		r.do(func() { serveEcho(r.loop, s, nil) })
		if err := talk(c, []byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
}

// acceptEnds: Cancel ends an Accept and leaves the listener; closing the
// listener ends one too; both leave the accepted sockets alone.
func acceptEnds(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	c, s := r.pair()
	r.do(func() { serveEcho(r.loop, s, nil) })
	end := make(chan error, 4)
	r.do(func() {
		r.accept.Done = func(op *netpoll.Op) {
			if op.Accepted != nil {
				r.socks <- op.Accepted
			} else {
				end <- op.Err
			}
		}
		r.loop.Submit(&netpoll.Op{Kind: netpoll.Cancel, Target: &r.accept})
	})
	if err := <-end; !errors.Is(err, netpoll.ErrCanceled) {
		t.Fatalf("canceled Accept ended with %v", err)
	}
	r.do(func() { r.loop.Submit(&r.accept) })
	c2, s2 := r.pair()
	r.do(func() { serveEcho(r.loop, s2, nil) })
	if err := errors.Join(talk(c2, []byte("one")), r.lis.Close()); err != nil {
		t.Fatal(err)
	}
	if err := <-end; !errors.Is(err, netpoll.ErrClosed) {
		t.Fatalf("Accept of a closed listener ended with %v", err)
	}
	if err := errors.Join(talk(c, []byte("two")), talk(c2, []byte("three"))); err != nil {
		t.Fatal(err)
	}
	if c, err := b.Dial(r.lis); err == nil {
		_ = c.Close()
		t.Fatal("a closed listener takes connections")
	}
	r.lis = nil
}

// cancelRecv: the Recv ends before its Cancel, keeps what came, and can be armed
// again; canceling what has ended does nothing.
func cancelRecv(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	c, s := r.pair()
	var story log
	recv := &netpoll.Op{Kind: netpoll.Recv, Sock: s}
	r.await("the cancel", func(done func(error)) {
		recv.Done = func(op *netpoll.Op) { story.add("recv %d %v more %v", op.N, op.Err, op.More) }
		stop := &netpoll.Op{Kind: netpoll.Cancel, Target: recv, Done: func(op *netpoll.Op) {
			story.add("cancel %v", op.Err)
			done(nil)
		}}
		r.loop.Submit(recv)
		r.loop.Submit(stop)
	})
	r.await("a cancel of nothing", func(done func(error)) {
		r.loop.Submit(&netpoll.Op{Kind: netpoll.Cancel, Target: recv, Done: func(op *netpoll.Op) { done(op.Err) }})
	})
	want := []string{"recv 0 netpoll: canceled more false", "cancel <nil>"}
	if got := story.all(); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	r.do(func() { serveEcho(r.loop, s, nil) })
	if err := talk(c, []byte("armed again")); err != nil {
		t.Fatal(err)
	}
}

// cancelSend: a Send that has not begun can be taken back; the one before it is
// not disturbed.
func cancelSend(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	c, s := r.pair()
	big := random(16<<20, 11)
	var story log
	first := make(chan error, 1)
	r.await("the cancel", func(done func(error)) {
		one := &netpoll.Op{Kind: netpoll.Send, Sock: s, Bufs: [][]byte{big}, Done: func(op *netpoll.Op) { first <- op.Err }}
		two := &netpoll.Op{Kind: netpoll.Send, Sock: s, Bufs: [][]byte{[]byte("never")}, Done: func(op *netpoll.Op) { story.add("%v", op.Err) }}
		r.loop.Submit(one)
		r.loop.Submit(two)
		r.loop.Submit(&netpoll.Op{Kind: netpoll.Cancel, Target: two, Done: func(*netpoll.Op) { done(nil) }})
	})
	if got := story.all(); len(got) != 1 || got[0] != netpoll.ErrCanceled.Error() {
		t.Fatalf("the queued Send ended with %q", got)
	}
	got := make([]byte, len(big))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != string(big) {
		t.Fatalf("the first Send: %v", err)
	}
	r.wait("the first Send", first)
}

// closeOutstanding: CloseSock ends whatever the socket was doing, each once and
// before itself; the peer notices.
func closeOutstanding(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	for range 10 {
		c, s := r.pair()
		f := tempFile(t, random(1<<20, 12))
		var story log
		note := func(name string) func(*netpoll.Op) {
			return func(op *netpoll.Op) { story.add("%s %v", name, errors.Is(op.Err, netpoll.ErrClosed)) }
		}
		blocked := random(32<<20, 13)
		r.do(func() {
			r.loop.Submit(&netpoll.Op{Kind: netpoll.Recv, Sock: s, Done: note("recv")})
			r.loop.Submit(&netpoll.Op{Kind: netpoll.Send, Sock: s, Bufs: [][]byte{blocked}, Done: note("send")})
			r.loop.Submit(&netpoll.Op{Kind: netpoll.SendFile, Sock: s, File: f.Fd(), Len: 1 << 20, Done: note("sendfile")})
		})
		r.do(func() {}) // let it fill the socket
		r.await("the close", func(done func(error)) {
			r.loop.Submit(&netpoll.Op{Kind: netpoll.CloseSock, Sock: s, Done: func(op *netpoll.Op) {
				story.add("close %v", op.Err)
				done(nil)
			}})
		})
		r.await("a late operation", func(done func(error)) {
			r.loop.Submit(&netpoll.Op{Kind: netpoll.Recv, Sock: s, Done: func(op *netpoll.Op) {
				story.add("late %v", errors.Is(op.Err, netpoll.ErrClosed))
				done(nil)
			}})
		})
		got := story.all()
		if len(got) != 5 || got[3] != "close <nil>" || got[4] != "late true" {
			t.Fatalf("got %q", got)
		}
		for _, line := range got[:3] {
			if line != "recv true" && line != "send true" && line != "sendfile true" {
				t.Fatalf("got %q", got)
			}
		}
		if n, err := io.Copy(io.Discard, c); n >= int64(len(blocked)) {
			t.Fatalf("the peer read %d bytes, %v", n, err)
		}
	}
}

// resetByPeer: a reset ends that socket's operations and nobody else's. The
// system tells a reset once: who asks second may see a broken pipe, which is
// ErrReset too, or the end of the stream.
func resetByPeer(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	other, o := r.pair()
	r.do(func() { serveEcho(r.loop, o, nil) })
	c, s := r.pair()
	received, sent := make(chan error, 1), make(chan error, 1)
	r.do(func() {
		end := func(to chan error) func(op *netpoll.Op) {
			return func(op *netpoll.Op) {
				if !op.More {
					to <- op.Err
				}
			}
		}
		r.loop.Submit(&netpoll.Op{Kind: netpoll.Recv, Sock: s, Done: end(received)})
		r.loop.Submit(&netpoll.Op{Kind: netpoll.Send, Sock: s, Bufs: [][]byte{random(32<<20, 14)}, Done: end(sent)})
	})
	if l, ok := c.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = c.Close()
	if err := <-sent; !errors.Is(err, netpoll.ErrReset) {
		t.Fatalf("the Send ended with %v", err)
	}
	if err := <-received; err != nil && !errors.Is(err, netpoll.ErrReset) {
		t.Fatalf("the Recv ended with %v", err)
	}
	r.await("a Send to nobody", func(done func(error)) {
		r.loop.Submit(&netpoll.Op{Kind: netpoll.Send, Sock: s, Bufs: [][]byte{{1}}, Done: func(op *netpoll.Op) {
			if !errors.Is(op.Err, netpoll.ErrReset) {
				done(fmt.Errorf("ended with %w", op.Err))
				return
			}
			done(nil)
		}})
	})
	r.await("its close", func(done func(error)) {
		r.loop.Submit(&netpoll.Op{Kind: netpoll.CloseSock, Sock: s, Done: func(op *netpoll.Op) { done(op.Err) }})
	})
	if err := talk(other, []byte("still there?")); err != nil {
		t.Fatal(err)
	}
}

// closeLoop: Close ends Run; what was outstanding is told ErrClosed, peers see
// the end, and what comes later is refused.
func closeLoop(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	var story log
	var conns []net.Conn
	for range 5 {
		c, s := r.pair()
		conns = append(conns, c)
		r.do(func() {
			r.loop.Submit(&netpoll.Op{Kind: netpoll.Recv, Sock: s, Done: func(op *netpoll.Op) {
				story.add("recv %v", errors.Is(op.Err, netpoll.ErrClosed))
			}})
		})
	}
	r.do(func() {
		r.accept.Done = func(op *netpoll.Op) { story.add("accept %v", errors.Is(op.Err, netpoll.ErrClosed)) }
	})
	if err := r.loop.Close(); err != nil {
		t.Fatal(err)
	}
	r.wait("Run to return", r.over)
	n := 0
	for _, line := range story.all() {
		if line != "recv true" && line != "accept true" {
			t.Fatalf("got %q", story.all())
		}
		n++
	}
	if n != 6 {
		t.Fatalf("%d operations ended: %q", n, story.all())
	}
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Fatalf("read %d, %v from a closed loop", n, err)
		}
	}
	r.loop.Post(call(func() { t.Error("a closed loop ran a message") }))
	if err := r.loop.Close(); !errors.Is(err, netpoll.ErrClosed) {
		t.Fatalf("second Close: %v", err)
	}
}

// endBehindBytes: the peer's end, or its reset, is told also when it came right
// behind bytes while the loop was busy.
func endBehindBytes(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	for _, reset := range []bool{false, true} {
		c, s := r.pair()
		heard, over := make(chan error, 2), make(chan error, 1)
		op := &netpoll.Op{Kind: netpoll.Recv, Sock: s, Done: func(op *netpoll.Op) {
			if op.N > 0 {
				r.loop.Recycle(op.Buf)
				heard <- nil
			}
			if !op.More {
				over <- nil
			}
		}}
		r.do(func() { r.loop.Submit(op) })
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		r.wait("the first bytes", heard)
		held, goOn := make(chan error, 1), make(chan struct{})
		r.loop.Post(call(func() { held <- nil; <-goOn }))
		r.wait("the long turn", held)
		if _, err := c.Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
		if tcp, ok := c.(*net.TCPConn); ok && reset {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
		close(goOn)
		r.wait("the end", over)
	}
}
