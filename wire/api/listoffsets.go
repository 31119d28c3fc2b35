// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/replica"
	"github.com/samsa-broker/samsa/wire/frame"
)

// Lookup finds partitions; *replica.Set does.
type Lookup interface {
	Lookup(topic []byte, index int32) *replica.Partition
}

// ListOffsets finds offsets by time.
//
//	v0  a list of offsets      v1  one offset with its timestamp
//	v2  isolation level        v4  leader epochs       v5  OFFSET_NOT_AVAILABLE
//	v6  flexible               v7  -3, the largest timestamp (KIP-734)
//	v8  -4, the local log start (KIP-405)              v9  -5, the end of tiered storage
//
// Version 0 lists where segments begin, newest first.
func ListOffsets(d Deps) Handler {
	l := &offsetLister{lookup: d.Reader, places: Places{d.Cluster}}
	return Handler{Key: 2, Min: 0, Max: 9, Serve: l.serve}
}

type offsetLister struct {
	lookup Lookup
	places Places
}

// timeTiered asks for the end of tiered storage, of which there is none here.
const timeTiered = -5

// timeSince is the first version that knows a special timestamp.
var timeSince = map[int64]int16{
	replica.TimeLatest: 0, replica.TimeEarliest: 0, replica.TimeMax: 7, replica.TimeEarliestLocal: 8, timeTiered: 9,
}

// What ListOffsets itself finds wrong.
var (
	errUnknownTime = Fail(frame.UnsupportedVersion, "api: this special timestamp is not known in this version of ListOffsets")
	errTwice       = Fail(frame.InvalidRequest, "api: the partition is named twice")
	// Kafka runs into these.
	errIsolation     = Fail(frame.UnknownServerError, "api: there is no such isolation level")
	errFewerThanNone = Fail(frame.UnknownServerError, "api: fewer than no offsets are asked for")
)

func (l *offsetLister) serve(c *Call) {
	req := c.Body.(*kmsg.ListOffsetsRequest)
	resp := c.Response().(*kmsg.ListOffsetsResponse)
	n := 0
	resp.Topics = make([]kmsg.ListOffsetsResponseTopic, len(req.Topics))
	for t := range req.Topics {
		resp.Topics[t].Topic = req.Topics[t].Topic
		resp.Topics[t].Partitions = make([]kmsg.ListOffsetsResponseTopicPartition, len(req.Topics[t].Partitions))
		n += len(req.Topics[t].Partitions)
	}
	answered := c.ReplyAfter(n, resp)
	times := make(map[topicPartition]int, n)
	for t := range req.Topics {
		for i := range req.Topics[t].Partitions {
			times[topicPartition{req.Topics[t].Topic, req.Topics[t].Partitions[i].Partition}]++
		}
	}
	for t := range req.Topics {
		topic := &req.Topics[t]
		for i := range topic.Partitions {
			in, out := &topic.Partitions[i], &resp.Topics[t].Partitions[i]
			out.Default()
			out.Partition = in.Partition
			id := topicPartition{topic.Topic, in.Partition}
			done := func(a replica.TimeAnswer, err error) {
				putOffset(out, c.Version, a, err)
				answered()
			}
			switch {
			case c.Version == 0:
				l.list(c, req, topic.Topic, in, func(offsets []engine.Offset, err error) {
					putOffsets(out, offsets, err)
					answered()
				})
			case times[id] > 1: // all of them, as in Kafka
				done(replica.TimeAnswer{}, errTwice)
			default:
				l.ask(c, req, topic.Topic, in, done)
			}
		}
	}
}

// topicPartition names a partition of a request.
type topicPartition struct {
	topic string
	index int32
}

// list puts one partition's question of version 0; done runs once, on the loop.
func (l *offsetLister) list(c *Call, req *kmsg.ListOffsetsRequest, topic string, in *kmsg.ListOffsetsRequestTopicPartition, done func([]engine.Offset, error)) {
	p := l.lookup.Lookup([]byte(topic), in.Partition)
	switch {
	case in.Timestamp < replica.TimeEarliest:
		done(nil, errUnknownTime)
	case p == nil:
		done(nil, l.places.Missing([]byte(topic), in.Partition))
	case in.MaxNumOffsets < 0:
		done(nil, errFewerThanNone)
	default:
		p.OffsetsBefore(in.Timestamp, int(in.MaxNumOffsets), req.ReplicaID == -1, c.Home(), done)
	}
}

// putOffsets writes one partition's answer of version 0.
func putOffsets(out *kmsg.ListOffsetsResponseTopicPartition, offsets []engine.Offset, err error) {
	out.ErrorCode = int16(Code(err))
	for _, o := range offsets {
		out.OldStyleOffsets = append(out.OldStyleOffsets, int64(o))
	}
}

// ask puts one partition's question; done runs once, on the loop.
func (l *offsetLister) ask(c *Call, req *kmsg.ListOffsetsRequest, topic string, in *kmsg.ListOffsetsRequestTopicPartition, done func(replica.TimeAnswer, error)) {
	p := l.lookup.Lookup([]byte(topic), in.Partition)
	since, special := timeSince[in.Timestamp]
	switch {
	case in.Timestamp < 0 && (!special || c.Version < since):
		done(replica.TimeAnswer{}, errUnknownTime)
	case c.Version >= 2 && req.ReplicaID == -1 && req.IsolationLevel != frame.ReadUncommitted && req.IsolationLevel != frame.ReadCommitted:
		done(replica.TimeAnswer{}, errIsolation)
	case p == nil:
		done(replica.TimeAnswer{}, l.places.Missing([]byte(topic), in.Partition))
	case in.Timestamp == timeTiered:
		done(replica.TimeAnswer{Offset: -1, Timestamp: -1, Epoch: -1}, nil)
	default:
		epoch := engine.Epoch(-1)
		if c.Version >= 4 {
			epoch = engine.Epoch(in.CurrentLeaderEpoch)
		}
		q := replica.TimeQuery{Timestamp: in.Timestamp, LeaderEpoch: epoch, ReadCommitted: c.Version >= 2 && req.IsolationLevel == frame.ReadCommitted}
		p.OffsetForTime(q, c.Home(), done)
	}
}

// putOffset writes one partition's answer.
func putOffset(out *kmsg.ListOffsetsResponseTopicPartition, version int16, a replica.TimeAnswer, err error) {
	if err != nil {
		code := Code(err)
		if errors.Is(err, replica.ErrOffsetNotAvailable) && version < 5 {
			code = frame.LeaderNotAvailable
		}
		out.ErrorCode = int16(code)
		return
	}
	out.Offset, out.Timestamp, out.LeaderEpoch = int64(a.Offset), a.Timestamp, int32(a.Epoch)
}
