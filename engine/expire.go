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
// files are renamed now and removed by Reap. It also forgets producers that
// have been silent for long. Nothing may be staged.
func (l *Log) Expire(now time.Time, hw Offset) (removed int, err error) {
	if err := usable(l); err != nil {
		return 0, err
	}
	l.producers.Expire(now.UnixMilli(), l.expiryMs)
	for {
		n, why, err := expirable(l, now, hw)
		if err != nil || n == 0 {
			return removed, err
		}
		if err := removeFront(l, n, why); err != nil {
			return removed, err
		}
		removed += n
	}
}

// expirable counts the segments at the front that one reason gives up.
func expirable(l *Log, now time.Time, hw Offset) (n int, why string, err error) {
	c := l.Config()
	segs := l.view.Load().segs
	count := func(gives func(i int) (bool, error)) (n int, err error) {
		for i, s := range segs {
			upper, last := l.End(), i == len(segs)-1
			if !last {
				upper = Offset(segs[i+1].Base())
			}
			if hw < upper || last && s.Size() == 0 {
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
		return i+1 < len(segs) && segs[i+1].Base() <= int64(l.Start()), nil
	})
	if n > 0 || err != nil || !c.Delete {
		return n, becauseStart, err
	}
	if over := l.Size() - c.RetentionBytes; c.RetentionBytes >= 0 && over > 0 {
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
				return false, openError(l, "retention", err)
			}
			return now.UnixMilli()-largest > c.RetentionMs, nil
		})
	}
	return n, becauseTime, err
}

// removeFront deletes the first n segments; if those are all, an empty one
// takes their place first.
func removeFront(l *Log, n int, why string) error {
	if n == len(l.view.Load().segs) {
		if err := l.Roll(); err != nil {
			return err
		}
	}
	segs := l.view.Load().segs
	gone, kept := segs[:n], slices.Clone(segs[n:])
	start := max(l.Start(), Offset(kept[0].Base()))
	l.start.Store(int64(start)) // before the list, so that a reader of the new list knows
	setSegments(l, kept)
	trimEpochs(l, start)
	l.flushing.Lock() // a flush that was taken earlier finds them gone
	defer l.flushing.Unlock()
	for _, s := range gone { // the oldest first: what is left has no gap
		if err := expireSegment(l, s, why); err != nil {
			return err
		}
	}
	return nil
}

func expireSegment(l *Log, s *segment.Segment, why string) error {
	if err := doom(l, s); err != nil {
		return err
	}
	base := Offset(s.Base())
	if err := dropSnapshots(l, func(o Offset) bool { return o == base }); err != nil {
		return fail(l, "retention", err)
	}
	if l.events.Expired != nil {
		l.events.Expired(l.dir, base, why)
	}
	return nil
}
