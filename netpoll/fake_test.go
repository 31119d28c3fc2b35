// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// echoRun plays clients and an echoing loop on one goroutine and returns the
// story as the loop saw it.
func echoRun(t *testing.T, seed uint64) string {
	t.Helper()
	f := NewFake(FakeOptions{Seed: seed, Split: true, Reorder: true, Delay: 5 * time.Millisecond})
	defer f.Finish()
	story := ""
	lis := f.Listen()
	f.Post(fakeCall(func() {
		f.Submit(&Op{Kind: Accept, Listener: lis, Done: func(op *Op) {
			if op.Accepted == nil {
				return
			}
			s := op.Accepted
			f.Submit(&Op{Kind: Recv, Sock: s, Done: func(op *Op) {
				story += fmt.Sprintf("%d %s %d %v; ", f.Now(), s.RemoteAddr(), op.N, op.Err)
				if op.N > 0 {
					data := append([]byte(nil), op.Buf.Data...)
					f.Recycle(op.Buf)
					f.Submit(&Op{Kind: Send, Sock: s, Bufs: [][]byte{data}})
				}
			}})
		}})
	}))
	var conns []*FakeConn
	for range 3 {
		c, err := f.Dial(lis)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("the same bytes for everybody"))
		conns = append(conns, c)
	}
	f.Advance(20 * time.Millisecond)
	for i, c := range conns {
		if got, err := c.Take(); err != nil || string(got) != "the same bytes for everybody" {
			t.Fatalf("client %d got %q, %v", i, got, err)
		}
	}
	conns[0].Reset()
	_ = conns[1].Close()
	f.Advance(20 * time.Millisecond)
	return story
}

type fakeCall func()

func (c fakeCall) Run() { c() }

// The same seed tells the same story, to the nanosecond; another seed another.
func TestFakeIsDeterministic(t *testing.T) {
	one, two, other := echoRun(t, 1), echoRun(t, 1), echoRun(t, 2)
	if one != two {
		t.Fatalf("two runs of one seed differ:\n%s\n%s", one, two)
	}
	if one == other {
		t.Fatal("two seeds tell the same story")
	}
}

// An hour passes at once, timers see it, and a broken connection is told as one.
func TestFakeClock(t *testing.T) {
	f := NewFake(FakeOptions{})
	defer f.Finish()
	var fired int64
	f.Post(fakeCall(func() { f.Arm(&Timer{Fire: func(*Timer) { fired = f.Now() }}, time.Hour) }))
	f.Advance(time.Hour - time.Millisecond)
	if fired != 0 {
		t.Fatalf("fired at %d", fired)
	}
	f.Advance(time.Millisecond)
	if fired != int64(time.Hour) {
		t.Fatalf("fired at %d", fired)
	}
	lis := f.Listen()
	var end error
	f.Post(fakeCall(func() {
		f.Submit(&Op{Kind: Accept, Listener: lis, Done: func(op *Op) {
			if s := op.Accepted; s != nil {
				f.Submit(&Op{Kind: Recv, Sock: s, Done: func(op *Op) {
					end = op.Err
					f.Submit(&Op{Kind: CloseSock, Sock: s})
				}})
			}
		}})
	}))
	c, err := f.Dial(lis)
	if err != nil {
		t.Fatal(err)
	}
	c.Reset()
	f.Step()
	if !errors.Is(end, ErrReset) {
		t.Fatalf("the Recv ended with %v", end)
	}
	c, _ = f.Dial(lis)
	f.Step()
	_ = c.Close()
	f.Step()
	if _, err := c.Take(); !errors.Is(err, io.EOF) || end != nil {
		t.Fatalf("after a proper end: client %v, loop %v", err, end)
	}
}
