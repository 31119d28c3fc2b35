// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"fmt"
	"sort"

	"github.com/samsa-broker/samsa/engine"
)

// Timestamps of ListOffsets that are not times.
const (
	TimeLatest        int64 = -1 // the high watermark, or the last stable offset
	TimeEarliest      int64 = -2 // the log start
	TimeMax           int64 = -3 // the record with the largest timestamp (KIP-734)
	TimeEarliestLocal int64 = -4 // the log start kept on this disk (KIP-405)
)

// TimeQuery asks for the offset that belongs to a time.
type TimeQuery struct {
	Timestamp     int64        // Unix ms, or one of the Time constants
	LeaderEpoch   engine.Epoch // the caller's, -1 for none
	ReadCommitted bool         // below the last stable offset only
}

// TimeAnswer is what was found: all -1 when there is no such record.
type TimeAnswer struct {
	Offset    engine.Offset
	Timestamp int64 // of the record at Offset, -1 where the question was no time
	Epoch     engine.Epoch
}

// OffsetForTime finds the first record not older than a time that consumers may
// read. done runs once on home (with nil on a pool goroutine). It is the pool
// that looks into files.
func (p *Partition) OffsetForTime(q TimeQuery, home Home, done func(TimeAnswer, error)) {
	p.ask(func(err error) {
		answer := TimeAnswer{-1, -1, -1}
		if err == nil {
			answer, err = p.offsetFor(q)
		}
		post(home, func() { done(answer, err) })
	})
}

func (p *Partition) offsetFor(q TimeQuery) (TimeAnswer, error) {
	none := TimeAnswer{-1, -1, -1}
	if err := p.checkEpoch(q.LeaderEpoch); err != nil {
		return none, err
	}
	log, lead := p.log.Load(), p.lead.Load()
	limit := p.HighWatermark()
	if q.Timestamp != TimeEarliest && q.Timestamp != TimeEarliestLocal && limit < lead.start {
		return none, fmt.Errorf("%w: %v is committed to %d, its epoch began at %d", ErrOffsetNotAvailable, p.id, limit, lead.start)
	}
	if q.ReadCommitted {
		limit = p.LastStable()
	}
	view := log.View()
	var a TimeAnswer
	var err error
	switch q.Timestamp {
	case TimeLatest:
		return TimeAnswer{limit, -1, lead.epoch}, nil
	case TimeEarliest, TimeEarliestLocal:
		return TimeAnswer{log.Start(), -1, epochOf(log.Log, log.Start())}, nil
	case TimeMax:
		a.Offset, a.Timestamp, a.Epoch, err = view.MaxTimestamp()
	default:
		a.Offset, a.Timestamp, a.Epoch, err = view.OffsetForTime(q.Timestamp)
	}
	if err != nil || a.Offset >= limit {
		return none, err
	}
	return a, nil
}

// OffsetsBefore lists where segments begin that were last written before a time,
// newest first and most at most, as ListOffsets did before there were timestamps
// in records; consumers get the high watermark in the place of what they may not
// read. done runs once on home.
func (p *Partition) OffsetsBefore(timestamp int64, most int, consumer bool, home Home, done func([]engine.Offset, error)) {
	p.ask(func(err error) {
		var all []engine.Offset
		if err == nil {
			all, err = p.log.Load().View().Boundaries(timestamp, p.set.o.Now().UnixMilli())
		}
		all = all[:min(len(all), most)]
		if hw := p.HighWatermark(); consumer && len(all) > 0 && all[0] > hw {
			above := sort.Search(len(all), func(i int) bool { return all[i] <= hw })
			all = append([]engine.Offset{hw}, all[above:]...)
		}
		post(home, func() { done(all, err) })
	})
}

// epochOf finds the leader epoch of the record at offset: the first epoch that
// ends behind it; -1 when the log does not know.
func epochOf(log *engine.Log, offset engine.Offset) engine.Epoch {
	last := int(log.LastEpoch())
	e := engine.Epoch(sort.Search(last+1, func(e int) bool {
		_, end := log.EpochEnd(engine.Epoch(e))
		return end > offset
	}))
	if int(e) > last {
		return engine.Epoch(last) // nothing behind offset: it gets the newest epoch
	}
	return e
}

// EpochEnd finds where a leader epoch ends in this log (OffsetForLeaderEpoch):
// the largest epoch not above the one asked for, and the offset behind it; -1
// and -1 when the log does not know. done runs once on home.
func (p *Partition) EpochEnd(epoch, current engine.Epoch, home Home, done func(engine.Epoch, engine.Offset, error)) {
	p.ask(func(err error) {
		at, end := engine.Epoch(-1), engine.Offset(-1)
		if err == nil {
			err = p.checkEpoch(current)
		}
		if err == nil {
			at, end = p.log.Load().EpochEnd(epoch)
		}
		post(home, func() { done(at, end, err) })
	})
}

// Await opens the log if need be and waits for it. Slow: any goroutine but a loop.
func (p *Partition) Await() error {
	done := make(chan error, 1)
	p.ask(func(err error) { done <- err })
	return <-done
}

// ask runs f on the pool once the log is open, or with why it is not served.
func (p *Partition) ask(f func(err error)) {
	if p.log.Load() != nil || p.Err() != nil {
		p.set.o.Pool(func() { f(p.Err()) })
		return
	}
	o := &askOp{f: f}
	o.do = o
	p.send(&o.node)
}

// askOp goes on with a question when the turn has opened the log.
type askOp struct {
	node
	f func(error)
}

func (o *askOp) step(t *Turn)            { t.p.set.o.Pool(func() { o.f(t.p.Err()) }) }
func (o *askOp) fail(t *Turn, err error) { t.p.set.o.Pool(func() { o.f(err) }) }

// TrimTo moves the log start up to offset (DeleteRecords); -1 stands for the
// high watermark. done runs once on home with the log start there is then.
func (p *Partition) TrimTo(offset engine.Offset, home Home, done func(start engine.Offset, err error)) {
	o := &trimOp{to: offset, home: home, done: done}
	o.do = o
	p.send(&o.node)
}

type trimOp struct {
	node
	to   engine.Offset
	home Home
	done func(engine.Offset, error)
}

func (o *trimOp) step(t *Turn) {
	p := t.p
	if err := t.Err(); err != nil {
		o.fail(t, err)
		return
	}
	t.write()
	t.advance()
	hw := p.HighWatermark()
	if o.to == -1 {
		o.to = hw
	}
	switch {
	case !p.config.Load().Delete:
		o.fail(t, fmt.Errorf("%w: %v", ErrPolicyViolation, p.id))
	case o.to < 0 || o.to > hw:
		o.fail(t, fmt.Errorf("%w: %d of %v, whose high watermark is %d", engine.ErrOffsetOutOfRange, o.to, p.id, hw))
	default:
		t.park(func() {
			log := p.log.Load()
			var err error
			if o.to > log.Start() {
				err = storageError(log.TrimTo(o.to))
			}
			t.checkDir()
			start := log.Start()
			post(o.home, func() { o.done(start, err) })
		})
	}
}

func (o *trimOp) fail(_ *Turn, err error) { post(o.home, func() { o.done(-1, err) }) }
