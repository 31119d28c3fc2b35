// SPDX-License-Identifier: Apache-2.0

package group

import (
	"slices"
	"sync/atomic"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/replica"
)

// What a step may append is reserved before it waits for its turn. A group's
// record may be as large as the largest one yet; a cleaning removes what it
// finds, and this much is set aside for it.
const (
	recordReserve = 128 // a record besides its strings and bytes, and its share of a batch's header
	cleanReserve  = 64 << 10
)

// shard runs the machine of one partition in the partition's turns.
type shard struct {
	h        *Host
	p        *replica.Partition
	load     *loader
	ticker   replica.Entry
	ticking  atomic.Bool
	deadline atomic.Int64 // when the next Tick is due, Unix ms
	largest  atomic.Int64 // bytes of the largest batch so far
	served   atomic.Bool  // the machine is there
	gone     atomic.Bool  // given up: nothing is loaded any more

	// What follows belongs to the holder of the turn.
	machine *Machine // nil until the log has been read, and after it was given up
	early   []Event  // came while the log was being read
	asked   map[Ticket]*question
	ticket  Ticket
	builder batch.Builder
}

func newShard(h *Host, p *replica.Partition) *shard {
	s := &shard{h: h, p: p, asked: map[Ticket]*question{}}
	s.load = newLoader(s)
	s.ticker.Run = func(t *replica.Turn, _ *replica.Entry) {
		s.ticking.Store(false)
		s.step(t, Tick{})
	}
	s.ticker.Reserve = cleanReserve
	return s
}

// ask lets q wait for its turn.
func (s *shard) ask(q *question) {
	q.entry.Reserve = s.reserve(q.request)
	q.entry.Run = func(t *replica.Turn, _ *replica.Entry) {
		switch {
		case t.Err() != nil || s.gone.Load():
			q.answer(q.request.refused(ErrNotCoordinator))
			s.step(t, Resigned{})
		case s.machine == nil:
			q.answer(q.request.refused(ErrLoadInProgress))
		default:
			s.ticket++
			s.asked[s.ticket] = q
			s.step(t, Asked{To: s.ticket, Request: q.request})
		}
	}
	s.p.Enter(&q.entry)
}

// reserve is the most that the step of a request may append.
func (s *shard) reserve(r Request) int64 {
	group := int64(len(r.GroupID()) + recordReserve)
	switch r := r.(type) {
	case *Join:
		n := s.largest.Load() + group
		for _, p := range r.Protocols {
			n += int64(len(p.Metadata))
		}
		return n
	case *Sync:
		n := s.largest.Load() + group
		for _, a := range r.Assignments {
			n += int64(len(a.Data)+len(a.MemberID)) + recordReserve
		}
		return n
	case *Leave:
		return group
	case *Commit:
		n := int64(batch.HeaderSize)
		for _, o := range r.Offsets {
			n += group + int64(len(o.Topic)+len(o.Metadata))
		}
		return n
	case *DeleteOffsets:
		n := int64(batch.HeaderSize)
		for _, tp := range r.Partitions {
			n += group + int64(len(tp.Topic))
		}
		return n
	case *Delete:
		return cleanReserve
	}
	return 0
}

// enter brings an event that nobody waits for.
func (s *shard) enter(ev Event, reserve int64) {
	e := &replica.Entry{Reserve: reserve}
	e.Run = func(t *replica.Turn, _ *replica.Entry) {
		if s.machine == nil && !s.gone.Load() {
			s.early = append(s.early, ev)
			return
		}
		s.step(t, ev)
	}
	s.p.Enter(e)
}

// leave ends the shard.
func (s *shard) leave() {
	s.gone.Store(true)
	s.enter(Resigned{}, 0)
}

// tick steps the machine if something is due and no tick is on its way already.
func (s *shard) tick(now int64) {
	if s.served.Load() && now >= s.deadline.Load() && s.ticking.CompareAndSwap(false, true) {
		s.p.Enter(&s.ticker)
	}
}

// install lets the machine that was loaded begin. It runs in a turn.
func (s *shard) install(t *replica.Turn, r *Replay) (groups, offsets int) {
	s.machine = NewMachine(s.h.o.Options, r, t.Now())
	groups, offsets = s.machine.Size()
	early := s.early
	s.early = nil
	for _, ev := range early {
		s.step(t, ev)
	}
	s.step(t, Tick{})
	s.served.Store(true)
	return groups, offsets
}

// step takes the machine one event further and carries out what it wants done.
// A partition that takes nothing any more ends the machine.
func (s *shard) step(t *replica.Turn, ev Event) {
	if s.machine == nil {
		return
	}
	if _, written := ev.(Written); !written && t.Err() != nil {
		ev = Resigned{}
	}
	var unwritten []Event
	for _, e := range s.machine.Step(t.Now(), ev) {
		switch e := e.(type) {
		case Reply:
			q := s.asked[e.To]
			delete(s.asked, e.To)
			q.answer(e.Answer)
		case Append:
			if err := s.append(t, e); err != nil {
				unwritten = append(unwritten, Written{Token: e.Token, Err: err})
			}
		}
	}
	for _, ev := range unwritten {
		s.step(t, ev)
	}
	if _, over := ev.(Resigned); over {
		s.machine = nil
		s.served.Store(false)
		return
	}
	if s.machine != nil {
		s.deadline.Store(s.machine.NextDeadline())
	}
}

// append writes records as one batch; the machine hears of it in a later turn.
func (s *shard) append(t *replica.Turn, a Append) error {
	now := t.Now()
	s.builder.Reset(batch.PlainHeader())
	for _, r := range a.Records {
		s.builder.Append(now, r.Key, r.Value)
	}
	b, err := s.builder.Finish()
	if err != nil {
		return writeError(err)
	}
	if n := int64(len(b)); n > s.largest.Load() {
		s.largest.Store(n)
	}
	t.Append(slices.Clone(b), func(err error) { s.step(t, Written{Token: a.Token, Err: writeError(err)}) })
	return nil
}
