// SPDX-License-Identifier: Apache-2.0

package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/wire/frame"
)

type partitionCreator interface {
	CreatePartitions(requests []meta.NewPartitions, validateOnly bool) []meta.TopicResult
}

// CreatePartitions gives topics more partitions; only the controller serves it.
//
//	v1  as v0      v2  flexible      v3  as v2
func CreatePartitions(topics partitionCreator) Handler {
	return Handler{Key: 37, Min: 0, Max: 3, Slow: true, Serve: func(c *Call) {
		req := c.Body.(*kmsg.CreatePartitionsRequest)
		resp := c.Response().(*kmsg.CreatePartitionsResponse)
		errs := make([]error, len(req.Topics))
		times := map[string]int{}
		for _, t := range req.Topics {
			times[t.Topic]++
		}
		var wanted []meta.NewPartitions
		var at []int
		for i, t := range req.Topics {
			if times[t.Topic] > 1 {
				errs[i] = Fail(frame.InvalidRequest, "Duplicate topic in request.")
				continue
			}
			if t.Topic == "" || t.Topic == "." || t.Topic == ".." {
				errs[i] = Fail(frame.UnknownServerError, "No topic has that name.") // Kafka runs into a path that ZooKeeper refuses
				continue
			}
			n := meta.NewPartitions{Topic: t.Topic, Count: t.Count}
			if t.Assignment != nil {
				n.Assignment = make([][]meta.BrokerID, len(t.Assignment))
				for j, a := range t.Assignment {
					n.Assignment[j] = brokerIDs(a.Replicas)
				}
			}
			wanted, at = append(wanted, n), append(at, i)
		}
		if len(wanted) > 0 {
			for i, r := range topics.CreatePartitions(wanted, req.ValidateOnly) {
				errs[at[i]] = r.Err
				if !req.ValidateOnly {
					errs[at[i]] = onTime(r.Err, req.TimeoutMillis)
				}
			}
		}
		for i, t := range req.Topics {
			if times[t.Topic] == 0 {
				continue // answered already
			}
			times[t.Topic] = 0
			out := kmsg.NewCreatePartitionsResponseTopic()
			out.Topic = t.Topic
			out.ErrorCode, out.ErrorMessage = verdict(errs[i])
			resp.Topics = append(resp.Topics, out)
		}
		unspeakable(resp.Topics, func(r *kmsg.CreatePartitionsResponseTopic) *string { return r.ErrorMessage }, func(r *kmsg.CreatePartitionsResponseTopic) {
			r.ErrorCode, r.ErrorMessage = int16(frame.UnknownServerError), nil
		})
		c.Reply(resp)
	}}
}
