// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
)

// source is where a partition's log comes from when it is first needed: loaded
// already, or still to be loaded.
type source struct {
	log   *dir.Log
	found dir.Found
}

// openOp makes the turn open the log; there is one per partition.
type openOp struct {
	node
	queued atomic.Bool
}

func (o *openOp) step(*Partition)        { o.queued.Store(false) } // the turn has opened it by now, or failed to
func (o *openOp) fail(*Partition, error) { o.queued.Store(false) }

// askOpen has the log opened, from any goroutine.
func (p *Partition) askOpen() {
	if !p.openOp.queued.Swap(true) {
		p.send(&p.openOp.node)
	}
}

// open opens the log and begins the epoch. It is parked work.
func (p *Partition) open() {
	log, err := p.source.log, error(nil)
	if log == nil {
		log, err = p.dir.Load(p.source.found, p.config.Load())
	}
	if err == nil {
		err = p.attach(log)
	}
	if err != nil {
		p.goOffline(fmt.Errorf("%w: opening %v: %w", ErrStorage, p.id, err))
	}
}

// attach begins the leader epoch in an opened log and lets it serve. The caller
// has the turn, or is alone with p, and may wait for the disk.
func (p *Partition) attach(log *dir.Log) error {
	p.source = source{}
	lead := *p.lead.Load()
	if err := log.BeginEpoch(lead.epoch); err != nil {
		return err
	}
	log.SetConfig(p.config.Load())
	log.OnDurable = p.onDurable
	lead.start = log.End()
	p.lead.Store(&lead)
	p.durable = log.DurableEnd()
	p.hw.Store(int64(p.firstWatermark(log)))
	p.log.Store(log)
	p.advance()
	p.shaken = true // whoever waited for the opening looks again
	p.set.o.Events.led(p.id, lead.epoch, lead.start)
	return nil
}

// firstWatermark is the checkpointed high watermark, kept within the log. What
// is committed above it is found out by advance.
func (p *Partition) firstWatermark(log *dir.Log) engine.Offset {
	hw, _ := p.dir.HighWatermark(p.id.Topic, p.id.Index)
	return max(log.Start(), min(engine.Offset(hw), p.durable))
}

// checkDir takes the partition offline when its directory or log was fenced.
func (p *Partition) checkDir() {
	err := p.dir.Err()
	if log := p.log.Load(); err == nil && log != nil {
		err = log.Err()
	}
	if err != nil && p.Err() == nil {
		p.goOffline(fmt.Errorf("%w: %w", ErrStorage, err))
	}
}

// goOffline makes everything answer err from now on. The partition stays in the
// Set, as a replica on a failed directory does.
func (p *Partition) goOffline(err error) {
	p.down.Store(&err)
	p.refuseWaiting(err)
	p.shaken = true
	p.set.o.Events.offline(p.id, err)
}

// refuseWaiting answers everything that stands in a list.
func (p *Partition) refuseWaiting(err error) {
	for _, list := range [...]*waitList{&p.staged, &p.local, &p.quorum} {
		for e := list.first(); e != nil; e = list.first() {
			p.answer(e, err)
		}
	}
	p.giveBack(p.held.upTo(1<<63 - 1))
}

// accepts says whether an append may be tried.
func (p *Partition) accepts(acks int16) error {
	if err := p.Err(); err != nil {
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
	keep   bool  // the log stays open: its directory closes it
	done   chan error
}

func (o *stopOp) step(p *Partition) {
	p.write()
	p.advance()
	p.leaving = o.err
	p.down.Store(&o.err)
	p.refuseWaiting(o.err)
	p.shaken = true
	log := p.log.Load()
	switch {
	case log == nil && p.source.log != nil:
		log = p.source.log // loaded by Start and never asked for
	case log == nil:
		o.done <- nil
		return
	}
	if o.keep {
		o.done <- nil
		return
	}
	p.park(func() {
		if o.remove {
			o.done <- p.dir.Remove(log)
		} else {
			o.done <- log.Close(true)
		}
	})
}

// fail: it has been stopped already.
func (o *stopOp) fail(_ *Partition, err error) {
	if errors.Is(err, o.err) {
		err = nil
	}
	o.done <- err
}
