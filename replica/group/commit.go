// SPDX-License-Identifier: Apache-2.0

package group

import (
	"cmp"
	"maps"
	"slices"
)

// commit stores offsets and answers when they are visible.
func (m offsetStore) commit(to Ticket, r *Commit) {
	g := m.groups[r.Group]
	if g == nil {
		if r.Generation >= 0 {
			m.reply(to, r.refused(ErrIllegalGeneration))
			return
		}
		g = m.group(r.Group) // offsets without members: a client that assigns partitions itself, or a tool
	}
	mb, err := g.checkCommit(r)
	if err != nil {
		m.reply(to, r.refused(err))
		return
	}
	if mb != nil {
		m.keepAlive(mb)
	}
	m.storeOffsets(g, to, r)
	m.forget(g)
}

// checkCommit: may that member commit now? The member is nil for a commit from outside.
func (g *group) checkCommit(r *Commit) (*member, error) {
	if g.state == Dead {
		return nil, ErrCoordinatorNotAvailable
	}
	if r.Generation < 0 && g.state == Empty {
		return nil, nil
	}
	if r.Generation < 0 && r.MemberID == "" && r.InstanceID == nil {
		return nil, ErrUnknownMember // the group has members now
	}
	mb, err := g.current(r.MemberID, r.InstanceID)
	if err != nil {
		return nil, err
	}
	if r.Generation != g.generation {
		return nil, ErrIllegalGeneration
	}
	if g.state == CompletingRebalance {
		return nil, ErrRebalanceInProgress
	}
	return mb, nil
}

// storeOffsets writes the offsets whose metadata is not too long.
func (m offsetStore) storeOffsets(g *group, to Ticket, r *Commit) {
	a := &CommitAnswer{Errs: make([]error, len(r.Offsets))}
	writes := make([]offsetWrite, 0, len(r.Offsets))
	records := make([]Record, 0, len(r.Offsets))
	for i, o := range r.Offsets {
		if len(o.Topic) > maxRecordStringBytes {
			a.Errs[i] = ErrInvalidRequest
			continue
		}
		if utf16Len(o.Metadata) > m.o.OffsetMetadataMaxBytes || len(o.Metadata) > maxRecordStringBytes {
			a.Errs[i] = ErrMetadataTooLarge
			continue
		}
		c := committed{offset: o.Offset, leaderEpoch: o.LeaderEpoch, metadata: o.Metadata, commitMs: o.TimestampMs, expireMs: -1}
		if c.commitMs == -1 {
			c.commitMs = m.now
		}
		if r.RetentionMs != -1 {
			c.expireMs = m.now + r.RetentionMs
		}
		writes = append(writes, offsetWrite{at: o.TopicPartition, committed: c})
		records = append(records, Record{encodeOffsetKey(g.id, o.TopicPartition), encodeOffsetValue(c)})
	}
	if len(records) == 0 {
		m.reply(to, a)
		return
	}
	m.writeOffsets(g, records, writes, func(err error) {
		for i := range a.Errs {
			if a.Errs[i] == nil {
				a.Errs[i] = err
			}
		}
		m.reply(to, a)
	})
}

// offsetWrite is an offset on its way into the log, or its removal.
type offsetWrite struct {
	at     TopicPartition
	remove bool
	committed
}

// writeOffsets writes records about offsets. They count from the moment they
// are visible; of two writes of one partition the later in the log wins. then
// hears how it went.
func (m offsetStore) writeOffsets(g *group, records []Record, writes []offsetWrite, then func(error)) {
	for _, w := range writes {
		g.at(w.at).pending++
	}
	order := m.order + 1
	m.write(records, func(err error) {
		for _, w := range writes {
			s := g.at(w.at)
			s.pending--
			if err == nil && order >= s.order {
				s.place, s.live = place{w.committed, order}, !w.remove
			}
			g.tidy(w.at)
		}
		then(err)
		m.forget(g)
	})
}

// fetch tells committed offsets. A group nobody knows has none, which is no error.
func (m offsetStore) fetch(r *Fetch) Answer {
	g := m.groups[r.Group]
	if g != nil && g.state == Dead {
		g = nil
	}
	wanted := r.Partitions
	if r.All {
		wanted = nil
		if g != nil {
			wanted = g.committedPartitions()
		}
	}
	a := &FetchAnswer{Offsets: make([]FetchedOffset, len(wanted))}
	for i, tp := range wanted {
		o := &a.Offsets[i]
		*o = FetchedOffset{TopicPartition: tp, Offset: -1, LeaderEpoch: -1}
		if g == nil {
			continue
		}
		if r.RequireStable && g.unstable(tp) {
			o.Err = ErrUnstableOffset
			continue
		}
		if s := g.offsets[tp]; s != nil && s.live {
			o.Offset, o.LeaderEpoch, o.Metadata = s.offset, s.leaderEpoch, s.metadata
		}
	}
	return a
}

// committedPartitions are those with an offset, sorted.
func (g *group) committedPartitions() []TopicPartition {
	return slices.SortedFunc(maps.Keys(g.live()), compareTopicPartitions)
}

// live is the offsets that are there, those under way left out.
func (g *group) live() map[TopicPartition]*slot {
	all := make(map[TopicPartition]*slot, len(g.offsets))
	maps.Copy(all, g.offsets)
	maps.DeleteFunc(all, func(_ TopicPartition, s *slot) bool { return !s.live })
	return all
}

func compareTopicPartitions(a, b TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}
