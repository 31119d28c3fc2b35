// SPDX-License-Identifier: Apache-2.0

package api

import (
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
func DeleteTopics(topics topicDeleter) Handler {
	return Handler{Key: 20, Min: 0, Max: 6, Slow: true, Serve: func(c *Call) {
		req := c.Body.(*kmsg.DeleteTopicsRequest)
		resp := c.Response().(*kmsg.DeleteTopicsResponse)
		asked := askedTopics(req)
		for i := range asked {
			if asked[i].Topic != nil && !meta.TopicID(asked[i].TopicID).IsZero() {
				err := Fail(frame.InvalidRequest, "Topic name and topic ID can not both be specified.")
				resp.Topics = notDeleted(asked, err)
				c.Reply(resp)
				return
			}
		}
		var refs []meta.TopicRef
		place := map[meta.TopicRef]int{} // a topic named twice is deleted once and answered twice
		for _, t := range asked {
			ref := topicRef(t)
			if _, ok := place[ref]; !ok {
				place[ref] = len(refs)
				refs = append(refs, ref)
			}
		}
		var results []meta.TopicResult
		if len(refs) > 0 {
			results = topics.DeleteTopics(refs)
		}
		for _, t := range asked {
			r := results[place[topicRef(t)]]
			out := kmsg.NewDeleteTopicsResponseTopic()
			out.Topic, out.TopicID = t.Topic, t.TopicID
			if r.Topic != nil {
				name := r.Topic.Name
				out.Topic, out.TopicID = &name, r.Topic.ID
			}
			out.ErrorCode, out.ErrorMessage = verdict(deletionDisabled(onTime(r.Err, req.TimeoutMillis), req.Version))
			resp.Topics = append(resp.Topics, out)
		}
		c.Reply(resp)
	}}
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

func notDeleted(asked []kmsg.DeleteTopicsRequestTopic, err error) []kmsg.DeleteTopicsResponseTopic {
	out := make([]kmsg.DeleteTopicsResponseTopic, len(asked))
	for i, t := range asked {
		out[i] = kmsg.NewDeleteTopicsResponseTopic()
		out[i].Topic, out[i].TopicID = t.Topic, t.TopicID
		out[i].ErrorCode, out[i].ErrorMessage = verdict(err)
	}
	return out
}
