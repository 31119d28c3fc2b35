// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
	"github.com/samsa-broker/samsa/cmd/samsa/e2e/conformance"
)

// props are both brokers' settings.
var props = map[string]string{
	"auto.create.topics.enable": "true", "num.partitions": "2", "group.initial.rebalance.delay.ms": "100", "log.segment.delete.delay.ms": "1000",
	"fetch.max.bytes": "57671680", "group.min.session.timeout.ms": "200", "group.max.size": "3", "offsets.topic.num.partitions": "5",
}

// Both brokers are asked the same questions, good ones and bad ones, in every
// version of every API that Samsa serves, and give the same answers, field by
// field; ids, times and words apart. Each part can be run alone; when all have
// run, every version of every API has been asked something good and something bad.
func TestEveryVersionAnswersLikeKafka(t *testing.T) {
	kafka := conformance.StartKafka(t, conformance.StartZooKeeper(t), t.TempDir(), props)
	samsa := e2e.Start(t, e2e.Options{Props: props})
	ours, theirs := newSide(t, samsa.Addr), newSide(t, kafka.Addr)
	theirs.Serves = ours.Serves
	if rec := record(t, kafka.Addr); rec != nil {
		theirs = newSide(t, rec.addr)
		theirs.Serves, theirs.recorder = ours.Serves, rec
		defer rec.save()
	}
	e2e.Settle(t, ours.conn(""))
	e2e.Settle(t, theirs.conn(""))
	known := acceptedDifferences()
	differ(t, ours, theirs, setup(), known)
	parts := []struct {
		name   string
		script []exchange
	}{
		{"cluster", metadataQuestions()},
		{"log", join(produceQuestions(), fetchQuestions(), fetchStories(), offsetQuestions())},
		{"groups", join(groupQuestions(), memberQuestions(), groupStories())},
		{"configs", configQuestions()},
		{"bodies", bodies(ours.Serves)},
		{"topics", join(topicQuestions(), goodbyes())},
	}
	ran := 0
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			ran++
			differ(t, ours, theirs, tagged(part.script), known)
		})
	}
	if ran == len(parts) {
		unused(t, known)
		covered(t, theirs)
	}
}

// join puts parts of a script behind each other.
func join(parts ...[]exchange) []exchange { return slices.Concat(parts...) }

// newSide connects, and learns which keys are served.
func newSide(t *testing.T, addr string) *side {
	s := &side{Known: e2e.Known{Addr: addr, IDs: map[string][16]byte{}, Names: map[string]string{}, Serves: e2e.Serves(t, addr)}, t: t, conns: map[string]*e2e.Raw{}, waiting: map[string]kmsg.Request{},
		members: map[string]string{}, session: map[string]int32{}, asked: map[[2]int16]*tally{}}
	return s
}

// acceptedDifferences are meant; each says why.
func acceptedDifferences() []accepted {
	a := func(where, reason string) accepted { return accepted{where: regexp.MustCompile(where), reason: reason} }
	return []accepted{
		a(`^(OffsetFetch no groups v8|Produce null records v9|AlterConfigs same topic twice v2) `, "Kafka never answers it, nor anything behind it on that connection"),
	}
}

// every makes exchanges of one kind out of named variants.
func every(api string, from, to int16, variants map[string]func(s *side, v int16) kmsg.Request) []exchange {
	var out []exchange
	for _, name := range sorted(variants) {
		out = append(out, exchange{name: api + " " + name, from: from, to: to, ask: variants[name]})
	}
	return out
}

type asks = map[string]func(s *side, v int16) kmsg.Request

func topicQuestions() []exchange {
	str := kmsg.StringPtr
	create := func(change func(v int16, req *kmsg.CreateTopicsRequest, t *kmsg.CreateTopicsRequestTopic)) func(*side, int16) kmsg.Request {
		return func(_ *side, v int16) kmsg.Request {
			req := kmsg.NewPtrCreateTopicsRequest()
			topic := kmsg.NewCreateTopicsRequestTopic()
			topic.Topic, topic.NumPartitions, topic.ReplicationFactor = fmt.Sprintf("made-v%d", v), 2, 1
			req.TimeoutMillis = 20_000
			req.Topics = []kmsg.CreateTopicsRequestTopic{topic}
			change(v, req, &req.Topics[0])
			return req
		}
	}
	type R = *kmsg.CreateTopicsRequest
	type T = *kmsg.CreateTopicsRequestTopic
	config := func(name string, value *string) []kmsg.CreateTopicsRequestTopicConfig {
		return []kmsg.CreateTopicsRequestTopicConfig{{Name: name, Value: value}}
	}
	assign := func(index int32, brokers ...int32) kmsg.CreateTopicsRequestTopicReplicaAssignment {
		return kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: index, Replicas: brokers}
	}
	out := every("CreateTopics", 0, 7, asks{
		"good":                 create(func(int16, R, T) {}),
		"good again":           create(func(int16, R, T) {}),
		"invalid name":         create(func(_ int16, _ R, t T) { t.Topic = "a b" }),
		"empty name":           create(func(_ int16, _ R, t T) { t.Topic = "" }),
		"dot name":             create(func(_ int16, _ R, t T) { t.Topic = ".." }),
		"colliding name":       create(func(v int16, _ R, t T) { t.Topic = fmt.Sprintf("c.x_v%d", v) }),
		"colliding name, too":  create(func(v int16, _ R, t T) { t.Topic = fmt.Sprintf("c_x.v%d", v) }),
		"no partitions":        create(func(_ int16, _ R, t T) { t.Topic, t.NumPartitions = "p0", 0 }),
		"default partitions":   create(func(v int16, _ R, t T) { t.Topic, t.NumPartitions = fmt.Sprintf("default-v%d", v), -1 }),
		"minus two partitions": create(func(_ int16, _ R, t T) { t.Topic, t.NumPartitions = "p0", -2 }),
		"three replicas":       create(func(_ int16, _ R, t T) { t.Topic, t.ReplicationFactor = "r3", 3 }),
		"no replicas":          create(func(_ int16, _ R, t T) { t.Topic, t.ReplicationFactor = "r0", 0 }),
		"assigned": create(func(v int16, _ R, t T) {
			t.Topic, t.NumPartitions, t.ReplicationFactor, t.ReplicaAssignment = fmt.Sprintf("assigned-v%d", v), -1, -1, append(t.ReplicaAssignment, assign(0, 0), assign(1, 0))
		}),
		"assigned and counted": create(func(_ int16, _ R, t T) {
			t.Topic, t.ReplicaAssignment = "ac", append(t.ReplicaAssignment, assign(0, 0))
		}),
		"assigned with a hole": create(func(_ int16, _ R, t T) {
			t.Topic, t.NumPartitions, t.ReplicationFactor, t.ReplicaAssignment = "ah", -1, -1, append(t.ReplicaAssignment, assign(1, 0))
		}),
		"assigned twice the same": create(func(_ int16, _ R, t T) {
			t.Topic, t.NumPartitions, t.ReplicationFactor, t.ReplicaAssignment = "ah", -1, -1, append(t.ReplicaAssignment, assign(0, 0, 0))
		}),
		"unknown config": create(func(_ int16, _ R, t T) { t.Topic, t.Configs = "uc", config("no.such", str("1")) }),
		"bad config":     create(func(_ int16, _ R, t T) { t.Topic, t.Configs = "bc", config("retention.ms", str("soon")) }),
		"null config":    create(func(_ int16, _ R, t T) { t.Topic, t.Configs = "nc", config("retention.ms", nil) }),
		"config": create(func(v int16, _ R, t T) {
			t.Topic, t.Configs = fmt.Sprintf("config-v%d", v), config("retention.ms", str("7777777"))
		}),
		"validated only": create(func(v int16, r R, t T) { t.Topic = fmt.Sprintf("valid-v%d", v); r.ValidateOnly = true }),
		"twice":          create(func(_ int16, r R, t T) { t.Topic = "twice"; r.Topics = append(r.Topics, *t) }),
		"without time":   create(func(v int16, r R, t T) { t.Topic = fmt.Sprintf("hasty-v%d", v); r.TimeoutMillis = 0 }),
		"nothing":        create(func(_ int16, r R, _ T) { r.Topics = nil }),
		"offsets topic":  create(func(_ int16, r R, t T) { t.Topic = "__consumer_offsets"; r.ValidateOnly = true }),
	})
	return append(out, partitionQuestions()...)
}

// setup makes the topics that all parts ask about.
func setup() []exchange {
	return []exchange{{name: "CreateTopics setup", from: 7, to: 7,
		ask: func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrCreateTopicsRequest()
			req.TimeoutMillis = 20_000
			for _, name := range []string{"one", "two", "small", "stamped", "empty", "empty2", "segments"} {
				topic := kmsg.NewCreateTopicsRequestTopic()
				topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 2, 1
				switch name {
				case "small":
					topic.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "max.message.bytes", Value: kmsg.StringPtr("200")}}
				case "segments":
					topic.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "segment.bytes", Value: kmsg.StringPtr("200")}}
				case "stamped":
					topic.Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "message.timestamp.type", Value: kmsg.StringPtr("LogAppendTime")}}
				}
				req.Topics = append(req.Topics, topic)
			}
			return req
		},
		then: func(s *side, resp kmsg.Response) {
			for _, t := range resp.(*kmsg.CreateTopicsResponse).Topics {
				s.IDs[t.Topic] = t.TopicID
			}
		}}}
}

func partitionQuestions() []exchange {
	grow := func(name string, count int32, change func(r *kmsg.CreatePartitionsRequest)) func(*side, int16) kmsg.Request {
		return func(_ *side, v int16) kmsg.Request {
			req := kmsg.NewPtrCreatePartitionsRequest()
			req.TimeoutMillis = 20_000
			topic := kmsg.NewCreatePartitionsRequestTopic()
			topic.Topic, topic.Count = name, count
			if count == 0 {
				topic.Count = 3 + int32(v)
			}
			req.Topics = append(req.Topics, topic)
			if change != nil {
				change(req)
			}
			return req
		}
	}
	type R = *kmsg.CreatePartitionsRequest
	brokers := func(lists ...[]int32) (out []kmsg.CreatePartitionsRequestTopicAssignment) {
		for _, l := range lists {
			out = append(out, kmsg.CreatePartitionsRequestTopicAssignment{Replicas: l})
		}
		return out
	}
	return every("CreatePartitions", 0, 3, asks{
		"more":               grow("made-v0", 0, nil),
		"same":               grow("two", 2, nil),
		"fewer":              grow("two", 1, nil),
		"negative":           grow("two", -1, nil),
		"unknown":            grow("no-such", 3, nil),
		"twice":              grow("two", 3, func(r R) { r.Topics = append(r.Topics, r.Topics[0]) }),
		"validated only":     grow("two", 3, func(r R) { r.ValidateOnly = true }),
		"assigned":           grow("made-v1", 0, func(r R) { r.Topics[0].Count, r.Topics[0].Assignment = 3, brokers([]int32{0}); r.ValidateOnly = true }),
		"assigned too few":   grow("two", 4, func(r R) { r.Topics[0].Assignment = brokers([]int32{0}) }),
		"assigned to nobody": grow("two", 3, func(r R) { r.Topics[0].Assignment = brokers([]int32{9}) }),
		"assigned nothing":   grow("two", 3, func(r R) { r.Topics[0].Assignment = brokers(nil) }),
		"assigned twice":     grow("two", 3, func(r R) { r.Topics[0].Assignment = brokers([]int32{0, 0}) }),
		"offsets topic":      grow("__consumer_offsets", 99, func(r R) { r.ValidateOnly = true }),
		"no topics":          grow("two", 3, func(r R) { r.Topics = nil }),
		"empty name":         grow("", 3, nil),
		"dot":                grow(".", 3, nil),
		"odd name":           grow("a b", 3, nil),
	})
}

func metadataQuestions() []exchange {
	meta := func(create bool, names ...string) func(*side, int16) kmsg.Request {
		return func(_ *side, v int16) kmsg.Request {
			req := kmsg.NewPtrMetadataRequest()
			req.Topics, req.AllowAutoTopicCreation = []kmsg.MetadataRequestTopic{}, create
			for _, name := range names {
				topic := kmsg.NewMetadataRequestTopic()
				topic.Topic = kmsg.StringPtr(name)
				req.Topics = append(req.Topics, topic)
			}
			return req
		}
	}
	byID := func(name string, id [16]byte) func(*side, int16) kmsg.Request {
		return func(s *side, _ int16) kmsg.Request {
			req := kmsg.NewPtrMetadataRequest()
			topic := kmsg.NewMetadataRequestTopic()
			if topic.TopicID = id; name != "" {
				topic.TopicID = s.IDs[name]
			}
			req.Topics = append(req.Topics, topic)
			return req
		}
	}
	long := ""
	for len(long) < 250 {
		long += "0123456789"
	}
	out := every("Metadata", 0, 12, asks{
		"one":          meta(false, "one"),
		"twice":        meta(false, "one", "one"),
		"invalid name": meta(true, "a b"),
		"empty name":   meta(true, ""),
		"long name":    meta(true, long),
		"dots":         meta(true, ".."),
		"operations": func(s *side, v int16) kmsg.Request {
			req := meta(false, "one")(s, v).(*kmsg.MetadataRequest)
			req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = v >= 8, v >= 8 && v <= 10
			return req
		},
	})
	out = append(out, every("Metadata", 1, 12, asks{"none": meta(false)})...)
	out = append(out, every("Metadata", 4, 12, asks{"unknown": meta(false, "no-such"), "internal": meta(false, "__transaction_state")})...)
	out = append(out, every("Metadata", 10, 12, asks{"by id": byID("one", [16]byte{}), "by unknown id": byID("", [16]byte{1}), "null and no id": byID("", [16]byte{})})...)
	out = append(out, every("Metadata", 12, 12, asks{"by id and by name": func(s *side, v int16) kmsg.Request {
		req := byID("one", [16]byte{})(s, v).(*kmsg.MetadataRequest)
		req.Topics = append(req.Topics, meta(false, "two")(s, v).(*kmsg.MetadataRequest).Topics...)
		return req
	}, "same id twice": func(s *side, v int16) kmsg.Request {
		req := byID("one", [16]byte{})(s, v).(*kmsg.MetadataRequest)
		req.Topics = append(req.Topics, req.Topics[0])
		return req
	}})...)
	cluster := func(operations bool, endpoint int8) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrDescribeClusterRequest()
			req.IncludeClusterAuthorizedOperations, req.EndpointType = operations, endpoint
			return req
		}
	}
	out = append(out, every("DescribeCluster", 0, 1, asks{"plain": cluster(false, 1), "operations": cluster(true, 1)})...)
	out = append(out, every("DescribeCluster", 1, 1, asks{"controllers": cluster(false, 2), "others": cluster(false, 3)})...)
	software := func(name, version string) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrApiVersionsRequest()
			req.ClientSoftwareName, req.ClientSoftwareVersion = name, version
			return req
		}
	}
	return append(out, every("ApiVersions", 0, 4, asks{"plain": software("a", "1.0"), "bad name": software("-a", "1.0"), "empty": software("", "")})...)
}
