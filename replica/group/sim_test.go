// SPDX-License-Identifier: Apache-2.0

package group

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Clients that behave as consumers do live through a few minutes of random
// crashes, leaves, delayed and failed writes and leader changes. The simulation
// watches what they are told:
//   - generations of a group only rise, and each has one leader and one protocol;
//   - a member gets what the leader of its generation assigned to it;
//   - nobody who does its duty is forgotten;
//   - an acknowledged commit is there from then on, also for the next leader.
func TestSimulation(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	total := simCounts{}
	for seed := range seeds {
		s := newSim(t, seed)
		s.run(600)
		total.joins += s.counts.joins
		total.syncs += s.counts.syncs
		total.commits += s.counts.commits
		total.reloads += s.counts.reloads
	}
	t.Logf("%d seeds: %+v", seeds, total)
	if total.joins < 1000 || total.syncs < 1000 || total.commits < 1000 || total.reloads < 50 {
		t.Fatalf("the simulation hardly did anything: %+v", total)
	}
}

// The same seed gives the same effects, to the last byte.
func TestDeterminism(t *testing.T) {
	for seed := range uint64(5) {
		a, b := newSim(t, seed), newSim(t, seed)
		a.trace, b.trace = &strings.Builder{}, &strings.Builder{}
		a.run(400)
		b.run(400)
		if a.trace.String() != b.trace.String() {
			t.Fatalf("seed %d: two runs differ", seed)
		}
		if a.trace.Len() < 1000 {
			t.Fatalf("seed %d: nothing happened", seed)
		}
	}
}

type simCounts struct{ joins, syncs, commits, reloads int }

type sim struct {
	t      *testing.T
	seed   uint64
	rnd    *rand.Rand
	o      Options
	m      *Machine
	now    int64
	ids    int
	ticket Ticket
	asked  map[Ticket]func(Answer)
	staged []Append
	log    []Append
	peers  []*peer
	trace  *strings.Builder
	counts simCounts

	epoch    int // machines so far
	leaders  map[string]string
	highest  map[string]int32
	assigned map[string]string
	acked    map[string]int64 // group/partition -> last acknowledged offset
	tried    map[string]int64 // highest ever sent
}

// peer is one client: a consumer process that restarts under the same instance id if it has one.
type peer struct {
	group, instance string
	id              string
	generation      int32
	leads           bool
	roster          []JoinedMember
	state           peerState
	nextBeat        int64
	asleepUntil     int64
	version         int  // of its subscription
	dutiful         bool // has synced and missed nothing since
	life            int
	late            int64 // the last time it was awake
}

type peerState uint8

const (
	peerOut peerState = iota
	peerJoining
	peerSyncing
	peerIn
)

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{
		t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 7)), o: DefaultOptions(), asked: map[Ticket]func(Answer){},
		leaders: map[string]string{}, highest: map[string]int32{}, assigned: map[string]string{},
		acked: map[string]int64{}, tried: map[string]int64{},
	}
	s.o.InitialRebalanceDelayMs = int32(s.rnd.IntN(2) * 1000)
	s.m = NewMachine(s.o, NewReplay(), 0)
	for i := range 8 {
		p := &peer{group: fmt.Sprintf("g%d", i%2)}
		if i%3 == 0 {
			p.instance = fmt.Sprintf("i%d", i)
		}
		s.peers = append(s.peers, p)
	}
	return s
}

func (s *sim) failf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("seed %d at %d: "+format, append([]any{s.seed, s.now}, args...)...)
}

func (s *sim) run(steps int) {
	for range steps {
		s.now += int64(s.rnd.IntN(500))
		s.step(Tick{})
		for _, p := range s.peers {
			s.live(p)
		}
		s.settle()
		if s.rnd.IntN(150) == 0 {
			s.reload()
		}
		auditBooks(s.m, s.failf)
	}
	s.step(Resigned{})
	if len(s.asked) > 0 {
		s.failf("%d requests were never answered", len(s.asked))
	}
}

func (s *sim) ask(r Request, then func(Answer)) {
	s.ticket++
	s.asked[s.ticket] = then
	s.step(Asked{To: s.ticket, Request: r})
}

func (s *sim) step(ev Event) {
	if s.trace != nil {
		fmt.Fprintf(s.trace, "%d %T\n", s.now, ev)
	}
	for _, e := range slices.Clone(s.m.Step(s.now, ev)) {
		switch e := e.(type) {
		case Append:
			s.staged = append(s.staged, e)
			if s.trace != nil {
				fmt.Fprintf(s.trace, "%d %x\n", e.Token, e.Records)
			}
		case Reply:
			if s.trace != nil {
				fmt.Fprintf(s.trace, "%d %s\n", e.To, answerString(e.Answer))
			}
			then := s.asked[e.To]
			if then == nil {
				s.failf("ticket %d was answered twice: %s", e.To, answerString(e.Answer))
			}
			delete(s.asked, e.To)
			then(e.Answer)
		}
	}
}

// settle makes some of the staged appends visible, in order; a few fail.
func (s *sim) settle() {
	for len(s.staged) > 0 && s.rnd.IntN(3) > 0 {
		a := s.staged[0]
		s.staged = s.staged[1:]
		if s.rnd.IntN(20) == 0 {
			s.step(Written{Token: a.Token, Err: ErrCoordinatorNotAvailable})
			continue
		}
		s.log = append(s.log, a)
		s.step(Written{Token: a.Token})
	}
}

// reload changes the leader. What was staged may be there or not.
func (s *sim) reload() {
	s.step(Resigned{})
	keep := s.rnd.IntN(len(s.staged) + 1)
	s.log = append(s.log, s.staged[:keep]...)
	s.staged = nil
	s.m = replayed(s.t, s.o, s.log, s.now)
	s.counts.reloads++
	s.epoch++
	clear(s.highest)
	clear(s.leaders)
	for _, p := range s.peers {
		p.dutiful = false
	}
	for _, key := range slices.Sorted(maps.Keys(s.acked)) {
		want := s.acked[key]
		groupID, tp, _ := strings.Cut(key, "/")
		s.ask(&Fetch{Group: groupID, Partitions: partitions(tp)}, func(a Answer) {
			got := a.(*FetchAnswer).Offsets[0].Offset
			if got < want || got > s.tried[key] {
				s.failf("%s: %d was acknowledged and the next leader says %d", key, want, got)
			}
		})
	}
}

func (s *sim) live(p *peer) {
	if p.asleepUntil > s.now {
		return
	}
	if p.asleepUntil > 0 && s.now-p.late > 5000 {
		p.dutiful = false
	}
	p.late, p.asleepUntil = s.now, 0
	switch s.rnd.IntN(400) {
	case 0: // crash, and start again later
		p.life++
		p.id, p.state, p.dutiful = "", peerOut, false
		p.asleepUntil = s.now + int64(s.rnd.IntN(20_000))
		return
	case 1: // a long pause
		p.dutiful = false
		p.asleepUntil = s.now + int64(s.rnd.IntN(15_000))
		return
	case 2:
		if p.state == peerIn {
			p.version++
			s.join(p)
			return
		}
	case 3:
		if p.state == peerIn && p.instance == "" {
			s.ask(&Leave{Group: p.group, Members: []Leaver{{MemberID: p.id}}}, func(Answer) {})
			p.id, p.state, p.dutiful = "", peerOut, false
			p.life++
			return
		}
	}
	switch p.state {
	case peerOut:
		s.join(p)
	case peerIn:
		if s.now >= p.nextBeat {
			s.beat(p)
		} else if s.rnd.IntN(4) == 0 {
			s.commit(p)
		}
	}
}

func (p *peer) instanceID() *string {
	if p.instance == "" {
		return nil
	}
	return &p.instance
}

func (s *sim) join(p *peer) {
	p.state = peerJoining
	s.ids++
	life := p.life
	protocols := []Protocol{{"range", subscription(fmt.Sprintf("t+v%d", p.version))}, {"sticky", subscription("t")}}
	s.ask(&Join{
		Group: p.group, MemberID: p.id, InstanceID: p.instanceID(), NewMemberID: fmt.Sprintf("m%04d", s.ids),
		RequireKnownMemberID: p.instance == "", SkipAssignment: true, ClientID: "c", ClientHost: "/127.0.0.1",
		SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 30_000, ProtocolType: "consumer", Protocols: protocols,
	}, func(a Answer) {
		if life == p.life {
			s.joined(p, a.(*JoinAnswer))
		}
	})
}

func (s *sim) joined(p *peer, a *JoinAnswer) {
	switch a.Err {
	case nil:
	case ErrMemberIDRequired:
		p.id, p.state = a.MemberID, peerOut
		return
	default:
		s.refused(p, "join", a.Err)
		return
	}
	s.counts.joins++
	key := fmt.Sprintf("%s@%d", p.group, a.Generation)
	if leader, ok := s.leaders[key]; ok && leader != a.Leader && p.instance == "" && s.instanceOf(leader) == "" {
		s.failf("%s has two leaders, %s and %s", key, leader, a.Leader)
	}
	s.leaders[key] = a.Leader
	if a.Generation < s.highest[p.group] {
		s.failf("generation %d of %s after %d", a.Generation, p.group, s.highest[p.group])
	}
	s.highest[p.group] = a.Generation
	p.id, p.generation, p.leads, p.roster = a.MemberID, a.Generation, a.Leader == a.MemberID && !a.SkipAssignment, a.Members
	p.state = peerSyncing
	if p.leads && len(a.Members) == 0 {
		s.failf("leader %s of %s learns of no members", p.id, key)
	}
	s.sync(p)
}

// instanceOf is the instance id of the peer that has, or had, a member id.
func (s *sim) instanceOf(id string) string {
	for _, p := range s.peers {
		if p.id == id {
			return p.instance
		}
	}
	return "?"
}

func (s *sim) sync(p *peer) {
	r := &Sync{Group: p.group, MemberID: p.id, InstanceID: p.instanceID(), Generation: p.generation}
	if p.leads {
		for _, m := range p.roster {
			who := m.MemberID
			if m.InstanceID != nil {
				who = *m.InstanceID
			}
			data := fmt.Sprintf("%d of %d for %s by %s", s.ids, p.generation, who, p.id)
			r.Assignments = append(r.Assignments, Assignment{m.MemberID, []byte(data)})
			s.assigned[data] = who
		}
	}
	life, generation := p.life, p.generation
	s.ask(r, func(answer Answer) {
		if life != p.life || p.state != peerSyncing || p.generation != generation {
			return
		}
		a := answer.(*SyncAnswer)
		if a.Err != nil {
			s.refused(p, "sync", a.Err)
			return
		}
		s.counts.syncs++
		who := p.id
		if p.instance != "" {
			who = p.instance
		}
		if s.assigned[string(a.Assignment)] != who || !strings.Contains(string(a.Assignment), fmt.Sprintf(" of %d for", generation)) {
			s.failf("%s in generation %d got %q", who, generation, a.Assignment)
		}
		p.state, p.dutiful, p.nextBeat = peerIn, true, s.now+3000
	})
}

func (s *sim) beat(p *peer) {
	p.nextBeat = s.now + 3000
	s.ask(&Heartbeat{Group: p.group, MemberID: p.id, InstanceID: p.instanceID(), Generation: p.generation}, func(a Answer) {
		if err := a.(*HeartbeatAnswer).Err; err != nil {
			s.refused(p, "heartbeat", err)
		}
	})
}

// refused decides what a consumer does about an error.
func (s *sim) refused(p *peer, what string, err error) {
	switch err {
	case ErrUnknownMember, ErrFencedInstance:
		if p.dutiful {
			s.failf("%s %s (%s) did its duty in generation %d and is told: %v", what, p.id, p.instance, p.generation, err)
		}
		p.id, p.state = "", peerOut
	case ErrIllegalGeneration:
		if p.dutiful {
			s.failf("%s %s is told that generation %d is over without having heard of a rebalance", what, p.id, p.generation)
		}
		p.state = peerOut
	case ErrRebalanceInProgress, ErrNotCoordinator, ErrCoordinatorNotAvailable:
		p.state = peerOut
	default:
		s.failf("%s: unexpected %v", what, err)
	}
}

func (s *sim) commit(p *peer) {
	tp := TopicPartition{"t", int32(s.rnd.IntN(3))}
	key := fmt.Sprintf("%s/t-%d", p.group, tp.Partition)
	offset := s.tried[key] + 1
	s.tried[key] = offset
	life := p.life
	s.ask(&Commit{
		Group: p.group, MemberID: p.id, InstanceID: p.instanceID(), Generation: p.generation, RetentionMs: -1,
		Offsets: []CommitOffset{{TopicPartition: tp, Offset: offset, LeaderEpoch: -1, TimestampMs: -1}},
	}, func(a Answer) {
		switch err := a.(*CommitAnswer).Errs[0]; {
		case err == nil:
			s.counts.commits++
			s.acked[key] = max(offset, s.acked[key])
			s.ask(&Fetch{Group: p.group, Partitions: []TopicPartition{tp}}, func(a Answer) {
				if got := a.(*FetchAnswer).Offsets[0].Offset; got != s.acked[key] {
					s.failf("%s: %d was acknowledged, fetch says %d", key, s.acked[key], got)
				}
			})
		case life == p.life && p.state == peerIn:
			s.refused(p, "commit", err)
		}
	})
}

// auditBooks checks what a machine keeps count of.
func auditBooks(m *Machine, failf func(string, ...any)) {
	for _, g := range m.groups {
		awaiting, unsynced, offers := 0, 0, map[string]int{}
		for _, mb := range g.members {
			if mb.join.waits {
				awaiting++
			}
			if mb.unsynced {
				unsynced++
			}
			for i, p := range mb.protocols {
				if !slices.ContainsFunc(mb.protocols[:i], func(q Protocol) bool { return q.Name == p.Name }) {
					offers[p.Name]++
				}
			}
			if g.byID[mb.id] != mb || mb.instance != nil && g.static[*mb.instance] != mb {
				failf("%s: member %s is not where it should be", g.id, mb.id)
			}
			if mb.session.index == 0 && !mb.join.waits && !mb.sync.waits {
				failf("%s: member %s can never expire", g.id, mb.id)
			}
		}
		if awaiting != g.awaiting || unsynced != g.unsynced || len(g.byID) != len(g.members) {
			failf("%s: %d await, %d counted; %d unsynced, %d counted", g.id, awaiting, g.awaiting, unsynced, g.unsynced)
		}
		if fmt.Sprint(offers) != fmt.Sprint(g.supported) {
			failf("%s: offers %v, counted %v", g.id, offers, g.supported)
		}
		if g.state == PreparingRebalance && g.joinTimer.index == 0 {
			failf("%s waits for joins without end", g.id)
		}
		if len(g.members) > 0 && g.leader == "" || len(g.members) == 0 && g.leader != "" {
			failf("%s: %d members led by %q", g.id, len(g.members), g.leader)
		}
	}
}
