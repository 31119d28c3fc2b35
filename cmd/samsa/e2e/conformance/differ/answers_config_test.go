// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func configQuestions() []exchange {
	const topic, broker, logger = kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger
	describe := func(kind kmsg.ConfigResourceType, name string, keys ...string) func(*side, int16) kmsg.Request {
		return func(_ *side, v int16) kmsg.Request {
			req := kmsg.NewPtrDescribeConfigsRequest()
			r := kmsg.NewDescribeConfigsRequestResource()
			r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, keys
			req.Resources, req.IncludeSynonyms, req.IncludeDocumentation = append(req.Resources, r), v >= 1, v >= 3
			return req
		}
	}
	out := every("DescribeConfigs", 0, 4, asks{
		"topic": describe(topic, "small"), "one key": describe(topic, "small", "max.message.bytes"), "odd key": describe(topic, "small", "no.such"),
		"unknown topic": describe(topic, "no-such"), "empty topic": describe(topic, ""), "invalid topic": describe(topic, "a b"),
		"broker":       describe(broker, "0", "num.io.threads", "log.retention.ms", "log.retention.hours", "advertised.listeners", "auto.create.topics.enable", "compression.type", "message.max.bytes"),
		"other broker": describe(broker, "7"), "no number": describe(broker, "x"), "all brokers": describe(broker, ""), "odd kind": describe(99, "x"),
		"metrics": describe(16, "m"), "no metrics": describe(16, ""), "logger of nobody": describe(logger, ""), "logger of another": describe(logger, "7"),
		"twice": func(s *side, v int16) kmsg.Request {
			r := describe(topic, "small", "max.message.bytes")(s, v).(*kmsg.DescribeConfigsRequest)
			r.Resources = append(r.Resources, r.Resources[0])
			return r
		},
		"one good, one odd": func(s *side, v int16) kmsg.Request {
			r := describe(topic, "small", "max.message.bytes")(s, v).(*kmsg.DescribeConfigsRequest)
			r.Resources = append(r.Resources, describe(99, "x")(s, v).(*kmsg.DescribeConfigsRequest).Resources...)
			return r
		},
	})
	alter := func(kind kmsg.ConfigResourceType, name, key string, value *string) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrAlterConfigsRequest()
			r := kmsg.NewAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName, r.Configs = kind, name, []kmsg.AlterConfigsRequestResourceConfig{{Name: key, Value: value}}
			req.Resources = append(req.Resources, r)
			return req
		}
	}
	str := kmsg.StringPtr
	out = append(out, every("AlterConfigs", 0, 2, asks{
		"good": alter(topic, "two", "retention.ms", str("12345678")), "bad value": alter(topic, "two", "retention.ms", str("soon")), "odd key": alter(topic, "two", "no.such", str("1")),
		"null": alter(topic, "two", "retention.ms", nil), "unknown topic": alter(topic, "no-such", "retention.ms", str("1")), "empty topic": alter(topic, "", "retention.ms", str("1")),
		"odd kind": alter(99, "x", "a", str("1")), "no number": alter(broker, "x", "a", str("1")), "logger": alter(logger, "0", "root", str("INFO")), "metrics": alter(16, "m", "interval.ms", str("1000")),
		"validated only": func(s *side, v int16) kmsg.Request {
			r := alter(topic, "two", "retention.ms", str("999999"))(s, v).(*kmsg.AlterConfigsRequest)
			r.ValidateOnly = true
			return r
		},
		"same key twice": func(s *side, v int16) kmsg.Request {
			r := alter(topic, "two", "retention.ms", str("999999"))(s, v).(*kmsg.AlterConfigsRequest)
			r.Resources[0].Configs = append(r.Resources[0].Configs, r.Resources[0].Configs[0])
			return r
		},
		"other broker": alter(broker, "7", "log.retention.ms", str("1")),
	})...)
	out = append(out, exchange{name: "AlterConfigs same topic twice", from: 2, to: 2, patience: 3 * time.Second, ask: func(s *side, v int16) kmsg.Request {
		r := alter(topic, "two", "retention.ms", str("999999"))(s, v).(*kmsg.AlterConfigsRequest)
		r.Resources = append(r.Resources, r.Resources[0])
		return r
	}})
	change := func(kind kmsg.ConfigResourceType, name string, ops ...kmsg.IncrementalAlterConfigsRequestResourceConfig) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			r := kmsg.NewIncrementalAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName, r.Configs = kind, name, ops
			req.Resources = append(req.Resources, r)
			return req
		}
	}
	op := func(op kmsg.IncrementalAlterConfigOp, name string, value *string) kmsg.IncrementalAlterConfigsRequestResourceConfig {
		return kmsg.IncrementalAlterConfigsRequestResourceConfig{Name: name, Op: op, Value: value}
	}
	out = append(out, every("IncrementalAlterConfigs", 0, 1, asks{
		"set": change(topic, "two", op(0, "segment.bytes", str("2000000"))), "delete": change(topic, "two", op(1, "segment.bytes", nil)), "delete again": change(topic, "two", op(1, "segment.bytes", nil)),
		"delete an odd key": change(topic, "two", op(1, "no.such", nil)), "append": change(topic, "two", op(2, "cleanup.policy", str("compact"))),
		"append to no list": change(topic, "two", op(2, "segment.bytes", str("1"))), "append to an odd key": change(topic, "two", op(2, "no.such", str("1"))),
		"subtract": change(topic, "two", op(3, "cleanup.policy", str("compact"))), "odd op": change(topic, "two", op(9, "segment.bytes", str("1"))), "set null": change(topic, "two", op(0, "segment.bytes", nil)),
		"set badly": change(topic, "two", op(0, "segment.bytes", str("1"))), "same key twice": change(topic, "two", op(0, "segment.bytes", str("2000000")), op(1, "segment.bytes", nil)),
		"unknown topic": change(topic, "no-such", op(0, "segment.bytes", str("2000000"))), "nothing": change(topic, "two"), "odd kind": change(99, "x"), "no number": change(broker, "x"),
		"empty topic": change(topic, "", op(0, "retention.ms", str("1"))), "append to a number of nobody": change(topic, "no-such", op(2, "segment.bytes", str("1"))),
		"logger of another": change(logger, "7", op(0, "root", str("INFO"))), "metrics": change(16, "m", op(0, "odd", str("1"))),
		"validated only": func(s *side, v int16) kmsg.Request {
			r := change(topic, "two", op(0, "retention.ms", str("999999")))(s, v).(*kmsg.IncrementalAlterConfigsRequest)
			r.ValidateOnly = true
			return r
		},
	})...)
	checked := func(ask func(*side, int16) kmsg.Request) func(*side, int16) kmsg.Request {
		return func(s *side, v int16) kmsg.Request {
			r := ask(s, v).(*kmsg.IncrementalAlterConfigsRequest)
			r.ValidateOnly = true
			return r
		}
	}
	// Of the loggers, only the root has the same name in both.
	root := func(level string) kmsg.IncrementalAlterConfigsRequestResourceConfig { return op(0, "root", str(level)) }
	out = append(out, every("IncrementalAlterConfigs logger", 0, 1, asks{
		"set": change(logger, "0", root("ERROR")), "set, checked": checked(change(logger, "0", root("FATAL"))), "nothing": change(logger, "0"),
		"unknown": change(logger, "0", op(0, "no.such.logger", str("ERROR"))), "unknown, loud": change(logger, "0", op(0, "no.such.logger", str("LOUD"))),
		"unknown after the root": change(logger, "0", root("FATAL"), op(0, "no.such.logger", str("ERROR"))), "no name": change(logger, "0", op(0, "", str("ERROR"))),
		"loud": change(logger, "0", root("LOUD")), "loud, checked": checked(change(logger, "0", root("LOUD"))), "small letters": change(logger, "0", root("error")), "empty": change(logger, "0", root("")),
		"off": change(logger, "0", root("OFF")), "null": change(logger, "0", op(0, "root", nil)), "delete the root": change(logger, "0", op(1, "root", nil)), "delete the root, checked": checked(change(logger, "0", op(1, "root", str("INFO")))),
		"delete an unknown": change(logger, "0", op(1, "no.such.logger", nil)), "append": change(logger, "0", op(2, "root", str("INFO"))), "subtract": change(logger, "0", op(3, "root", str("INFO"))),
		"append to an unknown": change(logger, "0", op(2, "no.such.logger", str("INFO"))), "append null": change(logger, "0", op(2, "root", nil)), "odd op": change(logger, "0", op(9, "root", str("INFO"))),
		"odd op, checked": checked(change(logger, "0", op(9, "root", str("INFO")))), "same twice": change(logger, "0", root("FATAL"), root("FATAL")), "of all": change(logger, "", root("FATAL")),
		"of no number": change(logger, "x", root("FATAL")), "of another, unknown": change(logger, "7", op(0, "no.such.logger", str("LOUD"))),
		"resource twice": func(s *side, v int16) kmsg.Request {
			r := change(logger, "0", root("FATAL"))(s, v).(*kmsg.IncrementalAlterConfigsRequest)
			r.Resources = append(r.Resources, r.Resources[0])
			return r
		},
		"and a topic": func(s *side, v int16) kmsg.Request {
			r := change(logger, "0", root("ERROR"))(s, v).(*kmsg.IncrementalAlterConfigsRequest)
			r.Resources = append(r.Resources, change(topic, "no-such", op(1, "retention.ms", nil))(s, v).(*kmsg.IncrementalAlterConfigsRequest).Resources...)
			return r
		},
	})...)
	out = append(out, every("DescribeConfigs", 0, 4, asks{
		"root logger": describe(logger, "0", "root"), "unknown logger": describe(logger, "0", "no.such.logger"), "root and unknown logger": describe(logger, "0", "root", "no.such.logger"),
		"logger of no number": describe(logger, "x", "root"), "root logger, bare": func(s *side, v int16) kmsg.Request {
			r := describe(logger, "0", "root")(s, v).(*kmsg.DescribeConfigsRequest)
			r.IncludeSynonyms, r.IncludeDocumentation = false, false
			return r
		},
	})...)
	out = append(out, every("DescribeConfigs", 1, 1, asks{"afterwards": describe(topic, "two", "retention.ms", "segment.bytes", "cleanup.policy")})...)
	dirs := func(topics []kmsg.DescribeLogDirsRequestTopic) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request { r := kmsg.NewPtrDescribeLogDirsRequest(); r.Topics = topics; return r }
	}
	return append(out, every("DescribeLogDirs", 0, 4, asks{
		"some": dirs([]kmsg.DescribeLogDirsRequestTopic{{Topic: "one", Partitions: []int32{0, 1, 9}}}), "unknown": dirs([]kmsg.DescribeLogDirsRequestTopic{{Topic: "no-such", Partitions: []int32{0}}}),
		"none": dirs([]kmsg.DescribeLogDirsRequestTopic{}),
	})...)
}

// goodbyes delete.
func goodbyes() []exchange {
	remove := func(change func(s *side, v int16, r *kmsg.DeleteTopicsRequest, names func(...string))) func(*side, int16) kmsg.Request {
		return func(s *side, v int16) kmsg.Request {
			req := kmsg.NewPtrDeleteTopicsRequest()
			req.TimeoutMillis = 20_000
			change(s, v, req, func(names ...string) {
				req.TopicNames = names
				for _, name := range names {
					t := kmsg.NewDeleteTopicsRequestTopic()
					t.Topic = kmsg.StringPtr(name)
					req.Topics = append(req.Topics, t)
				}
			})
			return req
		}
	}
	type R = *kmsg.DeleteTopicsRequest
	out := every("DeleteTopics", 0, 6, asks{
		"known":          remove(func(_ *side, v int16, _ R, names func(...string)) { names(fmt.Sprintf("made-v%d", v)) }),
		"unknown":        remove(func(_ *side, _ int16, _ R, names func(...string)) { names("no-such") }),
		"invalid":        remove(func(_ *side, _ int16, _ R, names func(...string)) { names("a b") }),
		"empty":          remove(func(_ *side, _ int16, _ R, names func(...string)) { names("") }),
		"unknown, twice": remove(func(_ *side, _ int16, _ R, names func(...string)) { names("no-such", "no-such") }),
		"none":           remove(func(_ *side, _ int16, _ R, names func(...string)) { names() }),
		"without time": remove(func(_ *side, v int16, r R, names func(...string)) {
			names(fmt.Sprintf("config-v%d", v))
			r.TimeoutMillis = 0
		}),
	})
	id := func(s *side, r R, ids ...[16]byte) {
		for _, id := range ids {
			t := kmsg.NewDeleteTopicsRequestTopic()
			t.TopicID = id
			r.Topics = append(r.Topics, t)
		}
	}
	return append(out, every("DeleteTopics", 6, 6, asks{
		"by id":           remove(func(s *side, _ int16, r R, _ func(...string)) { id(s, r, s.IDs["stamped"]) }),
		"by unknown id":   remove(func(s *side, _ int16, r R, _ func(...string)) { id(s, r, [16]byte{7}) }),
		"by no id":        remove(func(s *side, _ int16, r R, _ func(...string)) { id(s, r, [16]byte{}) }),
		"same id twice":   remove(func(s *side, _ int16, r R, _ func(...string)) { id(s, r, s.IDs["small"], s.IDs["small"]) }),
		"name and id":     remove(func(s *side, _ int16, r R, names func(...string)) { names("two"); r.Topics[0].TopicID = s.IDs["two"] }),
		"name and its id": remove(func(s *side, _ int16, r R, names func(...string)) { names("two"); id(s, r, s.IDs["two"]) }),
	})...)
}
