// SPDX-License-Identifier: Apache-2.0

package group

// adopt readies a new or loaded group to be stepped.
func (m membership) adopt(g *group) {
	g.joinTimer.fire = func() { m.joinTimeout(g) }
	g.syncTimer.fire = func() { m.syncTimeout(g) }
	for _, mb := range g.members {
		mb.session.fire = func() { m.memberExpired(g, mb) }
		m.keepAlive(mb)
	}
	if len(g.members) > m.o.MaxSize {
		m.prepareRebalance(g, "loaded group is over group.max.size")
	}
}

// rebalance begins one unless one is already waiting for joins, or the group is Dead.
func (m membership) rebalance(g *group, why string) {
	if m.resigned {
		return
	}
	if g.state == Stable || g.state == CompletingRebalance || g.state == Empty {
		m.prepareRebalance(g, why)
	}
}

// prepareRebalance waits for every member to join the next generation. From
// Empty it waits group.initial.rebalance.delay.ms for more to come.
func (m membership) prepareRebalance(g *group, why string) {
	if g.state == CompletingRebalance {
		m.resetAssignments(g, ErrRebalanceInProgress)
	}
	m.endSyncWait(g)
	wait := g.rebalanceMs()
	if g.initial = g.state == Empty; g.initial {
		g.delayMs = int64(m.o.InitialRebalanceDelayMs)
		g.remainingMs = max(wait-g.delayMs, 0)
		wait = g.delayMs
	}
	g.enter(PreparingRebalance, m.now)
	m.o.Events.rebalancing(g.id, g.generation, why)
	m.timers.arm(&g.joinTimer, m.now+wait)
	if wait <= 0 {
		m.joinTimeout(g)
		return
	}
	m.completeJoinIfAll(g)
}

// joinTimeout: whoever has not joined by now stays out. While the first
// members of a group gather, each newcomer extends the wait.
func (m membership) joinTimeout(g *group) {
	if g.state != PreparingRebalance {
		return
	}
	if g.initial && g.newMember && g.remainingMs != 0 {
		g.newMember = false
		waited := g.delayMs
		g.delayMs = min(int64(m.o.InitialRebalanceDelayMs), g.remainingMs)
		g.remainingMs = max(g.remainingMs-waited, 0)
		m.timers.arm(&g.joinTimer, m.now+g.delayMs)
		return
	}
	m.completeJoin(g)
}

// completeJoinIfAll completes the rebalance when there is nobody left to wait for.
func (m membership) completeJoinIfAll(g *group) {
	if g.state == PreparingRebalance && !g.initial && g.allJoined() {
		m.completeJoin(g)
	}
}

// completeJoin begins the next generation with those who joined. Static members
// keep their place though they are late.
func (m membership) completeJoin(g *group) {
	m.timers.disarm(&g.joinTimer)
	for i := 0; i < len(g.members); {
		if mb := g.members[i]; !mb.join.waits && mb.instance == nil {
			m.remove(g, mb)
			m.o.Events.removed(g.id, mb.id, "did not join the rebalance in time")
			continue
		}
		i++
	}
	if !g.electJoined() && len(g.members) > 0 {
		m.timers.arm(&g.joinTimer, m.now+max(g.rebalanceMs(), 1)) // nobody joined: keep waiting
		return
	}
	g.initial, g.newMember = false, false
	g.generation++
	if len(g.members) == 0 {
		m.emptied(g)
		return
	}
	protocol := g.vote()
	g.protocol = &protocol
	g.learnTopics()
	g.enter(CompletingRebalance, m.now)
	for _, mb := range g.members {
		m.endJoin(g, mb, g.joined(mb))
		m.keepAlive(mb)
		mb.isNew, mb.unsynced = false, true
	}
	g.unsynced = len(g.members)
	m.timers.arm(&g.syncTimer, m.now+g.rebalanceMs())
	m.o.Events.generation(g.id, g.generation, len(g.members))
}

// emptied writes that the last member is gone.
func (m membership) emptied(g *group) {
	g.protocol = nil
	g.learnTopics()
	g.enter(Empty, m.now)
	m.o.Events.generation(g.id, g.generation, 0)
	m.write([]Record{{encodeGroupKey(g.id), encodeGroupValue(g, nil)}}, func(err error) {
		if err != nil { // after a restart the members of old will have to expire once more
			m.o.Events.writeFailed(g.id, err)
		}
	})
}

// electJoined makes sure that a member which joined leads; false: there is none.
func (g *group) electJoined() bool {
	if leader := g.byID[g.leader]; leader != nil && leader.join.waits {
		return true
	}
	for _, mb := range g.members {
		if mb.join.waits {
			g.leader = mb.id
			return true
		}
	}
	return false
}

// memberExpired: the session ran out. One that waits for an answer of ours is
// alive, except a newcomer that has waited five minutes.
func (m membership) memberExpired(g *group, mb *member) {
	if !mb.isNew && (mb.join.waits || mb.sync.waits) {
		return
	}
	m.o.Events.removed(g.id, mb.id, "session expired")
	m.removeAndRebalance(g, mb, "member "+mb.id+" expired")
}

// pendingExpired: the id that was given out was not used in time.
func (m membership) pendingExpired(g *group, p *pending) {
	m.dropPending(g, p.id)
	m.completeJoinIfAll(g)
	m.forget(g)
}

// remove takes a member out and answers what it waits for.
func (m membership) remove(g *group, mb *member) {
	m.endJoin(g, mb, &JoinAnswer{Err: ErrUnknownMember, Generation: noGeneration})
	m.answer(&mb.sync, &SyncAnswer{Err: ErrUnknownMember})
	m.timers.disarm(&mb.session)
	g.drop(mb)
}

// removeAndRebalance lets the others share what the member leaves.
func (m membership) removeAndRebalance(g *group, mb *member, why string) {
	m.remove(g, mb)
	m.rebalance(g, why)
	m.completeJoinIfAll(g)
}

// syncTimeout: members that joined but never asked for their assignment are
// taken out, lest they block the next rebalance.
func (m membership) syncTimeout(g *group) {
	if g.unsynced == 0 || g.state != CompletingRebalance && g.state != Stable {
		return
	}
	for i := 0; i < len(g.members); {
		if mb := g.members[i]; mb.unsynced {
			m.remove(g, mb)
			m.o.Events.removed(g.id, mb.id, "did not sync in time")
			continue
		}
		i++
	}
	m.prepareRebalance(g, "members did not sync in time")
}

// endSyncWait: nobody's Sync of this generation is waited for any more.
func (m membership) endSyncWait(g *group) {
	for _, mb := range g.members {
		mb.unsynced = false
	}
	g.unsynced = 0
	m.timers.disarm(&g.syncTimer)
}

// resetAssignments takes the assignments back and tells err to those who wait for theirs.
func (m membership) resetAssignments(g *group, err error) {
	for _, mb := range g.members {
		mb.assignment = nil
		if m.answer(&mb.sync, &SyncAnswer{Err: err}) {
			m.keepAlive(mb)
		}
	}
}
