// SPDX-License-Identifier: Apache-2.0

// Command confluent is confluent-kafka-go's part of the common story (see
// package story). It links the librdkafka that the module ships.
package main

import (
	"context"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"samsa.peers/go/story"
)

func produce() *story.Placed {
	admin, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": story.Addr})
	story.OK(err)
	created, err := admin.CreateTopics(context.Background(), []kafka.TopicSpecification{
		{Topic: story.Topic, NumPartitions: story.Partitions, ReplicationFactor: 1}})
	story.OK(err)
	story.Check(created[0].Error.Code() == kafka.ErrNoError, created[0])
	admin.Close()
	story.Step("admin")
	p, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": story.Addr, "enable.idempotence": true, "compression.codec": story.Codec, "linger.ms": 20})
	story.OK(err)
	delivered := make(chan kafka.Event, story.Count)
	topic := story.Topic
	for i := range story.Count {
		story.OK(p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: kafka.PartitionAny}, Key: story.Key(i),
			Value: story.Value(i), Timestamp: story.Stamp(i), Headers: []kafka.Header{{Key: "h", Value: story.Header(i)}}, Opaque: i}, delivered))
	}
	placed := &story.Placed{}
	for range story.Count {
		m := (<-delivered).(*kafka.Message)
		story.OK(m.TopicPartition.Error)
		placed.Put(m.TopicPartition.Partition, int64(m.TopicPartition.Offset), m.Opaque.(int))
	}
	p.Close()
	placed.All()
	story.Step("produce")
	story.Step("idempotent")
	return placed
}

func consumer(group string) *kafka.Consumer {
	c, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": story.Addr, "group.id": story.Topic + group, "auto.offset.reset": "earliest",
		"enable.auto.commit": false, "check.crcs": true, "heartbeat.interval.ms": 300, "session.timeout.ms": 6000})
	story.OK(err)
	return c
}

func one(c *kafka.Consumer) *kafka.Message {
	for {
		switch e := c.Poll(500).(type) {
		case *kafka.Message:
			story.OK(e.TopicPartition.Error)
			return e
		case kafka.Error:
			story.Fail(e)
		}
	}
}

func at(topic string, partition int32, offset kafka.Offset) kafka.TopicPartition {
	return kafka.TopicPartition{Topic: &topic, Partition: partition, Offset: offset}
}

func readAll(kind, topic string, placed *story.Placed) {
	c := consumer("-none")
	var all []kafka.TopicPartition
	for p := range int32(story.Partitions) {
		all = append(all, at(topic, p, kafka.OffsetBeginning))
	}
	story.OK(c.Assign(all))
	for range story.Count {
		m := one(c)
		placed.Record(kind, m.TopicPartition.Partition, int64(m.TopicPartition.Offset), m.Timestamp, m.Key, m.Value, m.Headers[0].Key, m.Headers[0].Value)
	}
	story.OK(c.Close())
}

func member(want int) (got []story.Place) {
	c := consumer("-group")
	story.OK(c.Subscribe(story.Topic, nil))
	for len(got) < want {
		m := one(c)
		got = append(got, story.Place{Partition: int64(m.TopicPartition.Partition), Offset: int64(m.TopicPartition.Offset)})
	}
	_, err := c.Commit()
	story.OK(err)
	story.OK(c.Close())
	return got
}

func rewind(placed *story.Placed) {
	c := consumer("-none")
	p := placed.First()
	story.OK(c.Assign([]kafka.TopicPartition{at(story.Topic, p, kafka.OffsetBeginning)}))
	one(c)
	story.OK(c.Seek(at(story.Topic, p, 5), 0))
	story.Check(one(c).TopicPartition.Offset == 5, "after seek")
	story.Step("offset")
	half, want := placed.Half(p)
	found, err := c.OffsetsForTimes([]kafka.TopicPartition{at(story.Topic, p, kafka.Offset(half.UnixMilli()))}, 30000)
	story.OK(err)
	story.Check(int64(found[0].Offset) == want, "by timestamp:", found, "want", want)
	story.OK(c.Seek(found[0], 0))
	story.Check(int64(one(c).TopicPartition.Offset) == want, "after the timestamp")
	story.OK(c.Close())
	story.Step("timestamp")
}

// sharer is a group member that knows its partitions.
type sharer struct{ *kafka.Consumer }

func (s sharer) Owned() int {
	s.Poll(50)
	mine, err := s.Assignment()
	story.OK(err)
	return len(mine)
}
func (s sharer) Leave() { story.OK(s.Close()) }

func share() story.Sharer {
	c := consumer("-shared")
	story.OK(c.Subscribe(story.Topic, nil))
	return sharer{c}
}

func main() {
	story.Tell("github.com/confluentinc/confluent-kafka-go/v2", story.Client{Produce: produce, ReadAll: readAll, Member: member, Rewind: rewind, Share: share})
}
