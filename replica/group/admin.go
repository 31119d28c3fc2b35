// SPDX-License-Identifier: Apache-2.0

package group

import (
	"maps"
	"slices"
	"strings"
)

// describe tells what a group looks like; metadata and assignments only while
// it is stable, for before they are not of one generation.
func (m offsetStore) describe(r *Describe) Answer {
	g := m.groups[r.Group]
	if g == nil {
		return &DescribeAnswer{State: Dead}
	}
	a := &DescribeAnswer{State: g.state}
	if g.protocolType != nil {
		a.ProtocolType = *g.protocolType
	}
	if g.state == Stable {
		a.Protocol = *g.protocol
	}
	for _, mb := range g.members {
		d := DescribedMember{MemberID: mb.id, InstanceID: mb.instance, ClientID: mb.clientID, ClientHost: mb.clientHost}
		if g.state == Stable {
			d.Metadata, d.Assignment = mb.metadata(*g.protocol), mb.assignment
		}
		a.Members = append(a.Members, d)
	}
	return a
}

// list tells which groups there are, sorted.
func (m offsetStore) list(r *List) Answer {
	a := &ListAnswer{}
	if len(r.Types) > 0 && !containsFold(r.Types, "classic") {
		return a
	}
	for _, g := range m.sorted() {
		if len(r.States) > 0 && !containsFold(r.States, g.state.String()) {
			continue
		}
		l := ListedGroup{Group: g.id, State: g.state}
		if g.protocolType != nil {
			l.ProtocolType = *g.protocolType
		}
		a.Groups = append(a.Groups, l)
	}
	return a
}

func containsFold(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}

// delete removes a group without members. Until its tombstones are visible it
// is Dead, and whoever wants to join it is told to try again.
func (m offsetStore) delete(to Ticket, r *Delete) {
	g := m.groups[r.Group]
	switch {
	case g == nil || g.state == Dead:
		m.reply(to, r.refused(ErrGroupNotFound))
	case g.state != Empty:
		m.reply(to, r.refused(ErrNonEmpty))
	default:
		which := slices.SortedFunc(maps.Keys(g.offsets), compareTopicPartitions)
		g.txn = map[int64]map[TopicPartition]place{}
		m.dropOffsets(g, which, true, func(err error) { m.reply(to, &DeleteAnswer{Err: err}) })
	}
}
