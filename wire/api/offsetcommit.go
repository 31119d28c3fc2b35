// SPDX-License-Identifier: Apache-2.0

package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/replica/group"
	"github.com/samsa-broker/samsa/wire/frame"
)

// OffsetCommit stores how far a group has read.
//
//	v0  once wrote to ZooKeeper; here a commit without membership
//	v1  generation and member; a commit time per partition
//	v2  retention time instead        v3  throttle time        v4  same as v3
//	v5  no retention time (KIP-211)        v6  leader epochs (KIP-320)
//	v7  group.instance.id (KIP-345)        v8  flexible encoding        v9  same as v8
func OffsetCommit(groups Groups, cluster Cluster) Handler {
	return Handler{Key: 8, Min: 0, Max: 9, Serve: func(c *Call) {
		req, resp := c.Body.(*kmsg.OffsetCommitRequest), c.Response().(*kmsg.OffsetCommitResponse)
		r := &group.Commit{
			Group:       req.Group,
			MemberID:    req.MemberID,
			InstanceID:  req.InstanceID,
			Generation:  req.Generation,
			RetentionMs: req.RetentionTimeMillis,
		}
		image, reply := cluster.Load(), commitReply{resp, map[string]int{}}
		place := map[group.TopicPartition]int{} // of each in r.Offsets; the last word on one counts
		for _, t := range req.Topics {
			if image.Topic(t.Topic) == nil {
				_ = reply.topic(t.Topic) // it is named even when no partition is
			}
			for _, p := range t.Partitions {
				at := group.TopicPartition{Topic: t.Topic, Partition: p.Partition}
				if image.Partition(meta.Partition{Topic: t.Topic, Index: p.Partition}) == nil {
					reply.put(at, replica.ErrUnknownPartition)
					continue
				}
				if c.Version == 0 && req.Group == "" {
					reply.put(at, errNoPath)
					continue
				}
				i, twice := place[at]
				if !twice {
					i = len(r.Offsets)
					place[at], r.Offsets = i, append(r.Offsets, group.CommitOffset{})
				}
				r.Offsets[i] = group.CommitOffset{
					TopicPartition: at,
					Offset:         p.Offset,
					LeaderEpoch:    p.LeaderEpoch,
					Metadata:       deref(p.Metadata),
					TimestampMs:    p.Timestamp,
				}
			}
		}
		if len(r.Offsets) == 0 {
			c.Reply(resp)
			return
		}
		groups.Ask(r, c.Home(), func(answer group.Answer) {
			for i, err := range answer.(*group.CommitAnswer).Errs {
				reply.put(r.Offsets[i].TopicPartition, err)
			}
			c.Reply(resp)
		})
	}}
}

// errNoPath: for version 0 Kafka makes a path in ZooKeeper of the group's name.
var errNoPath = Fail(frame.UnknownServerError, "No group has that name.")

// commitReply gathers the answer topic by topic.
type commitReply struct {
	resp   *kmsg.OffsetCommitResponse
	places map[string]int // of topics in resp
}

// topic finds a topic's place in the answer, or makes it.
func (r *commitReply) topic(name string) *kmsg.OffsetCommitResponseTopic {
	i, ok := r.places[name]
	if !ok {
		i = len(r.resp.Topics)
		t := kmsg.NewOffsetCommitResponseTopic()
		t.Topic, r.places[name] = name, i
		r.resp.Topics = append(r.resp.Topics, t)
	}
	return &r.resp.Topics[i]
}

func (r *commitReply) put(at group.TopicPartition, err error) {
	t := r.topic(at.Topic)
	t.Partitions = append(t.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: at.Partition, ErrorCode: int16(Code(err))})
}
