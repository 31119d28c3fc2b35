// SPDX-License-Identifier: Apache-2.0

package looptest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/samsa-broker/samsa/netpoll"
)

// recvSplit: what the peer writes in pieces of any size arrives complete and in
// order, and its end is told as N 0, no error, nothing more.
func recvSplit(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	c, s := r.pair()
	want := random(300_000, 1)
	var got []byte
	over := make(chan error, 1)
	op := &netpoll.Op{Kind: netpoll.Recv, Sock: s, Done: func(op *netpoll.Op) {
		if op.N == 0 {
			if op.More {
				over <- errors.New("end with More set")
				return
			}
			over <- op.Err
			return
		}
		if len(op.Buf.Data) != op.N || !op.More {
			t.Errorf("N %d, buffer of %d, more %v", op.N, len(op.Buf.Data), op.More)
		}
		got = append(got, op.Buf.Data...)
		r.loop.Recycle(op.Buf)
	}}
	r.do(func() { r.loop.Submit(op) })
	for rest, n := want, 1; len(rest) > 0; n = n*3 + 1 {
		n = min(n, len(rest))
		if _, err := c.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	_ = c.Close()
	r.wait("EOF", over)
	if !bytes.Equal(got, want) {
		t.Fatalf("received %d bytes that differ from the %d sent", len(got), len(want))
	}
}

// recvOnce: a Recv that is armed for one buffer ends with it as if canceled, and
// armed again and again it brings everything, and the end.
func recvOnce(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	c, s := r.pair()
	want := random(200_000, 3)
	var got []byte
	buffers := 0
	over := make(chan error, 1)
	op := &netpoll.Op{Kind: netpoll.Recv, Sock: s, Once: true}
	op.Done = func(op *netpoll.Op) {
		if op.N > 0 {
			buffers++
			got = append(got, op.Buf.Data...)
			r.loop.Recycle(op.Buf)
		}
		switch {
		case op.More:
		case !errors.Is(op.Err, netpoll.ErrCanceled):
			over <- op.Err
		case buffers != 1:
			over <- fmt.Errorf("one Recv brought %d buffers", buffers)
		default:
			buffers = 0
			r.loop.Submit(op)
		}
	}
	r.do(func() { r.loop.Submit(op) })
	go func() {
		_, _ = c.Write(want)
		_ = c.Close()
	}()
	r.wait("EOF", over)
	if !bytes.Equal(got, want) {
		t.Fatalf("received %d bytes that differ from the %d sent", len(got), len(want))
	}
}

// bigRecvInto: a frame larger than any buffer is finished with RecvInto after
// the Recv was canceled, and small ones go on with a Recv after that.
func bigRecvInto(t *testing.T, b Backend) {
	for round := range 8 {
		r := newRig(t, b, netpoll.Options{})
		c, s := r.pair()
		want := random(3<<20+round*977, uint64(round))
		tail := []byte("and the next frame")
		go func() {
			_, _ = c.Write(want)
			_, _ = c.Write(tail)
			_ = c.Close()
		}()
		var got, after []byte
		r.await("the big frame and what follows", func(done func(error)) {
			recv := &netpoll.Op{Kind: netpoll.Recv, Sock: s}
			stop := &netpoll.Op{Kind: netpoll.Cancel, Target: recv}
			into := &netpoll.Op{Kind: netpoll.RecvInto, Sock: s}
			next := &netpoll.Op{Kind: netpoll.Recv, Sock: s}
			recv.Done = func(op *netpoll.Op) {
				if op.N > 0 {
					if len(got) == 0 {
						r.loop.Submit(stop)
					}
					got = append(got, op.Buf.Data...)
					r.loop.Recycle(op.Buf)
				}
				if op.More {
					return
				}
				if op.Err == nil && len(got) == len(want)+len(tail) { // even the end came first
					after = append(after, got[len(want):]...)
					got = got[:len(want)]
					done(nil)
					return
				}
				if !errors.Is(op.Err, netpoll.ErrCanceled) {
					done(fmt.Errorf("the Recv ended with %v", op.Err))
					return
				}
				if len(got) >= len(want) { // all of it came before the cancel took hold
					after = append(after, got[len(want):]...)
					got = got[:len(want)]
					r.loop.Submit(next)
					return
				}
				into.Data = make([]byte, len(want)-len(got))
				r.loop.Submit(into)
			}
			into.Done = func(op *netpoll.Op) {
				if op.Err != nil || op.N != len(op.Data) {
					done(fmt.Errorf("RecvInto: %d of %d, %v", op.N, len(op.Data), op.Err))
					return
				}
				got = append(got, op.Data...)
				r.loop.Submit(next)
			}
			next.Done = func(op *netpoll.Op) {
				if op.N == 0 {
					done(op.Err)
					return
				}
				after = append(after, op.Buf.Data...)
				r.loop.Recycle(op.Buf)
			}
			r.loop.Submit(recv)
		})
		if !bytes.Equal(got, want) || !bytes.Equal(after, tail) {
			t.Fatalf("round %d: the frames differ", round)
		}
	}
}

// recvIntoEOF: a peer that stops in the middle leaves a short N and no error.
func recvIntoEOF(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	c, s := r.pair()
	op := &netpoll.Op{Kind: netpoll.RecvInto, Sock: s, Data: make([]byte, 1000)}
	done := make(chan error, 1)
	op.Done = func(op *netpoll.Op) { done <- op.Err }
	r.do(func() { r.loop.Submit(op) })
	_, _ = c.Write([]byte("half a frame"))
	_ = c.Close()
	r.wait("the short end", done)
	if op.N != 12 || string(op.Data[:12]) != "half a frame" {
		t.Fatalf("N %d, %q", op.N, op.Data[:12])
	}
}

// tempFile writes p to a file of the story.
func tempFile(t *testing.T, p []byte) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.Write(p); err != nil {
		t.Fatal(err)
	}
	return f
}

// sendOrder: Sends of many shapes and SendFiles, submitted at once, leave in the
// order of Submit, and each tells its whole length.
func sendOrder(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	c, s := r.pair()
	body := random(700_000, 3)
	f := tempFile(t, body)
	var want []byte
	var ops []*netpoll.Op
	for i := range 60 {
		op := &netpoll.Op{Kind: netpoll.Send, Sock: s}
		if i%7 == 3 {
			op.Kind, op.File, op.Off, op.Len = netpoll.SendFile, f.Fd(), int64(i*100), 600_000-i*1000
			op.Head = []byte(fmt.Sprintf("head %d;", i))
			want = append(append(want, op.Head...), body[i*100:i*100+op.Len]...)
		} else {
			for j := range i {
				p := random((i*j*37)%5000, uint64(i+j))
				op.Bufs = append(op.Bufs, p)
				want = append(want, p...)
			}
		}
		ops = append(ops, op)
	}
	got := make([]byte, len(want))
	read := make(chan error, 1)
	go func() { _, err := io.ReadFull(c, got); read <- err }()
	var order []int
	r.await("all sends", func(done func(error)) {
		for i, op := range ops {
			op.Done = func(op *netpoll.Op) {
				if op.Err != nil {
					done(op.Err)
				}
				if order = append(order, i); len(order) == len(ops) {
					done(nil)
				}
			}
			r.loop.Submit(op)
		}
	})
	r.wait("the bytes", read)
	if !bytes.Equal(got, want) {
		t.Fatal("the stream differs from what was submitted")
	}
	for i := range order {
		if order[i] != i {
			t.Fatalf("completed in order %v", order)
		}
	}
}

// sendFileSlow: a large file goes to a reader that takes its time, in as many
// parts as it needs, and meanwhile another connection is served.
func sendFileSlow(t *testing.T, b Backend) {
	r := newRigWith(t, b, netpoll.Options{}, netpoll.ListenOptions{SendBufferBytes: 64 << 10})
	c, s := r.pair()
	other, o := r.pair()
	r.do(func() { serveEcho(r.loop, o, nil) })
	body := random(24<<20, 5)
	f := tempFile(t, body)
	done := make(chan error, 1)
	op := &netpoll.Op{Kind: netpoll.SendFile, Sock: s, Head: []byte("head"), File: f.Fd(), Off: 1, Len: len(body) - 1}
	op.Done = func(op *netpoll.Op) { done <- op.Err }
	r.do(func() { r.loop.Submit(op) })
	got := make([]byte, 4+len(body)-1)
	for at := 0; at < len(got); {
		n := min(512<<10, len(got)-at)
		if _, err := io.ReadFull(c, got[at:at+n]); err != nil {
			t.Fatalf("after %d bytes: %v", at, err)
		}
		at += n
		if err := talk(other, []byte("still there?")); err != nil {
			t.Fatalf("the other connection: %v", err)
		}
	}
	r.wait("the SendFile", done)
	if string(got[:4]) != "head" || !bytes.Equal(got[4:], body[1:]) || op.N != len(got) {
		t.Fatalf("the file arrived changed, N %d of %d", op.N, len(got))
	}
}

// sendFileMemory: a file without a descriptor is sent the same way.
func sendFileMemory(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	c, s := r.pair()
	body := random(3<<20, 6)
	done := make(chan error, 1)
	op := &netpoll.Op{Kind: netpoll.SendFile, Sock: s, FileAt: bytes.NewReader(body), Off: 17, Len: len(body) - 17}
	op.Done = func(op *netpoll.Op) { done <- op.Err }
	r.do(func() { r.loop.Submit(op) })
	got := make([]byte, len(body)-17)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	r.wait("the SendFile", done)
	if !bytes.Equal(got, body[17:]) {
		t.Fatal("the bytes differ")
	}
}

// sendFileShort: a file that was cut ends its SendFile with ErrShortFile, for
// descriptors and for memory, and disturbs nobody else.
func sendFileShort(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	other, o := r.pair()
	r.do(func() { serveEcho(r.loop, o, nil) })
	f := tempFile(t, random(100_000, 7))
	for _, op := range []*netpoll.Op{
		{Kind: netpoll.SendFile, File: f.Fd(), Len: 100_001},
		{Kind: netpoll.SendFile, FileAt: bytes.NewReader(random(1000, 8)), Len: 1001},
	} {
		c, s := r.pair()
		op.Sock = s
		done := make(chan error, 1)
		op.Done = func(op *netpoll.Op) { done <- op.Err }
		go func() { _, _ = io.Copy(io.Discard, c) }()
		r.do(func() { r.loop.Submit(op) })
		if err := <-done; !errors.Is(err, netpoll.ErrShortFile) || op.N != op.Len-1 {
			t.Fatalf("N %d, error %v", op.N, err)
		}
		if err := talk(other, []byte("still there?")); err != nil {
			t.Fatal(err)
		}
	}
}

// idleHoldNothing: connections that say nothing hold no receive buffer, however
// many there are.
func idleHoldNothing(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{RecvBuffers: 8})
	for range 40 {
		_, s := r.pair()
		op := &netpoll.Op{Kind: netpoll.Recv, Sock: s}
		r.do(func() { r.loop.Submit(op) })
	}
	c, s := r.pair()
	over := make(chan error, 1)
	op := &netpoll.Op{Kind: netpoll.Recv, Sock: s, Done: func(op *netpoll.Op) {
		if op.N > 0 {
			r.loop.Recycle(op.Buf)
			select {
			case over <- nil:
			default: // it came in pieces
			}
		}
	}}
	r.do(func() { r.loop.Submit(op) })
	if _, err := c.Write([]byte("somebody speaks")); err != nil {
		t.Fatal(err)
	}
	r.wait("the one that speaks", over)
}

// thousand connections are all served, at the same time.
func thousand(t *testing.T, b Backend) {
	r := newRig(t, b, netpoll.Options{})
	n, rounds := 1000, 5
	if b.Memory {
		n = 200 // a fake looks at every connection for each step of any
	}
	conns := make([]net.Conn, n)
	ended := make(chan error, n)
	for i := range conns {
		c, s := r.pair()
		conns[i] = c
		r.loop.Post(call(func() { serveEcho(r.loop, s, func(err error) { ended <- err }) }))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for round := range rounds {
				for i := g; i < n; i += 8 {
					if err := talk(conns[i], []byte(fmt.Sprintf("connection %d round %d", i, round))); err != nil {
						t.Errorf("connection %d: %v", i, err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	for _, c := range conns {
		_ = c.Close()
	}
	for range conns {
		r.wait("every connection's EOF", ended)
	}
}
