// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// produce sends one batch and writes down what came.
func (a *teller) produce(what, topic string, partition int32, batch []byte, acks int16) {
	a.t.Helper()
	req := e2e.ProduceRequest(topic, partition, batch)
	req.Acks = acks
	p := a.ask(9, req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	// Kafka gives a duplicate's own time as its append time, whatever the topic says: not compared.
	stamped := p.LogAppendTime > 0 && !strings.HasPrefix(what, "epoch ")
	a.say("%s: %d offset %d start %d, %d record errors, append time %v", what, p.ErrorCode, p.BaseOffset, p.LogStartOffset, len(p.ErrorRecords), stamped)
}

func tellProduce(a *teller) {
	topic := a.topic("produced", 1, map[string]string{"max.message.bytes": "1000"})
	good := e2e.Batch(-1, -1, -1, "a", "b")
	a.produce("two records", topic, 0, good, -1)
	a.produce("acks 1", topic, 0, good, 1)
	a.produce("acks 2", topic, 0, good, 2)
	a.produce("no such partition", topic, 5, good, -1)
	a.produce("no such topic", "absent", 0, good, -1)
	a.produce("too large", topic, 0, e2e.Batch(-1, -1, -1, strings.Repeat("x", 2000)), -1)
	flipped := append([]byte(nil), good...)
	flipped[len(flipped)-1] ^= 1
	a.produce("a flipped bit", topic, 0, flipped, -1)
	a.produce("two batches", topic, 0, append(append([]byte(nil), good...), good...), -1)
	a.produce("half a batch", topic, 0, good[:len(good)-3], -1)
	compact := a.topic("produced-compact", 1, map[string]string{"cleanup.policy": "compact"})
	a.produce("no key in a compacted topic", compact, 0, good, -1)
	stamped := a.topic("produced-append", 1, map[string]string{"message.timestamp.type": "LogAppendTime"})
	a.produce("log append time", stamped, 0, good, -1)
	bound := a.topic("produced-bound", 1, map[string]string{"message.timestamp.before.max.ms": "60000"})
	a.produce("too old", bound, 0, e2e.BatchAt(1_000_000, "old"), -1)
}

func tellSequences(a *teller) {
	topic := a.topic("sequences", 1, nil)
	init := kmsg.NewPtrInitProducerIDRequest()
	init.ProducerID, init.ProducerEpoch = -1, -1
	var got *kmsg.InitProducerIDResponse
	e2e.Eventually(a.t, 30*time.Second, func() error { // Kafka has to fetch a block of ids first
		if got = a.ask(4, init).(*kmsg.InitProducerIDResponse); got.ErrorCode != 0 {
			return errCode(got.ErrorCode)
		}
		return nil
	})
	a.say("producer: %d epoch %d, id %v", got.ErrorCode, got.ProducerEpoch, got.ProducerID >= 0)
	id := got.ProducerID
	send := func(epoch int16, sequence int32, n int) {
		var values []string
		for i := range n {
			values = append(values, fmt.Sprint(sequence, i))
		}
		a.produce(fmt.Sprintf("epoch %d sequence %d", epoch, sequence), topic, 0, e2e.Batch(id, epoch, sequence, values...), -1)
	}
	send(0, 5, 1) // unknown producer: any sequence is a beginning
	id++
	send(0, 0, 1)
	for i := range int32(7) {
		send(0, 1+2*i, 2)
	}
	send(0, 13, 2) // the last again
	send(0, 5, 2)  // the fifth last again
	send(0, 3, 2)  // no longer remembered
	send(0, 0, 1)
	send(0, 14, 1) // inside the last
	send(0, 17, 1) // a gap
	send(1, 3, 1)  // a new epoch begins at 0
	send(1, 0, 1)
	send(0, 15, 1) // fenced
	send(1, 1, 1)
	a.say("end %d", a.offsets(1, topic, 0, -1).Offset)
}

// fetch reads one place and writes down what came.
func (a *teller) fetch(topic string, partition int32, offset int64, epoch int32) {
	a.t.Helper()
	req := e2e.FetchRequest(topic, partition, offset, 1<<20)
	req.MaxWaitMillis, req.MinBytes = 0, 0
	req.Topics[0].Partitions[0].CurrentLeaderEpoch = epoch
	p := a.ask(11, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	a.say("fetch %s-%d at %d epoch %d: %d high %d stable %d start %d, %d bytes, %d aborted", topic, partition, offset, epoch, p.ErrorCode,
		p.HighWatermark, p.LastStableOffset, p.LogStartOffset, len(p.RecordBatches), len(p.AbortedTransactions))
}

func tellFetch(a *teller) {
	topic := a.topic("fetched", 1, nil)
	for i := range 5 {
		a.produce("one", topic, 0, e2e.Batch(-1, -1, -1, fmt.Sprint("record ", i), "more"), -1)
	}
	for _, offset := range []int64{0, 1, 9, 10, 11, -1, 1 << 40} {
		a.fetch(topic, 0, offset, -1)
	}
	a.fetch(topic, 0, 0, 0)
	a.fetch(topic, 0, 0, 7)
	a.fetch(topic, 4, 0, -1)
	a.fetch("absent", 0, 0, -1)
	small := e2e.FetchRequest(topic, 0, 0, 10)
	a.say("first batch above the limit: %d bytes", len(a.ask(11, small).(*kmsg.FetchResponse).Topics[0].Partitions[0].RecordBatches))
	session := e2e.FetchRequest(topic, 0, 0, 1<<20)
	session.SessionID, session.SessionEpoch = 12345, 3
	a.say("unknown session: %d", a.ask(11, session).(*kmsg.FetchResponse).ErrorCode)
	session.SessionID, session.SessionEpoch = 0, 5
	a.say("session epoch without a session: %d", a.ask(11, session).(*kmsg.FetchResponse).ErrorCode)
	session.SessionID, session.SessionEpoch = 0, 0
	made := a.ask(11, session).(*kmsg.FetchResponse)
	a.say("new session: %d, id %v, %d topics", made.ErrorCode, made.SessionID != 0, len(made.Topics))
	next := e2e.FetchRequest(topic, 0, 0, 1<<20)
	next.SessionID, next.SessionEpoch, next.MaxWaitMillis, next.MinBytes = made.SessionID, 1, 0, 0
	next.Topics = nil
	again := a.ask(11, next).(*kmsg.FetchResponse)
	a.say("same places again: %d, %d topics", again.ErrorCode, len(again.Topics))
	again = a.ask(11, next).(*kmsg.FetchResponse)
	a.say("an epoch twice: %d, %d topics", again.ErrorCode, len(again.Topics))
	byID := kmsg.NewPtrFetchRequest()
	byID.MaxBytes, byID.SessionEpoch = 1<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.TopicID = [16]byte{9, 9}
	t.Partitions = session.Topics[0].Partitions
	byID.Topics = append(byID.Topics, t)
	r := a.ask(13, byID).(*kmsg.FetchResponse)
	a.say("unknown topic id: %d, partition %d", r.ErrorCode, r.Topics[0].Partitions[0].ErrorCode)
}

func tellMetadata(a *teller) {
	topic := a.topic("told", 2, nil)
	for _, name := range []string{topic, "absent", "bad name"} {
		for _, create := range []bool{false, true} {
			req := kmsg.NewPtrMetadataRequest()
			req.AllowAutoTopicCreation = create
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = &name
			req.Topics = append(req.Topics, t)
			r := a.ask(9, req).(*kmsg.MetadataResponse)
			a.say("metadata %q create %v: %d, %d partitions, internal %v, %d brokers, cluster %v, controller %d", name, create, r.Topics[0].ErrorCode,
				len(r.Topics[0].Partitions), r.Topics[0].IsInternal, len(r.Brokers), r.ClusterID != nil, r.ControllerID)
			for _, p := range r.Topics[0].Partitions {
				a.say("partition: %d leader %d epoch %d replicas %v isr %v offline %v", p.ErrorCode, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, p.OfflineReplicas)
			}
		}
	}
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.TopicID = [16]byte{5}
	req.Topics = append(req.Topics, t)
	a.say("unknown id: %d", a.ask(12, req).(*kmsg.MetadataResponse).Topics[0].ErrorCode)
	none := kmsg.NewPtrMetadataRequest()
	none.Topics = []kmsg.MetadataRequestTopic{}
	a.say("no topics: %d", len(a.ask(9, none).(*kmsg.MetadataResponse).Topics))
}

func tellLeaderEpochs(a *teller) {
	topic := a.topic("epochs", 1, nil)
	a.produce("one", topic, 0, e2e.Batch(-1, -1, -1, "x"), -1)
	for _, c := range []struct {
		name           string
		current, epoch int32
	}{{topic, -1, 0}, {topic, 0, 0}, {topic, -1, 3}, {topic, 3, 0}, {topic, -1, -1}, {"absent", -1, 0}} {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.ReplicaID = -1
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.CurrentLeaderEpoch, p.LeaderEpoch = c.current, c.epoch
		t := kmsg.NewOffsetForLeaderEpochRequestTopic()
		t.Topic, t.Partitions = c.name, []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}
		req.Topics = append(req.Topics, t)
		r := a.ask(4, req).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
		a.say("%+v: %d epoch %d end %d", c, r.ErrorCode, r.LeaderEpoch, r.EndOffset)
	}
}
