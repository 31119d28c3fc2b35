// SPDX-License-Identifier: Apache-2.0

package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/engine"
)

// OffsetForLeaderEpoch tells where a leader epoch ends, so that a client finds
// out whether the log it read has been cut.
//
//	v1  the epoch that was found    v2  the caller's current epoch
//	v3  replica id                  v4  flexible
func OffsetForLeaderEpoch(d Deps) Handler {
	f := &epochFinder{lookup: d.Reader, places: Places{d.Cluster}}
	return Handler{Key: 23, Min: 0, Max: 4, Serve: f.serve}
}

type epochFinder struct {
	lookup Lookup
	places Places
}

func (f *epochFinder) serve(c *Call) {
	req := c.Body.(*kmsg.OffsetForLeaderEpochRequest)
	resp := c.Response().(*kmsg.OffsetForLeaderEpochResponse)
	n := 0
	resp.Topics = make([]kmsg.OffsetForLeaderEpochResponseTopic, len(req.Topics))
	for t := range req.Topics {
		resp.Topics[t].Topic = req.Topics[t].Topic
		resp.Topics[t].Partitions = make([]kmsg.OffsetForLeaderEpochResponseTopicPartition, len(req.Topics[t].Partitions))
		n += len(req.Topics[t].Partitions)
	}
	answered := c.ReplyAfter(n, resp)
	for t := range req.Topics {
		topic := &req.Topics[t]
		for i := range topic.Partitions {
			in, out := &topic.Partitions[i], &resp.Topics[t].Partitions[i]
			out.Default()
			out.Partition, out.LeaderEpoch, out.EndOffset = in.Partition, -1, -1
			done := func(epoch engine.Epoch, end engine.Offset, err error) {
				if out.ErrorCode = int16(Code(err)); err == nil {
					out.LeaderEpoch, out.EndOffset = int32(epoch), int64(end)
				}
				answered()
			}
			current := engine.Epoch(-1)
			if c.Version >= 2 {
				current = engine.Epoch(in.CurrentLeaderEpoch)
			}
			if p := f.lookup.Lookup([]byte(topic.Topic), in.Partition); p != nil {
				p.EpochEnd(engine.Epoch(in.LeaderEpoch), current, c.Home(), done)
			} else {
				done(-1, -1, f.places.Missing([]byte(topic.Topic), in.Partition))
			}
		}
	}
}
