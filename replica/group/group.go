// SPDX-License-Identifier: Apache-2.0

package group

import (
	"maps"
	"slices"
)

// State is where a group stands in its life; String gives Kafka's names.
type State uint8

// The states of a classic group.
const (
	// stateNone is printed as "": the state of a group we may not speak about.
	stateNone State = iota
	// Empty: no members; it may have offsets.
	Empty
	// PreparingRebalance: waiting for the members to join the next generation.
	PreparingRebalance
	// CompletingRebalance: all joined; waiting for the leader's assignment.
	CompletingRebalance
	// Stable: every member has its assignment, or can fetch it.
	Stable
	// Dead: no such group, or its removal is under way.
	Dead
)

// String is the name that DescribeGroups and ListGroups give.
func (s State) String() string {
	switch s {
	case Empty:
		return "Empty"
	case PreparingRebalance:
		return "PreparingRebalance"
	case CompletingRebalance:
		return "CompletingRebalance"
	case Stable:
		return "Stable"
	case Dead:
		return "Dead"
	default:
		return ""
	}
}

// noGeneration is the generation of those who are in no group.
const noGeneration = -1

// group is one consumer group.
type group struct {
	id           string
	state        State
	sinceMs      int64 // when it entered its state; -1: loaded from a record that does not say
	generation   int32
	protocolType *string // nil until the first member came
	protocol     *string // of the current generation
	leader       string  // empty: none

	members   []*member // in the order in which they came
	byID      map[string]*member
	static    map[string]*member  // by group.instance.id
	pending   map[string]*pending // ids given out with ErrMemberIDRequired
	supported map[string]int      // protocol name -> how many members offer it
	awaiting  int                 // members whose Join waits
	unsynced  int                 // members that have not yet sent the Sync of this generation

	joinTimer     timer
	syncTimer     timer
	initial       bool  // the rebalance started from Empty: it waits for more members
	delayMs       int64 // of the wait under way, while initial
	remainingMs   int64 // how much longer it may be extended, while initial
	newMember     bool  // someone came since the wait began
	subscribed    map[string]struct{}
	subscribedSet bool // subscribed is known

	offsets map[TopicPartition]*slot
	txn     map[int64]map[TopicPartition]place // by producer id: commits of open transactions
}

// slot is what is known of one partition's offset.
type slot struct {
	place
	live    bool // there is an offset
	pending int  // writes of it under way
}

// place is an offset and where in the log's order it was written.
type place struct {
	committed
	order int64
}

// member is one member of a group.
type member struct {
	id          string
	instance    *string
	clientID    string
	clientHost  string
	rebalanceMs int32
	sessionMs   int32
	protocols   []Protocol
	assignment  []byte
	isNew       bool // has not yet completed a rebalance
	unsynced    bool // counted in group.unsynced
	join, sync  waiter
	session     timer
}

// pending is a member id that was given out and has not come back yet.
type pending struct {
	id      string
	session timer
}

// waiter is a request that waits for its answer.
type waiter struct {
	to    Ticket
	waits bool
}

func newGroup(id string, now int64) *group {
	return &group{
		id:        id,
		state:     Empty,
		sinceMs:   now,
		byID:      map[string]*member{},
		static:    map[string]*member{},
		pending:   map[string]*pending{},
		supported: map[string]int{},
		offsets:   map[TopicPartition]*slot{},
		txn:       map[int64]map[TopicPartition]place{},
	}
}

func (g *group) enter(s State, now int64) { g.state, g.sinceMs = s, now }

// blank: nothing would be lost by forgetting the group.
func (g *group) blank() bool {
	return g.state == Empty && g.generation == 0 && len(g.members) == 0 && len(g.pending) == 0 &&
		len(g.offsets) == 0 && len(g.txn) == 0
}

// add makes m a member. The first one leads.
func (g *group) add(m *member, protocolType string) {
	if len(g.members) == 0 {
		g.protocolType = &protocolType
	}
	if g.leader == "" {
		g.leader = m.id
	}
	g.members = append(g.members, m)
	g.byID[m.id] = m
	if m.instance != nil {
		g.static[*m.instance] = m
	}
	g.offer(m, 1)
}

// drop takes m out; whoever came first among the others leads instead of it.
func (g *group) drop(m *member) {
	g.members = slices.DeleteFunc(g.members, func(o *member) bool { return o == m })
	delete(g.byID, m.id)
	if m.instance != nil {
		delete(g.static, *m.instance)
	}
	g.offer(m, -1)
	g.setSynced(m)
	if g.leader == m.id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
}

// offer counts the protocols of m in or out; a name twice in a list counts once.
func (g *group) offer(m *member, by int) {
	for i, p := range m.protocols {
		if slices.ContainsFunc(m.protocols[:i], func(q Protocol) bool { return q.Name == p.Name }) {
			continue
		}
		if g.supported[p.Name] += by; g.supported[p.Name] == 0 {
			delete(g.supported, p.Name)
		}
	}
}

// rename gives the static member m a new id.
func (g *group) rename(m *member, id string) {
	delete(g.byID, m.id)
	if g.leader == m.id {
		g.leader = id
	}
	m.id = id
	g.byID[id] = m
}

func (g *group) setSynced(m *member) {
	if m.unsynced {
		m.unsynced = false
		g.unsynced--
	}
}

// supports: could someone of that type, offering those protocols, be a member?
func (g *group) supports(protocolType string, protocols []Protocol) bool {
	if g.state == Empty {
		return protocolType != "" && len(protocols) > 0
	}
	if g.protocolType == nil || *g.protocolType != protocolType {
		return false
	}
	return slices.ContainsFunc(protocols, func(p Protocol) bool { return g.supported[p.Name] == len(g.members) })
}

// vote chooses the protocol of the next generation: among those that all
// members offer, each votes for the first in its list; the first in the
// alphabet wins a tie.
func (g *group) vote() string {
	votes := map[string]int{}
	best := ""
	for _, m := range g.members {
		for _, p := range m.protocols {
			if g.supported[p.Name] == len(g.members) {
				votes[p.Name]++
				break
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(votes)) {
		if best == "" || votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// rebalanceMs is how long the slowest member may take to join.
func (g *group) rebalanceMs() int64 {
	longest := int32(0)
	for _, m := range g.members {
		longest = max(longest, m.rebalanceMs)
	}
	return int64(longest)
}

// allJoined: every member waits for the next generation and nobody is yet to come.
func (g *group) allJoined() bool { return g.awaiting == len(g.members) && len(g.pending) == 0 }

// learnTopics works out which topics the members subscribe to.
func (g *group) learnTopics() {
	g.subscribed, g.subscribedSet = map[string]struct{}{}, false
	if g.protocolType == nil || *g.protocolType != consumerProtocol {
		return
	}
	if len(g.members) > 0 && g.protocol == nil {
		return
	}
	for _, m := range g.members {
		if subscribedTopics(g.subscribed, m.metadata(*g.protocol)) != nil {
			g.subscribed = nil
			return
		}
	}
	g.subscribedSet = true
}

func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

// sameProtocols: does the member offer just these, in this order?
func (m *member) sameProtocols(protocols []Protocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b Protocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
}

// at is the slot of a partition, made if need be.
func (g *group) at(tp TopicPartition) *slot {
	s := g.offsets[tp]
	if s == nil {
		s = &slot{}
		g.offsets[tp] = s
	}
	return s
}

// tidy forgets a slot that holds nothing.
func (g *group) tidy(tp TopicPartition) {
	if s := g.offsets[tp]; s != nil && !s.live && s.pending == 0 {
		delete(g.offsets, tp)
	}
}

// unstable: is a commit of the partition under way, its own or a transaction's?
func (g *group) unstable(tp TopicPartition) bool {
	if s := g.offsets[tp]; s != nil && s.pending > 0 {
		return true
	}
	for _, offsets := range g.txn {
		if _, ok := offsets[tp]; ok {
			return true
		}
	}
	return false
}
