// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
)

// The budget of one stretch of a turn. What is left goes through the home's
// inbox, so that one busy partition does not keep its loop from the others.
const (
	turnOps   = 64
	turnBytes = 1 << 20
)

// Turn is the right to work on a partition and what only its holder may touch.
// Every partition has one; it passes from hand to hand. A hosted step gets it to
// append with, may keep the pointer, and uses it within Run and visible only.
type Turn struct {
	p *Partition

	rest      *node    // taken from the queue and not yet done
	staged    waitList // appends the next write takes, in order
	local     waitList // acks=1: wait for the durable end
	quorum    waitList // acks=-1: wait for the high watermark
	durable   engine.Offset
	followers followers
	marks     marks
	held      held
	moved     bool      // the high watermark or the log end moved: watchers are due
	shaken    bool      // more than that changed: every watcher is due
	parked    func()    // file work that ends this stretch; with appends staged, their write
	leaving   error     // set by the last operation; later ones fail with it
	room      int64     // reserved by the hosted step that runs, and not used so far
	free      *internal // hosted appends to be used again

	task     turnTask
	drainAll func() // drain as a value, made once
	workAll  func() // work as a value, made once
	writeAll func() // write as a value, made once
	flushAll func() // flush as a value, made once
}

// turnTask goes on with a turn on the partition's home.
type turnTask struct{ t *Turn }

func (k *turnTask) Run() { k.t.begin() }

// enter pushes an operation from a loop and drains if the partition was idle.
func (p *Partition) enter(n *node) {
	if p.queue.push(n) {
		p.turn.begin()
	}
}

// send pushes an operation from any goroutine: the home drains.
func (p *Partition) send(n *node) {
	if p.queue.push(n) {
		p.home.Post(&p.turn.task)
	}
}

// release gives up a turn that was not begun by a push: the home drains what came meanwhile.
func (p *Partition) release() {
	if !p.queue.leave() {
		p.home.Post(&p.turn.task)
	}
}

// begin begins a stretch of the turn that the caller has: here, or on the
// directory's writer while the directory is slow. A partition that was stopped
// writes no more and may outlive its directory.
func (t *Turn) begin() {
	if t.leaving == nil && t.p.dir.Slow() {
		t.p.dir.Go(t.drainAll)
		return
	}
	t.drain()
}

// drain does operations until there are none, the budget is spent, or one needs
// file work. The caller has the turn; when drain returns it has not.
func (t *Turn) drain() {
	ops, bytes := 0, int64(0)
	for {
		for n := t.peek(); n != nil; n = t.peek() {
			if work := t.before(n); work != nil {
				t.park(work)
			} else {
				t.rest = n.next // read before the step: the owner may push n again
				ops, bytes = ops+1, bytes+n.size
				t.do(n)
			}
			if t.parked != nil || ops >= turnOps || bytes >= turnBytes {
				interrupt(t)
				return
			}
		}
		if t.settle(); t.parked != nil {
			goParked(t)
			return
		}
		if t.p.queue.leave() {
			return
		}
	}
}

// interrupt ends a stretch before the queue is empty: the turn goes to the pool
// if there is file work, else to the home.
func interrupt(t *Turn) {
	if t.settle(); t.parked != nil {
		goParked(t)
		return
	}
	t.p.home.Post(&t.task)
}

// goParked sends the parked work on its way. A parked write goes to the
// directory's writer and not to the pool: what is staged keeps checkpoints
// waiting, and the pool may be full of work that waits for a checkpoint.
func goParked(t *Turn) {
	if t.staged.head != nil {
		t.p.dir.Go(t.workAll)
		return
	}
	t.p.set.o.Pool(t.workAll)
}

// peek gives the next operation.
func (t *Turn) peek() *node {
	if t.rest == nil {
		t.rest = t.p.queue.take()
	}
	return t.rest
}

// before gives the file work that has to be done before n; nil when there is
// none.
func (t *Turn) before(n *node) func() {
	if t.leaving != nil {
		return nil
	}
	log := t.p.log.Load()
	if log == nil {
		if t.Err() == nil && needsLog(n) {
			return t.open
		}
		return nil
	}
	if log.FlushDue() {
		return t.flushAll
	}
	_, appends := n.do.(*entry)
	switch {
	case !appends && t.staged.head != nil && engine.WriteWaits(log.Log): // the step may need it written
		return t.writeAll
	case appends && t.staged.head == nil && t.Err() == nil && !engine.Prepared(log.Log):
		return t.prepare
	}
	return nil
}

// needsLog tells whether n cannot be done before the log is open.
func needsLog(n *node) bool {
	switch o := n.do.(type) {
	case *stopOp:
		return o.remove
	case *configOp:
		return false // the opening finds the newest settings
	}
	return true
}

// prepare opens what the next append writes into. It is parked work. When it
// fails the append that is next fails, and what comes behind it tries again.
func (t *Turn) prepare() {
	if err := t.p.log.Load().Prepare(); err != nil {
		n := t.rest
		t.rest = n.next
		n.do.fail(t, storageError(err))
		t.checkDir()
	}
}

// flush is the fdatasync that flush.messages makes due before what was written
// is acknowledged. It is parked work.
func (t *Turn) flush() {
	if err := t.p.log.Load().FlushWritten(); err != nil {
		t.checkDir()
	}
}

func (t *Turn) do(n *node) {
	if t.leaving != nil {
		n.do.fail(t, t.leaving)
		return
	}
	n.do.step(t)
}

// park lets work run on the pool when the current step returns. The turn stays
// taken meanwhile: work may do whatever a step may.
func (t *Turn) park(work func()) {
	if t.parked != nil {
		panic("BUG: replica: a step parked twice")
	}
	t.parked = work
}

// work runs the parked work on an ordinary goroutine and goes back to the home.
func (t *Turn) work() {
	f := t.parked
	t.parked = nil
	f()
	t.p.home.Post(&t.task)
}

// settle writes what was staged, moves the ends and tells who waits. It ends
// every stretch of a turn. A write that has to wait is parked instead, and so is
// the sync that a write makes due.
func (t *Turn) settle() {
	switch {
	case t.parked != nil: // the step has written what was staged, or it is the write that is parked
	case t.staged.head != nil && engine.WriteWaits(t.p.log.Load().Log):
		t.park(t.writeAll)
	default:
		t.write()
	}
	t.advance()
	if log := t.p.log.Load(); t.parked == nil && t.leaving == nil && log != nil && log.FlushDue() {
		t.park(t.flushAll)
	}
	if t.moved || t.shaken {
		all := t.shaken
		t.moved, t.shaken = false, false
		t.p.watchers.wake(t, all)
	}
}

// stage hands an append to the log; the next write takes it.
func (t *Turn) stage(e *entry) {
	e.app.Epoch = t.p.LeaderEpoch()
	if err := t.p.log.Load().Stage(&e.app); err != nil {
		t.answer(e, storageError(err))
		return
	}
	e.need = 0 // in order of arrival
	t.staged.add(e)
}

// write writes what was staged in one go, and lines each append up for the end
// that its acks ask for. It comes before every step that changes the log.
func (t *Turn) write() {
	if t.staged.head == nil {
		return
	}
	log, n, bytes, held := t.p.log.Load(), 0, int64(0), room{}
	before := log.End()
	_, err := log.Write()
	for e := t.staged.first(); e != nil; e = t.staged.first() {
		if e.app.Err != nil {
			t.answer(e, storageError(e.app.Err))
			continue
		}
		if e.app.Duplicate { // it wrote nothing
			t.giveBack(e.room())
		} else {
			n, bytes = n+1, bytes+int64(len(e.app.Batches))
			held.add(e.room())
		}
		e.held = 0
		e.need = e.app.Last + 1
		t.wait(e)
	}
	if end := log.End(); end > before {
		t.held.add(end, held)
		t.marks.add(end, bytes)
		t.moved = true
	}
	t.p.set.o.Events.written(n, int(bytes))
	if err != nil {
		t.p.set.o.Events.writeFailed(t.p.id, err)
		t.checkDir()
	}
}

// wait answers e if its acks ask for no more, else queues it.
func (t *Turn) wait(e *entry) {
	switch {
	case e.acks == AcksNone,
		e.acks == AcksLeader && e.need <= t.durable,
		e.acks == AcksAll && e.need <= t.p.HighWatermark(): // a duplicate whose original was answered
		t.answer(e, nil)
	case e.acks == AcksLeader:
		t.local.add(e)
	default:
		t.quorum.add(e)
	}
}

// answer ends an entry's trip; room that no write took goes back.
func (t *Turn) answer(e *entry, err error) {
	if e.held > 0 {
		t.giveBack(e.room())
		e.held = 0
	}
	e.who.settled(e, err)
}

// giveBack returns room to the directory.
func (t *Turn) giveBack(m room) {
	if m.client > 0 {
		t.p.dir.Unreserve(m.client)
	}
	if m.internal > 0 {
		t.p.dir.UnreserveInternal(m.internal)
	}
}

// storageError says in this package's words why the log did not take an append.
func storageError(err error) error {
	if errors.Is(err, engine.ErrNoSpace) || errors.Is(err, engine.ErrIO) || errors.Is(err, dir.ErrFenced) {
		return errors.Join(ErrStorage, err)
	}
	return err
}
