// SPDX-License-Identifier: Apache-2.0

package group

import "errors"

// sync hands a member its assignment once the leader has brought them all and
// they are written.
func (m membership) sync(to Ticket, r *Sync) {
	g := m.groups[r.Group]
	if g == nil {
		m.reply(to, r.refused(ErrUnknownMember))
		return
	}
	mb, err := g.checkSync(r)
	if err != nil {
		m.reply(to, r.refused(err))
		return
	}
	switch g.state {
	case PreparingRebalance:
		m.reply(to, r.refused(ErrRebalanceInProgress))
	case CompletingRebalance:
		m.answer(&mb.sync, &SyncAnswer{Err: ErrRebalanceInProgress}) // an earlier Sync of the member
		mb.sync = waiter{to: to, waits: true}
		m.synced(g, mb)
		if g.leader == mb.id {
			m.storeAssignments(g, r)
		}
	case Stable:
		m.synced(g, mb)
		m.reply(to, &SyncAnswer{ProtocolType: g.protocolType, ProtocolName: g.protocol, Assignment: mb.assignment})
		m.keepAlive(mb)
	default:
		m.reply(to, r.refused(ErrUnknownMember))
	}
}

func (g *group) checkSync(r *Sync) (*member, error) {
	if g.state == Dead {
		return nil, ErrCoordinatorNotAvailable
	}
	mb, err := g.current(r.MemberID, r.InstanceID)
	switch {
	case err != nil:
		return nil, err
	case r.Generation != g.generation:
		return nil, ErrIllegalGeneration
	case differs(r.ProtocolType, g.protocolType), differs(r.ProtocolName, g.protocol):
		return nil, ErrInconsistentProtocol
	}
	return mb, nil
}

// differs: is a name given, and not the one that holds?
func differs(given, holds *string) bool {
	return given != nil && (holds == nil || *given != *holds)
}

// synced: the member's Sync of this generation has come.
func (m membership) synced(g *group, mb *member) {
	g.setSynced(mb)
	if g.unsynced == 0 {
		m.timers.disarm(&g.syncTimer)
	}
}

// storeAssignments writes what the leader assigned, nothing to those it did not
// mention. The group is stable when the record is visible, unless a rebalance
// began meanwhile.
func (m membership) storeAssignments(g *group, r *Sync) {
	assigned := make(map[string][]byte, len(r.Assignments))
	for _, a := range r.Assignments {
		assigned[a.MemberID] = a.Data
	}
	generation := g.generation
	m.write([]Record{{encodeGroupKey(g.id), encodeGroupValue(g, assigned)}}, func(err error) {
		if g.state != CompletingRebalance || g.generation != generation {
			return
		}
		if err != nil {
			m.o.Events.writeFailed(g.id, err)
			m.resetAssignments(g, groupWriteError(err))
			m.rebalance(g, "the assignment could not be written")
			return
		}
		for _, mb := range g.members {
			mb.assignment = assigned[mb.id]
			if m.answer(&mb.sync, &SyncAnswer{ProtocolType: g.protocolType, ProtocolName: g.protocol, Assignment: mb.assignment}) {
				m.keepAlive(mb)
			}
		}
		g.enter(Stable, m.now)
	})
}

// groupWriteError is what a member hears when the group's record failed: a
// record that is too large has no error of its own there.
func groupWriteError(err error) error {
	if errors.Is(err, ErrCommitTooLarge) {
		return ErrWriteFailed
	}
	return err
}

// heartbeat keeps a session alive and tells the member whether to join again.
func (m membership) heartbeat(r *Heartbeat) error {
	g := m.groups[r.Group]
	if g == nil {
		return ErrUnknownMember
	}
	if g.state == Dead {
		return ErrCoordinatorNotAvailable
	}
	mb, err := g.current(r.MemberID, r.InstanceID)
	if err != nil {
		return err
	}
	if r.Generation != g.generation {
		return ErrIllegalGeneration
	}
	m.keepAlive(mb)
	if g.state == PreparingRebalance {
		return ErrRebalanceInProgress
	}
	return nil
}

// leave takes members out, each by itself.
func (m membership) leave(r *Leave) Answer {
	g := m.groups[r.Group]
	if g == nil {
		return &LeaveAnswer{Errs: repeat(ErrUnknownMember, len(r.Members))}
	}
	if g.state == Dead {
		return &LeaveAnswer{Err: ErrCoordinatorNotAvailable}
	}
	a := &LeaveAnswer{Errs: make([]error, len(r.Members))}
	for i, l := range r.Members {
		a.Errs[i] = m.leaveOne(g, l)
	}
	m.forget(g)
	return a
}

func (m membership) leaveOne(g *group, l Leaver) error {
	if l.MemberID != "" && g.pending[l.MemberID] != nil {
		m.dropPending(g, l.MemberID)
		m.completeJoinIfAll(g)
		return nil
	}
	var mb *member
	if l.MemberID == "" {
		if l.InstanceID != nil {
			mb = g.static[*l.InstanceID]
		}
		if mb == nil {
			return ErrUnknownMember
		}
	} else {
		var err error
		if mb, err = g.current(l.MemberID, l.InstanceID); err != nil {
			return err
		}
	}
	m.o.Events.removed(g.id, mb.id, "left: "+l.Reason)
	m.removeAndRebalance(g, mb, "member "+mb.id+" left")
	return nil
}
