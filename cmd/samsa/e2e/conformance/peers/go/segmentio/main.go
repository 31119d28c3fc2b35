// SPDX-License-Identifier: Apache-2.0

// Command segmentio is kafka-go's part of the common story (see package story).
package main

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"

	"samsa.peers/go/story"
)

var ctx = context.Background()

var codecs = map[string]kafka.Compression{"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}

var brokers = []string{story.Addr}

func produce() *story.Placed {
	client := &kafka.Client{Addr: kafka.TCP(story.Addr)}
	created, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: story.Topic, NumPartitions: story.Partitions, ReplicationFactor: 1}}})
	story.OK(err)
	story.OK(created.Errors[story.Topic])
	story.Step("admin")
	placed := &story.Placed{}
	w := &kafka.Writer{Addr: kafka.TCP(story.Addr), Topic: story.Topic, Balancer: &kafka.Hash{}, Compression: codecs[story.Codec],
		RequiredAcks: kafka.RequireAll, BatchTimeout: 20 * time.Millisecond,
		Completion: func(messages []kafka.Message, err error) {
			story.OK(err)
			for _, m := range messages {
				i, err := strconv.Atoi(string(m.Headers[0].Value))
				story.OK(err)
				placed.Put(int32(m.Partition), m.Offset, i)
			}
		}}
	var all []kafka.Message
	for i := range story.Count {
		all = append(all, kafka.Message{Key: story.Key(i), Value: story.Value(i), Time: story.Stamp(i), Headers: []kafka.Header{{Key: "h", Value: story.Header(i)}}})
	}
	story.OK(w.WriteMessages(ctx, all...))
	story.OK(w.Close())
	placed.All()
	story.Step("produce")
	return placed
}

// partition is a reader of one partition.
func partition(topic string, p int) *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{Brokers: brokers, Topic: topic, Partition: p, MaxWait: 100 * time.Millisecond})
}

func readAll(kind, topic string, placed *story.Placed) {
	all := make(chan kafka.Message)
	for p := range story.Partitions {
		r := partition(topic, p)
		story.OK(r.SetOffset(kafka.FirstOffset))
		go func() {
			for {
				m, err := r.ReadMessage(ctx)
				story.OK(err)
				all <- m
			}
		}()
	}
	for range story.Count {
		m := <-all
		placed.Record(kind, int32(m.Partition), m.Offset, m.Time, m.Key, m.Value, m.Headers[0].Key, m.Headers[0].Value)
	}
}

func member(want int) (got []story.Place) {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: brokers, GroupID: story.Topic + "-group", Topic: story.Topic, StartOffset: kafka.FirstOffset,
		MaxWait: 100 * time.Millisecond, HeartbeatInterval: 300 * time.Millisecond})
	var uncommitted []kafka.Message
	for len(got) < want {
		m, err := r.FetchMessage(ctx)
		story.OK(err)
		got = append(got, story.Place{Partition: int64(m.Partition), Offset: m.Offset})
		uncommitted = append(uncommitted, m)
	}
	story.OK(r.CommitMessages(ctx, uncommitted...))
	story.OK(r.Close())
	return got
}

func rewind(placed *story.Placed) {
	p := placed.First()
	r := partition(story.Topic, int(p))
	story.OK(r.SetOffset(5))
	m, err := r.ReadMessage(ctx)
	story.OK(err)
	story.Check(m.Offset == 5, "after seek:", m.Offset)
	story.Step("offset")
	half, want := placed.Half(p)
	story.OK(r.SetOffsetAt(ctx, half))
	m, err = r.ReadMessage(ctx)
	story.OK(err)
	story.Check(m.Offset == want, "by timestamp:", m.Offset, "want", want)
	story.OK(r.Close())
	story.Step("timestamp")
}

// sharer is a group member that counts its partitions.
type sharer struct {
	g *kafka.ConsumerGroup
	n atomic.Int32
}

func (s *sharer) Owned() int { return int(s.n.Load()) }
func (s *sharer) Leave()     { story.OK(s.g.Close()) }

func share() story.Sharer {
	g, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{ID: story.Topic + "-shared", Brokers: brokers, Topics: []string{story.Topic},
		HeartbeatInterval: 300 * time.Millisecond})
	story.OK(err)
	s := &sharer{g: g}
	go func() {
		for {
			gen, err := g.Next(ctx)
			if errors.Is(err, kafka.ErrGroupClosed) {
				s.n.Store(0)
				return
			}
			if err == nil {
				s.n.Store(int32(len(gen.Assignments[story.Topic])))
			}
		}
	}()
	return s
}

func main() {
	story.Tell("github.com/segmentio/kafka-go", story.Client{Produce: produce, ReadAll: readAll, Member: member, Rewind: rewind, Share: share})
}
