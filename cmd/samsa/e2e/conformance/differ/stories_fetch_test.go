// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// fetchStories are the lives of fetch sessions, in each version that has them.
func fetchStories() []exchange {
	var out []exchange
	for v := int16(7); v <= 17; v++ {
		out = append(out, sessionStory(v)...)
	}
	return out
}

// place is a partition and where it is fetched.
type place struct {
	topic     string
	partition int32
	offset    int64
}

// A session is made, goes on with what changed, loses and gains partitions,
// hears of new records, meets wrong epochs, is replaced and closed.
func sessionStory(v int16) []exchange {
	name := fmt.Sprintf("session-v%d", v)
	var out []exchange
	ask := func(what string, epoch int32, places []place, change func(s *side, r *kmsg.FetchRequest)) {
		out = append(out, exchange{name: fmt.Sprintf("Fetch in %s, %s", name, what), from: v, to: v,
			ask: func(s *side, v int16) kmsg.Request {
				req := e2e.FetchRequest("one", 0, 0, 1<<20)
				req.MaxWaitMillis, req.SessionID, req.SessionEpoch, req.Topics = 50, s.session[name], epoch, nil
				for _, p := range places {
					one := e2e.FetchRequest(p.topic, p.partition, p.offset, 1<<20).Topics[0]
					if one.TopicID = s.IDs[p.topic]; one.TopicID == [16]byte{} {
						one.TopicID = [16]byte{9}
					}
					req.Topics = append(req.Topics, one)
				}
				if change != nil {
					change(s, req)
				}
				return req
			},
			then: func(s *side, resp kmsg.Response) {
				if id := resp.(*kmsg.FetchResponse).SessionID; id != 0 {
					s.session[name] = id
				}
			}})
	}
	forget := func(topic string, partitions ...int32) func(s *side, r *kmsg.FetchRequest) {
		return func(s *side, r *kmsg.FetchRequest) {
			f := kmsg.NewFetchRequestForgottenTopic()
			f.Topic, f.TopicID, f.Partitions = topic, s.IDs[topic], partitions
			r.ForgottenTopics = append(r.ForgottenTopics, f)
		}
	}
	records := e2e.Batch(-1, -1, -1, "news")
	ask("begins", 0, []place{{"one", 0, 0}, {"one", 1, 0}, {"empty", 0, 0}}, nil)
	ask("nothing changed", 1, nil, nil)
	ask("reads on", 2, []place{{"one", 0, 4}}, nil)
	ask("at the end", 3, []place{{"one", 0, 1 << 40}}, nil)
	ask("back again", 4, []place{{"one", 0, 2}}, nil)
	ask("one more", 5, []place{{"empty", 1, 0}, {"no-such", 0, 0}}, nil)
	ask("the unknown once more", 6, nil, nil)
	out = append(out, exchange{name: "Produce for " + name, from: 9, to: 9, ask: func(*side, int16) kmsg.Request {
		return e2e.ProduceRequest("empty2", 0, slices.Clone(records))
	}})
	ask("forgets", 7, nil, forget("one", 0))
	ask("forgets what it has not", 8, nil, forget("two", 0, 7))
	ask("an old epoch", 3, nil, nil)
	ask("a future epoch", 99, nil, nil)
	ask("goes on", 9, nil, nil)
	ask("of nobody", 9, nil, func(_ *side, r *kmsg.FetchRequest) { r.SessionID = 1 })
	ask("begins anew", 0, []place{{"two", 0, 0}}, nil)
	ask("goes on anew", 1, nil, nil)
	ask("forgets all", 2, nil, forget("two", 0))
	ask("is gone", 3, nil, nil)
	ask("begins a third time", 0, []place{{"two", 0, 0}, {"two", 1, 0}}, nil)
	ask("ends", -1, []place{{"two", 0, 0}}, nil)
	ask("has ended", 1, nil, nil)
	return out
}
