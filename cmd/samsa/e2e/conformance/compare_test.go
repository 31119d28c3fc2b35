// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// teller asks one broker and writes down what it answers: codes and numbers,
// not texts.
type teller struct {
	t     *testing.T
	addr  string
	conn  *e2e.Raw
	lines []string
}

func (a *teller) say(format string, args ...any) {
	a.lines = append(a.lines, fmt.Sprintf(format, args...))
}

// ask sends a request at a version and gives the answer.
func (a *teller) ask(version int16, req kmsg.Request) kmsg.Response {
	a.t.Helper()
	req.SetVersion(version)
	resp, err := a.conn.Call(req)
	if err != nil {
		a.t.Fatalf("%s: %s v%d: %v", a.addr, kmsg.NameForKey(req.Key()), version, err)
	}
	return resp
}

// The same questions to Samsa and to a real Kafka 3.9 get the same answers.
func TestAnswersLikeKafka(t *testing.T) {
	props := map[string]string{"auto.create.topics.enable": "false", "log.retention.check.interval.ms": "500", "group.initial.rebalance.delay.ms": "0"}
	k := StartKafka(t, StartZooKeeper(t), t.TempDir(), props)
	b := e2e.Start(t, e2e.Options{Props: props})
	for _, story := range []struct {
		name string
		tell func(*teller)
	}{
		{"create topics", tellCreateTopics}, {"create partitions", tellCreatePartitions}, {"list offsets", tellListOffsets},
		{"delete records", tellDeleteRecords}, {"produce", tellProduce}, {"sequences", tellSequences}, {"fetch", tellFetch},
		{"metadata", tellMetadata}, {"alter configs", tellAlterConfigs}, {"groups", tellGroups}, {"delete offsets", tellOffsetDelete},
		{"leader epochs", tellLeaderEpochs}, {"delete topics", tellDeleteTopics},
	} {
		t.Run(story.name, func(t *testing.T) {
			ours := &teller{t: t, addr: b.Addr, conn: e2e.Dial(t, b.Addr)}
			kafkas := &teller{t: t, addr: k.Addr, conn: e2e.Dial(t, k.Addr)}
			story.tell(kafkas)
			story.tell(ours)
			if len(ours.lines) < 3 {
				t.Fatalf("only %d answers", len(ours.lines))
			}
			for i := range max(len(ours.lines), len(kafkas.lines)) {
				if i >= len(ours.lines) || i >= len(kafkas.lines) || ours.lines[i] != kafkas.lines[i] {
					t.Errorf("Samsa: %s\n Kafka: %s", at(ours.lines, i), at(kafkas.lines, i))
				}
			}
		})
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}

// topic makes a topic and waits until the broker leads it.
func (a *teller) topic(name string, partitions int32, configs map[string]string) string {
	a.t.Helper()
	e2e.CreateTopic(a.t, a.addr, name, partitions, configs)
	e2e.Eventually(a.t, 30*time.Second, func() error {
		for p := range partitions {
			resp := a.offsets(1, name, p, -1)
			if resp.ErrorCode != 0 {
				return fmt.Errorf("%s-%d: %d", name, p, resp.ErrorCode)
			}
		}
		return nil
	})
	return name
}

func (a *teller) offsets(version int16, topic string, partition int32, timestamp int64) kmsg.ListOffsetsResponseTopicPartition {
	a.t.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp, p.CurrentLeaderEpoch = partition, timestamp, -1
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.ListOffsetsRequestTopicPartition{p}
	req.Topics = append(req.Topics, t)
	return a.ask(version, req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
}

func tellCreateTopics(a *teller) {
	create := func(name string, partitions int32, factor int16, validate bool, configs ...string) {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis, req.ValidateOnly = 30_000, validate
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, factor
		for _, c := range configs {
			key, value, _ := strings.Cut(c, "=")
			one := kmsg.NewCreateTopicsRequestTopicConfig()
			one.Name, one.Value = key, &value
			t.Configs = append(t.Configs, one)
		}
		req.Topics = append(req.Topics, t)
		r := a.ask(7, req).(*kmsg.CreateTopicsResponse).Topics[0]
		a.say("create %q %d %d %v %v: %d, %d partitions, factor %d, %d configs, id %v", name, partitions, factor, validate, configs,
			r.ErrorCode, r.NumPartitions, r.ReplicationFactor, len(r.Configs), r.TopicID != [16]byte{})
	}
	create("made", 3, 1, false, "retention.ms=1000")
	create("made", 3, 1, false)
	create("checked", 3, 1, true)
	create("defaults", -1, -1, false)
	create("zero", 0, 1, false)
	create("minus", -2, 1, false)
	create("wide", 1, 3, false)
	create("", 1, 1, false)
	create(".", 1, 1, false)
	create("a b", 1, 1, false)
	create(strings.Repeat("n", 250), 1, 1, false)
	create("dot.ted", 1, 1, false)
	create("dot_ted", 1, 1, false)
	create("bad", 1, 1, false, "no.such.key=1")
	create("bad", 1, 1, false, "retention.ms=-2")
	create("bad", 1, 1, false, "cleanup.policy=shred")
	create("bad", 1, 1, false, "segment.bytes=13")
	create("bad", 1, 1, false, "min.compaction.lag.ms=10", "max.compaction.lag.ms=5")
	for _, brokers := range [][]int32{{0}, {0, 0}} { // Kafka takes brokers that do not exist; Samsa refuses them
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis = 30_000
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = fmt.Sprint("assigned-", len(brokers)), -1, -1
		r := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		r.Replicas = brokers
		t.ReplicaAssignment = append(t.ReplicaAssignment, r)
		req.Topics = append(req.Topics, t)
		a.say("assigned to %v: %d", brokers, a.ask(5, req).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
	}
}

func tellCreatePartitions(a *teller) {
	topic := a.topic("grows", 2, nil)
	grow := func(name string, count int32, validate bool, assign ...[]int32) {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis, req.ValidateOnly = 30_000, validate
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = name, count
		for _, replicas := range assign {
			one := kmsg.NewCreatePartitionsRequestTopicAssignment()
			one.Replicas = replicas
			t.Assignment = append(t.Assignment, one)
		}
		req.Topics = append(req.Topics, t)
		a.say("%s to %d %v %v: %d", name, count, validate, assign, a.ask(3, req).(*kmsg.CreatePartitionsResponse).Topics[0].ErrorCode)
	}
	grow(topic, 4, true)
	grow(topic, 3, false)
	grow(topic, 3, false)
	grow(topic, 2, false)
	grow(topic, 0, false)
	grow(topic, 5, false, []int32{0})
	grow(topic, 5, false, []int32{0}, []int32{9})
	grow(topic, 5, false, []int32{0}, []int32{0})
	grow("absent", 5, false)
	a.say("partition 4: %d", a.offsets(1, topic, 4, -1).ErrorCode)
	a.say("partition 5: %d", a.offsets(1, topic, 5, -1).ErrorCode)
}

// stamped writes batches of three records with rising times, one out of order.
func (a *teller) stamped(topic string) (base int64) {
	base = time.Now().Add(-time.Hour).Truncate(time.Minute).UnixMilli()
	for i, late := range []int64{0, 10_000, 5_000, 40_000, 40_000, 30_000} {
		a.conn.Call(e2e.ProduceRequest(topic, 0, e2e.BatchAt(base+late, fmt.Sprint(i))))
	}
	return base
}

func tellListOffsets(a *teller) {
	topic := a.topic("listed", 2, map[string]string{"segment.bytes": "200", "index.interval.bytes": "0"})
	base := a.stamped(topic)
	for version := int16(1); version <= 8; version++ {
		for _, ts := range []int64{-1, -2, -3, -4, base, base + 1, base + 7_000, base + 10_000, base + 10_001, base + 40_000, base + 40_001} {
			if ts == -3 && version < 7 || ts == -4 && version < 8 {
				continue
			}
			r := a.offsets(version, topic, 0, ts)
			if r.Timestamp > 0 {
				r.Timestamp -= base
			}
			if ts > 0 {
				ts -= base
			}
			a.say("v%d at %d: %d offset %d time %d epoch %d", version, ts, r.ErrorCode, r.Offset, r.Timestamp, r.LeaderEpoch)
		}
		r := a.offsets(version, topic, 1, base)
		a.say("v%d empty: %d %d %d", version, r.ErrorCode, r.Offset, r.Timestamp)
	}
	r := a.offsets(7, topic, 1, -3)
	a.say("latest time of nothing: %d %d %d", r.ErrorCode, r.Offset, r.Timestamp)
	a.say("no such partition: %d, no such topic: %d", a.offsets(4, topic, 9, -1).ErrorCode, a.offsets(4, "absent", 0, -1).ErrorCode)
}

func tellDeleteRecords(a *teller) {
	topic := a.topic("trimmed", 1, nil)
	a.stamped(topic)
	cut := func(name string, partition int32, offset int64) {
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.TimeoutMillis = 10_000
		p := kmsg.NewDeleteRecordsRequestTopicPartition()
		p.Partition, p.Offset = partition, offset
		t := kmsg.NewDeleteRecordsRequestTopic()
		t.Topic, t.Partitions = name, []kmsg.DeleteRecordsRequestTopicPartition{p}
		req.Topics = append(req.Topics, t)
		r := a.ask(2, req).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
		a.say("%s-%d to %d: %d, low watermark %d", name, partition, offset, r.ErrorCode, r.LowWatermark)
	}
	cut(topic, 0, 2)
	a.say("earliest %d", a.offsets(1, topic, 0, -2).Offset)
	cut(topic, 0, 1)
	cut(topic, 0, 7)
	cut(topic, 0, -2)
	cut(topic, 3, 1)
	cut("absent", 0, 1)
	cut(topic, 0, -1)
	a.say("earliest %d latest %d", a.offsets(1, topic, 0, -2).Offset, a.offsets(1, topic, 0, -1).Offset)
	a.fetch(topic, 0, 1, -1)
	a.fetch(topic, 0, 6, -1)
}

func tellDeleteTopics(a *teller) {
	for _, name := range []string{a.topic("gone", 1, nil), "gone", "absent", "bad name"} {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis = 30_000
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
		a.say("delete %s: %d", name, a.ask(6, req).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode)
	}
	req := kmsg.NewPtrDeleteTopicsRequest()
	t := kmsg.NewDeleteTopicsRequestTopic()
	t.TopicID = [16]byte{1, 2, 3}
	req.Topics = append(req.Topics, t)
	a.say("delete an unknown id: %d", a.ask(6, req).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode)
}
