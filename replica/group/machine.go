// SPDX-License-Identifier: Apache-2.0

package group

import (
	"fmt"
	"maps"
	"slices"
)

// Options are the settings of a coordinator, with Kafka's property names.
type Options struct {
	MinSessionTimeoutMs     int32 // group.min.session.timeout.ms
	MaxSessionTimeoutMs     int32 // group.max.session.timeout.ms
	MaxSize                 int   // group.max.size
	InitialRebalanceDelayMs int32 // group.initial.rebalance.delay.ms
	OffsetsRetentionMs      int64 // offsets.retention.minutes
	RetentionCheckMs        int64 // offsets.retention.check.interval.ms
	OffsetMetadataMaxBytes  int   // offset.metadata.max.bytes; counts UTF-16 units, as Kafka does
	Events                  *Events
}

// DefaultOptions are Kafka's defaults.
func DefaultOptions() Options {
	return Options{
		MinSessionTimeoutMs:     6_000,
		MaxSessionTimeoutMs:     1_800_000,
		MaxSize:                 1<<31 - 1,
		InitialRebalanceDelayMs: 3_000,
		OffsetsRetentionMs:      7 * 24 * 3600 * 1000,
		RetentionCheckMs:        600_000,
		OffsetMetadataMaxBytes:  4096,
	}
}

// newMemberTimeoutMs is how long a member that never completed a rebalance may
// wait for its first one: Kafka's five minutes.
const newMemberTimeoutMs = 5 * 60 * 1000

// Machine coordinates the groups of one partition of __consumer_offsets.
type Machine struct {
	core
	members membership
	offsets offsetStore
	check   timer // of offsets that may have expired
}

// core is what the halves of a machine share: the groups, time, and the effects of the step.
type core struct {
	o        Options
	groups   map[string]*group
	blank    map[string]*group // those of groups that could be forgotten
	timers   timers
	inflight map[Token]func(error)
	token    Token
	order    int64 // of the last write; above every place in the loaded log
	now      int64
	out      []Effect
	resigned bool
}

// membership is the half that knows who belongs to which group and generation.
type membership struct{ *core }

// offsetStore is the half that keeps what groups committed, and removes groups.
type offsetStore struct{ *core }

// NewMachine continues what the partition's log tells; a fresh Replay starts
// from nothing. Every member has a whole session timeout from now on.
func NewMachine(o Options, r *Replay, now int64) *Machine {
	m := &Machine{core: core{o: o, groups: map[string]*group{}, inflight: map[Token]func(error){}, order: r.last, now: now}}
	m.members.core, m.offsets.core = &m.core, &m.core
	m.check.fire = func() {
		m.timers.arm(&m.check, m.now+max(o.RetentionCheckMs, 1))
		m.offsets.expire()
	}
	m.timers.arm(&m.check, now+o.RetentionCheckMs)
	for _, g := range r.finish(now) {
		m.groups[g.id] = g
		m.members.adopt(g)
	}
	return m
}

// Step takes in an event at a time (milliseconds since 1970, never falling) and
// returns what is to be done about it, in order. The slice is valid until the
// next Step.
func (m *Machine) Step(now int64, ev Event) []Effect {
	m.now = max(m.now, now)
	m.out = m.out[:0]
	switch ev := ev.(type) {
	case Asked:
		if m.resigned {
			m.reply(ev.To, ev.Request.refused(ErrNotCoordinator))
			break
		}
		m.asked(ev.To, ev.Request)
	case Tick:
		m.tick()
	case Written:
		if done := m.inflight[ev.Token]; done != nil {
			delete(m.inflight, ev.Token)
			done(ev.Err)
		}
	case TopicsDeleted:
		m.offsets.topicsDeleted(ev.Topics)
	case Resigned:
		m.resign()
	default:
		panic(fmt.Sprintf("BUG: group: unhandled event %T", ev))
	}
	return m.out
}

// asked dispatches a request whose group id is one that may exist.
func (m *Machine) asked(to Ticket, r Request) {
	if err := validGroup(r); err != nil {
		m.reply(to, r.refused(err))
		return
	}
	switch r := r.(type) {
	case *Join:
		m.members.join(to, r)
	case *Sync:
		m.members.sync(to, r)
	case *Heartbeat:
		m.reply(to, &HeartbeatAnswer{Err: m.members.heartbeat(r)})
	case *Leave:
		m.reply(to, m.members.leave(r))
	case *Commit:
		m.offsets.commit(to, r)
	case *Fetch:
		m.reply(to, m.offsets.fetch(r))
	case *DeleteOffsets:
		m.offsets.deleteOffsets(to, r)
	case *Describe:
		m.reply(to, m.offsets.describe(r))
	case *Delete:
		m.offsets.delete(to, r)
	case *List:
		m.reply(to, m.offsets.list(r))
	default:
		panic(fmt.Sprintf("BUG: group: unhandled request %T", r))
	}
}

// validGroup: the empty group id may hold offsets, but no members.
func validGroup(r Request) error {
	id := r.GroupID()
	if len(id) > maxRecordStringBytes {
		return ErrInvalidGroup
	}
	if id != "" {
		return nil
	}
	switch r.(type) {
	case *Commit, *Fetch, *Describe, *Delete, *List:
		return nil
	}
	return ErrInvalidGroup
}

// NextDeadline is when a Tick is next needed.
func (m *Machine) NextDeadline() int64 {
	at, _ := m.timers.next()
	return at
}

// Size is how many groups and how many offsets the machine keeps.
func (m *Machine) Size() (groups, offsets int) {
	for _, g := range m.groups {
		offsets += len(g.offsets)
	}
	return len(m.groups), offsets
}

func (m *Machine) tick() {
	for !m.resigned {
		t := m.timers.due(m.now)
		if t == nil {
			return
		}
		t.fire()
	}
}

func (m *core) reply(to Ticket, a Answer) { m.out = append(m.out, Reply{To: to, Answer: a}) }

// write appends records and calls done, in a later step, when they are visible
// or the write failed. It returns their place in the log's order.
func (m *core) write(records []Record, done func(error)) (order int64) {
	m.token++
	m.order++
	m.inflight[m.token] = done
	m.out = append(m.out, Append{Token: m.token, Records: records})
	return m.order
}

// answer ends a wait, if there is one, and says whether there was.
func (m *core) answer(w *waiter, a Answer) bool {
	if !w.waits {
		return false
	}
	m.reply(w.to, a)
	*w = waiter{}
	return true
}

// resign answers everyone, first those whose writes are under way.
func (m *Machine) resign() {
	m.resigned = true
	for _, token := range slices.Sorted(maps.Keys(m.inflight)) {
		done := m.inflight[token]
		delete(m.inflight, token)
		done(ErrNotCoordinator)
	}
	for _, g := range m.sorted() {
		for _, mb := range g.members {
			m.answer(&mb.join, &JoinAnswer{Err: ErrNotCoordinator, Generation: noGeneration, MemberID: mb.id})
			m.answer(&mb.sync, &SyncAnswer{Err: ErrNotCoordinator})
		}
	}
	m.groups, m.blank, m.timers = map[string]*group{}, nil, timers{}
}

func (m *core) sorted() []*group {
	groups := make([]*group, 0, len(m.groups))
	for _, id := range slices.Sorted(maps.Keys(m.groups)) {
		groups = append(groups, m.groups[id])
	}
	return groups
}

// group finds a group, or makes it.
func (m *core) group(id string) *group {
	g := m.groups[id]
	if g == nil {
		g = newGroup(id, m.now)
		membership{m}.adopt(g)
		m.groups[id] = g
	}
	return g
}

// blankGroups bounds how many groups are kept that no record knows and nobody
// uses. Kafka keeps what a refused Join made until it next looks for expired
// offsets, and lists it; a client that makes up names must not fill the memory.
const blankGroups = 1000

// forget drops a group that no record knows and nobody uses, if there are too
// many of them; expire drops the others.
func (m *core) forget(g *group) {
	switch {
	case !g.blank():
		m.undoBlank(g)
	case m.blank[g.id] == g:
	case len(m.blank) >= blankGroups:
		m.unlist(g)
	case m.groups[g.id] == g:
		if m.blank == nil {
			m.blank = map[string]*group{}
		}
		m.blank[g.id] = g
	}
}

func (m *core) undoBlank(g *group) {
	if m.blank[g.id] == g {
		delete(m.blank, g.id)
	}
}

func (m *core) unlist(g *group) {
	if m.groups[g.id] == g {
		delete(m.groups, g.id)
	}
	m.undoBlank(g)
}

// keepAlive starts the member's session anew.
func (m *core) keepAlive(mb *member) {
	m.timers.arm(&mb.session, m.now+int64(mb.sessionMs))
}

func (m *core) dropPending(g *group, id string) {
	if p := g.pending[id]; p != nil {
		m.timers.disarm(&p.session)
		delete(g.pending, id)
	}
}
