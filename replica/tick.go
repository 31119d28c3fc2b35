// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/dir"
)

// What a tick may find due in a partition, as bits.
const (
	dueRetention = 1 << iota // segments to expire
	dueProducers             // silent producers to forget
	dueReap                  // files of deleted segments to remove
)

// idleCheckMs is how often descriptors that were not used since are closed.
const idleCheckMs = 60_000

// Tick does what time makes due: retention every RetentionCheck, producers'
// expiry every ProducerCheck, idle descriptors every minute, and deleted files
// when their delay is over. Call it about once a second, on one goroutine that
// is not a loop.
func (s *Set) Tick(now time.Time) {
	ms, due := now.UnixMilli(), uint32(0)
	if passed(&s.nextExpire, ms, s.o.RetentionCheck.Milliseconds()) {
		due |= dueRetention
	}
	if passed(&s.nextProducers, ms, s.o.ProducerCheck.Milliseconds()) {
		due |= dueProducers
	}
	idle := passed(&s.nextIdle, ms, idleCheckMs)
	s.ticked = s.table.all(s.ticked[:0])
	for i, p := range s.ticked {
		s.ticked[i] = nil
		due := due
		if log := p.log.Load(); log == nil {
			due &= dueRetention // opening forgets producers and removes files
		} else {
			if idle {
				log.CloseIdle()
			}
			if engine.Reapable(log.Log, now) {
				due |= dueReap
			}
		}
		if due != 0 {
			p.tickOp.push(p, due)
		}
	}
}

// passed tells whether *next has come, and sets it an interval ahead if so.
func passed(next *atomic.Int64, ms, interval int64) bool {
	if ms < next.Load() {
		return false
	}
	next.Store(ms + interval)
	return true
}

// tickOp is a partition's periodic work; there is one per partition.
type tickOp struct {
	node
	due atomic.Uint32 // not 0: it is queued
}

func (o *tickOp) push(p *Partition, due uint32) {
	if o.due.Or(due) == 0 {
		p.send(&o.node)
	}
}

func (o *tickOp) step(t *Turn) {
	due := o.due.Swap(0)
	t.checkDir()
	if t.Err() != nil {
		return
	}
	t.write()
	t.advance()
	t.park(func() { t.upkeep(due) })
}

func (o *tickOp) fail(*Turn, error) { o.due.Store(0) }

// upkeep does what is due. It is parked work.
func (t *Turn) upkeep(due uint32) {
	p, log, now := t.p, t.p.log.Load(), t.p.set.o.Now()
	if due&dueProducers != 0 {
		log.ExpireProducers(now)
	}
	var err error
	if due&dueRetention != 0 {
		var removed int
		if removed, err = log.Expire(now, p.HighWatermark()); removed > 0 {
			p.set.o.Events.expired(p.id, removed)
		}
	}
	if due&dueReap != 0 || engine.Reapable(log.Log, now) {
		err = errors.Join(err, log.Reap(now))
	}
	if err != nil {
		p.set.o.Events.expireFailed(p.id, err)
		t.checkDir()
	}
}

// watermarks is what a directory writes into replication-offset-checkpoint. A
// log that was not opened keeps what stood there.
func (s *Set) watermarks(d *dir.Dir) map[dir.Partition]int64 {
	m := map[dir.Partition]int64{}
	for _, p := range s.table.all(nil) {
		if p.dir != d {
			continue
		}
		name := dir.Partition{Topic: p.id.Topic, Index: p.id.Index}
		if hw := p.HighWatermark(); hw >= 0 {
			m[name] = int64(hw)
		} else if hw, ok := d.HighWatermark(p.id.Topic, p.id.Index); ok {
			m[name] = hw
		}
	}
	return m
}
