// SPDX-License-Identifier: Apache-2.0

package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/replica/group"
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
		image := cluster.Load()
		var codes []*int16 // where the answers to r.Offsets go
		resp.Topics = make([]kmsg.OffsetCommitResponseTopic, len(req.Topics))
		for i, t := range req.Topics {
			out := &resp.Topics[i]
			out.Topic, out.Partitions = t.Topic, make([]kmsg.OffsetCommitResponseTopicPartition, len(t.Partitions))
			for j, p := range t.Partitions {
				out.Partitions[j].Partition = p.Partition
				code := &out.Partitions[j].ErrorCode
				if image.Partition(meta.Partition{Topic: t.Topic, Index: p.Partition}) == nil {
					*code = int16(Code(replica.ErrUnknownPartition))
					continue
				}
				codes = append(codes, code)
				r.Offsets = append(r.Offsets, group.CommitOffset{
					TopicPartition: group.TopicPartition{Topic: t.Topic, Partition: p.Partition},
					Offset:         p.Offset,
					LeaderEpoch:    p.LeaderEpoch,
					Metadata:       deref(p.Metadata),
					TimestampMs:    p.Timestamp,
				})
			}
		}
		if len(r.Offsets) == 0 {
			c.Reply(resp)
			return
		}
		groups.Ask(r, c.Home(), func(answer group.Answer) {
			for i, err := range answer.(*group.CommitAnswer).Errs {
				*codes[i] = int16(Code(err))
			}
			c.Reply(resp)
		})
	}}
}
