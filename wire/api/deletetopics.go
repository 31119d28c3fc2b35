// SPDX-License-Identifier: Apache-2.0

package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/wire/frame"
)

type topicDeleter interface {
	DeleteTopics(refs []meta.TopicRef) []meta.TopicResult
}

// DeleteTopics deletes topics; only the controller serves it, and the answer
// leaves when the logs are gone.
//
//	v1-v2  throttle time    v3  deletion may be disabled by a code of its own
//	v4  flexible            v5  error messages      v6  topics by name or id
//
// The answer tells each topic by what it was asked for, and no error has a
// message, as in Kafka.
func DeleteTopics(topics topicDeleter, image clusterView) Handler {
	return Handler{Key: 20, Min: 0, Max: 6, Slow: true, Serve: func(c *Call) {
		req := c.Body.(*kmsg.DeleteTopicsRequest)
		resp := c.Response().(*kmsg.DeleteTopicsResponse)
		asked := askedTopics(req)
		if slices.ContainsFunc(asked, namedTwice) {
			for _, t := range asked {
				resp.Topics = append(resp.Topics, deletedTopic(t, t.Topic, errNameAndID))
			}
			c.Reply(resp)
			return
		}
		resp.Topics = deleteTopics(asked, topics, image.Load(), func(err error) error {
			return deletionDisabled(onTime(err, req.TimeoutMillis), req.Version)
		})
		c.Reply(resp)
	}}
}

// What DeleteTopics itself finds wrong. Kafka takes a topic with neither name
// nor id for one that may not be seen.
var (
	errNameAndID = Fail(frame.InvalidRequest, "Topic name and topic ID can not both be specified.")
	errNeither   = Fail(frame.TopicAuthorizationFailed, "A topic needs a name or an id.")
)

func namedTwice(t kmsg.DeleteTopicsRequestTopic) bool {
	return t.Topic != nil && !meta.TopicID(t.TopicID).IsZero()
}

// deleteTopics deletes each topic once; asked for once more, by name or id, it
// is answered without an error. last has the last word on an error.
func deleteTopics(asked []kmsg.DeleteTopicsRequestTopic, topics topicDeleter, image *meta.Image, last func(error) error) []kmsg.DeleteTopicsResponseTopic {
	out := make([]kmsg.DeleteTopicsResponseTopic, len(asked))
	var refs []meta.TopicRef
	var at []int // refs[i] is of asked[at[i]]
	gone := map[string]bool{}
	for i, t := range asked {
		ref, name := topicRef(t), t.Topic
		known := image.Topic(ref.Name)
		if name == nil {
			if known = image.TopicByID(ref.ID); known != nil {
				name = &known.Name
			}
		}
		switch {
		case ref == meta.TopicRef{} && t.Topic == nil:
			out[i] = deletedTopic(t, nil, errNeither)
			continue
		case known != nil && gone[known.Name]:
			out[i] = deletedTopic(t, name, nil)
			continue
		case known != nil:
			gone[known.Name] = true
		}
		out[i].Topic = name
		refs, at = append(refs, ref), append(at, i)
	}
	if len(refs) == 0 {
		return out
	}
	for i, r := range topics.DeleteTopics(refs) {
		t := asked[at[i]]
		out[at[i]] = deletedTopic(t, out[at[i]].Topic, last(r.Err))
	}
	return out
}

func deletedTopic(t kmsg.DeleteTopicsRequestTopic, name *string, err error) kmsg.DeleteTopicsResponseTopic {
	out := kmsg.NewDeleteTopicsResponseTopic()
	out.Topic, out.TopicID, out.ErrorCode = name, t.TopicID, int16(Code(err))
	return out
}

// askedTopics reads the topics in the form of version 6.
func askedTopics(req *kmsg.DeleteTopicsRequest) []kmsg.DeleteTopicsRequestTopic {
	if req.Version >= 6 {
		return req.Topics
	}
	out := make([]kmsg.DeleteTopicsRequestTopic, len(req.TopicNames))
	for i := range req.TopicNames {
		out[i].Topic = &req.TopicNames[i]
	}
	return out
}

func topicRef(t kmsg.DeleteTopicsRequestTopic) meta.TopicRef {
	ref := meta.TopicRef{ID: t.TopicID}
	if t.Topic != nil {
		ref.Name = *t.Topic
	}
	return ref
}
