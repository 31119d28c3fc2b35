// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// upkeep is what a directory does by itself, beside its logs' turns.
type upkeep struct {
	d    *Dir
	due  chan struct{} // a checkpoint is wanted
	stop chan struct{}

	mu        sync.Mutex
	deletions []deletion
	source    func() map[Partition]int64 // of high watermarks
}

// run makes checkpoints when they are due, writes high watermarks and
// removes what was set aside. One goroutine, from Start to Close.
func (u *upkeep) run() {
	d := u.d
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	every := d.o.CheckpointMs
	if every == 0 {
		every = checkpointMsDefault
	}
	last := d.now().UnixMilli()
	lastHigh := last
	for {
		asked := false
		select {
		case <-u.stop:
			return
		case <-u.due:
			asked = true
		case <-tick.C:
		}
		now := d.now().UnixMilli()
		if asked || now-last >= every && d.logs.anyDirty() {
			_ = d.checkpoints.now() // it fenced, or is tried again when it is due
			last = now
		} else if now-last >= every {
			last = now
		}
		if now-lastHigh >= highWatermarkMs {
			_ = u.highWatermarks() // likewise
			lastHigh = now
		}
		u.deleteDue(now)
		if d.journal.Load() == nil {
			d.logs.flushOld(now)
		}
	}
}

// want asks for a checkpoint. It never blocks.
func (u *upkeep) want() {
	select {
	case u.due <- struct{}{}:
	default: // one is asked for already
	}
}

// highWatermarks writes what the source says, if there is one.
func (u *upkeep) highWatermarks() error {
	d := u.d
	u.mu.Lock()
	source := u.source
	u.mu.Unlock()
	if source == nil || d.Err() != nil {
		return nil
	}
	err := d.files.writeText(replicationName, formatOffsets(source()))
	if err != nil && !vfs.IsNoSpace(err) {
		return d.fail(err)
	}
	return err
}

// flushOld honours flush.ms.
func (t *table) flushOld(nowMs int64) {
	for _, l := range t.loaded() {
		if first := l.firstMs.Load(); first != 0 && nowMs-first >= l.Config().FlushMs {
			l.flushSoon()
		}
	}
}

// written follows an append with durability Kafka: what is in the page cache
// counts, except that an append which makes flush.messages due waits for the
// fdatasync, and what comes behind it waits with it.
func (l *Log) written() {
	if l.flushDue.Load() {
		return // its flush goes on with what came meanwhile
	}
	c, end := l.Config(), int64(l.End())
	if end > int64(l.SyncedEnd()) {
		l.firstMs.CompareAndSwap(0, l.dir.now().UnixMilli())
	}
	if end-int64(l.SyncedEnd()) >= c.FlushMessages {
		l.flushSoon()
		return
	}
	l.tail.Raise(end)
	l.moved()
}

// flushSoon has the log flushed on the directory's goroutine for chores.
func (l *Log) flushSoon() {
	if l.flushDue.CompareAndSwap(false, true) {
		l.dir.chores.add(l.flushWaiting)
	}
}

func (l *Log) flushWaiting() {
	l.firstMs.Store(0)
	end, _, err := l.flush()
	l.flushDue.Store(false)
	if err != nil {
		return // fenced, or removed
	}
	l.tail.Raise(end)
	l.moved()
	if int64(l.End()) > end {
		l.written()
	}
}

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
