// SPDX-License-Identifier: Apache-2.0

package dir

import "time"

// background makes checkpoints when they are due, writes high watermarks and
// removes what was set aside. One goroutine, from Start to Close.
func (d *Dir) background() {
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
		case <-d.stop:
			return
		case <-d.due:
			asked = true
		case <-tick.C:
		}
		now := d.now().UnixMilli()
		if asked || now-last >= every && d.dirty() {
			_ = d.checkpointNow() // it fenced, or is tried again when it is due
			last = now
		} else if now-last >= every {
			last = now
		}
		if now-lastHigh >= highWatermarkMs {
			_ = d.writeHighWatermarks() // likewise
			lastHigh = now
		}
		d.deleteDue(now)
		if d.journal.Load() == nil {
			d.flushOld(now)
		}
	}
}

// dirty tells whether any log has bytes above S.
func (d *Dir) dirty() bool {
	for _, l := range d.loaded() {
		if int64(l.End()) != l.synced.Load() {
			return true
		}
	}
	return false
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

// flushOld honours flush.ms.
func (d *Dir) flushOld(nowMs int64) {
	for _, l := range d.loaded() {
		if first := l.firstMs.Load(); first != 0 && nowMs-first >= l.Config().FlushMs {
			l.flushSoon()
		}
	}
}
