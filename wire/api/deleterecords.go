// SPDX-License-Identifier: Apache-2.0

package api

import (
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

func (r *recordDeleter) serve(c *Call) {
	req := c.Body.(*kmsg.DeleteRecordsRequest)
	resp := c.Response().(*kmsg.DeleteRecordsResponse)
	n := 0
	resp.Topics = make([]kmsg.DeleteRecordsResponseTopic, len(req.Topics))
	for t := range req.Topics {
		resp.Topics[t].Topic = req.Topics[t].Topic
		resp.Topics[t].Partitions = make([]kmsg.DeleteRecordsResponseTopicPartition, len(req.Topics[t].Partitions))
		n += len(req.Topics[t].Partitions)
	}
	answered := c.ReplyAfter(n, resp)
	for t := range req.Topics {
		topic := &req.Topics[t]
		for i := range topic.Partitions {
			in, out := &topic.Partitions[i], &resp.Topics[t].Partitions[i]
			out.Default()
			out.Partition, out.LowWatermark = in.Partition, -1
			done := func(start engine.Offset, err error) {
				if out.ErrorCode = int16(Code(err)); err == nil {
					out.LowWatermark = int64(start)
				}
				answered()
			}
			if isInternal([]byte(topic.Topic)) {
				done(-1, errInternal)
			} else if p := r.lookup.Lookup([]byte(topic.Topic), in.Partition); p != nil {
				p.TrimTo(engine.Offset(in.Offset), c.Home(), done)
			} else {
				done(-1, r.places.Missing([]byte(topic.Topic), in.Partition))
			}
		}
	}
}
