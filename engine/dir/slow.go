// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"sync"
	"sync/atomic"
	"time"
)

// The slow-disk rule: one append that takes longer makes the directory slow,
// that many in a row which were fast make it well again.
const (
	slowAfter = 2 * time.Millisecond
	fastBelow = 500 * time.Microsecond
	fastInRow = 64
)

// pace remembers how long appends take. Silence proves nothing: a directory
// without appends stays what it was.
type pace struct {
	slow atomic.Bool
	fast atomic.Int32 // appends in a row that were fast
}

// took notes one append; true: the verdict changed.
func (p *pace) took(d time.Duration, full bool) bool {
	if d > slowAfter || full {
		p.fast.Store(0)
		return p.slow.CompareAndSwap(false, true)
	}
	if !p.slow.Load() {
		return false
	}
	if d >= fastBelow {
		p.fast.Store(0)
		return false
	}
	return p.fast.Add(1) >= fastInRow && p.slow.CompareAndSwap(true, false)
}

// Slow tells whether turns of this directory's logs must be drained by its
// writer goroutine, through Go, instead of by loops.
func (d *Dir) Slow() bool { return d.pace.slow.Load() }

// Go runs fn on the directory's writer goroutine, after what was given before.
// After Close it runs nothing.
func (d *Dir) Go(fn func()) { d.writer.add(fn) }

// worker is one goroutine with a queue.
type worker struct {
	mu     sync.Mutex
	some   sync.Cond
	queue  []func()
	closed bool
	done   chan struct{}
}

func newWorker() *worker {
	w := &worker{done: make(chan struct{})}
	w.some.L = &w.mu
	go w.run()
	return w
}

func (w *worker) add(fn func()) {
	w.mu.Lock()
	if !w.closed {
		w.queue = append(w.queue, fn)
		w.some.Signal()
	}
	w.mu.Unlock()
}

func (w *worker) run() {
	defer close(w.done)
	var batch []func()
	for {
		w.mu.Lock()
		for len(w.queue) == 0 && !w.closed {
			w.some.Wait()
		}
		if len(w.queue) == 0 {
			w.mu.Unlock()
			return
		}
		batch, w.queue = w.queue, batch[:0]
		w.mu.Unlock()
		for i, fn := range batch {
			fn()
			batch[i] = nil
		}
	}
}

// close ends the worker after what it was given.
func (w *worker) close() {
	w.mu.Lock()
	w.closed = true
	w.some.Signal()
	w.mu.Unlock()
	<-w.done
}
