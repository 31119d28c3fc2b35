// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
)

// source is where a partition's log comes from when it is first needed: loaded
// already, or still to be loaded.
type source struct {
	found dir.Found
	log   *dir.Log
	ear   *ear // log's; nil when nobody has led it yet
}

// ear hears a log for whoever leads it: a log has one for its life, the
// partition in it may change.
type ear struct{ p atomic.Pointer[Partition] }

func (e *ear) heard() {
	if p := e.p.Load(); p != nil {
		p.onDurable()
	}
}

// openOp makes the turn open the log; there is one per partition.
type openOp struct {
	node
	queued atomic.Bool
}

func (o *openOp) step(*Turn)        { o.queued.Store(false) } // the turn has opened it by now, or failed to
func (o *openOp) fail(*Turn, error) { o.queued.Store(false) }

// askOpen has the log opened, from any goroutine.
func (p *Partition) askOpen() {
	if !p.openOp.queued.Swap(true) {
		p.send(&p.openOp.node)
	}
}

// open opens the log and begins the epoch. It is parked work.
func (t *Turn) open() {
	p := t.p
	log, err := p.source.log, error(nil)
	if log == nil {
		log, err = p.dir.Load(p.source.found, p.config.Load())
	}
	if err == nil && meta.TopicID(log.ID()).IsZero() && !p.topicID.IsZero() {
		err = log.SetID(p.topicID) // adopted from a Kafka that knew no topic ids
	}
	if err == nil {
		err = t.attach(log)
		t.shaken = true // whoever waited for the opening looks again
	}
	if err != nil {
		t.goOffline(fmt.Errorf("%w: opening %v: %w", ErrStorage, p.id, err))
	}
}

// attach begins the leader epoch in an opened log and lets it serve. The caller
// has the turn, or is alone with p, and may wait for the disk.
func (t *Turn) attach(log *dir.Log) error {
	p := t.p
	lead := *p.lead.Load()
	if err := log.BeginEpoch(lead.epoch); err != nil {
		return err
	}
	log.SetConfig(p.config.Load())
	if p.source.ear == nil {
		p.source.ear = &ear{}
		log.OnDurable = p.source.ear.heard
	}
	p.source.log = log
	p.source.ear.p.Store(p)
	lead.start = log.End()
	p.lead.Store(&lead)
	t.durable = log.DurableEnd()
	p.hw.Store(int64(t.firstWatermark(log)))
	p.log.Store(log)
	t.advance()
	p.set.o.Events.led(p.id, lead.epoch, lead.start)
	return nil
}

// firstWatermark is the checkpointed high watermark, kept within the log. What
// is committed above it is found out by advance.
func (t *Turn) firstWatermark(log *dir.Log) engine.Offset {
	p := t.p
	hw, _ := p.dir.HighWatermark(p.id.Topic, p.id.Index)
	return max(log.Start(), min(engine.Offset(hw), t.durable))
}

// checkDir takes the partition offline when its directory or log was fenced.
func (t *Turn) checkDir() {
	p := t.p
	err := p.dir.Err()
	if log := p.log.Load(); err == nil && log != nil {
		err = log.Err()
	}
	if err != nil && p.Err() == nil {
		t.goOffline(fmt.Errorf("%w: %w", ErrStorage, err))
	}
}

// goOffline makes everything answer err from now on. The partition stays in the
// Set, as a replica on a failed directory does.
func (t *Turn) goOffline(err error) {
	t.write() // what is staged must go through the log, if only to fail there
	if t.Err() != nil {
		return // it did, and that brought us here before
	}
	t.p.down.Store(&err)
	t.refuseWaiting(err)
	t.shaken = true
	t.p.set.o.Events.offline(t.p.id, err)
}

// refuseWaiting answers everything that waits for an end.
func (t *Turn) refuseWaiting(err error) {
	for _, list := range [...]*waitList{&t.local, &t.quorum} {
		for e := list.first(); e != nil; e = list.first() {
			t.answer(e, err)
		}
	}
	t.giveBack(t.held.upTo(1<<63 - 1))
}

// accepts says whether an append may be tried.
func (t *Turn) accepts(acks int16) error {
	p := t.p
	if err := t.Err(); err != nil {
		return err
	}
	if lead := p.lead.Load(); acks == AcksAll && lead.short() {
		return fmt.Errorf("%w: %d of %d for %v", ErrNotEnoughReplicas, len(lead.isr), lead.minISR, p.id)
	}
	return nil
}

// short tells whether fewer replicas are in sync than min.insync.replicas asks.
func (l *leadership) short() bool { return len(l.isr) < l.minISR }

// errLeft tells a removal from a departure.
func errLeft(removed bool) error {
	if removed {
		return ErrDeleted
	}
	return ErrNotLeader
}

// stopOp is the last operation of a partition.
type stopOp struct {
	node
	err    error // what later operations get
	remove bool  // the log goes too
	done   chan error
}

func (o *stopOp) step(t *Turn) {
	p := t.p
	t.write()
	t.advance()
	broken := p.Err()
	t.leaving, t.shaken = o.err, true
	p.down.Store(&o.err)
	t.refuseWaiting(o.err)
	log := p.source.log
	switch {
	case !o.remove: // the directory closes it
		o.done <- nil
	case log == nil: // it could not be opened, so it cannot be removed
		o.done <- broken
	default:
		t.park(func() { o.done <- p.dir.Remove(log) })
	}
}

// fail: it has been stopped already.
func (o *stopOp) fail(_ *Turn, err error) {
	if errors.Is(err, o.err) {
		err = nil
	}
	o.done <- err
}
