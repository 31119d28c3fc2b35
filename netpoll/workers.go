// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"errors"
	"io"
	"sync"
)

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
