// SPDX-License-Identifier: Apache-2.0

package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/replica/group"
)

// OffsetDelete drops committed offsets of topics that no member of the group
// subscribes to (KIP-496). There is one version.
func OffsetDelete(groups Groups, cluster Cluster) Handler {
	return Handler{Key: 47, Min: 0, Max: 0, Serve: func(c *Call) {
		req, resp := c.Body.(*kmsg.OffsetDeleteRequest), c.Response().(*kmsg.OffsetDeleteResponse)
		r := &group.DeleteOffsets{Group: req.Group}
		image := cluster.Load()
		var codes []*int16 // where the answers to r.Partitions go
		topics := make([]kmsg.OffsetDeleteResponseTopic, len(req.Topics))
		for i, t := range req.Topics {
			out := &topics[i]
			out.Topic, out.Partitions = t.Topic, make([]kmsg.OffsetDeleteResponseTopicPartition, len(t.Partitions))
			for j, p := range t.Partitions {
				out.Partitions[j].Partition = p.Partition
				code := &out.Partitions[j].ErrorCode
				if image.Partition(meta.Partition{Topic: t.Topic, Index: p.Partition}) == nil {
					*code = int16(Code(replica.ErrUnknownPartition))
					continue
				}
				codes = append(codes, code)
				r.Partitions = append(r.Partitions, group.TopicPartition{Topic: t.Topic, Partition: p.Partition})
			}
		}
		groups.Ask(r, c.Home(), func(answer group.Answer) {
			a := answer.(*group.DeleteOffsetsAnswer)
			if resp.ErrorCode = int16(Code(a.Err)); a.Err == nil {
				resp.Topics = topics
			}
			for i, err := range a.Errs {
				*codes[i] = int16(Code(err))
			}
			c.Reply(resp)
		})
	}}
}
