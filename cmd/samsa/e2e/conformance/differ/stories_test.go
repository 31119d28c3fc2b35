// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A story is a run of exchanges that build on each other, told once for each
// version of JoinGroup; the other APIs are asked in the same version, or in the
// newest they have.

// newest are the newest versions of the APIs around a group.
var newest = map[string]int16{
	"JoinGroup": 9, "SyncGroup": 5, "Heartbeat": 4, "LeaveGroup": 5, "OffsetCommit": 9, "DescribeGroups": 5, "DeleteGroups": 2, "ListGroups": 5, "OffsetDelete": 0,
}

// story gathers the exchanges of one group.
type story struct {
	group string
	v     int16
	out   []exchange
}

// add asks an API at the story's version.
func (y *story) add(api, what string, change func(x *exchange), ask func(s *side, v int16) kmsg.Request) {
	v := min(y.v, newest[api])
	x := exchange{name: fmt.Sprintf("%s in %s, %s", api, y.group, what), from: v, to: v, ask: ask}
	if change != nil {
		change(&x)
	}
	y.out = append(y.out, x)
}

// member is who a story's questions are asked by.
type member struct {
	name     string
	instance string // group.instance.id
	stranger bool   // its id is its name
}

func (m member) id(s *side) string {
	if m.stranger {
		return m.name
	}
	return s.members[m.name]
}

func (m member) instanceID(v, since int16) *string {
	if m.instance == "" || v < since {
		return nil
	}
	return &m.instance
}

// joins asks to join; the id that is given is noted under the member's name.
func (y *story) joins(m member, what string, change func(x *exchange)) {
	y.add("JoinGroup", m.name+" "+what, func(x *exchange) {
		x.on = m.name
		x.then = func(s *side, resp kmsg.Response) { s.met(m.name, resp.(*kmsg.JoinGroupResponse).MemberID) }
		if change != nil {
			change(x)
		}
	}, func(s *side, v int16) kmsg.Request {
		req := joinRequest(y.group)
		req.MemberID, req.InstanceID = m.id(s), m.instanceID(v, 5)
		return req
	})
}

// takes takes the answer of a Join that was sent before.
func (y *story) takes(api string, m member) {
	y.add(api, m.name+" is answered", func(x *exchange) {
		x.on, x.take = m.name, true
		x.then = func(s *side, resp kmsg.Response) {
			if r, ok := resp.(*kmsg.JoinGroupResponse); ok {
				s.met(m.name, r.MemberID)
			}
		}
	}, nil)
}

// met notes the id of a member, if it got one.
func (s *side) met(name, id string) {
	if id != "" && id != name {
		s.members[name], s.Names[id] = id, name
	}
}

func (y *story) syncs(m member, what string, generation int32, change func(r *kmsg.SyncGroupRequest), later bool, assigned ...string) {
	y.add("SyncGroup", m.name+" "+what, func(x *exchange) { x.on, x.later = m.name, later }, func(s *side, v int16) kmsg.Request {
		req := syncRequest(y.group, m.id(s), generation)
		req.InstanceID, req.GroupAssignment = m.instanceID(v, 3), nil
		for _, name := range assigned {
			a := kmsg.NewSyncGroupRequestGroupAssignment()
			a.MemberID, a.MemberAssignment = s.members[name], []byte("assigned")
			req.GroupAssignment = append(req.GroupAssignment, a)
		}
		if change != nil {
			change(req)
		}
		return req
	})
}

func (y *story) beats(m member, what string, generation int32) {
	y.add("Heartbeat", m.name+" "+what, func(x *exchange) { x.on = m.name }, func(s *side, v int16) kmsg.Request {
		req := beat(y.group, m.id(s), generation)
		req.InstanceID = m.instanceID(v, 3)
		return req
	})
}

func (y *story) commits(m member, what string, generation int32) {
	y.add("OffsetCommit", m.name+" "+what, func(x *exchange) { x.on, x.from, x.to = m.name, max(x.from, 1), max(x.to, 1) }, func(s *side, v int16) kmsg.Request {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.InstanceID, req.Generation = y.group, m.id(s), m.instanceID(v, 7), generation
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Offset, p.LeaderEpoch, p.Metadata = 3, 1, kmsg.StringPtr("note")
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.Partitions = "one", append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return req
	})
}

func (y *story) leaves(m member, what string) {
	y.add("LeaveGroup", m.name+" "+what, nil, func(s *side, v int16) kmsg.Request {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group, req.MemberID = y.group, m.id(s)
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID, one.InstanceID, one.Reason = m.id(s), m.instanceID(v, 3), kmsg.StringPtr("bye")
		req.Members = append(req.Members, one)
		return req
	})
}

// shows asks what the group looks like: described, and in the list.
func (y *story) shows(state string) {
	describe := func(s *side, v int16) kmsg.Request {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups, req.IncludeAuthorizedOperations = []string{y.group}, v >= 3
		return req
	}
	y.add("DescribeGroups", state, nil, describe)
	y.add("ListGroups", state, nil, func(s *side, v int16) kmsg.Request {
		req := kmsg.NewPtrListGroupsRequest()
		if v >= 4 {
			req.StatesFilter = []string{state}
		}
		return req
	})
}

func (y *story) deletes(what string) {
	y.add("OffsetDelete", what, nil, func(s *side, v int16) kmsg.Request { return offsetDelete(y.group, "one", 0) })
	y.add("DeleteGroups", what, nil, func(s *side, v int16) kmsg.Request {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{y.group}
		return req
	})
}
