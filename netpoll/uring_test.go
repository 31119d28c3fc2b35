// SPDX-License-Identifier: Apache-2.0

//go:build giouring

package netpoll

import (
	"runtime"
	"testing"

	"github.com/samsa-broker/samsa/netpoll/ring"
)

// TestUringKeepsEarlyCompletions lets the answer to a completion that was set
// aside set another one aside, as a full submission queue does: both count.
func TestUringKeepsEarlyCompletions(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	o := Options{}
	o.fill()
	made, no := openUring(o)
	if no != nil { // this system has no ring to test: it must say why
		if no.Why == "" {
			t.Fatal(no)
		}
		t.Log(no)
		return
	}
	l := made.(*uringLoop)
	defer l.destroy()
	if err := l.prepare(); err != nil {
		t.Fatal(err)
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
