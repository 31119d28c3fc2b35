// SPDX-License-Identifier: Apache-2.0

package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/replica/group"
	"github.com/samsa-broker/samsa/wire/frame"
)

// OffsetFetch tells how far groups have read.
//
//	v0  once read from ZooKeeper: where there is no offset it says UNKNOWN_TOPIC_OR_PARTITION
//	v1  from the group's coordinator        v2  null for all partitions; group errors
//	v3  throttle time        v4  same as v3        v5  leader epochs (KIP-320)
//	v6  flexible encoding        v7  require stable offsets (KIP-447)
//	v8  many groups (KIP-709)        v9  member id and epoch, for groups of another kind
func OffsetFetch(groups Groups, cluster Cluster) Handler {
	return Handler{Key: 9, Min: 0, Max: 9, Serve: func(c *Call) {
		req, resp := c.Body.(*kmsg.OffsetFetchRequest), c.Response().(*kmsg.OffsetFetchResponse)
		if c.Version < 8 {
			fetchOneGroup(c, groups, cluster.Load(), req, resp)
			return
		}
		resp.Groups = make([]kmsg.OffsetFetchResponseGroup, len(req.Groups))
		answered := c.ReplyAfter(len(req.Groups), resp)
		for i, g := range req.Groups {
			out := &resp.Groups[i]
			out.Group = g.Group
			r := &group.Fetch{Group: g.Group, All: g.Topics == nil, RequireStable: req.RequireStable}
			for _, t := range g.Topics {
				r.Partitions = appendPartitions(r.Partitions, t.Topic, t.Partitions)
			}
			r.Partitions = eachOnce(r.Partitions)
			groups.Ask(r, c.Home(), func(answer group.Answer) {
				a := answer.(*group.FetchAnswer)
				out.ErrorCode = int16(Code(a.Err))
				for _, o := range a.Offsets {
					if n := len(out.Topics); n == 0 || out.Topics[n-1].Topic != o.Topic {
						out.Topics = append(out.Topics, kmsg.OffsetFetchResponseGroupTopic{Topic: o.Topic})
					}
					t := &out.Topics[len(out.Topics)-1]
					p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
					p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = o.Partition, o.Offset, o.LeaderEpoch, &o.Metadata
					p.ErrorCode = int16(Code(o.Err))
					t.Partitions = append(t.Partitions, p)
				}
				answered()
			})
		}
	}}
}

// fetchOneGroup serves the versions below 8.
func fetchOneGroup(c *Call, groups Groups, image *meta.Image, req *kmsg.OffsetFetchRequest, resp *kmsg.OffsetFetchResponse) {
	r := &group.Fetch{Group: req.Group, All: req.Topics == nil, RequireStable: req.RequireStable}
	for _, t := range req.Topics {
		r.Partitions = appendPartitions(r.Partitions, t.Topic, t.Partitions)
	}
	asked := r.Partitions
	r.Partitions = eachOnce(r.Partitions)
	groups.Ask(r, c.Home(), func(answer group.Answer) {
		a := answer.(*group.FetchAnswer)
		offsets := a.Offsets
		if a.Err != nil && c.Version < 2 { // no other place to say it
			offsets = make([]group.FetchedOffset, len(asked))
			for i, tp := range asked {
				offsets[i] = group.FetchedOffset{TopicPartition: tp, Offset: -1, LeaderEpoch: -1, Err: a.Err}
			}
		}
		resp.ErrorCode = int16(Code(a.Err))
		for _, o := range offsets {
			if n := len(resp.Topics); n == 0 || resp.Topics[n-1].Topic != o.Topic {
				resp.Topics = append(resp.Topics, kmsg.OffsetFetchResponseTopic{Topic: o.Topic})
			}
			t := &resp.Topics[len(resp.Topics)-1]
			p := kmsg.NewOffsetFetchResponseTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = o.Partition, o.Offset, o.LeaderEpoch, &o.Metadata
			p.ErrorCode = int16(Code(o.Err))
			if c.Version == 0 {
				p.Metadata = new(string) // ZooKeeper has no place for it
			}
			if c.Version == 0 && o.Err == nil && o.Offset == -1 {
				p.ErrorCode = int16(frame.UnknownTopicOrPartition)
			}
			if c.Version == 0 && req.Group == "" && image.Partition(meta.Partition{Topic: o.Topic, Index: o.Partition}) != nil {
				p.ErrorCode = int16(Code(errNoPath))
			}
			t.Partitions = append(t.Partitions, p)
		}
		c.Reply(resp)
	})
}

func appendPartitions(to []group.TopicPartition, topic string, partitions []int32) []group.TopicPartition {
	for _, p := range partitions {
		to = append(to, group.TopicPartition{Topic: topic, Partition: p})
	}
	return to
}

// eachOnce gives each partition once, topic by topic, as Kafka's maps do.
func eachOnce(asked []group.TopicPartition) []group.TopicPartition {
	order := map[string]int{} // of topics as they are met
	seen := make(map[group.TopicPartition]bool, len(asked))
	var once []group.TopicPartition
	for _, at := range asked {
		if _, known := order[at.Topic]; !known {
			order[at.Topic] = len(order)
		}
		if !seen[at] {
			seen[at] = true
			once = append(once, at)
		}
	}
	slices.SortStableFunc(once, func(a, b group.TopicPartition) int { return order[a.Topic] - order[b.Topic] })
	return once
}
