// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"slices"

	"github.com/samsa-broker/samsa/controller/meta"
)

// deletionMarked takes a topic away from the clients and stops its replicas.
// Marked again, it asks once more for what failed.
func (m *Machine) deletionMarked(name string) []Effect {
	t := m.mustTopic(name)
	var out []Effect
	if !t.deleting {
		t.deleting = true
		out = append(out, Forget{Topic: name})
	}
	for _, b := range m.brokersOf(t) {
		out = append(out, m.stopReplicas(t, b)...)
	}
	return append(out, m.finishDeletion(t)...)
}

// expect notes, once, which replicas must say that they are gone.
func (t *topic) expect() {
	if t.waiting != nil {
		return
	}
	t.waiting = map[replica]bool{}
	for _, p := range t.partitions {
		for _, r := range p.replicas {
			t.waiting[replica{p.id.Index, r}] = true
		}
	}
}

// stopReplicas asks one live broker for all replicas of a topic that it has
// not yet said to be gone.
func (m *Machine) stopReplicas(t *topic, b meta.BrokerID) []Effect {
	t.expect()
	if _, ok := m.live[b]; !ok {
		return nil
	}
	var out []Effect
	for _, p := range t.partitions {
		if t.waiting[replica{p.id.Index, b}] {
			out = append(out, StopReplica{To: b, Partition: p.id, Delete: true})
		}
	}
	return out
}

func (m *Machine) replicaDeleted(ev ReplicaDeleted) []Effect {
	t := m.topics[ev.Partition.Topic]
	if t == nil || !t.deleting || ev.Failed {
		return nil
	}
	delete(t.waiting, replica{ev.Partition.Index, ev.Broker})
	return m.finishDeletion(t)
}

func (m *Machine) finishDeletion(t *topic) []Effect {
	if t.expect(); len(t.waiting) > 0 {
		return nil
	}
	return []Effect{RemoveTopic{Topic: t.name}}
}

// brokersOf gives the brokers that have a replica of the topic, by id.
func (m *Machine) brokersOf(t *topic) []meta.BrokerID {
	var out []meta.BrokerID
	for _, p := range t.partitions {
		out = append(out, p.replicas...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
