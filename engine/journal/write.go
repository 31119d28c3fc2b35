// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"time"

	"github.com/samsa-broker/samsa/engine/vfs"
)

const (
	// keepBuffer is how much of a group's memory stays touched.
	keepBuffer = 8 << 20
	retryEvery = 100 * time.Millisecond
)

// ready takes a group that is sealed and that nobody copies into. It comes from
// a turn, a completion or the scheduler; what waits goes to a goroutine.
func (j *Journal) ready(g *group) {
	if g.syncs.Load() == nil {
		j.finish(g)
		return
	}
	j.wg.Go(func() { j.syncFirst(g) }) // one at a time: the journal is busy with it
}

// syncFirst makes durable the ranges that were not copied before the group that
// says they are is sent.
func (j *Journal) syncFirst(g *group) {
	for t := g.syncs.Load(); t != nil; t = t.marks[g.index].nextSync {
		if err := j.syncTail(t); err != nil {
			j.breakDown(fmt.Errorf("sync of a batch too large for the journal: %w", err))
			return
		}
	}
	j.finish(g)
}

// syncTail asks until it is done or can never be.
func (j *Journal) syncTail(t *Tail) error {
	for {
		err := t.Sync()
		if !errors.Is(err, ErrLater) {
			return err
		}
		j.full(err)
		select {
		case <-j.stop:
			return err
		case <-time.After(retryEvery):
		}
	}
}

// finish pads the group and sends it.
func (j *Journal) finish(g *group) {
	g.size = g.used()
	g.padded = roundUp(int64(g.size), j.files.align)
	clear(g.buf[g.size:g.padded])
	j.submit(g)
}

// submit gives the group its position and hands it to the writer, unless it has
// to wait for a checkpoint or for the zeroer; then it comes here again.
func (j *Journal) submit(g *group) {
	j.mu.Lock()
	if j.err != nil || j.closed {
		j.mu.Unlock()
		return // broken or closed: the journal stays busy, nothing is written any more
	}
	pos, entersFile := j.files.next(j.position, g.padded)
	full := pos+g.padded > j.released+Files*j.o.FileBytes
	zeroing := j.zero.meets(pos, g.padded)
	if full || zeroing {
		j.stalled = g
	} else {
		j.zero.done = max(j.zero.done, min(pos+g.padded, Files*j.o.FileBytes))
	}
	sequence := j.sequence
	j.mu.Unlock()
	if (full || entersFile) && j.o.Events.Sealed != nil {
		j.o.Events.Sealed()
	}
	if full || zeroing {
		return
	}
	g.position = pos
	h := Header{Journal: j.o.ID, Position: pos, Sequence: sequence, Padded: g.padded, Next: g.next, Entries: int(g.count.Load())}
	h.seal(g.buf[:g.size])
	g.send(j.writer, &j.files)
}

// send hands the sealed group to the writer, the first time or again.
func (g *group) send(w Writer, s *files) {
	f, off := s.at(g.position)
	writeDurable(w, f, g.buf[:g.padded], off, g.done)
}

// written is the completion of a group's write, on the writer's goroutine.
func (j *Journal) written(g *group, err error) {
	switch {
	case err == nil:
		j.landed(g)
	case vfs.IsNoSpace(err):
		// Nothing was promised: the same bytes go to the same place again, all
		// of them, when there is room.
		j.mu.Lock()
		j.again = g
		j.mu.Unlock()
		j.full(err)
		j.nudge()
	default:
		j.breakDown(fmt.Errorf("write of group at %d: %w", g.position, err))
	}
}

// landed moves the ends of everything in the group and starts the next one.
func (j *Journal) landed(g *group) {
	j.mu.Lock()
	j.position = g.position + g.padded
	j.sequence++
	j.next = g.next
	j.stuck = false
	_, _, zero := j.toZero()
	closed := j.closed
	j.mu.Unlock()
	for t := g.tails.Load(); t != nil; {
		next := t.marks[g.index].next
		t.landed(g.index)
		t = next
	}
	if g.padded > keepBuffer {
		forgetBuffer(g.buf[keepBuffer:roundUp(g.padded, Block)])
	}
	if zero { // not each time: to wake a goroutine costs more than the rest of this
		j.nudge()
	}
	if closed { // with the disk full: nobody waits for what else was placed, and no goroutine may begin
		return
	}
	if !j.sealOpen() {
		j.busy.Store(false)
		j.kickNow() // something may have been placed between the two
	}
	j.mu.Lock()
	j.moved.Broadcast()
	j.mu.Unlock()
}

// full says that the group in flight waits for space.
func (j *Journal) full(err error) {
	j.mu.Lock()
	j.stuck = true
	j.moved.Broadcast()
	j.mu.Unlock()
	if j.o.Events.Full != nil {
		j.o.Events.Full(err)
	}
}

// breakDown ends the journal: the first error counts. It stays busy, so that
// nothing is written after it.
func (j *Journal) breakDown(err error) {
	err = fmt.Errorf("%w: %w", ErrBroken, err)
	j.mu.Lock()
	first := j.err == nil
	if first {
		j.err = err
	}
	j.moved.Broadcast()
	j.mu.Unlock()
	if first && j.o.Events.Broken != nil {
		j.o.Events.Broken(err)
	}
}

// nudge wakes the background goroutine.
func (j *Journal) nudge() {
	select {
	case j.wake <- struct{}{}:
	default: // it is awake already, and will look again
	}
}

// background zeroes ahead of the groups and tries again what found no space.
func (j *Journal) background() {
	timer := time.NewTimer(0)
	if !timer.Stop() {
		<-timer.C
	}
	defer timer.Stop()
	for {
		select {
		case <-j.stop:
			return
		case <-j.wake:
		case <-timer.C:
			j.mu.Lock()
			g := j.again
			j.again = nil
			j.mu.Unlock()
			if g != nil {
				g.send(j.writer, &j.files)
			}
		}
		for j.zeroNext() {
		}
		j.mu.Lock()
		if j.again != nil {
			timer.Reset(retryEvery)
		}
		j.mu.Unlock()
	}
}

// ownWrite is one write of ownWriter.
type ownWrite struct {
	f    vfs.File
	p    []byte
	off  int64
	done func(error)
}

// ownWriter is the Writer of a journal that was given none.
type ownWriter struct{ work chan ownWrite }

// WriteDurable never blocks: one write is in flight, and the channel holds one.
func (w *ownWriter) WriteDurable(f vfs.File, p []byte, off int64, done func(error)) {
	w.work <- ownWrite{f, p, off, done}
}

func (w *ownWriter) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case o := <-w.work:
			o.done(o.f.WriteDurableAt(o.p, o.off))
		}
	}
}
