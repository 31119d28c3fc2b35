// SPDX-License-Identifier: Apache-2.0

package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/wire/frame"
)

// TopicCreator creates topics that clients merely mention, with the broker's
// defaults; it may block.
type TopicCreator interface {
	AutoCreate(name string) (*meta.Topic, error)
}

// Metadata tells brokers, topics and who leads what.
//
//	v0  an empty list means all topics    v1  null means all, controller, racks
//	v2  cluster id       v4  auto-creation is the client's choice (before: always)
//	v5  offline replicas v7  leader epochs    v8  authorized operations
//	v9  flexible         v10 topic ids        v12 topics asked for by id
func Metadata(d Deps) Handler {
	m := &describer{cluster: d.Cluster}
	if d.AutoCreate {
		m.creator = d.Creator
	}
	return Handler{Key: 3, Min: 0, Max: 12, Slow: true, Serve: m.serve}
}

// topicOperations is what anyone may do to a topic where no authorizer says
// otherwise: a bit for each of read(3), write(4), create(5), delete(6), alter(7),
// describe(8), describe configs(10), alter configs(11).
const topicOperations = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<7 | 1<<8 | 1<<10 | 1<<11

type describer struct {
	cluster Cluster
	creator TopicCreator // nil: auto.create.topics.enable is false
}

// What Metadata itself finds wrong: before v12 topics are named, from v12 on
// they may be numbered. Kafka fails on a topic that is neither.
var (
	errTopicIDs = Fail(frame.InvalidRequest, "api: topics cannot be asked for by id before Metadata v12")
	errNoTopic  = Fail(frame.UnknownServerError, "api: a topic has neither name nor id")
)

func (m *describer) serve(c *Call) {
	req := c.Body.(*kmsg.MetadataRequest)
	resp := c.Response().(*kmsg.MetadataResponse)
	if err := checkTopics(c.Version, req); err != nil {
		c.Reply(refuseAll(req, resp, err))
		return
	}
	image := m.cluster.Load()
	if req.Topics == nil || c.Version == 0 && len(req.Topics) == 0 {
		for _, t := range image.Topics() {
			resp.Topics = append(resp.Topics, m.topic(c, image, t))
		}
	} else {
		resp.Topics = m.asked(c, req, image)
		image = m.cluster.Load() // topics may have been created
	}
	resp.ControllerID = int32(image.Controller)
	resp.ClusterID = &image.ClusterID
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = clusterOperations
	}
	for i := range image.Brokers {
		b := &image.Brokers[i]
		e, ok := b.Endpoint(c.Client.Listener)
		if !ok {
			continue
		}
		out := kmsg.NewMetadataResponseBroker()
		out.NodeID, out.Host, out.Port = int32(b.ID), e.Host, e.Port
		if b.Rack != "" {
			out.Rack = &b.Rack
		}
		resp.Brokers = append(resp.Brokers, out)
	}
	c.Reply(resp)
}

// checkTopics is what is wrong with the topics a request names.
func checkTopics(version int16, req *kmsg.MetadataRequest) error {
	ids, nobody := false, false
	for i := range req.Topics {
		t := &req.Topics[i]
		if version >= 10 && version < 12 && (t.Topic == nil || t.TopicID != [16]byte{}) {
			return errTopicIDs
		}
		ids = ids || t.TopicID != [16]byte{}
		nobody = nobody || t.Topic == nil
	}
	if nobody && !ids {
		return errNoTopic
	}
	return nil
}

// refuseAll answers each topic with err, and tells nothing else.
func refuseAll(req *kmsg.MetadataRequest, resp *kmsg.MetadataResponse, err error) *kmsg.MetadataResponse {
	resp.ControllerID = -1
	for _, t := range req.Topics {
		out := kmsg.NewMetadataResponseTopic()
		if out.Topic = t.Topic; t.Topic == nil {
			out.Topic = new(string)
		}
		out.TopicID, out.ErrorCode = t.TopicID, int16(Code(err))
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// asked answers for the topics the request names, each once. Where one of them
// has an id the names do not count, as in Kafka.
func (m *describer) asked(c *Call, req *kmsg.MetadataRequest, image *meta.Image) []kmsg.MetadataResponseTopic {
	create := m.creator != nil && (c.Version < 4 || req.AllowAutoTopicCreation)
	out := make([]kmsg.MetadataResponseTopic, 0, len(req.Topics))
	ids := map[[16]byte]bool{{}: true}
	for i := range req.Topics {
		id := req.Topics[i].TopicID
		if ids[id] {
			continue
		}
		ids[id] = true
		if t := image.TopicByID(meta.TopicID(id)); t != nil {
			out = append(out, m.topic(c, image, t))
		} else {
			out = append(out, refusedTopic(c, nil, id, meta.ErrUnknownTopicID))
		}
	}
	if len(ids) > 1 {
		return out
	}
	seen := make(map[string]bool, len(req.Topics))
	for i := range req.Topics {
		if name := *req.Topics[i].Topic; !seen[name] {
			seen[name] = true
			out = append(out, m.named(c, image, name, create))
		}
	}
	return out
}

// named answers for one topic by name, creating it where that is wanted.
func (m *describer) named(c *Call, image *meta.Image, name string, create bool) kmsg.MetadataResponseTopic {
	t, err := image.Topic(name), error(nil)
	if t == nil {
		if err = meta.ValidateTopicName(name); err == nil {
			err = meta.ErrUnknownTopic
			if create {
				if t, err = m.creator.AutoCreate(name); err == nil {
					image = m.cluster.Load()
				}
			}
		}
	}
	if err != nil || t == nil {
		return refusedTopic(c, &name, [16]byte{}, err)
	}
	return m.topic(c, image, t)
}

// refusedTopic is the answer for a topic that is not there.
func refusedTopic(c *Call, name *string, id [16]byte, err error) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID = name, id
	out.IsInternal = name != nil && isInternal([]byte(*name))
	out.ErrorCode = int16(Code(err))
	if err == nil {
		out.ErrorCode = int16(frame.LeaderNotAvailable)
	}
	return out
}

// topic describes a topic.
func (m *describer) topic(c *Call, image *meta.Image, t *meta.Topic) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &t.Name, t.ID, t.Internal
	if c.Body.(*kmsg.MetadataRequest).IncludeTopicAuthorizedOperations {
		out.AuthorizedOperations = topicOperations
	}
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for i := range t.Partitions {
		s, p := &t.Partitions[i], &out.Partitions[i]
		p.Default()
		p.Partition, p.Leader, p.LeaderEpoch = int32(i), int32(s.Leader), s.LeaderEpoch
		p.Replicas, p.ISR, p.OfflineReplicas = ids(s.Replicas), ids(s.ISR), ids(s.Offline)
		if !reachable(image, s.Leader, c.Client.Listener) {
			p.Leader, p.ErrorCode = int32(meta.NoBroker), int16(frame.LeaderNotAvailable)
		}
	}
	return out
}

// reachable tells whether a client of the listener can reach a broker.
func reachable(image *meta.Image, id meta.BrokerID, listener string) bool {
	b := image.Broker(id)
	if b == nil {
		return false
	}
	_, ok := b.Endpoint(listener)
	return ok
}

// ids are broker ids as the protocol has them.
func ids(in []meta.BrokerID) []int32 {
	out := make([]int32, len(in))
	for i, id := range in {
		out[i] = int32(id)
	}
	return out
}
