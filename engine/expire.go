// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/samsa-broker/samsa/engine/segment"
)

// Why retention takes a segment, as Events.Expired tells it.
const (
	becauseStart = "start" // all of it lies below the log start
	becauseSize  = "size"  // retention.bytes
	becauseTime  = "time"  // retention.ms
)

// Expire deletes whole segments from the front: those below the log start
// and, where cleanup.policy contains delete, those that retention.bytes and
// retention.ms give up. Nothing at or above the high watermark hw goes. The
// files are renamed now and removed by Reap. Nothing may be staged.
func (l *Log) Expire(now time.Time, hw Offset) (removed int, err error) {
	if err := l.fence.usable(); err != nil {
		return 0, err
	}
	p := retention{log: l, now: now, hw: hw}
	for {
		n, why, err := p.due()
		if err != nil || n == 0 {
			return removed, err
		}
		if err := p.take(n, why); err != nil {
			return removed, err
		}
		removed += n
	}
}

// ExpireProducers forgets producers that have been silent for
// producer.id.expiration.ms and have no transaction open. Nothing may be staged.
func ExpireProducers(l *Log, now time.Time) {
	if l.fence.usable() == nil {
		l.history.producers.Expire(now.UnixMilli(), l.history.expiryMs())
	}
}

// retention is one look at what a log need not keep.
type retention struct {
	log *Log
	now time.Time
	hw  Offset
}

// due counts the segments at the front that one reason gives up.
func (p *retention) due() (n int, why string, err error) {
	c := p.log.Config()
	segs := p.log.shelf.segments()
	count := func(gives func(i int) (bool, error)) (n int, err error) {
		for i, s := range segs {
			upper, last := p.log.End(), i == len(segs)-1
			if !last {
				upper = Offset(segs[i+1].Base())
			}
			if p.hw < upper || last && s.Size() == 0 {
				break
			}
			if ok, err := gives(i); err != nil || !ok {
				return n, err
			}
			n++
		}
		return n, nil
	}
	n, err = count(func(i int) (bool, error) {
		return i+1 < len(segs) && segs[i+1].Base() <= int64(p.log.Start()), nil
	})
	if n > 0 || err != nil || !c.Delete {
		return n, becauseStart, err
	}
	if over := p.log.Size() - c.RetentionBytes; c.RetentionBytes >= 0 && over > 0 {
		n, err = count(func(i int) (bool, error) {
			over -= segs[i].Size()
			return over >= 0, nil
		})
		if n > 0 || err != nil {
			return n, becauseSize, err
		}
	}
	if c.RetentionMs >= 0 {
		n, err = count(func(i int) (bool, error) {
			largest, err := segs[i].LargestTimestamp()
			if err != nil {
				return false, p.log.fence.openError("retention", err)
			}
			return p.now.UnixMilli()-largest > c.RetentionMs, nil
		})
	}
	return n, becauseTime, err
}

// take deletes the first n segments; if those are all, an empty one
// takes their place first.
func (p *retention) take(n int, why string) error {
	if n == len(p.log.shelf.segments()) {
		if err := p.log.Roll(); err != nil {
			return err
		}
	}
	segs := p.log.shelf.segments()
	gone, kept := segs[:n], slices.Clone(segs[n:])
	start := max(p.log.Start(), Offset(kept[0].Base()))
	p.log.shelf.start.Store(int64(start)) // before the list, so that a reader of the new list knows
	p.log.shelf.set(kept)
	p.log.epochs.trim(start)
	p.log.gate.Lock() // a flush that was taken earlier finds them gone
	defer p.log.gate.Unlock()
	for _, s := range gone { // the oldest first: what is left has no gap
		if err := p.takeOne(s, why); err != nil {
			return err
		}
	}
	return nil
}

func (p *retention) takeOne(s *segment.Segment, why string) error {
	if err := p.log.shelf.doom(s); err != nil {
		return err
	}
	base := Offset(s.Base())
	if err := p.log.history.drop(func(o Offset) bool { return o == base }); err != nil {
		return p.log.fence.fail("retention", err)
	}
	if p.log.events.Expired != nil {
		p.log.events.Expired(p.log.folder.dir, base, why)
	}
	return nil
}
