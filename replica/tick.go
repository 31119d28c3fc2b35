// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"sync/atomic"
	"time"

	"github.com/samsa-broker/samsa/engine/dir"
)

// Tick does what time makes due: retention every RetentionCheck. Call it about
// once a second, on one goroutine that is not a loop.
func (s *Set) Tick(now time.Time) {
	if ms := now.UnixMilli(); ms >= s.nextExpire.Load() {
		s.nextExpire.Store(ms + s.o.RetentionCheck.Milliseconds())
		for _, p := range s.table.all(nil) {
			p.tickOp.push(p)
		}
	}
}

// tickOp is a partition's periodic work; there is one per partition.
type tickOp struct {
	node
	queued atomic.Bool
}

func (o *tickOp) push(p *Partition) {
	if !o.queued.Swap(true) {
		p.send(&o.node)
	}
}

func (o *tickOp) step(t *Turn) {
	o.queued.Store(false)
	t.checkDir()
	if t.Err() != nil {
		return
	}
	t.write()
	t.advance()
	t.park(t.expire)
}

func (o *tickOp) fail(*Turn, error) { o.queued.Store(false) }

// expire applies retention. It is parked work.
func (t *Turn) expire() {
	p, log, now := t.p, t.p.log.Load(), t.p.set.o.Now()
	removed, err := log.Expire(now, p.HighWatermark())
	if removed > 0 {
		p.set.o.Events.expired(p.id, removed)
	}
	if err == nil {
		err = log.Reap(now)
	}
	if err != nil {
		p.set.o.Events.expireFailed(p.id, err)
		t.checkDir()
	}
	log.CloseIdle()
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
