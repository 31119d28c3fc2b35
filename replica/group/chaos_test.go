// SPDX-License-Identifier: Apache-2.0

package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
)

// chaos drives a machine with requests that no sane client would send in that
// order, chosen by the bytes given; whatever they are, the books stay in order,
// each request is answered once, and the log can be loaded again.
type chaos struct {
	t       testing.TB
	in      []byte
	o       Options
	m       *Machine
	now     int64
	ticket  Ticket
	open    map[Ticket]bool
	staged  []Append
	log     []Append
	members []string // ids ever given out
	ids     int
	said    map[string]int // answers by kind and error
}

func (c *chaos) pick(n int) int {
	if len(c.in) == 0 {
		return 0
	}
	b := c.in[0]
	c.in = c.in[1:]
	return int(b) % n
}

func (c *chaos) step(ev Event) {
	for _, e := range slices.Clone(c.m.Step(c.now, ev)) {
		switch e := e.(type) {
		case Append:
			if len(e.Records) == 0 {
				c.t.Fatal("an append of nothing")
			}
			c.staged = append(c.staged, e)
		case Reply:
			if !c.open[e.To] {
				c.t.Fatalf("ticket %d was answered twice", e.To)
			}
			delete(c.open, e.To)
			c.note(e.Answer)
		}
	}
}

// note remembers ids that were given out.
func (c *chaos) note(a Answer) {
	kind := fmt.Sprintf("%T", a)
	switch a := a.(type) {
	case *JoinAnswer:
		if a.MemberID != "" {
			c.members = append(c.members, a.MemberID)
		}
		kind += errString(a.Err)
	case *SyncAnswer:
		kind += errString(a.Err)
	case *DeleteAnswer:
		kind += errString(a.Err)
	case *HeartbeatAnswer:
		kind += errString(a.Err)
	case *CommitAnswer:
		kind += errString(a.Errs[0])
	}
	c.said[kind]++
}

func (c *chaos) ask(r Request) {
	c.ticket++
	c.open[c.ticket] = true
	c.step(Asked{To: c.ticket, Request: r})
}

func (c *chaos) run() {
	c.m = NewMachine(c.o, NewReplay(), 0)
	c.open, c.said = map[Ticket]bool{}, map[string]int{}
	for len(c.in) > 0 {
		c.now += int64(c.pick(200)) * 30
		c.one()
		auditBooks(c.m, c.t.Fatalf)
	}
	c.step(Resigned{})
	if len(c.open) > 0 {
		c.t.Fatalf("%d requests were never answered", len(c.open))
	}
	replayed(c.t, c.o, c.log, c.now)
}

func (c *chaos) one() {
	id := fmt.Sprintf("g%d", c.pick(2))
	member, generation := "", int32(-1)
	if len(c.members) > 0 && c.pick(4) > 0 {
		member = c.members[len(c.members)-1-c.pick(min(len(c.members), 6))]
	}
	if g := c.m.groups[id]; g != nil && c.pick(4) > 0 {
		generation = g.generation
	}
	var instance *string
	if n := c.pick(5); n < 2 {
		s := fmt.Sprintf("i%d", n)
		instance = &s
	}
	tp := TopicPartition{fmt.Sprintf("t%d", c.pick(2)), int32(c.pick(2))}
	switch c.pick(16) {
	case 0, 1, 2, 3:
		c.ids++
		r := joinAs(id, member, fmt.Sprintf("m%d", c.ids))
		r.InstanceID, r.RequireKnownMemberID, r.SkipAssignment = instance, c.pick(2) == 0 && instance == nil, c.pick(2) == 0
		r.RebalanceTimeoutMs = int32(c.pick(3) * 5_000)
		r.Protocols = r.Protocols[:1]
		for range c.pick(3) {
			r.Protocols = append(r.Protocols, Protocol{Name: []string{"range", "rr"}[c.pick(2)], Metadata: subscription(tp.Topic)})
		}
		c.ask(r)
	case 4, 5, 6:
		r := &Sync{Group: id, MemberID: member, InstanceID: instance, Generation: generation}
		for _, m := range c.members {
			r.Assignments = append(r.Assignments, Assignment{m, []byte(m)})
		}
		c.ask(r)
	case 7:
		c.ask(&Heartbeat{Group: id, MemberID: member, InstanceID: instance, Generation: generation})
	case 8:
		c.ask(&Leave{Group: id, Members: []Leaver{{MemberID: member, InstanceID: instance}}})
	case 9, 10:
		c.ask(&Commit{Group: id, MemberID: member, InstanceID: instance, Generation: generation, RetentionMs: int64(c.pick(3)-1) * 500,
			Offsets: []CommitOffset{{TopicPartition: tp, Offset: int64(c.ids), TimestampMs: -1}, {TopicPartition: tp, Offset: 1, TimestampMs: -1}}})
	case 11:
		c.ask(&Delete{Group: id})
		c.ask(&Fetch{Group: id, All: true, RequireStable: true})
	case 12:
		c.ask(&DeleteOffsets{Group: id, Partitions: []TopicPartition{tp, tp, {"t0", 0}}})
		c.ask(&Describe{Group: id})
	case 13:
		c.step(TopicsDeleted{Topics: []string{tp.Topic}})
		c.ask(&List{})
	case 14:
		c.step(Tick{})
	case 15:
		c.now += int64(c.pick(20)) * 1000
		c.step(Tick{})
	}
	for len(c.staged) > 0 && c.pick(3) > 0 {
		a := c.staged[0]
		c.staged = c.staged[1:]
		if c.pick(4) == 0 {
			c.step(Written{Token: a.Token, Err: []error{ErrNotCoordinator, ErrCommitTooLarge}[c.pick(2)]})
			continue
		}
		c.log = append(c.log, a)
		c.step(Written{Token: a.Token})
	}
}

func newChaos(t testing.TB, in []byte) *chaos {
	c := &chaos{t: t, in: in, o: DefaultOptions()}
	c.o.OffsetsRetentionMs, c.o.RetentionCheckMs, c.o.MaxSize = 20_000, 3_000, 3
	c.o.InitialRebalanceDelayMs = int32(c.pick(2) * 1000)
	return c
}

func TestChaos(t *testing.T) {
	said := map[string]int{}
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		in := make([]byte, 4000)
		for i := range in {
			in[i] = byte(rnd.Uint32())
		}
		c := newChaos(t, in)
		c.run()
		for kind, n := range c.said {
			said[kind] += n
		}
	}
	for _, kind := range []string{
		"*group.JoinAnswerok", "*group.JoinAnswermax size reached", "*group.JoinAnswerfenced instance id", "*group.SyncAnswerok",
		"*group.SyncAnswerrebalance in progress", "*group.DeleteAnswerok", "*group.DeleteAnswernot empty", "*group.CommitAnswerok",
	} {
		if said[kind] < 20 {
			t.Errorf("%s came %d times only: %v", kind, said[kind], said)
		}
	}
}

// FuzzMachine looks for an order of events that breaks the machine's books.
func FuzzMachine(tf *testing.F) {
	f := hostiletest.New(tf)
	for seed := range uint64(4) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		in := make([]byte, 300)
		for i := range in {
			in[i] = byte(rnd.Uint32())
		}
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in []byte) { newChaos(t, in[:min(len(in), 2000)]).run() })
}
