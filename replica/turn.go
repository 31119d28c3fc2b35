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

// turnTask goes on with a turn on the partition's home.
type turnTask struct{ p *Partition }

func (t *turnTask) Run() { t.p.turn() }

// enter pushes an operation from a loop and drains if the partition was idle.
func (p *Partition) enter(n *node) {
	if p.queue.push(n) {
		p.turn()
	}
}

// send pushes an operation from any goroutine: the home drains.
func (p *Partition) send(n *node) {
	if p.queue.push(n) {
		p.home.Post(&p.turnTask)
	}
}

// turn begins a stretch of the turn that the caller took: here, or on the
// directory's writer while the directory is slow.
func (p *Partition) turn() {
	if p.dir.Slow() {
		p.dir.Go(p.turnFunc)
		return
	}
	p.drain()
}

// drain does operations until there are none, the budget is spent, or one needs
// file work. The caller has the turn; when drain returns it has not.
func (p *Partition) drain() {
	ops, bytes := 0, int64(0)
	for {
		for n := p.peek(); n != nil; n = p.peek() {
			if p.log.Load() == nil && p.leaving == nil && p.Err() == nil && opens(n) {
				p.park(p.open)
			} else {
				p.rest = n.next // read before the step: the owner may push n again
				ops, bytes = ops+1, bytes+n.size
				p.do(n)
			}
			if p.parked != nil {
				p.settle()
				p.set.o.Pool(p.workFunc)
				return
			}
			if ops >= turnOps || bytes >= turnBytes {
				p.settle()
				p.home.Post(&p.turnTask)
				return
			}
		}
		p.settle()
		if p.queue.leave() {
			return
		}
	}
}

// peek gives the next operation.
func (p *Partition) peek() *node {
	if p.rest == nil {
		p.rest = p.queue.take()
	}
	return p.rest
}

func (p *Partition) do(n *node) {
	if p.leaving != nil {
		n.do.fail(p, p.leaving)
		return
	}
	n.do.step(p)
}

// opens tells whether an operation needs the log, and so opens it.
func opens(n *node) bool {
	s, ok := n.do.(*stopOp)
	return !ok || s.remove
}

// park lets work run on the pool when the current step returns. The turn stays
// taken meanwhile: work may do whatever a step may.
func (p *Partition) park(work func()) {
	if p.parked != nil {
		panic("BUG: replica: a step parked twice")
	}
	p.parked = work
}

// work runs the parked work on a pool goroutine and goes back to the home.
func (p *Partition) work() {
	f := p.parked
	p.parked = nil
	f()
	p.home.Post(&p.turnTask)
}

// settle writes what was staged, moves the ends and tells who waits. It ends
// every stretch of a turn, and comes before every step that changes the log.
func (p *Partition) settle() {
	p.write()
	p.advance()
	if p.moved || p.shaken {
		all := p.shaken
		p.moved, p.shaken = false, false
		p.watchers.wake(p, all)
	}
}

// stage hands an append to the log; the next write takes it.
func (p *Partition) stage(e *entry) {
	e.app.Epoch = p.LeaderEpoch()
	if err := p.log.Load().Stage(&e.app); err != nil {
		p.answer(e, err)
		return
	}
	e.need = 0 // in order of arrival
	p.staged.add(e)
}

// write writes what was staged in one go, and lines each append up for the end
// that its acks ask for.
func (p *Partition) write() {
	if p.staged.head == nil {
		return
	}
	log, n, bytes, held := p.log.Load(), 0, int64(0), room{}
	before := log.End()
	_, err := log.Write()
	for e := p.staged.first(); e != nil; e = p.staged.first() {
		if e.app.Err != nil {
			p.answer(e, storageError(e.app.Err))
			continue
		}
		if e.app.Duplicate { // it wrote nothing
			p.giveBack(e.room())
		} else {
			n, bytes = n+1, bytes+int64(len(e.app.Batches))
			held.add(e.room())
		}
		e.held = 0
		e.need = e.app.Last + 1
		p.wait(e)
	}
	if end := log.End(); end > before {
		p.held.add(end, held)
		p.marks.add(end, bytes)
		p.moved = true
	}
	p.set.o.Events.written(n, int(bytes))
	if err != nil {
		p.set.o.Events.writeFailed(p.id, err)
		p.checkDir()
	}
}

// wait answers e if its end is covered, else queues it.
func (p *Partition) wait(e *entry) {
	switch e.acks {
	case AcksNone:
		p.answer(e, nil)
	case AcksLeader:
		p.local.add(e)
	default:
		p.quorum.add(e)
	}
}

// answer ends an entry's trip; room that no write took goes back.
func (p *Partition) answer(e *entry, err error) {
	if e.held > 0 {
		p.giveBack(e.room())
		e.held = 0
	}
	e.who.settled(e, err)
}

// storageError says in this package's words why the log did not take an append.
func storageError(err error) error {
	if errors.Is(err, engine.ErrNoSpace) || errors.Is(err, engine.ErrIO) || errors.Is(err, dir.ErrFenced) {
		return errors.Join(ErrStorage, err)
	}
	return err
}
