// SPDX-License-Identifier: Apache-2.0

//go:build giouring

package ring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/pawelgaczynski/giouring"
)

// SQE is a submission entry; Next hands it out zeroed.
type SQE = giouring.SubmissionQueueEntry

// CQE is a completion.
type CQE = giouring.CompletionQueueEvent

const sysEnter = 426 // the same number on every architecture

// The structures below mirror giouring's, whose fields are private. init compares
// their sizes, so another version of giouring cannot be misread silently.

type ringMirror struct {
	sq          *sqMirror
	cq          *cqMirror
	flags       uint32
	ringFd      int
	features    uint32
	enterRingFd int
	intFlags    uint8
	_           [3]uint8
	_           uint32
}

type sqMirror struct {
	head, tail, mask, entries, flags, dropped, array *uint32
	sqes                                             *SQE
	ringSize                                         uint
	ringPtr                                          unsafe.Pointer
	sqeHead, sqeTail                                 uint32
	_                                                [2]uint32
}

type cqMirror struct {
	head, tail, mask, entries, flags, overflow *uint32
	cqes                                       *CQE
	ringSize                                   uint
	ringPtr                                    unsafe.Pointer
	_                                          [2]uint32
}

type paramsMirror struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFd uint32
	_                                                                      [3]uint32
	_                                                                      [80]byte
}

// mirrorsFit says whether this giouring is the one that the mirrors describe.
func mirrorsFit() bool {
	return unsafe.Sizeof(ringMirror{}) == unsafe.Sizeof(giouring.Ring{}) &&
		unsafe.Sizeof(sqMirror{}) == unsafe.Sizeof(giouring.SubmissionQueue{}) &&
		unsafe.Sizeof(cqMirror{}) == unsafe.Sizeof(giouring.CompletionQueue{}) &&
		unsafe.Sizeof(paramsMirror{}) == unsafe.Sizeof(giouring.Params{})
}

// Errors of New.
var (
	// ErrVersion says that giouring is not the version this package mirrors.
	ErrVersion = errors.New("ring: unknown version of giouring")
	// ErrOperation says that the kernel lacks an operation.
	ErrOperation = errors.New("ring: operation missing in this kernel")
)

// Ring is one io_uring.
type Ring struct {
	g       *giouring.Ring
	m       *ringMirror
	enterFd uintptr
	started bool
}

// New makes a ring with room for that many submissions and completions (powers
// of two; the kernel clamps them). It cannot be entered before Start.
func New(submissions, completions uint32) (*Ring, error) {
	if !mirrorsFit() {
		return nil, ErrVersion
	}
	p := paramsMirror{
		cqEntries: completions,
		flags: giouring.SetupSingleIssuer | giouring.SetupDeferTaskrun | giouring.SetupCQSize |
			giouring.SetupClamp | giouring.SetupRDisabled,
	}
	r := &Ring{g: giouring.NewRing()}
	if err := r.g.QueueInitParams(submissions, (*giouring.Params)(unsafe.Pointer(&p))); err != nil {
		return nil, fmt.Errorf("ring: setup: %w", err)
	}
	r.m = (*ringMirror)(unsafe.Pointer(r.g))
	r.enterFd = uintptr(r.m.ringFd)
	return r, nil
}

// Require checks that the kernel knows all of these operations.
func (r *Ring) Require(ops ...uint8) error {
	probe := &giouring.Probe{}
	if _, err := r.g.RegisterProbe(probe, int(giouring.OpLast)); err != nil {
		return fmt.Errorf("ring: probe: %w", err)
	}
	for _, op := range ops {
		if !probe.IsSupported(op) {
			return fmt.Errorf("%w: number %d", ErrOperation, op)
		}
	}
	return nil
}

// Start enables the ring for the calling thread, which must be locked to its
// goroutine and is the only one that may use the ring from here on.
func (r *Ring) Start() error {
	if _, err := r.g.EnableRings(); err != nil {
		return fmt.Errorf("ring: enable: %w", err)
	}
	if _, err := r.g.RegisterRingFd(); err != nil {
		return fmt.Errorf("ring: register the ring: %w", err)
	}
	r.enterFd = uintptr(r.m.enterRingFd)
	r.started = true
	return nil
}

// LimitWorkers bounds the kernel's worker threads of this ring: for files, and
// for what has no bound by itself.
func (r *Ring) LimitWorkers(bounded, unbounded uint32) error {
	counts := [2]uint32{bounded, unbounded}
	_, errno := r.g.Register(r.m.ringFd, giouring.RegisterIOWQMaxWorkers, unsafe.Pointer(&counts), 2)
	if errno != 0 {
		return fmt.Errorf("ring: limit workers: %w", errno)
	}
	return nil
}

// Next is a zeroed entry to fill, nil when the queue is full.
func (r *Ring) Next() *SQE {
	e := r.g.GetSQE()
	if e != nil {
		*e = SQE{}
	}
	return e
}

// flush publishes what Next handed out and says how many the kernel has not seen.
func (r *Ring) flush() uint32 {
	sq := r.m.sq
	if sq.sqeHead != sq.sqeTail {
		sq.sqeHead = sq.sqeTail
		atomic.StoreUint32(sq.tail, sq.sqeTail)
	}
	return sq.sqeTail - atomic.LoadUint32(sq.head)
}

// Enter submits what is pending, runs what the kernel deferred to us, and waits
// for at least wait completions. It returns early on a signal. The raw form
// keeps the caller's processor.
func (r *Ring) Enter(wait uint32, raw bool) syscall.Errno {
	flags := giouring.EnterGetEvents
	if r.started {
		flags |= giouring.EnterRegisteredRing
	}
	var e syscall.Errno
	if raw {
		_, _, e = syscall.RawSyscall6(sysEnter, r.enterFd, uintptr(r.flush()), uintptr(wait), uintptr(flags), 0, 0)
	} else {
		_, _, e = syscall.Syscall6(sysEnter, r.enterFd, uintptr(r.flush()), uintptr(wait), uintptr(flags), 0, 0)
	}
	return e
}

// Ready is the number of completions that wait to be taken.
func (r *Ring) Ready() uint32 {
	return atomic.LoadUint32(r.m.cq.tail) - *r.m.cq.head
}

// Take removes the next completion; call it only when Ready says there is one.
func (r *Ring) Take() CQE {
	cq := r.m.cq
	head := *cq.head
	at := uintptr(head&*cq.mask) * unsafe.Sizeof(CQE{})
	e := *(*CQE)(unsafe.Add(unsafe.Pointer(cq.cqes), at))
	atomic.StoreUint32(cq.head, head+1)
	return e
}

// Close frees the ring: on the owner's thread once Start was called.
func (r *Ring) Close() {
	if r.started {
		// Else the thread's table would keep the ring alive.
		update := giouring.RsrcUpdate{Offset: uint32(r.enterFd)}
		_, _ = r.g.Register(r.m.ringFd, giouring.UnregisterRingFDs, unsafe.Pointer(&update), 1)
		r.m.intFlags = 0
		r.started = false
	}
	r.g.QueueExit()
}
