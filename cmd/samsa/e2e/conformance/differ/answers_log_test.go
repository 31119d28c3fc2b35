// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// sorted gives the keys in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func produceQuestions() []exchange {
	type R = *kmsg.ProduceRequest
	batch := e2e.Batch(-1, -1, -1, "first", "second") // both get the same bytes
	large := e2e.Batch(-1, -1, -1, string(make([]byte, 300)))
	flip := func(at int, with byte) []byte {
		b := slices.Clone(batch)
		b[at] = with
		return b
	}
	produce := func(topic string, partition int32, records []byte, change func(R)) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := e2e.ProduceRequest(topic, partition, slices.Clone(records))
			if change != nil {
				change(req)
			}
			return req
		}
	}
	out := every("Produce", 3, 11, asks{
		"acks all":           produce("one", 0, batch, nil),
		"acks one":           produce("one", 0, batch, func(r R) { r.Acks = 1 }),
		"acks two":           produce("one", 0, batch, func(r R) { r.Acks = 2 }),
		"acks two, unknown":  produce("no-such", 0, batch, func(r R) { r.Acks = 2 }),
		"unknown topic":      produce("no-such", 0, batch, nil),
		"unknown partition":  produce("one", 99, batch, nil),
		"negative partition": produce("one", -1, batch, nil),
		"empty name":         produce("", 0, batch, nil),
		"invalid name":       produce("a b", 0, batch, nil),
		"no records":         produce("one", 1, []byte{}, nil),
		"short records":      produce("one", 1, batch[:40], nil),
		"cut records":        produce("one", 1, batch[:len(batch)-1], nil),
		"garbage":            produce("one", 1, make([]byte, 100), nil),
		"magic 1":            produce("one", 1, flip(16, 1), nil),
		"magic 3":            produce("one", 1, flip(16, 3), nil),
		"bad CRC":            produce("one", 1, flip(len(batch)-2, 'X'), nil),
		"two batches":        produce("one", 1, append(slices.Clone(batch), batch...), nil),
		"and some more":      produce("one", 1, append(slices.Clone(batch), 1, 2, 3), nil),
		"too large":          produce("small", 0, large, nil),
		"log append time":    produce("stamped", 0, batch, nil),
		"no topics":          produce("one", 0, batch, func(r R) { r.Topics = nil }),
		"no partitions":      produce("one", 0, batch, func(r R) { r.Topics[0].Partitions = nil }),
		"internal topic":     produce("__consumer_offsets", 0, batch, nil),
		"transactional id":   produce("one", 1, batch, func(r R) { r.TransactionID = kmsg.StringPtr("t") }),
		"two partitions": produce("one", 0, batch, func(r R) {
			p := r.Topics[0].Partitions[0]
			p.Partition, p.Records = 1, slices.Clone(batch)
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, p)
		}),
		"twice": produce("one", 1, batch, func(r R) {
			p := r.Topics[0].Partitions[0]
			p.Records = slices.Clone(batch)
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, p)
		}),
		"topic twice": produce("one", 1, batch, func(r R) {
			t := e2e.ProduceRequest("one", 0, slices.Clone(batch)).Topics[0]
			r.Topics = append(r.Topics, t, kmsg.ProduceRequestTopic{Topic: "two"})
		}),
		"one good, one garbage": produce("one", 0, batch, func(r R) {
			p := r.Topics[0].Partitions[0]
			p.Partition, p.Records = 1, make([]byte, 100)
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, p)
		}),
		"and garbage":      produce("one", 1, append(slices.Clone(batch), make([]byte, 100)...), nil),
		"and half another": produce("one", 1, append(slices.Clone(batch), batch[:len(batch)-2]...), nil),
		"acks two, bad":    produce("one", 1, batch[:40], func(r R) { r.Acks = 2 }),
		"acks two, large":  produce("small", 0, large, func(r R) { r.Acks = 2 }),
		"no time":          produce("one", 0, batch, func(r R) { r.TimeoutMillis = 0 }),
		"one good, one bad": produce("one", 0, batch, func(r R) {
			p := r.Topics[0].Partitions[0]
			p.Partition, p.Records = 99, slices.Clone(batch)
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, p)
		}),
	})
	out = append(out, every("Produce", 0, 2, asks{"old, unknown topic": produce("no-such", 0, batch, nil)})...)
	out = append(out, exchange{name: "Produce null records", from: 9, to: 9, patience: 3 * time.Second,
		ask: produce("one", 0, batch, func(r R) { r.Topics[0].Partitions[0].Records = nil })})
	out = append(out, sequences()...)
	id := func(change func(r *kmsg.InitProducerIDRequest)) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrInitProducerIDRequest()
			req.TransactionTimeoutMillis = 60_000
			change(req)
			return req
		}
	}
	type I = *kmsg.InitProducerIDRequest
	return append(out, every("InitProducerId", 0, 5, asks{
		"plain":            id(func(I) {}),
		"empty":            id(func(r I) { r.TransactionalID = kmsg.StringPtr("") }),
		"epoch without id": id(func(r I) { r.ProducerEpoch = 3 }),
		"id without epoch": id(func(r I) { r.ProducerID = 3 }),
		"id and epoch":     id(func(r I) { r.ProducerID, r.ProducerEpoch = 3, 3 }),
		"no timeout":       id(func(r I) { r.TransactionTimeoutMillis = 0 }),
	})...)
}

// sequences are what idempotent producers meet.
func sequences() []exchange {
	step := func(name string, epoch int16, sequence int32) exchange {
		b := e2e.Batch(4242, epoch, sequence, "a", "b")
		return exchange{name: "Produce sequence " + name, from: 9, to: 9, ask: func(*side, int16) kmsg.Request {
			return e2e.ProduceRequest("two", 0, slices.Clone(b))
		}}
	}
	return []exchange{
		step("first", 0, 0), step("next", 0, 2), step("again", 0, 2), step("first again", 0, 0), step("gap", 0, 9), step("goes on", 0, 4),
		step("new epoch, not zero", 1, 3), step("new epoch", 1, 0), step("old epoch", 0, 6), step("negative", 1, -1),
	}
}

func fetchQuestions() []exchange {
	type R = *kmsg.FetchRequest
	type P = *kmsg.FetchRequestTopicPartition
	fetch := func(topic string, change func(r R, p P)) func(*side, int16) kmsg.Request {
		return func(s *side, v int16) kmsg.Request {
			req := e2e.FetchRequest(topic, 0, 0, 1<<20)
			req.MaxWaitMillis = 50
			if id, ok := s.IDs[topic]; ok {
				req.Topics[0].TopicID = id
			} else {
				req.Topics[0].TopicID = [16]byte{9}
			}
			if change != nil {
				change(req, &req.Topics[0].Partitions[0])
			}
			return req
		}
	}
	out := every("Fetch", 0, 17, asks{
		"from the start":     fetch("one", nil),
		"committed":          fetch("one", func(r R, _ P) { r.IsolationLevel = 1 }),
		"at the end":         fetch("two", func(_ R, p P) { p.FetchOffset = 8 }),
		"beyond":             fetch("one", func(_ R, p P) { p.FetchOffset = 99999 }),
		"negative":           fetch("one", func(_ R, p P) { p.FetchOffset = -1 }),
		"in the middle":      fetch("one", func(_ R, p P) { p.FetchOffset = 3 }),
		"unknown topic":      fetch("no-such", nil),
		"unknown partition":  fetch("one", func(_ R, p P) { p.Partition = 99 }),
		"negative partition": fetch("one", func(_ R, p P) { p.Partition = -1 }),
		"one byte":           fetch("one", func(_ R, p P) { p.PartitionMaxBytes = 1 }),
		"one byte in all":    fetch("one", func(r R, _ P) { r.MaxBytes = 1 }),
		"cut":                fetch("one", func(_ R, p P) { p.PartitionMaxBytes = 200 }),
		"zero":               fetch("one", func(_ R, p P) { p.PartitionMaxBytes = 0 }),
		"more than there is": fetch("one", func(r R, _ P) { r.MinBytes = 1 << 30 }),
		"no topics":          fetch("one", func(r R, _ P) { r.Topics = nil }),
		"no partitions":      fetch("one", func(r R, _ P) { r.Topics[0].Partitions = nil }),
		"as replica":         fetch("one", func(r R, _ P) { r.ReplicaID, r.ReplicaState.ID = -1, -1 }),
		"both partitions": fetch("one", func(r R, p P) {
			q := *p
			q.Partition = 1
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, q)
		}),
		"twice": fetch("one", func(r R, p P) { r.Topics[0].Partitions = append(r.Topics[0].Partitions, *p) }),
		"topic twice": fetch("one", func(r R, p P) {
			t := r.Topics[0]
			t.Partitions = slices.Clone(t.Partitions)
			t.Partitions[0].FetchOffset = 4
			r.Topics = append(r.Topics, t)
		}),
		"no bytes in all":        fetch("one", func(r R, _ P) { r.MaxBytes = 0 }),
		"fewer than no bytes":    fetch("one", func(r R, p P) { p.PartitionMaxBytes = -1 }),
		"fewer in all":           fetch("one", func(r R, _ P) { r.MaxBytes = -1 }),
		"fewer than none wanted": fetch("two", func(r R, p P) { r.MinBytes, p.FetchOffset = -5, 8 }),
		"before now":             fetch("empty", func(r R, p P) { r.MaxWaitMillis = -1 }),
		"unknown, bad isolation": fetch("no-such", func(r R, _ P) { r.IsolationLevel = 7 }),
		"bad isolation":          fetch("one", func(r R, _ P) { r.IsolationLevel = 7 }),
		"log append":             fetch("stamped", func(_ R, p P) { p.FetchOffset = 999 }),
		"and an unknown":         fetch("one", func(r R, p P) { q := *p; q.Partition = 77; r.Topics[0].Partitions = append(r.Topics[0].Partitions, q) }),
	})
	out = append(out, every("Fetch", 9, 17, asks{
		"newer epoch":   fetch("one", func(_ R, p P) { p.CurrentLeaderEpoch = 50 }),
		"current epoch": fetch("one", func(_ R, p P) { p.CurrentLeaderEpoch = 0 }),
		"older epoch":   fetch("one", func(_ R, p P) { p.CurrentLeaderEpoch = -5 }),
	})...)
	out = append(out, every("Fetch", 12, 17, asks{
		"same last epoch":  fetch("one", func(_ R, p P) { p.FetchOffset, p.LastFetchedEpoch = 2, 0 }),
		"newer last epoch": fetch("one", func(_ R, p P) { p.FetchOffset, p.LastFetchedEpoch = 2, 50 }),
	})...)
	return append(out, every("Fetch", 7, 17, asks{
		"unknown session":   fetch("one", func(r R, _ P) { r.SessionID, r.SessionEpoch = 77777, 1 }),
		"session one":       fetch("one", func(r R, _ P) { r.SessionID, r.SessionEpoch = 0, 1 }),
		"closed session":    fetch("one", func(r R, _ P) { r.SessionID, r.SessionEpoch = 77777, -1 }),
		"new session":       fetch("one", func(r R, p P) { r.SessionEpoch = 0 }),
		"new empty session": fetch("one", func(r R, p P) { r.SessionEpoch = 0; r.Topics = nil }),
	})...)
}

func offsetQuestions() []exchange {
	list := func(topic string, partition int32, at int64, change func(r *kmsg.ListOffsetsRequest)) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrListOffsetsRequest()
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp, p.MaxNumOffsets = partition, at, 10
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic, t.Partitions = topic, append(t.Partitions, p)
			req.Topics = append(req.Topics, t)
			if change != nil {
				change(req)
			}
			return req
		}
	}
	type L = *kmsg.ListOffsetsRequest
	out := every("ListOffsets", 0, 9, asks{
		"latest": list("one", 0, -1, nil), "earliest": list("one", 0, -2, nil), "max": list("one", 0, -3, nil),
		"local": list("one", 0, -4, nil), "tiered": list("one", 0, -5, nil), "minus six": list("one", 0, -6, nil), "minus ninety": list("one", 0, -90, nil),
		"zero": list("one", 0, 0, nil), "far": list("one", 0, 1<<60, nil), "empty": list("empty", 0, 0, nil), "empty max": list("empty", 0, -3, nil),
		"empty latest": list("empty", 0, -1, nil), "unknown topic": list("no-such", 0, -1, nil), "unknown partition": list("one", 99, -1, nil),
		"committed":                list("one", 0, -1, func(r L) { r.IsolationLevel = 1 }),
		"epoch":                    list("one", 0, -1, func(r L) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 50 }),
		"twice":                    list("one", 0, -1, func(r L) { r.Topics[0].Partitions = append(r.Topics[0].Partitions, r.Topics[0].Partitions[0]) }),
		"none":                     list("one", 0, -1, func(r L) { r.Topics = nil }),
		"no partitions":            list("one", 0, -1, func(r L) { r.Topics[0].Partitions = nil }),
		"current epoch":            list("one", 0, -1, func(r L) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = 0 }),
		"older epoch":              list("one", 0, -1, func(r L) { r.Topics[0].Partitions[0].CurrentLeaderEpoch = -5 }),
		"one at most":              list("one", 0, -1, func(r L) { r.Topics[0].Partitions[0].MaxNumOffsets = 1 }),
		"fewer":                    list("one", 0, -1, func(r L) { r.Topics[0].Partitions[0].MaxNumOffsets = -1 }),
		"unknown topic, minus six": list("no-such", 0, -6, nil), "odd isolation": list("one", 0, -1, func(r L) { r.IsolationLevel = 9 }),
		"segments": list("segments", 0, -1, nil), "segments zero": list("segments", 0, 0, nil),
		"replica":  list("one", 0, -1, func(r L) { r.ReplicaID = 5 }),
		"debugger": list("one", 0, -1, func(r L) { r.ReplicaID = -2 }),
	})
	epoch := func(topic string, partition, epoch, current int32) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrOffsetForLeaderEpochRequest()
			p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			p.Partition, p.LeaderEpoch, p.CurrentLeaderEpoch = partition, epoch, current
			t := kmsg.NewOffsetForLeaderEpochRequestTopic()
			t.Topic, t.Partitions = topic, append(t.Partitions, p)
			req.ReplicaID, req.Topics = -1, append(req.Topics, t)
			return req
		}
	}
	out = append(out, every("OffsetForLeaderEpoch", 0, 4, asks{
		"zero": epoch("one", 0, 0, -1), "newer": epoch("one", 0, 5, -1), "none": epoch("one", 0, -1, -1), "current": epoch("one", 0, 0, 0),
		"wrong current": epoch("one", 0, 0, 50), "unknown topic": epoch("no-such", 0, 0, -1), "unknown partition": epoch("one", 99, 0, -1), "empty log": epoch("empty", 0, 0, -1),
		"older current": epoch("one", 0, 0, -5),
		"twice": func(s *side, v int16) kmsg.Request {
			r := epoch("one", 0, 0, -1)(s, v).(*kmsg.OffsetForLeaderEpochRequest)
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, r.Topics[0].Partitions[0])
			return r
		},
		"no partitions": func(s *side, v int16) kmsg.Request {
			r := epoch("one", 0, 0, -1)(s, v).(*kmsg.OffsetForLeaderEpochRequest)
			r.Topics[0].Partitions = nil
			return r
		},
	})...)
	trim := func(topic string, partition int32, to int64) func(*side, int16) kmsg.Request {
		return func(*side, int16) kmsg.Request {
			req := kmsg.NewPtrDeleteRecordsRequest()
			t := kmsg.NewDeleteRecordsRequestTopic()
			t.Topic, t.Partitions = topic, append(t.Partitions, kmsg.DeleteRecordsRequestTopicPartition{Partition: partition, Offset: to})
			req.TimeoutMillis, req.Topics = 10_000, append(req.Topics, t)
			return req
		}
	}
	return append(out, every("DeleteRecords", 0, 2, asks{
		"some": trim("one", 0, 2), "fewer": trim("one", 0, 1), "all": trim("one", 1, -1), "beyond": trim("one", 0, 99999), "minus two": trim("one", 0, -2),
		"unknown topic": trim("no-such", 0, 1), "unknown partition": trim("one", 99, 1), "internal": trim("__consumer_offsets", 0, 0),
		"twice": func(s *side, v int16) kmsg.Request {
			r := trim("one", 0, 3)(s, v).(*kmsg.DeleteRecordsRequest)
			r.Topics[0].Partitions = append(r.Topics[0].Partitions, kmsg.DeleteRecordsRequestTopicPartition{Partition: 0, Offset: 4})
			return r
		},
		"no partitions": func(s *side, v int16) kmsg.Request {
			r := trim("one", 0, 3)(s, v).(*kmsg.DeleteRecordsRequest)
			r.Topics[0].Partitions = nil
			return r
		},
	})...)
}
