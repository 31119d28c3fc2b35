// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"fmt"
	"io"
)

// Kind says what an Op does.
type Kind uint8

// The kinds. Accept and Recv are multishot: their Done runs once per completion,
// and the last one has More false. All others complete once.
const (
	// Accept delivers sockets from Listener as Accepted. A passing failure (out
	// of descriptors) is reported in Err with More true and retried.
	Accept Kind = iota + 1
	// Recv delivers the bytes of Sock as Buf, N of them. With Once it ends after
	// the first Buf, as if it had been canceled.
	Recv
	// RecvInto fills Data from Sock; it ends when Data is full or at EOF (then N
	// is less than len(Data)). No Recv may be armed on Sock.
	RecvInto
	// Send writes all Bufs in order. Sends and SendFiles of a socket go out in
	// the order of Submit, one at a time.
	Send
	// SendFile writes Head (may be empty) and then Len bytes of File from Off, or
	// of FileAt when File is 0. Pages that are not cached stall the loop: read
	// cold ranges with ReadFile.
	SendFile
	// ReadFile reads Len bytes (0: len(Data)) of File or FileAt at Off into Data
	// without blocking the loop. N is short at the end of the file.
	ReadFile
	// WriteFile writes Data to File at Off and completes when the bytes are
	// durable (RWF_DSYNC, or write and fsync where that does not exist).
	WriteFile
	// Cancel ends Target, unless it has ended by itself. Target's last Done (with
	// ErrCanceled, or with what it achieved) runs before the Cancel's own. The
	// Cancel of a Send or SendFile that has begun leaves the stream cut: close it.
	Cancel
	// CloseSock ends every operation of Sock with ErrClosed and closes it; after
	// its own Done nothing of that socket runs any more. Unsent bytes are
	// dropped: who wants them sent waits for the Send's Done first.
	CloseSock
)

var kindNames = [...]string{
	Accept: "accept", Recv: "recv", RecvInto: "recv-into", Send: "send", SendFile: "sendfile",
	ReadFile: "read-file", WriteFile: "write-file", Cancel: "cancel", CloseSock: "close",
}

// String is the kind's name in errors and logs.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return "unknown"
}

// Op is one operation, in the caller's memory and reusable once it is over. Set
// the inputs, Submit, read the results in Done.
type Op struct {
	Kind     Kind
	Sock     *Sock       // Recv, RecvInto, Send, SendFile, CloseSock
	Listener *Listener   // Accept
	Data     []byte      // RecvInto and ReadFile: destination; WriteFile: source
	Bufs     [][]byte    // Send
	Head     []byte      // SendFile: goes out before the file's bytes, in one packet where possible
	File     uintptr     // SendFile, ReadFile, WriteFile: an open descriptor, the caller's
	FileAt   io.ReaderAt // SendFile, ReadFile: used when File is 0
	Off      int64       // SendFile, ReadFile, WriteFile
	Len      int         // SendFile; ReadFile when less than len(Data)
	Target   *Op         // Cancel
	Once     bool        // Recv: no more than one Buf; Accept: one socket at a time, none beyond it
	// Blocking: a WriteFile may wait inside the file system already where it is
	// begun, as on FUSE and on network file systems. It is then begun by another
	// thread than the loop's, which costs a wake-up.
	Blocking bool

	// Done runs on the loop, never on the submitter's stack. It may Submit, this
	// op included when More is false. Nil means that nobody wants to know.
	Done func(*Op)

	// Results, valid in Done.
	N        int   // bytes moved in all; of this completion for Recv
	Err      error // nil, or why it ended; on Accept with More: why one failed
	More     bool  // further completions follow
	Buf      Buf   // Recv: the bytes, owned by the caller until Recycle
	Accepted *Sock // Accept

	state  opState
	end    error  // what Err will be
	stop   error  // uring: what to end with once the kernel lets go
	moved  int    // bytes sent or filled so far
	slot   uint32 // uring: index in the loop's table
	parts  int    // uring: completions of the kernel still to come
	waiter *Op    // the Cancel that waits for this op's end
	retry  *Timer // Accept: pause after a failure
	loop   *core  // set while submitted
	next   *Op    // in an opList
	prev   *Op
	list   *opList
	sys    *opSys // Send under way; the loop's
}

type opState uint8

const (
	opIdle    opState = iota // the caller's
	opActive                 // the loop's
	opEnding                 // result set, waits to be told
	opRunning                // its Done runs
)

// reset clears the results before a run.
func (op *Op) reset() {
	op.N, op.Err, op.More, op.Buf, op.Accepted = 0, nil, false, Buf{}, nil
	op.moved, op.parts, op.waiter = 0, 0, nil
}

// total is how many bytes op moves when nothing goes wrong.
func (op *Op) total() int {
	switch op.Kind {
	case Send:
		n := 0
		for _, b := range op.Bufs {
			n += len(b)
		}
		return n
	case SendFile:
		return len(op.Head) + op.Len
	case ReadFile:
		if op.Len > 0 && op.Len < len(op.Data) {
			return op.Len
		}
	}
	return len(op.Data)
}

// opList is an intrusive list of operations, first in, first out.
type opList struct {
	head, tail *Op
	n          int
}

func (q *opList) push(op *Op) {
	if op.list != nil {
		panic("BUG: netpoll: operation is in a list already")
	}
	op.list, op.prev, op.next = q, q.tail, nil
	if q.tail == nil {
		q.head = op
	} else {
		q.tail.next = op
	}
	q.tail = op
	q.n++
}

func (q *opList) remove(op *Op) {
	if op.prev == nil {
		q.head = op.next
	} else {
		op.prev.next = op.next
	}
	if op.next == nil {
		q.tail = op.prev
	} else {
		op.next.prev = op.prev
	}
	op.next, op.prev, op.list = nil, nil, nil
	q.n--
}

func (q *opList) pop() *Op {
	op := q.head
	if op != nil {
		q.remove(op)
	}
	return op
}

// Buf is a receive buffer of a loop. The completion that delivers it hands it to
// the caller, who gives it back exactly once with Recycle on that loop; the
// bytes are gone then.
type Buf struct {
	Data []byte
	id   uint32 // index in the arena plus one; 0 is no buffer
}

// arena is the memory of a loop's receive buffers: one mapping that the garbage
// collector does not look at. Which buffers are lent is kept in a bit each, so
// that giving one back twice is found at once.
type arena struct {
	mem  []byte
	lent []uint64
	free []uint32 // epoll and portable; with uring the kernel holds the free ones
}

func newArena(buffers int, list bool) (*arena, error) {
	mem, err := mapMemory(buffers * BufBytes)
	if err != nil {
		return nil, fmt.Errorf("netpoll: map %d receive buffers: %w", buffers, err)
	}
	a := &arena{mem: mem, lent: make([]uint64, (buffers+63)/64)}
	if list {
		a.free = make([]uint32, buffers)
		for i := range a.free {
			a.free[i] = uint32(buffers - 1 - i)
		}
	}
	return a, nil
}

// at is the whole memory of buffer i.
func (a *arena) at(i uint32) []byte {
	off := int(i) * BufBytes
	return a.mem[off : off+BufBytes : off+BufBytes]
}

// lend marks buffer i as the caller's and wraps its first n bytes.
func (a *arena) lend(i uint32, n int) Buf {
	a.lent[i/64] |= 1 << (i % 64)
	return Buf{Data: a.at(i)[:n], id: i + 1}
}

// back takes b from the caller and returns its index.
func (a *arena) back(b Buf) uint32 {
	i := b.id - 1
	if a.lent[i/64]&(1<<(i%64)) == 0 {
		panic("BUG: netpoll: receive buffer recycled twice")
	}
	a.lent[i/64] &^= 1 << (i % 64)
	return i
}

// take is a free buffer, if there is one.
func (a *arena) take() (i uint32, ok bool) {
	n := len(a.free)
	if n == 0 {
		return 0, false
	}
	i = a.free[n-1]
	a.free = a.free[:n-1]
	return i, true
}

// give puts a free buffer back.
func (a *arena) give(i uint32) { a.free = append(a.free, i) }

// close frees the memory, unless somebody still holds some of it: then it stays
// until the process ends.
func (a *arena) close() {
	for _, word := range a.lent {
		if word != 0 {
			return
		}
	}
	unmapMemory(a.mem)
	a.mem = nil
}
