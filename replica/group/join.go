// SPDX-License-Identifier: Apache-2.0

package group

// join takes a member into the next generation, or tells it why not.
func (m membership) join(to Ticket, r *Join) {
	if err := checkJoin(&m.o, r); err != nil {
		m.reply(to, r.refused(err))
		return
	}
	g := m.groups[r.Group]
	if g == nil {
		if r.MemberID != "" {
			m.reply(to, r.refused(ErrUnknownMember))
			return
		}
		g = m.group(r.Group)
	}
	switch {
	case !g.accepts(r.MemberID, m.o.MaxSize):
		if mb := g.byID[r.MemberID]; mb != nil {
			m.remove(g, mb)
		}
		m.dropPending(g, r.MemberID)
		m.reply(to, &JoinAnswer{Err: ErrMaxSizeReached, Generation: noGeneration})
	case g.state == Dead:
		m.reply(to, r.refused(ErrCoordinatorNotAvailable))
	case !g.supports(r.ProtocolType, r.Protocols):
		m.reply(to, r.refused(ErrInconsistentProtocol))
	case r.MemberID == "":
		m.joinNew(g, to, r)
	default:
		m.rejoin(g, to, r)
	}
	m.completeJoinIfAll(g)
	m.forget(g)
}

// checkJoin looks at what needs no group to be refused.
func checkJoin(o *Options, r *Join) error {
	if r.SessionTimeoutMs < o.MinSessionTimeoutMs || r.SessionTimeoutMs > o.MaxSessionTimeoutMs {
		return ErrInvalidSessionTimeout
	}
	names := []string{r.NewMemberID, r.ClientID, r.ClientHost, r.ProtocolType}
	for _, p := range r.Protocols {
		names = append(names, p.Name)
	}
	if r.InstanceID != nil {
		names = append(names, *r.InstanceID)
	}
	for _, name := range names {
		if len(name) > maxRecordStringBytes {
			return ErrWriteFailed // the new member's id: Kafka makes it, and then cannot write the answer
		}
	}
	return nil
}

// accepts: is there room for the member? An oversized group sheds those who
// have not joined yet.
func (g *group) accepts(memberID string, maxSize int) bool {
	mb := g.byID[memberID]
	switch g.state {
	case PreparingRebalance:
		return mb != nil && mb.join.waits || g.awaiting < maxSize
	case CompletingRebalance, Stable:
		return mb != nil || len(g.members) < maxSize
	default:
		return true
	}
}

// joinNew serves a Join without a member id.
func (m membership) joinNew(g *group, to Ticket, r *Join) {
	switch {
	case r.InstanceID != nil && g.static[*r.InstanceID] != nil:
		m.replaceStatic(g, g.static[*r.InstanceID], to, r)
	case r.InstanceID == nil && r.RequireKnownMemberID:
		p := &pending{id: r.NewMemberID}
		p.session.fire = func() { m.pendingExpired(g, p) }
		g.pending[p.id] = p
		m.timers.arm(&p.session, m.now+int64(r.SessionTimeoutMs))
		m.reply(to, &JoinAnswer{Err: ErrMemberIDRequired, Generation: noGeneration, MemberID: p.id})
	default:
		m.admit(g, r.NewMemberID, to, r)
	}
}

// admit makes a new member, which begins a rebalance.
func (m membership) admit(g *group, id string, to Ticket, r *Join) {
	mb := &member{
		id:          id,
		instance:    r.InstanceID,
		clientID:    r.ClientID,
		clientHost:  r.ClientHost,
		rebalanceMs: r.RebalanceTimeoutMs,
		sessionMs:   r.SessionTimeoutMs,
		protocols:   r.Protocols,
		isNew:       true,
		join:        waiter{to: to, waits: true},
	}
	mb.session.fire = func() { m.memberExpired(g, mb) }
	if g.state == PreparingRebalance && g.generation == 0 {
		g.newMember = true
	}
	m.dropPending(g, id)
	g.add(mb, r.ProtocolType)
	g.awaiting++
	m.timers.arm(&mb.session, m.now+newMemberTimeoutMs)
	m.rebalance(g, "new member "+id)
}

// rejoin serves a Join with a member id.
func (m membership) rejoin(g *group, to Ticket, r *Join) {
	if g.pending[r.MemberID] != nil {
		if r.InstanceID != nil { // ids are held back from dynamic members only
			m.reply(to, r.refused(ErrUnknownMember))
			return
		}
		m.admit(g, r.MemberID, to, r)
		return
	}
	mb, err := g.current(r.MemberID, r.InstanceID)
	if err != nil {
		m.reply(to, r.refused(err))
		return
	}
	switch {
	case g.state == CompletingRebalance && mb.sameProtocols(r.Protocols):
		// It may not have got the answer of this generation: say it again.
		m.reply(to, g.joined(mb))
	case g.state == Stable && g.leader != mb.id && mb.sameProtocols(r.Protocols):
		m.reply(to, g.joined(mb))
	case g.state == PreparingRebalance, g.state == CompletingRebalance, g.state == Stable:
		// A leader that joins again asks for a rebalance: it may have seen new partitions.
		m.update(g, mb, to, r)
		m.rebalance(g, "member "+mb.id+" joins again")
	default:
		m.reply(to, r.refused(ErrUnknownMember))
	}
}

// current finds a member by its id and, if given, its group.instance.id.
func (g *group) current(memberID string, instance *string) (*member, error) {
	if instance != nil {
		mb := g.static[*instance]
		if mb == nil {
			return nil, ErrUnknownMember
		}
		if mb.id != memberID {
			return nil, ErrFencedInstance
		}
		return mb, nil
	}
	if mb := g.byID[memberID]; mb != nil {
		return mb, nil
	}
	return nil, ErrUnknownMember
}

// update takes over what a member says of itself, and lets its Join wait. An
// earlier Join that still waits, on a connection the member gave up, ends.
func (m membership) update(g *group, mb *member, to Ticket, r *Join) {
	g.offer(mb, -1)
	mb.protocols, mb.rebalanceMs, mb.sessionMs = r.Protocols, r.RebalanceTimeoutMs, r.SessionTimeoutMs
	g.offer(mb, 1)
	m.endJoin(g, mb, &JoinAnswer{Err: ErrRebalanceInProgress, Generation: noGeneration, MemberID: mb.id})
	mb.join = waiter{to: to, waits: true}
	g.awaiting++
}

// endJoin answers the member's Join, if one waits.
func (m membership) endJoin(g *group, mb *member, a *JoinAnswer) bool {
	if !m.answer(&mb.join, a) {
		return false
	}
	g.awaiting--
	return true
}

// joined is the answer to a member that belongs to the current generation.
func (g *group) joined(mb *member) *JoinAnswer {
	a := &JoinAnswer{
		Generation:   g.generation,
		ProtocolType: g.protocolType,
		ProtocolName: g.protocol,
		Leader:       g.leader,
		MemberID:     mb.id,
	}
	if g.leader == mb.id {
		a.Members = g.roster()
	}
	return a
}

// roster is what the leader learns of all members.
func (g *group) roster() []JoinedMember {
	all := make([]JoinedMember, 0, len(g.members))
	for _, mb := range g.members {
		all = append(all, JoinedMember{MemberID: mb.id, InstanceID: mb.instance, Metadata: mb.metadata(*g.protocol)})
	}
	return all
}

// replaceStatic gives the place of a static member to its new incarnation,
// which came without a member id. In a stable group that is no reason for a
// rebalance, as long as the protocol stays: the new member id is written, and
// the member told of the generation that goes on (KIP-345, KIP-814).
func (m membership) replaceStatic(g *group, mb *member, to Ticket, r *Join) {
	old, oldLeader := *mb, g.leader
	m.endJoin(g, mb, &JoinAnswer{Err: ErrFencedInstance, Generation: noGeneration, MemberID: mb.id})
	m.answer(&mb.sync, &SyncAnswer{Err: ErrFencedInstance})
	g.rename(mb, r.NewMemberID)
	m.update(g, mb, to, r)
	m.keepAlive(mb)
	switch g.state {
	case CompletingRebalance:
		m.prepareRebalance(g, "static member "+*mb.instance+" came back")
	case Stable:
		if g.vote() != *g.protocol {
			m.rebalance(g, "static member "+*mb.instance+" came back with other protocols")
			return
		}
		generation, id := g.generation, mb.id
		m.write([]Record{{encodeGroupKey(g.id), encodeGroupValue(g, g.assignments())}}, func(err error) {
			if g.byID[id] != mb || g.state != Stable || g.generation != generation {
				return // removed, or a rebalance answers it
			}
			if err != nil {
				m.takeBackStatic(g, mb, old, groupWriteError(err))
				return
			}
			m.endJoin(g, mb, staticJoined(g, mb, oldLeader, r.SkipAssignment))
			m.keepAlive(mb)
		})
	}
}

// takeBackStatic undoes replaceStatic after its record could not be written.
func (m membership) takeBackStatic(g *group, mb *member, old member, err error) {
	a := g.joined(mb)
	a.Err, a.MemberID, a.Members = err, "", nil
	m.endJoin(g, mb, a)
	g.rename(mb, old.id)
	g.offer(mb, -1)
	mb.protocols, mb.rebalanceMs, mb.sessionMs = old.protocols, old.rebalanceMs, old.sessionMs
	g.offer(mb, 1)
	m.keepAlive(mb)
}

// staticJoined answers the new incarnation of a static member. One that leads
// learns so only if it knows not to assign anew; else it is told the leader of
// old, an id nobody has any more, and so takes itself for a follower.
func staticJoined(g *group, mb *member, oldLeader string, skip bool) *JoinAnswer {
	a := g.joined(mb)
	if skip {
		a.SkipAssignment = g.leader == mb.id
		return a
	}
	a.Leader, a.Members = oldLeader, nil
	return a
}

// assignments is what each member has been assigned.
func (g *group) assignments() map[string][]byte {
	all := make(map[string][]byte, len(g.members))
	for _, mb := range g.members {
		all[mb.id] = mb.assignment
	}
	return all
}
