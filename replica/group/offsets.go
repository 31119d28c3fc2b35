// SPDX-License-Identifier: Apache-2.0

package group

import (
	"maps"
	"slices"
)

// tombstonesPerAppend bounds the batch that removes many offsets at once; each
// tombstone is idempotent, so they need not stand together.
const tombstonesPerAppend = 1000

// dropOffsets removes offsets of the group, sorted, and with the last of them,
// if bury says so, the group itself. then, if not nil, hears how it went once
// the tombstones are visible; after a failure the offsets, and the group, are
// still there.
func (m offsetStore) dropOffsets(g *group, which []TopicPartition, bury bool, then func(error)) {
	for _, offsets := range g.txn {
		for _, tp := range which {
			delete(offsets, tp)
		}
	}
	maps.DeleteFunc(g.txn, func(_ int64, offsets map[TopicPartition]place) bool { return len(offsets) == 0 })
	if bury {
		g.state = Dead // its time in the state goes on, should it come back
	}
	chunks := g.tombstones(which, bury)
	if len(chunks) == 0 {
		m.dropped(g, bury, nil, then)
		return
	}
	var failed error
	for i, c := range chunks {
		m.writeOffsets(g, c.records, c.writes, func(err error) {
			failed = firstError(failed, err)
			if i == len(chunks)-1 {
				m.dropped(g, bury, failed, then)
			}
		})
	}
}

// tombstoneBatch is what one Append of dropOffsets carries.
type tombstoneBatch struct {
	records []Record
	writes  []offsetWrite
}

// tombstones makes the batches that remove those offsets that are there or on
// their way, and last, if bury says so, the group.
func (g *group) tombstones(which []TopicPartition, bury bool) []tombstoneBatch {
	var chunks []tombstoneBatch
	add := func(r Record, w ...offsetWrite) {
		if n := len(chunks); n == 0 || len(chunks[n-1].records) == tombstonesPerAppend {
			chunks = append(chunks, tombstoneBatch{})
		}
		c := &chunks[len(chunks)-1]
		c.records, c.writes = append(c.records, r), append(c.writes, w...)
	}
	for _, tp := range which {
		if g.offsets[tp] != nil {
			add(Record{Key: encodeOffsetKey(g.id, tp)}, offsetWrite{at: tp, remove: true})
		}
	}
	if bury && g.generation > 0 {
		add(Record{Key: encodeGroupKey(g.id)})
	}
	return chunks
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// dropped ends dropOffsets.
func (m offsetStore) dropped(g *group, bury bool, err error, then func(error)) {
	if err != nil {
		m.o.Events.writeFailed(g.id, err)
	}
	if bury {
		g.state = Empty
		if err == nil {
			m.bury(g)
		}
	}
	if then != nil {
		then(err)
	}
}

// bury takes a group off the list.
func (m offsetStore) bury(g *group) {
	g.state = Dead
	for _, id := range slices.Sorted(maps.Keys(g.pending)) {
		m.dropPending(g, id)
	}
	m.unlist(g)
}

// ends: would the group hold nothing any more, once those offsets are gone?
func (g *group) ends(without []TopicPartition) bool {
	if g.state != Empty || len(g.pending) > 0 {
		return false
	}
	for _, offsets := range g.txn {
		for tp := range offsets {
			if _, found := slices.BinarySearchFunc(without, tp, compareTopicPartitions); !found {
				return false
			}
		}
	}
	for tp, s := range g.offsets {
		if _, found := slices.BinarySearchFunc(without, tp, compareTopicPartitions); !found || s.pending > 0 {
			return false
		}
	}
	return true
}

// expire removes what is past its retention, and groups that hold
// nothing. It comes every offsets.retention.check.interval.ms.
func (m offsetStore) expire() {
	for _, g := range m.sorted() {
		if g.blank() {
			m.unlist(g)
			continue
		}
		m.clean(g, g.expired(m.now, m.o.OffsetsRetentionMs))
	}
}

// clean drops offsets of a group in the background.
func (m offsetStore) clean(g *group, which []TopicPartition) {
	ends := g.ends(which)
	if g.state == Dead || len(which) == 0 && !ends {
		return
	}
	m.dropOffsets(g, which, ends, func(err error) {
		if err == nil && len(which) > 0 {
			m.o.Events.expired(g.id, len(which))
		}
	})
}

// expired are the offsets that have outlived their retention, sorted (KIP-211).
// The retention of a group's offsets begins when its last member has gone; of a
// topic that the members of a consumer group no longer subscribe to, and of
// offsets committed without membership, with the commit.
func (g *group) expired(now, retentionMs int64) []TopicPartition {
	sinceEmpty := g.protocolType != nil && g.state == Empty
	switch {
	case sinceEmpty:
	case g.protocolType != nil && *g.protocolType == consumerProtocol && g.subscribedSet && g.state == Stable:
	case g.protocolType == nil:
	default:
		return nil
	}
	var which []TopicPartition
	for tp, s := range g.live() {
		if s.pending > 0 {
			continue
		}
		if _, subscribed := g.subscribed[tp.Topic]; subscribed && !sinceEmpty {
			continue
		}
		base := s.commitMs
		if sinceEmpty && g.sinceMs != -1 {
			base = g.sinceMs
		}
		if s.expireMs == -1 && now-base >= retentionMs || s.expireMs != -1 && now >= s.expireMs {
			which = append(which, tp)
		}
	}
	slices.SortFunc(which, compareTopicPartitions)
	return which
}

// topicsDeleted drops the offsets of topics that are gone, in every group, and
// groups that hold nothing, whether they did or not: so does Kafka.
func (m offsetStore) topicsDeleted(topics []string) {
	gone := make(map[string]struct{}, len(topics))
	for _, t := range topics {
		gone[t] = struct{}{}
	}
	for _, g := range m.sorted() {
		if g.blank() {
			m.unlist(g)
			continue
		}
		if g.state == Dead {
			continue
		}
		var which []TopicPartition
		for tp := range g.offsets {
			if _, ok := gone[tp.Topic]; ok {
				which = append(which, tp)
			}
		}
		for _, offsets := range g.txn {
			for tp := range offsets {
				if _, ok := gone[tp.Topic]; ok && g.offsets[tp] == nil {
					which = append(which, tp)
				}
			}
		}
		slices.SortFunc(which, compareTopicPartitions)
		which = slices.Compact(which)
		if ends := g.ends(which); ends || len(which) > 0 {
			m.dropOffsets(g, which, ends, nil)
		}
	}
}

// deleteOffsets removes offsets on an operator's behalf, unless a member
// subscribes to their topic.
func (m offsetStore) deleteOffsets(to Ticket, r *DeleteOffsets) {
	g := m.groups[r.Group]
	if g == nil || g.state == Dead {
		m.reply(to, r.refused(ErrGroupNotFound))
		return
	}
	if g.state != Empty && (g.protocolType == nil || *g.protocolType != consumerProtocol) {
		m.reply(to, r.refused(ErrNonEmpty))
		return
	}
	a := &DeleteOffsetsAnswer{Errs: make([]error, len(r.Partitions))}
	var which []TopicPartition
	for i, tp := range r.Partitions {
		_, subscribed := g.subscribed[tp.Topic]
		if g.state != Empty && (subscribed || !g.subscribedSet) {
			a.Errs[i] = ErrSubscribed
			continue
		}
		which = append(which, tp)
	}
	slices.SortFunc(which, compareTopicPartitions)
	which = slices.Compact(which)
	m.dropOffsets(g, which, g.ends(which), func(err error) {
		for i := range a.Errs {
			if a.Errs[i] == nil {
				a.Errs[i] = err
			}
		}
		m.reply(to, a)
	})
}
