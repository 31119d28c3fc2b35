// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"maps"
	"slices"

	"github.com/samsa-broker/samsa/controller/meta"
)

// State is what is stored of a partition: who leads, in which epoch, and who is
// in sync.
type State struct {
	ControllerEpoch int32
	Leader          meta.BrokerID // meta.NoBroker when nobody leads
	LeaderEpoch     int32
	ISR             []meta.BrokerID
	Recovering      bool // elected from outside of the in-sync replicas (KIP-704)
}

// Machine is the controller's decisions. One goroutine at a time.
type Machine struct {
	epoch  int32                   // written into every state
	live   map[meta.BrokerID]int64 // broker epochs
	topics map[string]*topic
}

type topic struct {
	name       string
	id         meta.TopicID
	partitions []*partition
	deleting   bool
	waiting    map[replica]bool // StopReplica answers that are still due or failed
}

type replica struct {
	index  int32
	broker meta.BrokerID
}

type partition struct {
	id       meta.Partition
	replicas []meta.BrokerID
	failed   []meta.BrokerID // replicas on offline log directories
	state    State
	version  int32  // -1: never written
	writing  *State // under way
	again    bool   // something happened while it was
	bump     bool   // the leader is a new incarnation: raise the epoch even if nothing else changes
}

// NewMachine makes a machine that knows nothing; its first event is Loaded.
func NewMachine() *Machine {
	return &Machine{live: map[meta.BrokerID]int64{}, topics: map[string]*topic{}}
}

// Step takes one event and answers what must be done about it, in order. The
// slices in an effect are the machine's own: read them only.
func (m *Machine) Step(ev Event) []Effect {
	switch ev := ev.(type) {
	case Loaded:
		m.load(ev)
		return nil
	case BrokerStarted:
		return m.brokerStarted(ev)
	case BrokerFailed:
		return m.brokerFailed(ev.Broker)
	case TopicAdded:
		return m.topicAdded(ev)
	case PartitionsAdded:
		t := m.mustTopic(ev.Topic)
		return m.addPartitions(t, ev.Replicas)
	case StateWritten:
		return m.stateWritten(ev)
	case StateRefused:
		return m.stateRefused(ev)
	case ReplicaFailed:
		return m.replicaFailed(ev)
	case DeletionMarked:
		return m.deletionMarked(ev.Topic)
	case ReplicaDeleted:
		return m.replicaDeleted(ev)
	case TopicRemoved:
		delete(m.topics, ev.Topic)
		return nil
	}
	panic(fmt.Sprintf("BUG: controller: unhandled event %T", ev))
}

func (m *Machine) load(ev Loaded) {
	m.epoch = ev.ControllerEpoch
	m.live = map[meta.BrokerID]int64{}
	for _, b := range ev.Live {
		m.live[b.Broker] = b.Epoch
	}
	m.topics = make(map[string]*topic, len(ev.Topics))
	for _, lt := range ev.Topics {
		t := &topic{name: lt.Name, id: lt.ID, deleting: lt.Deleting}
		for i, lp := range lt.Partitions {
			p := &partition{id: meta.Partition{Topic: lt.Name, Index: int32(i)}, replicas: lp.Replicas, version: -1}
			if lp.State != nil {
				p.state, p.version = *lp.State, lp.Version
			}
			t.partitions = append(t.partitions, p)
		}
		m.topics[t.name] = t
	}
}

func (m *Machine) brokerStarted(ev BrokerStarted) []Effect {
	m.live[ev.Broker] = ev.Epoch
	var out []Effect
	for _, t := range m.sorted() {
		if t.deleting {
			continue
		}
		for _, p := range t.partitions {
			if !slices.Contains(p.replicas, ev.Broker) {
				continue
			}
			p.failed = slices.DeleteFunc(p.failed, func(b meta.BrokerID) bool { return b == ev.Broker })
			p.bump = p.state.Leader == ev.Broker
			effects := m.decide(p)
			if len(effects) == 0 && p.writing == nil && p.version >= 0 { // it follows: tell it whom
				effects = []Effect{m.announce(t, p, []meta.BrokerID{ev.Broker}, false)}
			}
			out = append(out, effects...)
		}
	}
	for _, t := range m.sorted() {
		if t.deleting {
			out = append(out, m.stopReplicas(t, ev.Broker)...)
			out = append(out, m.finishDeletion(t)...)
		}
	}
	return out
}

func (m *Machine) brokerFailed(id meta.BrokerID) []Effect {
	delete(m.live, id)
	var out []Effect
	for _, t := range m.sorted() {
		for _, p := range t.partitions {
			if !t.deleting && slices.Contains(p.replicas, id) {
				out = append(out, m.decide(p)...)
			}
		}
	}
	return out
}

func (m *Machine) replicaFailed(ev ReplicaFailed) []Effect {
	_, p := m.find(ev.Partition)
	if p == nil || slices.Contains(p.failed, ev.Broker) {
		return nil
	}
	p.failed = append(p.failed, ev.Broker)
	return m.decide(p)
}

func (m *Machine) topicAdded(ev TopicAdded) []Effect {
	if m.topics[ev.Name] != nil {
		panic(fmt.Sprintf("BUG: controller: topic %s was added twice", ev.Name))
	}
	t := &topic{name: ev.Name, id: ev.ID}
	m.topics[t.name] = t
	return m.addPartitions(t, ev.Replicas)
}

func (m *Machine) addPartitions(t *topic, replicas [][]meta.BrokerID) []Effect {
	var out []Effect
	for _, r := range replicas {
		p := &partition{id: meta.Partition{Topic: t.name, Index: int32(len(t.partitions))}, replicas: r, version: -1}
		t.partitions = append(t.partitions, p)
		out = append(out, m.decide(p)...)
	}
	return out
}

// decide compares what is stored of a partition with who is alive, and writes
// the difference: nothing, or one WriteState.
func (m *Machine) decide(p *partition) []Effect {
	if p.writing != nil {
		p.again = true
		return nil
	}
	next, ok := m.elect(p)
	if !ok {
		return nil
	}
	p.bump = false
	p.writing = &next
	return []Effect{WriteState{Partition: p.id, State: next, IfVersion: p.version}}
}

// elect is Kafka's election for an offline partition and for a replica that
// went: the leader stays if it can, else the first assigned replica that is
// alive and in sync takes over; those that are not alive leave the in-sync set,
// but the last one stays in it, because it alone may have everything.
func (m *Machine) elect(p *partition) (State, bool) {
	alive := make([]meta.BrokerID, 0, len(p.replicas))
	for _, b := range p.replicas {
		if m.alive(p, b) {
			alive = append(alive, b)
		}
	}
	if p.version < 0 {
		if len(alive) == 0 {
			return State{}, false
		}
		return State{ControllerEpoch: m.epoch, Leader: alive[0], ISR: alive}, true
	}
	next := State{ControllerEpoch: m.epoch, Leader: meta.NoBroker, LeaderEpoch: p.state.LeaderEpoch + 1, Recovering: p.state.Recovering}
	for _, b := range p.state.ISR {
		if slices.Contains(alive, b) {
			next.ISR = append(next.ISR, b)
		}
	}
	if slices.Contains(next.ISR, p.state.Leader) {
		next.Leader = p.state.Leader
	}
	for i := 0; next.Leader == meta.NoBroker && i < len(alive); i++ {
		if slices.Contains(next.ISR, alive[i]) {
			next.Leader = alive[i]
		}
	}
	if len(next.ISR) == 0 {
		next.ISR = p.state.ISR
	}
	same := next.Leader == p.state.Leader && slices.Equal(next.ISR, p.state.ISR)
	return next, !same || p.bump && next.Leader != meta.NoBroker
}

func (m *Machine) alive(p *partition, b meta.BrokerID) bool {
	_, ok := m.live[b]
	return ok && !slices.Contains(p.failed, b)
}

func (m *Machine) stateWritten(ev StateWritten) []Effect {
	t, p := m.find(ev.Partition)
	if p == nil {
		return nil // removed meanwhile
	}
	if p.writing == nil {
		panic(fmt.Sprintf("BUG: controller: %s was written without being asked for", p.id))
	}
	isNew := p.version < 0
	p.state, p.version, p.writing = *p.writing, ev.Version, nil
	if t.deleting {
		return nil
	}
	var to []meta.BrokerID
	for _, b := range p.replicas {
		if m.alive(p, b) {
			to = append(to, b)
		}
	}
	out := []Effect{m.announce(t, p, to, isNew)}
	return append(out, m.reconsider(p)...)
}

func (m *Machine) stateRefused(ev StateRefused) []Effect {
	_, p := m.find(ev.Partition)
	if p == nil {
		return nil
	}
	if p.writing != nil && p.writing.LeaderEpoch > p.state.LeaderEpoch && p.writing.Leader == p.state.Leader {
		p.bump = true // the reason may have been a new incarnation: keep it
	}
	p.state, p.version, p.writing, p.again = ev.State, ev.Version, nil, true
	return m.reconsider(p)
}

func (m *Machine) reconsider(p *partition) []Effect {
	if !p.again {
		return nil
	}
	p.again = false
	return m.decide(p)
}

func (m *Machine) announce(t *topic, p *partition, to []meta.BrokerID, isNew bool) Announce {
	return Announce{Partition: p.id, TopicID: t.id, State: p.state, Version: p.version, Replicas: p.replicas, To: to, New: isNew}
}

func (m *Machine) sorted() []*topic {
	out := make([]*topic, 0, len(m.topics))
	for _, name := range slices.Sorted(maps.Keys(m.topics)) {
		out = append(out, m.topics[name])
	}
	return out
}

func (m *Machine) mustTopic(name string) *topic {
	t := m.topics[name]
	if t == nil {
		panic(fmt.Sprintf("BUG: controller: no topic %s", name))
	}
	return t
}

func (m *Machine) find(id meta.Partition) (*topic, *partition) {
	t := m.topics[id.Topic]
	if t == nil || int(id.Index) >= len(t.partitions) {
		return nil, nil
	}
	return t, t.partitions[id.Index]
}
