// SPDX-License-Identifier: Apache-2.0

package api

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/engine"
)

// DeleteRecords moves the log start offset of partitions this broker leads.
//
//	v1  same as v0    v2  flexible
func DeleteRecords(d Deps) Handler {
	r := &recordDeleter{lookup: d.Reader, places: Places{d.Cluster}}
	return Handler{Key: 21, Min: 0, Max: 2, Serve: r.serve}
}

type recordDeleter struct {
	lookup Lookup
	places Places
}

// serve answers each partition once, with the last offset it is named with, and
// no topic without partitions, as in Kafka.
func (r *recordDeleter) serve(c *Call) {
	req := c.Body.(*kmsg.DeleteRecordsRequest)
	resp := c.Response().(*kmsg.DeleteRecordsResponse)
	var asked []topicPartition
	offsets := map[topicPartition]int64{}
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			at := topicPartition{t.Topic, p.Partition}
			if _, twice := offsets[at]; !twice {
				asked = append(asked, at)
			}
			offsets[at] = p.Offset
		}
	}
	slices.SortStableFunc(asked, func(a, b topicPartition) int { return strings.Compare(a.topic, b.topic) })
	for i, at := range asked {
		if i == 0 || asked[i-1].topic != at.topic {
			t := kmsg.NewDeleteRecordsResponseTopic()
			t.Topic = at.topic
			resp.Topics = append(resp.Topics, t)
		}
		p := kmsg.NewDeleteRecordsResponseTopicPartition()
		p.Partition, p.LowWatermark = at.index, -1
		t := &resp.Topics[len(resp.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	answered := c.ReplyAfter(len(asked), resp)
	for t := range resp.Topics {
		topic := resp.Topics[t].Topic
		for i := range resp.Topics[t].Partitions {
			out := &resp.Topics[t].Partitions[i]
			r.trim(c, topicPartition{topic, out.Partition}, offsets[topicPartition{topic, out.Partition}], func(start engine.Offset, err error) {
				if out.ErrorCode = int16(Code(err)); err == nil {
					out.LowWatermark = int64(start)
				}
				answered()
			})
		}
	}
}

// trim moves one partition's log start; done runs once, on the loop.
func (r *recordDeleter) trim(c *Call, at topicPartition, offset int64, done func(engine.Offset, error)) {
	if isInternal([]byte(at.topic)) {
		done(-1, errInternal)
	} else if p := r.lookup.Lookup([]byte(at.topic), at.index); p != nil {
		p.TrimTo(engine.Offset(offset), c.Home(), done)
	} else {
		done(-1, r.places.Missing([]byte(at.topic), at.index))
	}
}
