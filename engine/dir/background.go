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
		d.logs.flushOld(now)
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

// flushOld honours flush.ms: no record stays longer above the synced end.
func (t *table) flushOld(nowMs int64) {
	for _, l := range t.loaded() {
		if first := l.firstMs.Load(); first != 0 && nowMs-first >= l.Config().FlushMs {
			flushSoon(l)
		}
	}
}

// written follows an append. With durability Kafka what is in the page cache
// counts, except that an append which makes flush.messages due waits for the
// fdatasync, which the turn does next, by FlushDue and FlushWritten. With a
// journal the record is safe there, and flush.messages only asks for the sync
// of segments that would come later.
func written(l *Log, journaled bool) {
	end := int64(l.End())
	due := end-int64(l.SyncedEnd()) >= l.Config().FlushMessages
	switch {
	case journaled && due:
		flushSoon(l)
	case journaled:
	case due:
		l.flushDue = true
	default:
		l.tail.Raise(end)
		l.moved()
	}
}

// FlushDue tells that the last Write made flush.messages due: what it wrote is
// durable only after FlushWritten. Never with a journal. The turn's.
func (l *Log) FlushDue() bool { return l.flushDue }

// FlushWritten is the fdatasync that FlushDue asks for. Not on a loop, and
// nothing may be staged or written meanwhile: the turn waits for it.
func (l *Log) FlushWritten() error {
	l.flushDue = false
	end, _, err := l.flush()
	if err != nil {
		return err
	}
	l.tail.Raise(end)
	l.moved()
	return nil
}

// flushSoon has the log flushed on the directory's goroutine for chores.
func flushSoon(l *Log) {
	if l.flushAsked.CompareAndSwap(false, true) {
		l.dir.chores.add(func() {
			l.flushAsked.Store(false)
			_ = l.syncPlaced() // it fenced
		})
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
