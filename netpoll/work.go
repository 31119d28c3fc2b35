// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

const inboxCells = 1024

// inbox carries messages from any goroutine to the loop, in order per poster.
//
// The ring is the usual bounded queue with a sequence number per cell: a poster
// claims a cell by moving tail, fills it, and publishes it by its number. A
// poster that finds the ring full appends to spill instead, and from then on
// everybody does until the loop has taken the spill: so a poster's messages stay
// in order. The loop takes the spill only when, under the lock, the ring holds
// nothing that was claimed: whatever its posters put into the ring before they
// spilled has run by then.
type inbox struct {
	tail    atomic.Uint64
	_       [56]byte // posters write tail, the loop reads the rest
	head    uint64   // the loop's
	cells   []inboxCell
	asleep  atomic.Bool // the loop waits in the kernel, or is about to
	spilled atomic.Bool

	mu    sync.Mutex
	spill []Message

	taken []Message // the loop's: a spill being run
	at    int
}

type inboxCell struct {
	seq atomic.Uint64 // position: free for that post; position+1: filled by it
	m   Message
}

func (q *inbox) init() {
	q.cells = make([]inboxCell, inboxCells)
	for i := range q.cells {
		q.cells[i].seq.Store(uint64(i))
	}
}

// push adds m. The caller then wakes the loop if it sleeps.
func (q *inbox) push(m Message) {
	if !q.spilled.Load() {
		pos := q.tail.Load()
		for {
			c := &q.cells[pos%inboxCells]
			seq := c.seq.Load()
			if seq < pos {
				break // full
			}
			if seq == pos && q.tail.CompareAndSwap(pos, pos+1) {
				c.m = m
				c.seq.Store(pos + 1)
				return
			}
			pos = q.tail.Load()
		}
	}
	q.mu.Lock()
	q.spill = append(q.spill, m)
	q.spilled.Store(true)
	q.mu.Unlock()
}

// pending says whether anything waits, published or only claimed.
func (q *inbox) pending() bool {
	return q.at < len(q.taken) || q.tail.Load() != q.head || q.spilled.Load()
}

// run executes up to limit messages and says how many it did.
func (q *inbox) run(limit int) (ran int) {
	for ; ran < limit; ran++ {
		m := q.pop()
		if m == nil {
			break
		}
		m.Run()
	}
	return ran
}

// pop takes the next message, nil when there is none that may run now.
func (q *inbox) pop() Message {
	for {
		if q.at < len(q.taken) {
			m := q.taken[q.at]
			q.taken[q.at] = nil
			q.at++
			return m
		}
		c := &q.cells[q.head%inboxCells]
		if c.seq.Load() == q.head+1 {
			m := c.m
			c.m = nil
			c.seq.Store(q.head + inboxCells)
			q.head++
			return m
		}
		if !q.spilled.Load() || !q.takeSpill() {
			return nil
		}
	}
}

// takeSpill moves the spill to the loop's side, unless the ring holds older ones.
func (q *inbox) takeSpill() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.tail.Load() != q.head {
		return false
	}
	q.taken, q.spill, q.at = q.spill, q.taken[:0], 0
	q.spilled.Store(false)
	return true
}

// workers do the file operations of a loop whose kernel interface cannot: a few
// goroutines, started when there is work, gone when the loop is.
type workers struct {
	core *core
	max  int

	mu      sync.Mutex
	more    sync.Cond
	queue   opList
	idle    int
	started int
	closed  bool

	running int // the loop's count of operations handed over and not yet told
}

func newWorkers(c *core) *workers {
	w := &workers{core: c, max: c.opts.Workers}
	w.more.L = &w.mu
	return w
}

// submit queues op, which a worker will do.
func (w *workers) submit(op *Op) {
	w.running++
	w.mu.Lock()
	w.queue.push(op)
	if w.idle == 0 && w.started < w.max {
		w.started++
		go w.work()
	}
	w.mu.Unlock()
	w.more.Signal()
}

// cancel takes op back if no worker has begun it; else it ends by itself.
func (w *workers) cancel(op *Op) {
	w.mu.Lock()
	waits := op.list == &w.queue
	if waits {
		w.queue.remove(op)
	}
	w.mu.Unlock()
	if waits {
		w.running--
		w.core.finish(op, ErrCanceled)
	}
}

// close lets the goroutines go once the queue is empty.
func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.more.Broadcast()
}

func (w *workers) work() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		op := w.queue.pop()
		if op == nil {
			if w.closed {
				return
			}
			w.idle++
			w.more.Wait()
			w.idle--
			continue
		}
		w.mu.Unlock()
		op.end = fileWork(op)
		w.core.Post((*fileDone)(op))
		w.mu.Lock()
	}
}

// fileDone is an Op on its way back from a worker.
type fileDone Op

// Run implements Message.
func (f *fileDone) Run() {
	op := (*Op)(f)
	c := op.loop
	c.files.running--
	c.finish(op, op.end)
}

// fileWork does one ReadFile or WriteFile on the calling goroutine and leaves
// the bytes moved in op.moved.
func fileWork(op *Op) error {
	if op.Kind == WriteFile {
		return writeDurable(op)
	}
	want := op.total()
	for op.moved < want {
		var n int
		var err error
		if op.File != 0 {
			n, err = preadFile(op.File, op.Data[op.moved:want], op.Off+int64(op.moved))
		} else if op.FileAt != nil {
			n, err = op.FileAt.ReadAt(op.Data[op.moved:want], op.Off+int64(op.moved))
		} else {
			err = ErrUnsupported
		}
		op.moved += n
		if errors.Is(err, io.EOF) || (err == nil && n == 0) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
