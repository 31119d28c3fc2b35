// SPDX-License-Identifier: Apache-2.0

// Package netpoll moves bytes between sockets, files and the broker through one
// completion interface: a Loop. Operations are submitted, and each is answered
// by calling its Done on the loop.
//
// Four backends stand behind the interface. uring (build tag giouring) asks the
// kernel's io_uring; epoll waits for readiness, makes the call itself and then
// reports, so that it looks like completion; portable uses Go's net package and
// runs on every Unix; Fake is a network in memory with a clock of its own, for
// tests. Open probes in that order and says in one line each why a backend was
// refused.
//
// It knows bytes and descriptors; it knows nothing of Kafka, frames, or what a
// connection means to its owner.
//
// # Threads
//
// Run is a goroutine locked to its thread for as long as the loop lives. Every
// method except Post, OnLoop, Name and Close belongs to that goroutine. While
// traffic is dense the loop waits inside a raw system call and keeps its Go
// processor; once such a wait came back empty it waits like everybody else. A
// process with n loops therefore sets GOMAXPROCS to Procs(n).
//
// # Ownership
//
// An Op is the caller's memory; it belongs to the loop from Submit to its last
// Done (the one with More false). What Data, Bufs and Head point at must stay
// put for as long. A Buf delivered by a Recv belongs to the caller until
// Recycle. A Sock belongs to the first loop it was submitted to.
//
// # Receiving
//
// A Recv stays armed and delivers buffers until EOF, error, Cancel or
// CloseSock. When the loop's buffers are all lent out, receiving pauses and goes
// on when buffers come back: that is the back-pressure. To receive a big frame
// into memory of its own: Cancel the Recv, keep what still arrives (bytes that
// came before the cancel took hold are delivered as ordinary Recv completions),
// and submit RecvInto for the rest from, or after, the last Done of the Recv.
//
// # Errors
//
// EOF is N == 0 with a nil Err and More false. A failed operation ends alone: no
// other socket, and no other loop, notices.
package netpoll

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Errors of operations and of Open; test with errors.Is.
var (
	// ErrClosed says that the socket, the listener or the loop was closed here.
	ErrClosed = errors.New("netpoll: closed")
	// ErrReset says that the peer is gone: reset, aborted, or not reading any more.
	ErrReset = errors.New("netpoll: connection reset by peer")
	// ErrCanceled ends an operation that was the target of a Cancel.
	ErrCanceled = errors.New("netpoll: canceled")
	// ErrShortFile ends a SendFile whose file holds fewer bytes than were due.
	ErrShortFile = errors.New("netpoll: file ends before the bytes to send")
	// ErrUnsupported ends an operation that this backend or system cannot do.
	ErrUnsupported = errors.New("netpoll: not supported here")
	// ErrNoBackend is Open's error when every backend refused.
	ErrNoBackend = errors.New("netpoll: no backend")
)

// Message is work posted to a loop. It is an alias of an unnamed interface, so
// that other packages can declare the same one without importing this package.
type Message = interface{ Run() }

// Loop is one thread of input and output. See the package comment for who may
// call what.
type Loop interface {
	// Submit starts op. It never blocks and never runs a Done on the caller's
	// stack. The op must not be touched before its last Done.
	Submit(op *Op)
	// Recycle gives back a receive buffer, exactly once.
	Recycle(b Buf)
	// Arm calls t.Fire on the loop once d has passed (within a millisecond, never
	// early). Arming an armed timer moves it.
	Arm(t *Timer, d time.Duration)
	// Disarm takes t back; its Fire will not run unless armed again.
	Disarm(t *Timer)
	// Post runs m on the loop: from any goroutine, in order per poster, without
	// allocating in steady state. It wakes the loop only if it sleeps. What is
	// posted to a closed loop never runs.
	Post(m Message)
	// OnLoop says whether the caller runs on this loop's goroutine.
	OnLoop() bool
	// Now is the monotonic time in nanoseconds since an arbitrary start, read
	// once per turn of the loop.
	Now() int64
	// Run serves the loop on the calling goroutine, which it locks to its thread,
	// and returns after Close.
	Run() error
	// Close, from any goroutine, ends Run. Outstanding operations complete with
	// ErrClosed, and the sockets of the loop are closed.
	Close() error
	// Name is "uring", "epoll", "portable" or "fake".
	Name() string
}

// Events are told to whoever watches; every func may be nil. They run on the
// loop and must not block.
type Events struct {
	Starved func()          // a receive found no buffer and waits for one
	Turn    func(ops int)   // a turn of the loop ran, with this many completions
	Dropped func(ud uint64) // a completion of an older generation was dropped
}

// Options says how to open a loop. The zero value is a good default.
type Options struct {
	Backend     string // "auto" (also ""), "uring", "epoll" or "portable"
	RecvBuffers int    // receive buffers of BufBytes each, rounded up to a power of two; 0: 1024
	Workers     int    // goroutines for file work that the kernel does not do by itself; 0: 4
	TurnBytes   int    // bytes all SendFile operations together may move per turn; 0: 1 MiB
	Events      Events
}

const (
	// BufBytes is the size of a receive buffer.
	BufBytes = 16 << 10

	recvBuffersDefault = 1024
	recvBuffersMax     = 32768 // what a kernel buffer ring can hold
	workersDefault     = 4
	turnBytesDefault   = 1 << 20
	sendfileBytes      = 256 << 10 // one sendfile call, so that a turn stays short
)

// fill replaces zero values by defaults and clamps the rest.
func (o *Options) fill() {
	if o.Backend == "" {
		o.Backend = "auto"
	}
	if o.RecvBuffers <= 0 {
		o.RecvBuffers = recvBuffersDefault
	}
	o.RecvBuffers = min(o.RecvBuffers, recvBuffersMax)
	n := 1
	for n < o.RecvBuffers {
		n *= 2
	}
	o.RecvBuffers = n
	if o.Workers <= 0 {
		o.Workers = workersDefault
	}
	if o.TurnBytes <= 0 {
		o.TurnBytes = turnBytesDefault
	}
}

// Refusal says why a backend was not taken, and what would change that. Both
// texts are one line.
type Refusal struct {
	Backend string
	Why     string
	Remedy  string
}

// String is the one line for the log.
func (r Refusal) String() string {
	if r.Remedy == "" {
		return r.Backend + ": " + r.Why
	}
	return r.Backend + ": " + r.Why + "; " + r.Remedy
}

// backend is one way to make a Loop.
type backend struct {
	name string
	open func(o Options) (Loop, *Refusal)
}

// Open makes a loop of the wanted backend, or with "auto" of the first of
// uring, epoll and portable that works here. The refusals tell of those passed
// over; they are also given when Open fails.
func Open(o Options) (Loop, []Refusal, error) {
	o.fill()
	var refused []Refusal
	known := false
	for _, b := range backends() {
		if o.Backend != "auto" && o.Backend != b.name {
			continue
		}
		known = true
		l, no := b.open(o)
		if no == nil {
			return l, refused, nil
		}
		refused = append(refused, *no)
	}
	if !known {
		return nil, nil, fmt.Errorf("%w: %q is not one of auto, uring, epoll, portable", ErrNoBackend, o.Backend)
	}
	return nil, refused, fmt.Errorf("%w: %s", ErrNoBackend, refused[len(refused)-1])
}

// Procs is the GOMAXPROCS a process with that many loops needs: a loop in a raw
// wait keeps a processor, and the rest of the program must keep its own. It
// builds on the present value, which follows the cores and the cgroup's limit;
// call it once, before the loops run:
//
//	runtime.GOMAXPROCS(netpoll.Procs(loops))
func Procs(loops int) int { return runtime.GOMAXPROCS(0) + loops }
