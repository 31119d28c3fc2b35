// SPDX-License-Identifier: Apache-2.0

// Command franz is franz-go's part of the common story (see package story).
package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"samsa.peers/go/story"
)

var ctx = context.Background()

var codecs = map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}

func client(opts ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(story.Addr), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	story.OK(err)
	return c
}

// one is the first record of a partition from an offset.
func one(partition int32, from kgo.Offset) *kgo.Record {
	c := client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{story.Topic: {partition: from}}))
	defer c.Close()
	fetches := c.PollRecords(ctx, 1)
	story.OK(fetches.Err())
	return fetches.Records()[0]
}

func produce() *story.Placed {
	c := client(kgo.ProducerBatchCompression(codecs[story.Codec]), kgo.ProducerLinger(20*time.Millisecond))
	defer c.Close()
	_, err := kadm.NewClient(c).CreateTopic(ctx, story.Partitions, 1, nil, story.Topic)
	story.OK(err)
	story.Step("admin")
	placed := &story.Placed{}
	for i := range story.Count {
		r := &kgo.Record{Topic: story.Topic, Key: story.Key(i), Value: story.Value(i), Timestamp: story.Stamp(i),
			Headers: []kgo.RecordHeader{{Key: "h", Value: story.Header(i)}}}
		c.Produce(ctx, r, func(r *kgo.Record, err error) {
			story.OK(err)
			placed.Put(r.Partition, r.Offset, i)
		})
	}
	story.OK(c.Flush(ctx))
	placed.All()
	story.Step("produce")
	story.Step("idempotent")
	return placed
}

func readAll(kind, topic string, placed *story.Placed) {
	c := client(kgo.ConsumeTopics(topic))
	defer c.Close()
	for n := 0; n < story.Count; {
		fetches := c.PollFetches(ctx)
		story.OK(fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			placed.Record(kind, r.Partition, r.Offset, r.Timestamp, r.Key, r.Value, r.Headers[0].Key, r.Headers[0].Value)
		})
	}
}

func member(want int) (got []story.Place) {
	c := client(kgo.ConsumerGroup(story.Topic+"-group"), kgo.ConsumeTopics(story.Topic), kgo.DisableAutoCommit())
	defer c.Close()
	for len(got) < want {
		fetches := c.PollRecords(ctx, 50)
		story.OK(fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, story.Place{Partition: int64(r.Partition), Offset: r.Offset}) })
		story.OK(c.CommitUncommittedOffsets(ctx))
	}
	return got
}

// sharer is a member that counts its partitions.
type sharer struct {
	c *kgo.Client
	n atomic.Int32
}

func (s *sharer) Owned() int { return int(s.n.Load()) }
func (s *sharer) Leave()     { s.c.Close() }

func share() story.Sharer {
	s := &sharer{}
	change := func(sign int32) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
			s.n.Add(sign * int32(len(m[story.Topic])))
		}
	}
	s.c = client(kgo.ConsumerGroup(story.Topic+"-shared"), kgo.ConsumeTopics(story.Topic), kgo.HeartbeatInterval(300*time.Millisecond),
		kgo.OnPartitionsAssigned(change(1)), kgo.OnPartitionsRevoked(change(-1)), kgo.OnPartitionsLost(change(-1)))
	go func() {
		for !s.c.PollFetches(ctx).IsClientClosed() {
		}
	}()
	return s
}

func rewind(placed *story.Placed) {
	p := placed.First()
	story.Check(one(p, kgo.NewOffset().At(5)).Offset == 5, "after seek")
	story.Step("offset")
	half, offset := placed.Half(p)
	r := one(p, kgo.NewOffset().AfterMilli(half.UnixMilli()))
	story.Check(r.Offset == offset, "by timestamp:", r.Offset, "want", offset)
	story.Step("timestamp")
}

func main() {
	story.Tell("github.com/twmb/franz-go", story.Client{Produce: produce, ReadAll: readAll, Member: member, Rewind: rewind, Share: share})
}
