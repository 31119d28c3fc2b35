// SPDX-License-Identifier: Apache-2.0

package api

import (
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/replica/group"
	"github.com/samsa-broker/samsa/wire/frame"
)

// OldOffsets is where version 0 of OffsetCommit and OffsetFetch keeps offsets:
// in ZooKeeper's tree, where no other version looks. The methods block.
type OldOffsets interface {
	// Store keeps all of offsets durably, or fails.
	Store(group string, offsets []meta.ConsumerOffset) error
	// Load fills in what is kept, and an error for each that is not.
	Load(group string, offsets []meta.ConsumerOffset) error
}

// commitOld serves version 0 of OffsetCommit: there is no coordinator, so that
// no group is refused, and no room for metadata, whose length counts all the same.
func commitOld(c *Call, d Deps) {
	req, resp := c.Body.(*kmsg.OffsetCommitRequest), c.Response().(*kmsg.OffsetCommitResponse)
	image, reply := d.Cluster.Load(), commitReply{resp, map[string]int{}}
	var offsets []meta.ConsumerOffset
	for _, t := range req.Topics {
		if image.Topic(t.Topic) == nil {
			_ = reply.topic(t.Topic) // it is named even when no partition is
		}
		for _, p := range t.Partitions {
			at := meta.Partition{Topic: t.Topic, Index: p.Partition}
			switch {
			case image.Partition(at) == nil:
				reply.put(group.TopicPartition{Topic: t.Topic, Partition: p.Partition}, replica.ErrUnknownPartition)
			case javaLength(deref(p.Metadata)) > d.OffsetMetadataMax:
				reply.put(group.TopicPartition{Topic: t.Topic, Partition: p.Partition}, group.ErrMetadataTooLarge)
			default:
				offsets = append(offsets, meta.ConsumerOffset{Partition: at, Offset: p.Offset})
			}
		}
	}
	if len(offsets) == 0 {
		c.Reply(resp)
		return
	}
	c.Go(taskFunc(func() {
		err := d.OldOffsets.Store(req.Group, offsets)
		for _, o := range offsets {
			reply.put(group.TopicPartition{Topic: o.Partition.Topic, Partition: o.Partition.Index}, err)
		}
		c.Reply(resp)
	}))
}

// fetchOld serves version 0 of OffsetFetch. Where there is no offset it says
// UNKNOWN_TOPIC_OR_PARTITION; any group may be asked for.
func fetchOld(c *Call, d Deps) {
	req, resp := c.Body.(*kmsg.OffsetFetchRequest), c.Response().(*kmsg.OffsetFetchResponse)
	image := d.Cluster.Load()
	var asked []group.TopicPartition
	for _, t := range req.Topics {
		asked = appendPartitions(asked, t.Topic, t.Partitions)
	}
	asked = eachOnce(asked)
	var offsets []meta.ConsumerOffset
	for _, at := range asked {
		if p := (meta.Partition{Topic: at.Topic, Index: at.Partition}); image.Partition(p) != nil {
			offsets = append(offsets, meta.ConsumerOffset{Partition: p})
		}
	}
	c.Go(taskFunc(func() {
		if len(offsets) > 0 {
			if err := d.OldOffsets.Load(req.Group, offsets); err != nil {
				for i := range offsets {
					offsets[i].Offset, offsets[i].Err = -1, err
				}
			}
		}
		answerOld(resp, asked, offsets)
		c.Reply(resp)
	}))
}

// answerOld names every partition that was asked for; offsets are of those that
// exist, in the same order.
func answerOld(resp *kmsg.OffsetFetchResponse, asked []group.TopicPartition, offsets []meta.ConsumerOffset) {
	for _, at := range asked {
		if n := len(resp.Topics); n == 0 || resp.Topics[n-1].Topic != at.Topic {
			resp.Topics = append(resp.Topics, kmsg.OffsetFetchResponseTopic{Topic: at.Topic})
		}
		p := kmsg.NewOffsetFetchResponseTopicPartition()
		p.Partition, p.Offset, p.Metadata = at.Partition, -1, new(string)
		p.ErrorCode = int16(frame.UnknownTopicOrPartition)
		if len(offsets) > 0 && offsets[0].Partition == (meta.Partition{Topic: at.Topic, Index: at.Partition}) {
			p.Offset, p.ErrorCode = offsets[0].Offset, int16(Code(offsets[0].Err))
			offsets = offsets[1:]
		}
		t := &resp.Topics[len(resp.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
}

// javaLength is the length of a string as Kafka counts it, in UTF-16 units.
func javaLength(s string) int {
	n := 0
	for _, r := range s {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}
