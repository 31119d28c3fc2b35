// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupStories are the lives of groups, in each version.
func groupStories() []exchange {
	var out []exchange
	for v := int16(0); v <= newest["JoinGroup"]; v++ {
		out = append(out, twoMembers(v)...)
		if v >= 5 {
			out = append(out, staticMembers(v)...)
		}
		out = append(out, fullGroup(v)...)
	}
	return append(out, expiry()...)
}

// names keeps the members of each story apart.
func (y *story) member(name string) member {
	return member{name: fmt.Sprintf("%s of %s", name, y.group)}
}

// begins lets a member join a group that waits for nobody else.
func (y *story) begins(m member) {
	if y.v >= 4 && m.instance == "" {
		y.joins(m, "asks for an id", nil)
	}
	y.joins(m, "joins", nil)
}

// later makes an exchange one whose answer comes later.
func later(x *exchange) { x.later = true }

// Two members share a group and leave it: every state from nothing to Dead, and
// who says the wrong thing in each.
func twoMembers(v int16) []exchange {
	y := &story{group: fmt.Sprintf("pair-v%d", v), v: v}
	a, b, nobody := y.member("a"), y.member("b"), member{name: "nobody", stranger: true}
	y.begins(a)
	y.shows("CompletingRebalance")
	y.beats(a, "beats early", 1)
	y.beats(a, "beats in the wrong generation", 7)
	y.beats(nobody, "beats", 1)
	y.syncs(nobody, "syncs", 1, nil, false)
	y.syncs(a, "syncs in the wrong generation", 9, nil, false)
	y.syncs(a, "syncs with another protocol", 1, func(r *kmsg.SyncGroupRequest) { r.Protocol = kmsg.StringPtr("sticky") }, false)
	y.syncs(a, "syncs with another type", 1, func(r *kmsg.SyncGroupRequest) { r.ProtocolType = kmsg.StringPtr("connect") }, false)
	y.syncs(a, "syncs", 1, nil, false, a.name)
	y.shows("Stable")
	y.syncs(a, "syncs again", 1, nil, false, a.name)
	y.beats(a, "beats", 1)
	y.commits(a, "commits", 1)
	y.commits(a, "commits in the wrong generation", 4)
	y.commits(nobody, "commits", 1)
	y.commits(member{stranger: true}, "somebody commits from outside", -1)
	y.deletes("in use")
	y.add("JoinGroup", "with another type", nil, func(*side, int16) kmsg.Request {
		req := joinRequest(y.group)
		req.ProtocolType = "connect"
		return req
	})
	y.add("JoinGroup", "with another protocol", nil, func(*side, int16) kmsg.Request {
		req := joinRequest(y.group)
		req.Protocols = req.Protocols[:1]
		req.Protocols[0].Name = "other"
		return req
	})
	if v >= 4 {
		y.joins(b, "asks for an id", nil)
	}
	y.joins(b, "joins", later)
	y.add("Heartbeat", "until the rebalance is noticed", func(x *exchange) {
		x.on = a.name
		x.until = func(resp kmsg.Response) bool { return resp.(*kmsg.HeartbeatResponse).ErrorCode != 0 }
	}, func(s *side, _ int16) kmsg.Request { return beat(y.group, a.id(s), 1) })
	y.shows("PreparingRebalance")
	y.commits(a, "commits in the rebalance", 1)
	y.syncs(a, "syncs in the rebalance", 1, nil, false)
	y.joins(a, "joins again", nil)
	y.takes("JoinGroup", b)
	y.commits(a, "commits before the sync", 2)
	y.syncs(b, "follows", 2, nil, true)
	y.syncs(a, "leads", 2, nil, false, a.name, b.name)
	y.takes("SyncGroup", b)
	y.shows("Stable")
	y.joins(b, "joins unchanged", nil)
	y.leaves(nobody, "leaves")
	y.leaves(b, "leaves")
	y.beats(b, "beats after all", 2)
	y.beats(a, "hears of it", 2)
	y.leaves(a, "leaves")
	y.shows("Empty")
	y.commits(a, "commits after all", 2)
	y.commits(member{stranger: true}, "somebody commits to nobody", -1)
	y.deletes("when empty")
	y.shows("Dead")
	return y.out
}

// A static member comes back under its name; who had it before is fenced.
func staticMembers(v int16) []exchange {
	y := &story{group: fmt.Sprintf("static-v%d", v), v: v}
	a := y.member("a")
	a.instance = "instance"
	old := member{name: "old " + a.name, instance: "instance"}
	y.begins(a)
	y.syncs(a, "syncs", 1, nil, false, a.name)
	y.shows("Stable")
	y.add("Heartbeat", "under another id", nil, func(*side, int16) kmsg.Request {
		req := beat(y.group, "nobody", 1)
		req.InstanceID = kmsg.StringPtr("instance")
		return req
	})
	y.add("JoinGroup", "again under the name", func(x *exchange) {
		x.then = func(s *side, resp kmsg.Response) {
			s.met(old.name, s.members[a.name])
			s.met(a.name, resp.(*kmsg.JoinGroupResponse).MemberID)
		}
	}, func(*side, int16) kmsg.Request {
		req := joinRequest(y.group)
		req.InstanceID = kmsg.StringPtr("instance")
		return req
	})
	y.shows("Stable")
	y.beats(old, "beats", 1)
	y.commits(old, "commits", 1)
	y.syncs(old, "syncs", 1, nil, false)
	y.joins(old, "joins", func(x *exchange) { x.then = nil })
	y.leaves(old, "leaves")
	y.beats(a, "beats", 1)
	y.commits(a, "commits", 1)
	y.leaves(member{instance: "instance", stranger: true}, "leaves by name")
	y.shows("Empty")
	y.leaves(member{instance: "instance", stranger: true}, "leaves once more")
	y.deletes("at the end")
	return y.out
}

// group.max.size is 3.
func fullGroup(v int16) []exchange {
	if v < 5 {
		return nil
	}
	y := &story{group: fmt.Sprintf("full-v%d", v), v: v}
	var all []member
	for _, name := range []string{"a", "b", "c"} {
		m := y.member(name)
		m.instance = name
		y.joins(m, "joins", later)
		all = append(all, m)
		n := len(all)
		y.add("DescribeGroups", "until "+name+" is in", func(x *exchange) { // the leader is who came first
			x.until = func(resp kmsg.Response) bool {
				return len(resp.(*kmsg.DescribeGroupsResponse).Groups[0].Members) == n
			}
		}, func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeGroupsRequest()
			req.Groups = []string{y.group}
			return req
		})
	}
	for _, m := range all {
		y.takes("JoinGroup", m)
	}
	d := y.member("d")
	d.instance = "d"
	y.joins(d, "joins", nil)
	for _, m := range all {
		y.leaves(member{instance: m.instance, stranger: true}, "leaves as "+m.instance)
	}
	y.shows("Empty")
	return y.out
}

// A member that is not heard of for its session's time is out.
func expiry() []exchange {
	y := &story{group: "expires", v: newest["JoinGroup"]}
	m := y.member("a")
	short := func(s *side, v int16) kmsg.Request {
		req := joinRequest(y.group)
		req.MemberID, req.SessionTimeoutMillis = m.id(s), 300
		return req
	}
	note := func(x *exchange) {
		x.then = func(s *side, resp kmsg.Response) { s.met(m.name, resp.(*kmsg.JoinGroupResponse).MemberID) }
	}
	y.add("JoinGroup", "asks for an id", note, short)
	y.add("JoinGroup", "joins for a short time", note, short)
	y.syncs(m, "syncs", 1, nil, false, m.name)
	y.add("DescribeGroups", "until nobody is left", func(x *exchange) {
		x.until = func(resp kmsg.Response) bool { return resp.(*kmsg.DescribeGroupsResponse).Groups[0].State == "Empty" }
	}, func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{y.group}
		return req
	})
	y.beats(m, "beats too late", 1)
	y.commits(m, "commits too late", 1)
	y.joins(m, "joins too late", func(x *exchange) { x.then = nil })
	y.deletes("afterwards")
	return y.out
}
