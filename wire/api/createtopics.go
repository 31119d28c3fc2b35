// SPDX-License-Identifier: Apache-2.0

package api

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/wire/frame"
)

type topicCreator interface {
	CreateTopics(requests []meta.NewTopic, validateOnly bool) []meta.TopicResult
}

type topicChecker interface {
	// CheckTopicConfig tells what is wrong with what shall be set on a topic;
	// the error wraps meta.ErrInvalidConfig.
	CheckTopicConfig(set map[string]string) error
	// TopicSettings gives every setting of a topic that has set set on it.
	TopicSettings(set map[string]string) []Setting
}

// clusterMetadataTopic is KRaft's own and may not be created by anyone.
const clusterMetadataTopic = "__cluster_metadata"

// CreateTopics creates topics; only the controller serves it, and the answer
// leaves when the partitions have leaders.
//
//	v1  validate only, error messages      v2-v3  throttle time, as v1
//	v4  -1 partitions or replicas: the broker's defaults
//	v5  flexible; what was created is in the answer
//	v6  as v5                              v7  topic ids in the answer
func CreateTopics(topics topicCreator, check topicChecker) Handler {
	return Handler{Key: 19, Min: 0, Max: 7, Slow: true, Serve: func(c *Call) {
		req := c.Body.(*kmsg.CreateTopicsRequest)
		resp := c.Response().(*kmsg.CreateTopicsResponse)
		errs := make([]error, len(req.Topics))
		var wanted []meta.NewTopic
		var at []int // wanted[i] is req.Topics[at[i]]
		times := map[string]int{}
		for _, t := range req.Topics {
			times[t.Topic]++
		}
		for i := range req.Topics {
			var t meta.NewTopic
			if t, errs[i] = newTopic(&req.Topics[i], times, check); errs[i] == nil {
				wanted, at = append(wanted, t), append(at, i)
			}
		}
		made := make([]*meta.Topic, len(req.Topics))
		if len(wanted) > 0 {
			for i, r := range topics.CreateTopics(wanted, req.ValidateOnly) {
				made[at[i]], errs[at[i]] = r.Topic, r.Err
				if !req.ValidateOnly {
					errs[at[i]] = onTime(r.Err, req.TimeoutMillis)
				}
			}
		}
		for i := range req.Topics {
			resp.Topics = append(resp.Topics, createdTopic(req.Topics[i].Topic, made[i], errs[i], check))
		}
		if c.Version >= 1 { // which brought messages
			unspeakable(resp.Topics, func(t *kmsg.CreateTopicsResponseTopic) *string { return t.ErrorMessage }, func(t *kmsg.CreateTopicsResponseTopic) {
				*t = createdTopic(t.Topic, nil, errUnspeakable, check)
			})
		}
		c.Reply(resp)
	}}
}

var errUnspeakable = Fail(frame.UnknownServerError, "The answer has a message that is too long.")

// newTopic reads one topic of the request.
func newTopic(t *kmsg.CreateTopicsRequestTopic, times map[string]int, check topicChecker) (meta.NewTopic, error) {
	n := meta.NewTopic{Name: t.Topic, Partitions: t.NumPartitions, ReplicationFactor: t.ReplicationFactor, Config: map[string]string{}}
	if times[t.Topic] > 1 {
		return n, Fail(frame.InvalidRequest, "Found multiple entries for this topic.")
	}
	if t.Topic == clusterMetadataTopic {
		return n, Fail(frame.TopicAuthorizationFailed, "Authorization failed.")
	}
	var null []string
	for _, c := range t.Configs {
		if c.Value == nil {
			null = append(null, c.Name)
			continue
		}
		n.Config[c.Name] = *c.Value
	}
	if null != nil {
		n.Fault = Fail(frame.InvalidConfig, "Null value not supported for topic configs: "+strings.Join(null, ","))
	}
	for _, a := range t.ReplicaAssignment {
		if n.Assignment == nil {
			n.Assignment = map[int32][]meta.BrokerID{}
		}
		n.Assignment[a.Partition] = brokerIDs(a.Replicas)
	}
	n.ConfigFault = check.CheckTopicConfig(n.Config)
	return n, nil
}

func createdTopic(name string, t *meta.Topic, err error, check topicChecker) kmsg.CreateTopicsResponseTopic {
	out := kmsg.NewCreateTopicsResponseTopic()
	out.Topic, out.NumPartitions, out.ReplicationFactor = name, -1, -1
	out.ErrorCode, out.ErrorMessage = verdict(err)
	if t != nil {
		out.TopicID = t.ID
	}
	if t == nil || err != nil {
		return out
	}
	out.NumPartitions = int32(len(t.Partitions))
	if len(t.Partitions) > 0 {
		out.ReplicationFactor = int16(len(t.Partitions[0].Replicas))
	}
	for _, s := range check.TopicSettings(t.Config) {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.ReadOnly, c.Source, c.IsSensitive = s.Name, s.Value, s.ReadOnly, int8(s.Source), s.Sensitive
		out.Configs = append(out.Configs, c)
	}
	return out
}

func brokerIDs(ids []int32) []meta.BrokerID {
	out := make([]meta.BrokerID, len(ids))
	for i, id := range ids {
		out[i] = meta.BrokerID(id)
	}
	return out
}
