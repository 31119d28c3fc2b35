// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"maps"
	"slices"

	"github.com/samsa-broker/samsa/controller/meta"
)

// Partitions gives what clients may know of a topic's partitions: states as
// last written. nil when there is no such topic or it is being deleted.
func (m *Machine) Partitions(name string) []meta.State {
	t := m.topics[name]
	if t == nil || t.deleting {
		return nil
	}
	out := make([]meta.State, len(t.partitions))
	for i, p := range t.partitions {
		out[i] = meta.State{Leader: meta.NoBroker, Replicas: p.replicas, PartitionEpoch: max(p.version, 0)}
		if p.version >= 0 {
			out[i].Leader, out[i].LeaderEpoch, out[i].ISR = p.state.Leader, p.state.LeaderEpoch, p.state.ISR
		}
		for _, b := range p.replicas {
			if !m.alive(p, b) {
				out[i].Offline = append(out[i].Offline, b)
			}
		}
	}
	return out
}

// Known tells whether a topic is stored, and whether it is being deleted.
func (m *Machine) Known(name string) (stored, deleting bool) {
	t := m.topics[name]
	return t != nil, t != nil && t.deleting
}

// Live gives the live brokers by id.
func (m *Machine) Live() []meta.BrokerID { return slices.Sorted(maps.Keys(m.live)) }
