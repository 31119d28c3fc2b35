// SPDX-License-Identifier: Apache-2.0

//go:build giouring

package netpoll

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/samsa-broker/samsa/netpoll/ring"
)

// steppedRing is a loop on a ring whose turns the test makes, on this thread; nil
// where the system has no ring, which then must say why.
func steppedRing(t *testing.T) *uringLoop {
	t.Helper()
	o := Options{}
	o.fill()
	made, no := openUring(o)
	if no != nil {
		if no.Why == "" {
			t.Fatal(no)
		}
		t.Log(no)
		return nil
	}
	runtime.LockOSThread()
	l := made.(*uringLoop)
	t.Cleanup(func() { l.destroy(); runtime.UnlockOSThread() })
	if err := l.prepare(); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestUringKeepsEarlyCompletions lets the answer to a completion that was set
// aside set another one aside, as a full submission queue does: both count.
func TestUringKeepsEarlyCompletions(t *testing.T) {
	l := steppedRing(t)
	if l == nil {
		return
	}
	completion := func(op *Op, res int32, flags uint32) ring.CQE {
		return ring.CQE{UserData: aboutOp | uint64(l.slots[op.slot].gen)<<32 | uint64(op.slot), Res: res, Flags: flags}
	}
	read := &Op{Kind: ReadFile, Data: make([]byte, 4), state: opActive, loop: &l.core, parts: 1}
	recv := &Op{Kind: Recv, Sock: &Sock{}, state: opActive, loop: &l.core, parts: 1}
	l.enlist(read)
	l.enlist(recv)
	recv.Done = func(*Op) { l.early = append(l.early, completion(read, 4, 0)) }
	l.early = append(l.early, completion(recv, 1, ring.DoneBuffer|ring.DoneMore))
	for range 2 {
		l.wait(false)
	}
	if read.state != opEnding || read.moved != 4 {
		t.Fatalf("a completion that was set aside is lost: state %d, %d bytes", read.state, read.moved)
	}
}

// TestUringLooksForEnds asks about sockets that brought bytes and fell quiet: an
// open one is left alone and not asked about again, and one whose peer is gone
// has its receive begun anew, which tells the end, once.
func TestUringLooksForEnds(t *testing.T) {
	l := steppedRing(t)
	if l == nil {
		return
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &Sock{fd: pair[0]}
	bytes, ends := 0, 0
	op := &Op{Kind: Recv, Sock: s}
	op.Done = func(op *Op) {
		bytes += op.N
		if op.N > 0 {
			l.Recycle(op.Buf)
		}
		if !op.More {
			ends++
		}
	}
	turns := func(n int) {
		for range n {
			l.step(false)
		}
	}
	l.g.Store(goroutine())
	l.Submit(op)
	turns(2)
	if _, err := unix.Write(pair[1], []byte("x")); err != nil {
		t.Fatal(err)
	}
	turns(3)
	if bytes != 1 || l.ends.first != s || !l.ends.timer.Armed() {
		t.Fatalf("%d bytes, looked after: %v", bytes, l.ends.first != nil)
	}
	for range 2 { // the first round finds it fresh
		l.ends.look(l)
	}
	if turns(3); l.ends.first != nil || ends != 0 || op.parts != 1 {
		t.Fatalf("a quiet socket: still looked after %v, ended %d times, armed %d times", l.ends.first != nil, ends, op.parts)
	}
	if _, err := unix.Write(pair[1], []byte("y")); err != nil {
		t.Fatal(err)
	}
	turns(3)
	l.ends.look(l)
	unix.Close(pair[1])
	l.ends.look(l)
	if turns(4); bytes != 2 || ends != 1 {
		t.Fatalf("%d bytes, ended %d times", bytes, ends)
	}
	unix.Close(pair[0])
}
