// SPDX-License-Identifier: Apache-2.0

package group

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// NoProducer is the producer id of a batch that belongs to no transaction.
const NoProducer = -1

// Replay gathers what the log of a partition says, read from start to end. It
// is the input of NewMachine.
type Replay struct {
	groups  map[string]*kmsg.GroupMetadataValue
	offsets map[groupPartition]place
	txn     map[int64]map[groupPartition]place // by producer id: commits whose transaction is open
	last    int64
}

// groupPartition is a partition as one group sees it.
type groupPartition struct {
	group string
	at    TopicPartition
}

// NewReplay is the replay of an empty log.
func NewReplay() *Replay {
	return &Replay{
		groups:  map[string]*kmsg.GroupMetadataValue{},
		offsets: map[groupPartition]place{},
		txn:     map[int64]map[groupPartition]place{},
	}
}

// Record takes in one record of a data batch. batchBase is the batch's base
// offset, producer the batch's producer id if the batch is transactional, else
// NoProducer; value nil is a tombstone. An error means that the record was
// passed over: it is malformed, or of a version of a later Kafka. Nothing of
// key or value is kept.
func (r *Replay) Record(batchBase, producer int64, key, value []byte) error {
	r.last = max(r.last, batchBase)
	k, err := decodeKey(key)
	if err != nil {
		return err
	}
	if !k.offset {
		if value == nil {
			delete(r.groups, k.group)
			return nil
		}
		v, err := decodeGroupValue(value)
		if err != nil {
			return err
		}
		for i := range v.Members { // kmsg's byte slices are views
			w := &v.Members[i]
			w.Subscription, w.Assignment = slices.Clone(w.Subscription), slices.Clone(w.Assignment)
		}
		r.groups[k.group] = &v
		return nil
	}
	at := groupPartition{k.group, k.at}
	if value == nil {
		r.dropOffset(producer, at)
		return nil
	}
	c, err := decodeOffsetValue(value)
	if err != nil {
		return err
	}
	into := r.offsets
	if producer != NoProducer {
		if into = r.txn[producer]; into == nil {
			into = map[groupPartition]place{}
			r.txn[producer] = into
		}
	}
	into[at] = place{c, batchBase}
	return nil
}

// dropOffset takes in the tombstone of an offset. One outside of transactions
// removes also what open transactions would commit, as the coordinator did when
// it wrote it.
func (r *Replay) dropOffset(producer int64, at groupPartition) {
	if producer != NoProducer {
		delete(r.txn[producer], at)
		return
	}
	delete(r.offsets, at)
	for _, offsets := range r.txn {
		delete(offsets, at)
	}
}

// Marker takes in the end of a producer's transaction. What it committed counts
// unless a later record of the same partition is there already.
func (r *Replay) Marker(batchBase, producer int64, commit bool) {
	r.last = max(r.last, batchBase)
	if commit {
		for at, p := range r.txn[producer] {
			if old, ok := r.offsets[at]; !ok || old.order < p.order {
				r.offsets[at] = p
			}
		}
	}
	delete(r.txn, producer)
}

// finish builds the groups, sorted by id.
func (r *Replay) finish(now int64) []*group {
	groups := map[string]*group{}
	get := func(id string) *group {
		g := groups[id]
		if g == nil {
			g = newGroup(id, now)
			groups[id] = g
		}
		return g
	}
	for id, v := range r.groups {
		get(id).load(v)
	}
	for at, p := range r.offsets {
		get(at.group).offsets[at.at] = &slot{place: p, live: true}
	}
	for producer, offsets := range r.txn {
		for at, p := range offsets {
			g := get(at.group)
			if g.txn[producer] == nil {
				g.txn[producer] = map[TopicPartition]place{}
			}
			g.txn[producer][at.at] = p
		}
	}
	sorted := make([]*group, 0, len(groups))
	for _, id := range slices.Sorted(maps.Keys(groups)) {
		sorted = append(sorted, groups[id])
	}
	return sorted
}

// load takes over the record of a group: stable if it has members.
func (g *group) load(v *kmsg.GroupMetadataValue) {
	g.generation, g.protocol, g.sinceMs = v.Generation, v.Protocol, v.CurrentStateTimestamp
	if len(v.Members) > 0 {
		g.state = Stable
		if g.protocol == nil {
			g.protocol = new(string)
		}
	}
	for i := range v.Members {
		w := &v.Members[i]
		if g.byID[w.MemberID] != nil || w.InstanceID != nil && g.static[*w.InstanceID] != nil {
			continue // a record that names a member twice: the first counts
		}
		g.add(&member{
			id:          w.MemberID,
			instance:    w.InstanceID,
			clientID:    w.ClientID,
			clientHost:  w.ClientHost,
			rebalanceMs: w.RebalanceTimeoutMillis,
			sessionMs:   w.SessionTimeoutMillis,
			protocols:   []Protocol{{Name: *g.protocol, Metadata: w.Subscription}},
			assignment:  w.Assignment,
		}, v.ProtocolType)
	}
	g.protocolType, g.leader = nil, ""
	if v.ProtocolType != "" {
		protocolType := v.ProtocolType
		g.protocolType = &protocolType
	}
	if v.Leader != nil && g.byID[*v.Leader] != nil {
		g.leader = *v.Leader
	}
	g.learnTopics()
}
