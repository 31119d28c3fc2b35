// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// coordinated waits until the coordinator of groups answers.
func (a *teller) coordinated() {
	a.t.Helper()
	e2e.Eventually(a.t, 60*time.Second, func() error {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey = "g"
		if r := a.ask(3, req).(*kmsg.FindCoordinatorResponse); r.ErrorCode != 0 {
			return errCode(r.ErrorCode)
		}
		list := kmsg.NewPtrListGroupsRequest()
		if r := a.ask(4, list).(*kmsg.ListGroupsResponse); r.ErrorCode != 0 {
			return errCode(r.ErrorCode)
		}
		return nil
	})
}

type errCode int16

func (c errCode) Error() string { return "error code of the coordinator" }

func (a *teller) commit(group, topic string, partition int32, offset int64, generation int32, member string) {
	a.t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.MemberID = group, generation, member
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = partition, offset
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.OffsetCommitRequestTopicPartition{p}
	req.Topics = append(req.Topics, t)
	r := a.ask(8, req).(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0]
	a.say("commit %s %s-%d at %d generation %d: %d", group, topic, partition, offset, generation, r.ErrorCode)
}

func (a *teller) committed(group string) {
	a.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.Topics = group, nil
	r := a.ask(7, req).(*kmsg.OffsetFetchResponse)
	a.say("offsets of %s: %d, %d topics", group, r.ErrorCode, len(r.Topics))
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			a.say("offset of %s in %s-%d: %d at %d epoch %d", group, t.Topic, p.Partition, p.ErrorCode, p.Offset, p.LeaderEpoch)
		}
	}
}

func tellGroups(a *teller) {
	topic := a.topic("grouped", 1, nil)
	a.coordinated()
	a.commit("simple", topic, 0, 5, -1, "")
	a.commit("simple", "absent", 0, 5, -1, "")
	a.commit("simple", topic, 9, 5, -1, "")
	a.commit("simple", topic, 0, 6, 3, "nobody")
	a.commit("", topic, 0, 6, -1, "")
	a.committed("simple")
	a.committed("absent")
	for _, group := range []string{"simple", "absent", ""} {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups = []string{group}
		g := a.ask(5, req).(*kmsg.DescribeGroupsResponse).Groups[0]
		a.say("describe %q: %d %s %q %q %d members", group, g.ErrorCode, g.State, g.ProtocolType, g.Protocol, len(g.Members))
	}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = "joined", "consumer", 10_000, 10_000
	proto := kmsg.NewJoinGroupRequestProtocol()
	proto.Name, proto.Metadata = "range", []byte{0, 1, 0, 0, 0, 1, 0, 7, 'g', 'r', 'o', 'u', 'p', 'e', 'd', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}
	join.Protocols = append(join.Protocols, proto)
	first := a.ask(7, join).(*kmsg.JoinGroupResponse)
	a.say("join: %d, member %v", first.ErrorCode, first.MemberID != "")
	join.MemberID = first.MemberID
	second := a.ask(7, join).(*kmsg.JoinGroupResponse)
	a.say("join again: %d generation %d leader %v %d members", second.ErrorCode, second.Generation, second.LeaderID == second.MemberID, len(second.Members))
	a.beat("joined", 1, first.MemberID)
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.Generation, sync.MemberID = "joined", 1, first.MemberID
	mine := kmsg.NewSyncGroupRequestGroupAssignment()
	mine.MemberID, mine.MemberAssignment = first.MemberID, []byte{1, 2, 3}
	sync.GroupAssignment = append(sync.GroupAssignment, mine)
	synced := a.ask(5, sync).(*kmsg.SyncGroupResponse)
	a.say("sync: %d %v", synced.ErrorCode, synced.MemberAssignment)
	a.beat("joined", 1, first.MemberID)
	a.beat("joined", 2, first.MemberID)
	a.beat("joined", 1, "nobody")
	a.beat("absent", 1, "nobody")
	a.beat("", 1, "nobody")
	a.commit("joined", topic, 0, 3, 1, first.MemberID)
	join.SessionTimeoutMillis = 1
	a.say("too short a session: %d", a.ask(7, join).(*kmsg.JoinGroupResponse).ErrorCode)
	join.SessionTimeoutMillis, join.ProtocolType = 10_000, "other"
	a.say("another protocol type: %d", a.ask(7, join).(*kmsg.JoinGroupResponse).ErrorCode)
	a.deleteOffsets("joined", topic, 0)
	a.deleteGroup("joined")
	a.leave("joined", first.MemberID, "nobody")
	a.deleteOffsets("joined", topic, 0)
	a.deleteGroup("joined")
	a.deleteGroup("joined")
	a.deleteGroup("absent")
}

func (a *teller) beat(group string, generation int32, member string) {
	a.t.Helper()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.Generation, req.MemberID = group, generation, member
	a.say("heartbeat of %q in generation %d: %d", group, generation, a.ask(4, req).(*kmsg.HeartbeatResponse).ErrorCode)
}

func (a *teller) leave(group string, members ...string) {
	a.t.Helper()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = group
	for _, m := range members {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID = m
		req.Members = append(req.Members, one)
	}
	r := a.ask(4, req).(*kmsg.LeaveGroupResponse)
	a.say("leave %s: %d", group, r.ErrorCode)
	for _, m := range r.Members {
		a.say("member: %d", m.ErrorCode)
	}
}

func (a *teller) deleteGroup(group string) {
	a.t.Helper()
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{group}
	a.say("delete group %s: %d", group, a.ask(2, req).(*kmsg.DeleteGroupsResponse).Groups[0].ErrorCode)
}

func (a *teller) deleteOffsets(group, topic string, partition int32) {
	a.t.Helper()
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group
	p := kmsg.NewOffsetDeleteRequestTopicPartition()
	p.Partition = partition
	t := kmsg.NewOffsetDeleteRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.OffsetDeleteRequestTopicPartition{p}
	req.Topics = append(req.Topics, t)
	r := a.ask(0, req).(*kmsg.OffsetDeleteResponse)
	code := int16(-99)
	if len(r.Topics) > 0 {
		code = r.Topics[0].Partitions[0].ErrorCode
	}
	a.say("delete offsets of %s in %s-%d: %d, partition %d", group, topic, partition, r.ErrorCode, code)
}

func tellOffsetDelete(a *teller) {
	topic := a.topic("forgotten", 2, nil)
	a.coordinated()
	a.commit("forgetful", topic, 0, 5, -1, "")
	a.commit("forgetful", topic, 1, 6, -1, "")
	a.deleteOffsets("forgetful", topic, 0)
	a.committed("forgetful")
	a.deleteOffsets("forgetful", topic, 0)
	a.deleteOffsets("forgetful", topic, 7)
	a.deleteOffsets("forgetful", "absent", 0)
	a.deleteOffsets("absent", topic, 0)
	a.deleteOffsets("forgetful", topic, 1)
	a.committed("forgetful")
}

func tellAlterConfigs(a *teller) {
	topic := a.topic("altered", 1, map[string]string{"retention.ms": "1000"})
	change := func(kind kmsg.ConfigResourceType, name, key, value string, op kmsg.IncrementalAlterConfigOp) {
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op = key, op
		if value != "" {
			c.Value = &value
		}
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.Configs = kind, name, append(r.Configs, c)
		req.Resources = append(req.Resources, r)
		a.say("%v %s %v %s=%s: %d", kind, name, op, key, value, a.ask(1, req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode)
	}
	const set, del, add, sub = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract
	for _, c := range []struct {
		name, key, value string
		op               kmsg.IncrementalAlterConfigOp
	}{
		{topic, "segment.bytes", "2048", set}, {topic, "retention.ms", "", del}, {topic, "retention.ms", "", set}, {topic, "retention.ms", "x", set},
		{topic, "no.such", "1", set}, {topic, "no.such", "", del}, {topic, "cleanup.policy", "compact", add}, {topic, "cleanup.policy", "delete", sub},
		{topic, "segment.bytes", "1", add}, {"absent", "segment.ms", "5", set},
	} {
		change(kmsg.ConfigResourceTypeTopic, c.name, c.key, c.value, c.op)
	}
	change(kmsg.ConfigResourceTypeBroker, "7", "log.retention.ms", "5", set)
	change(kmsg.ConfigResourceTypeBroker, "0", "broker.id", "5", set)
	change(kmsg.ConfigResourceTypeBroker, "x", "log.retention.ms", "5", set)
	a.own(topic)
	whole := kmsg.NewPtrAlterConfigsRequest()
	r := kmsg.NewAlterConfigsRequestResource()
	value := "4096"
	c := kmsg.NewAlterConfigsRequestResourceConfig()
	c.Name, c.Value = "segment.bytes", &value
	r.ResourceType, r.ResourceName, r.Configs = kmsg.ConfigResourceTypeTopic, topic, append(r.Configs, c)
	whole.Resources = append(whole.Resources, r)
	a.say("alter: %d", a.ask(1, whole).(*kmsg.AlterConfigsResponse).Resources[0].ErrorCode)
	a.own(topic)
}

// own writes down what is set on a topic itself.
func (a *teller) own(topic string) {
	a.t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	req.Resources = append(req.Resources, r)
	for _, c := range a.ask(2, req).(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
		if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
			a.say("%s has %s=%s", topic, c.Name, *c.Value)
		}
	}
}
