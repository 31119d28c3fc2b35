// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func groupQuestions() []exchange {
	find := func(kind int8, keys ...string) func(*side, int16) kmsg.Request {
		return func(_ *side, v int16) kmsg.Request {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorType, req.CoordinatorKeys = kind, keys
			if len(keys) > 0 {
				req.CoordinatorKey = keys[0]
			}
			return req
		}
	}
	out := every("FindCoordinator", 0, 6, asks{
		"group": find(0, "g"), "empty": find(0, ""), "two": find(0, "g", "h"), "twice": find(0, "g", "g"),
	})
	out = append(out, every("FindCoordinator", 1, 6, asks{"odd kind": find(7, "g")})...)
	out = append(out, every("FindCoordinator", 4, 6, asks{"none": find(0)})...)
	out = append(out, every("FindCoordinator", 6, 6, asks{"share": find(2, "g:AAAAAAAAAAAAAAAAAAAAAA:0")})...)
	commit := func(group string, change func(r *kmsg.OffsetCommitRequest)) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrOffsetCommitRequest()
			req.Group, req.Generation = group, -1
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Offset, p.Metadata = 1, kmsg.StringPtr("note")
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic, t.Partitions = "one", append(t.Partitions, p)
			req.Topics = append(req.Topics, t)
			change(req)
			return req
		}
	}
	type C = *kmsg.OffsetCommitRequest
	part := func(r C) *kmsg.OffsetCommitRequestTopicPartition { return &r.Topics[0].Partitions[0] }
	out = append(out, every("OffsetCommit", 1, 9, asks{
		"simple":                           commit("simple", func(C) {}),
		"generation":                       commit("simple", func(r C) { r.Generation = 5 }),
		"member":                           commit("simple", func(r C) { r.MemberID = "me" }),
		"both":                             commit("unheard", func(r C) { r.MemberID, r.Generation = "me", 5 }),
		"empty group":                      commit("", func(C) {}),
		"unknown topic":                    commit("simple", func(r C) { r.Topics[0].Topic = "no-such" }),
		"unknown partition":                commit("simple", func(r C) { part(r).Partition = 99 }),
		"null metadata":                    commit("simple", func(r C) { part(r).Metadata = nil }),
		"large metadata":                   commit("simple", func(r C) { part(r).Metadata = kmsg.StringPtr(strings.Repeat("x", 4097)) }),
		"negative":                         commit("negative", func(r C) { part(r).Offset = -1 }),
		"very negative":                    commit("negative", func(r C) { part(r).Offset = -100 }),
		"no topics":                        commit("simple", func(r C) { r.Topics = nil }),
		"no partitions":                    commit("simple", func(r C) { r.Topics[0].Partitions = nil }),
		"topic twice":                      commit("simple", func(r C) { r.Topics = append(r.Topics, r.Topics[0]) }),
		"unknown topic without partitions": commit("simple", func(r C) { r.Topics[0].Topic, r.Topics[0].Partitions = "no-such", nil }),
		"twice":                            commit("simple", func(r C) { r.Topics[0].Partitions = append(r.Topics[0].Partitions, *part(r)) }),
		"one good, one bad": commit("simple", func(r C) {
			p := *part(r)
			p.Partition = 99
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, p)
		}),
	})...)
	out = append(out, every("OffsetCommit", 0, 0, asks{
		"old":                commit("old", func(C) {}),
		"old, unknown topic": commit("old", func(r C) { r.Topics[0].Topic = "no-such" }),
		"old, long metadata": commit("old", func(r C) { part(r).Metadata = kmsg.StringPtr(strings.Repeat("x", 4097)) }),
		"old, no partitions": commit("old", func(r C) { r.Topics[0].Partitions = nil }),
		"old, negative":      commit("older", func(r C) { part(r).Offset = -1 }),
		"old, empty group":   commit("", func(C) {}),
		"old, group of two":  commit("old/er", func(C) {}),
		"old, group of none": commit("old//er", func(C) {}),
		"old, group above":   commit("..", func(C) {}),
		"old, control group": commit("old\x01", func(C) {}),
		"old, wide group":    commit("old\U0001f600", func(C) {}),
		"old, twice":         commit("old", func(r C) { r.Topics[0].Partitions = append(r.Topics[0].Partitions, *part(r)) }),
		"old, wide metadata": commit("old", func(r C) { part(r).Metadata = kmsg.StringPtr(strings.Repeat("\u00e9", 4096)) }),
		"old, null metadata": commit("old", func(r C) { part(r).Metadata = nil }),
		"old, one bad":       commit("old", func(r C) { p := *part(r); p.Partition = 99; r.Topics[0].Partitions = append(r.Topics[0].Partitions, p) }),
		"old, no topics":     commit("old", func(r C) { r.Topics = nil }),
	})...)
	out = append(out, every("OffsetCommit", 7, 9, asks{"static": commit("simple", func(r C) { r.InstanceID = kmsg.StringPtr("i") })})...)
	return append(out, offsetFetches()...)
}

func offsetFetches() []exchange {
	fetch := func(group, topic string, partitions ...int32) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrOffsetFetchRequest()
			req.Group = group
			g := kmsg.NewOffsetFetchRequestGroup()
			g.Group = group
			if topic != "" {
				req.Topics = append(req.Topics, kmsg.OffsetFetchRequestTopic{Topic: topic, Partitions: partitions})
				g.Topics = append(g.Topics, kmsg.OffsetFetchRequestGroupTopic{Topic: topic, Partitions: partitions})
			}
			req.Groups = append(req.Groups, g)
			return req
		}
	}
	out := every("OffsetFetch", 1, 9, asks{
		"committed": fetch("simple", "one", 0), "not committed": fetch("simple", "one", 1), "unknown partition": fetch("simple", "one", 99),
		"unknown topic": fetch("simple", "no-such", 0), "unknown group": fetch("unheard", "one", 0), "empty group": fetch("", "one", 0),
		"twice": fetch("simple", "one", 0, 0), "no partitions": fetch("simple", "one"), "negative": fetch("negative", "one", 0),
	})
	out = append(out, every("OffsetFetch", 2, 9, asks{"all": fetch("simple", ""), "all of an unknown": fetch("unheard", ""), "all of none": fetch("", "")})...)
	out = append(out, every("OffsetFetch", 8, 9, asks{
		"many": func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrOffsetFetchRequest()
			for _, name := range []string{"simple", "", "unheard"} {
				g := kmsg.NewOffsetFetchRequestGroup()
				g.Group = name
				req.Groups = append(req.Groups, g)
			}
			return req
		},
	})...)
	out = append(out, every("OffsetFetch", 0, 0, asks{
		"old": fetch("old", "one", 0), "old, not committed": fetch("old", "one", 1), "old, unknown topic": fetch("old", "no-such", 0),
		"old, committed by a newer version": fetch("simple", "one", 0), "old, many": fetch("old", "one", 1, 0, 99, 0), "old, no partitions": fetch("old", "one"),
		"old, negative": fetch("older", "one", 0), "old, unknown group": fetch("unheard", "one", 0), "old, empty group": fetch("", "one", 0), "old, empty group, unknown topic": fetch("", "no-such", 0),
		"old, group of two": fetch("old/er", "one", 0), "old, group of none": fetch("old//er", "one", 0), "old, group above": fetch("..", "one", 0, 99), "old, control group": fetch("old\x01", "one", 0),
		"old, nothing": fetch("old", ""),
	})...)
	out = append(out, every("OffsetFetch", 1, 9, asks{"committed by version 0": fetch("old", "one", 0)})...)
	out = append(out, every("OffsetFetch", 2, 9, asks{"all, committed by version 0": fetch("old", "")})...)
	out = append(out, topicAgain(fetch("old", "again", 0))...)
	out = append(out, exchange{name: "DeleteGroups old", from: 2, to: 2, ask: func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{"old", "older"}
		return req
	}})
	return append(out, exchange{name: "OffsetFetch no groups", from: 8, to: 8, patience: 3 * time.Second, ask: func(*side, int16) kmsg.Request {
		return kmsg.NewPtrOffsetFetchRequest()
	}})
}

// topicAgain commits in version 0, and fetches what the topic's successor has.
func topicAgain(fetch func(*side, int16) kmsg.Request) []exchange {
	create := exchange{name: "CreateTopics again", from: 7, to: 7, ask: func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrCreateTopicsRequest()
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "again", 1, 1
		req.TimeoutMillis, req.Topics = 20_000, append(req.Topics, topic)
		return req
	}, until: func(resp kmsg.Response) bool { // Kafka still deletes after it has answered
		return resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode != kerr.TopicAlreadyExists.Code
	}}
	commit := exchange{name: "OffsetCommit again", ask: func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrOffsetCommitRequest()
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Offset, p.Metadata = 77, kmsg.StringPtr("")
		req.Group, req.Topics = "old", []kmsg.OffsetCommitRequestTopic{{Topic: "again", Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
		return req
	}}
	remove := exchange{name: "DeleteTopics again", from: 5, to: 5, ask: func(*side, int16) kmsg.Request {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis, req.TopicNames = 20_000, []string{"again"}
		return req
	}}
	fetched := func(name string) exchange { return exchange{name: "OffsetFetch again, " + name, ask: fetch} }
	return []exchange{create, commit, fetched("committed"), remove, fetched("deleted"), create, fetched("made anew")}
}

// memberQuestions are what strangers ask of groups.
func memberQuestions() []exchange {
	var out []exchange
	join := func(change func(r *kmsg.JoinGroupRequest)) func(*side, int16) kmsg.Request {
		return func(s *side, v int16) kmsg.Request {
			req := joinRequest("strange")
			change(req)
			return req
		}
	}
	type J = *kmsg.JoinGroupRequest
	out = append(out, every("JoinGroup", 0, 9, asks{
		"empty group":    join(func(r J) { r.Group = "" }),
		"short session":  join(func(r J) { r.SessionTimeoutMillis = 1 }),
		"long session":   join(func(r J) { r.SessionTimeoutMillis = 1 << 30 }),
		"unknown member": join(func(r J) { r.MemberID = "nobody" }),
		"no protocols":   join(func(r J) { r.Protocols = nil }),
		"no type":        join(func(r J) { r.ProtocolType = "" }),
	})...)
	out = append(out, every("JoinGroup", 5, 9, asks{"static, unknown": join(func(r J) { r.MemberID, r.InstanceID = "nobody", kmsg.StringPtr("i") })})...)
	out = append(out, every("SyncGroup", 0, 5, asks{
		"stranger":    func(*side, int16) kmsg.Request { return syncRequest("unheard", "nobody", 1) },
		"empty group": func(*side, int16) kmsg.Request { return syncRequest("", "nobody", 1) },
		"untyped": func(_ *side, v int16) kmsg.Request {
			r := syncRequest("unheard", "nobody", 1)
			r.ProtocolType, r.Protocol = nil, nil
			return r
		},
	})...)
	out = append(out, every("Heartbeat", 0, 4, asks{
		"stranger":    func(*side, int16) kmsg.Request { return beat("unheard", "nobody", 1) },
		"no member":   func(*side, int16) kmsg.Request { return beat("simple", "", 1) },
		"empty group": func(*side, int16) kmsg.Request { return beat("", "nobody", 1) },
	})...)
	leave := func(group string, members ...string) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrLeaveGroupRequest()
			req.Group = group
			for _, m := range members {
				req.MemberID = m
				one := kmsg.NewLeaveGroupRequestMember()
				one.MemberID = m
				req.Members = append(req.Members, one)
			}
			return req
		}
	}
	out = append(out, every("LeaveGroup", 0, 5, asks{"stranger": leave("unheard", "nobody"), "empty group": leave("", "nobody"), "known group": leave("simple", "nobody")})...)
	out = append(out, every("LeaveGroup", 3, 5, asks{"none": leave("simple"), "two": leave("simple", "a", "b")})...)
	return append(out, listQuestions()...)
}

func joinRequest(group string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = group, 20_000, 20_000, "consumer"
	subscription := kmsg.NewConsumerMemberMetadata() // Kafka never ends a rebalance of consumers whose metadata it cannot read
	subscription.Topics = []string{"one"}
	metadata := subscription.AppendTo(nil)
	for _, name := range []string{"range", "sticky"} {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = name, metadata
		req.Protocols = append(req.Protocols, p)
	}
	return req
}

func syncRequest(group, member string, generation int32) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr("consumer"), kmsg.StringPtr("range")
	a := kmsg.NewSyncGroupRequestGroupAssignment()
	a.MemberID, a.MemberAssignment = member, []byte("assignment")
	req.GroupAssignment = append(req.GroupAssignment, a)
	return req
}

func beat(group, member string, generation int32) *kmsg.HeartbeatRequest {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = group, member, generation
	return req
}

func offsetDelete(group, topic string, partition int32) *kmsg.OffsetDeleteRequest {
	req := kmsg.NewPtrOffsetDeleteRequest()
	t := kmsg.NewOffsetDeleteRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, kmsg.OffsetDeleteRequestTopicPartition{Partition: partition})
	req.Group, req.Topics = group, append(req.Topics, t)
	return req
}

func listQuestions() []exchange {
	describe := func(groups ...string) func(*side, int16) kmsg.Request {
		return func(_ *side, v int16) kmsg.Request {
			r := kmsg.NewPtrDescribeGroupsRequest()
			r.Groups, r.IncludeAuthorizedOperations = groups, v >= 3
			return r
		}
	}
	out := every("DescribeGroups", 0, 5, asks{"offsets only": describe("simple"), "unknown": describe("unheard"), "empty": describe(""), "none": describe(), "twice": describe("simple", "simple")})
	list := func(states, types []string) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			r := kmsg.NewPtrListGroupsRequest()
			r.StatesFilter, r.TypesFilter = states, types
			return r
		}
	}
	out = append(out, every("ListGroups", 0, 5, asks{"all": list(nil, nil)})...)
	out = append(out, every("ListGroups", 4, 5, asks{"empty": list([]string{"Empty"}, nil), "in any case": list([]string{"eMPTY"}, nil), "dead": list([]string{"Dead"}, nil), "odd state": list([]string{"Odd"}, nil)})...)
	out = append(out, every("ListGroups", 5, 5, asks{"classic": list(nil, []string{"Classic"}), "consumer": list(nil, []string{"consumer"}), "odd type": list(nil, []string{"odd"})})...)
	remove := func(groups ...string) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request { r := kmsg.NewPtrDeleteGroupsRequest(); r.Groups = groups; return r }
	}
	out = append(out, every("OffsetDelete", 0, 0, asks{
		"known":             func(*side, int16) kmsg.Request { return offsetDelete("simple", "one", 0) },
		"unknown topic":     func(*side, int16) kmsg.Request { return offsetDelete("simple", "no-such", 0) },
		"unknown partition": func(*side, int16) kmsg.Request { return offsetDelete("simple", "one", 99) },
		"unknown group":     func(*side, int16) kmsg.Request { return offsetDelete("unheard", "one", 0) },
		"empty group":       func(*side, int16) kmsg.Request { return offsetDelete("", "one", 0) },
		"nothing":           func(*side, int16) kmsg.Request { r := offsetDelete("negative", "one", 0); r.Topics = nil; return r },
	})...)
	return append(out, every("DeleteGroups", 0, 2, asks{"known": remove("negative"), "unknown": remove("unheard"), "empty": remove(""), "none": remove(), "twice": remove("unheard", "unheard")})...)
}
