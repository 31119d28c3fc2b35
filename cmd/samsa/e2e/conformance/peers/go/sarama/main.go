// SPDX-License-Identifier: Apache-2.0

// Command sarama is sarama's part of the common story (see package story).
package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"samsa.peers/go/story"
)

var codecs = map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}

var brokers = []string{story.Addr}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V3_9_0_0
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
	c.Producer.Compression = codecs[story.Codec]
	c.Producer.Return.Successes = true
	c.Producer.Flush.Frequency = 20 * time.Millisecond
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	return c
}

func produce() *story.Placed {
	admin, err := sarama.NewClusterAdmin(brokers, config())
	story.OK(err)
	story.OK(admin.CreateTopic(story.Topic, &sarama.TopicDetail{NumPartitions: story.Partitions, ReplicationFactor: 1}, false))
	story.OK(admin.Close())
	story.Step("admin")
	p, err := sarama.NewAsyncProducer(brokers, config())
	story.OK(err)
	go func() {
		for i := range story.Count {
			p.Input() <- &sarama.ProducerMessage{Topic: story.Topic, Key: sarama.ByteEncoder(story.Key(i)), Value: sarama.ByteEncoder(story.Value(i)),
				Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: story.Header(i)}}, Timestamp: story.Stamp(i), Metadata: i}
		}
	}()
	placed := &story.Placed{}
	for range story.Count {
		select {
		case m := <-p.Successes():
			placed.Put(m.Partition, m.Offset, m.Metadata.(int))
		case err := <-p.Errors():
			story.Fail(err)
		}
	}
	story.OK(p.Close())
	placed.All()
	story.Step("produce")
	story.Step("idempotent")
	return placed
}

func readAll(kind, topic string, placed *story.Placed) {
	c, err := sarama.NewConsumer(brokers, config())
	story.OK(err)
	all := make(chan *sarama.ConsumerMessage)
	for p := range int32(story.Partitions) {
		pc, err := c.ConsumePartition(topic, p, sarama.OffsetOldest)
		story.OK(err)
		go func() {
			for m := range pc.Messages() {
				all <- m
			}
		}()
	}
	for range story.Count {
		m := <-all
		placed.Record(kind, m.Partition, m.Offset, m.Timestamp, m.Key, m.Value, string(m.Headers[0].Key), m.Headers[0].Value)
	}
}

// reader is a group member that reads so many records and commits them.
type reader struct {
	want int
	mu   sync.Mutex
	got  []story.Place
	stop func()
}

func (r *reader) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (r *reader) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (r *reader) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m := <-claim.Messages():
			r.mu.Lock()
			if m != nil && len(r.got) < r.want {
				r.got = append(r.got, story.Place{Partition: int64(m.Partition), Offset: m.Offset})
				s.MarkMessage(m, "")
			}
			if len(r.got) == r.want {
				s.Commit()
				r.stop()
			}
			r.mu.Unlock()
		case <-s.Context().Done():
			return nil
		}
	}
}

func member(want int) []story.Place {
	g, err := sarama.NewConsumerGroup(brokers, story.Topic+"-group", config())
	story.OK(err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &reader{want: want, stop: cancel}
	for ctx.Err() == nil {
		story.OK(g.Consume(ctx, []string{story.Topic}, r))
	}
	story.OK(g.Close())
	return r.got
}

func rewind(placed *story.Placed) {
	client, err := sarama.NewClient(brokers, config())
	story.OK(err)
	c, err := sarama.NewConsumerFromClient(client)
	story.OK(err)
	p := placed.First()
	first := func(offset int64) int64 {
		pc, err := c.ConsumePartition(story.Topic, p, offset)
		story.OK(err)
		m := <-pc.Messages()
		story.OK(pc.Close())
		return m.Offset
	}
	story.Check(first(5) == 5, "after seek")
	story.Step("offset")
	half, want := placed.Half(p)
	offset, err := client.GetOffset(story.Topic, p, half.UnixMilli())
	story.OK(err)
	story.Check(offset == want && first(offset) == want, "by timestamp:", offset, "want", want)
	story.Step("timestamp")
	story.OK(c.Close())
}

// sharer is a group member that counts its partitions.
type sharer struct {
	n    atomic.Int32
	stop func()
}

func (s *sharer) Owned() int { return int(s.n.Load()) }
func (s *sharer) Leave()     { s.stop() }
func (s *sharer) Setup(session sarama.ConsumerGroupSession) error {
	s.n.Store(int32(len(session.Claims()[story.Topic])))
	return nil
}
func (s *sharer) Cleanup(sarama.ConsumerGroupSession) error { s.n.Store(0); return nil }
func (s *sharer) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for range claim.Messages() {
	}
	return nil
}

func share() story.Sharer {
	g, err := sarama.NewConsumerGroup(brokers, story.Topic+"-shared", config())
	story.OK(err)
	ctx, cancel := context.WithCancel(context.Background())
	s := &sharer{}
	done := make(chan struct{})
	go func() {
		for ctx.Err() == nil {
			story.OK(g.Consume(ctx, []string{story.Topic}, s))
		}
		close(done)
	}()
	s.stop = func() { cancel(); <-done; story.OK(g.Close()) }
	return s
}

func main() {
	story.Tell("github.com/IBM/sarama", story.Client{Produce: produce, ReadAll: readAll, Member: member, Rewind: rewind, Share: share})
}
