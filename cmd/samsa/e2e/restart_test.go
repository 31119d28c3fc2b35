// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// restarts end a broker in both ways.
var restarts = map[string]func(*Broker) *Broker{
	"clean stop": func(b *Broker) *Broker { b.Stop(); return b.Again() },
	"kill -9":    func(b *Broker) *Broker { b.Kill(); return b.Again() },
}

// remembered is the first of seven batches that is known after a restart.
var remembered = map[string]int32{"clean stop": 6, "kill -9": 2}

// A producer that did not hear its last answers sends them again after the
// restart: they get their first offsets, stand once, and the next one follows.
// After kill -9 five are remembered; after a clean stop, which has answered all,
// the last one, because Kafka's snapshots hold no more.
func TestDuplicatesAreKnownAfterRestart(t *testing.T) {
	for how, restart := range restarts {
		t.Run(how, func(t *testing.T) {
			b := Start(t, Options{})
			CreateTopic(t, b.Addr, "once", 1, nil)
			conn := Dial(t, b.Addr)
			init := kmsg.NewPtrInitProducerIDRequest()
			init.Version, init.ProducerID, init.ProducerEpoch = 4, -1, -1
			resp, err := conn.Call(init)
			if err != nil {
				t.Fatal(err)
			}
			id := resp.(*kmsg.InitProducerIDResponse).ProducerID
			send := func(epoch int16, sequence int32, code int16, offset int64) {
				t.Helper()
				resp, err := conn.Call(ProduceRequest("once", 0, Batch(id, epoch, sequence, fmt.Sprint(sequence), "second")))
				if err != nil {
					t.Fatal(err)
				}
				if p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != code || p.BaseOffset != offset {
					t.Fatalf("epoch %d sequence %d: error %d at %d, want %d at %d", epoch, sequence, p.ErrorCode, p.BaseOffset, code, offset)
				}
			}
			for i := range int32(7) {
				send(0, 2*i, 0, int64(2*i))
			}
			b = restart(b)
			conn = Dial(t, b.Addr)
			for i := remembered[how]; i < 7; i++ {
				send(0, 2*i, 0, int64(2*i))
			}
			send(0, 16, kerr.OutOfOrderSequenceNumber.Code, -1)
			send(0, 14, 0, 14)
			send(1, 5, kerr.OutOfOrderSequenceNumber.Code, -1)
			send(1, 0, 0, 16)
			send(0, 16, kerr.InvalidProducerEpoch.Code, -1)
			if got := ReadAll(t, b.Addr, "once")[0]; len(got) != 18 {
				t.Errorf("%d records, want 18", len(got))
			}
			second, err := conn.Call(init)
			if next := second.(*kmsg.InitProducerIDResponse).ProducerID; err != nil || next == id {
				t.Errorf("producer id %d is given twice, %v", next, err)
			}
		})
	}
}

// Committed offsets, their metadata, and the members of a group stand after a
// restart: a static member's heartbeats go on in its generation.
func TestGroupsSurviveRestart(t *testing.T) {
	for how, restart := range restarts {
		t.Run(how, func(t *testing.T) {
			b := Start(t, Options{})
			CreateTopic(t, b.Addr, "kept", 2, nil)
			Produce(t, b.Addr, "kept", 1, []string{"a", "b", "c"})
			var offsets kadm.Offsets
			offsets.Add(kadm.Offset{Topic: "kept", Partition: 1, At: 2, LeaderEpoch: 0, Metadata: "two of three"})
			if err := kadm.NewClient(Client(t, b.Addr)).CommitAllOffsets(t.Context(), "simple", offsets); err != nil {
				t.Fatal(err)
			}
			instance := "one"
			join := kmsg.NewPtrJoinGroupRequest()
			join.Version, join.Group, join.ProtocolType, join.InstanceID = 7, "static", "consumer", &instance
			join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 60_000, 60_000
			join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}}
			conn := Dial(t, b.Addr)
			resp, err := conn.Call(join)
			joined, ok := resp.(*kmsg.JoinGroupResponse)
			if err != nil || !ok || joined.ErrorCode != 0 {
				t.Fatalf("join: %+v %v", resp, err)
			}
			sync := kmsg.NewPtrSyncGroupRequest()
			sync.Version, sync.Group, sync.Generation, sync.MemberID, sync.InstanceID = 5, "static", joined.Generation, joined.MemberID, &instance
			kind, protocol := "consumer", "range"
			sync.ProtocolType, sync.Protocol = &kind, &protocol
			sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: joined.MemberID, MemberAssignment: []byte("mine")}}
			if resp, err := conn.Call(sync); err != nil || resp.(*kmsg.SyncGroupResponse).ErrorCode != 0 {
				t.Fatalf("sync: %+v %v", resp, err)
			}
			b = restart(b)
			conn = Dial(t, b.Addr)
			beat := kmsg.NewPtrHeartbeatRequest()
			beat.Version, beat.Group, beat.Generation, beat.MemberID, beat.InstanceID = 4, "static", joined.Generation, joined.MemberID, &instance
			Eventually(t, 30*time.Second, func() error {
				resp, err := conn.Call(beat)
				if err != nil {
					return err
				}
				return kerr.ErrorForCode(resp.(*kmsg.HeartbeatResponse).ErrorCode)
			})
			Eventually(t, 30*time.Second, func() error { // refused, as in Kafka, until the group is loaded
				resp, err := conn.Call(sync)
				if err != nil {
					return err
				}
				if got := resp.(*kmsg.SyncGroupResponse); string(got.MemberAssignment) != "mine" {
					return fmt.Errorf("error %d, assignment %q", got.ErrorCode, got.MemberAssignment)
				}
				return nil
			})
			got, err := kadm.NewClient(Client(t, b.Addr)).FetchOffsets(t.Context(), "simple")
			if o, _ := got.Lookup("kept", 1); err != nil || o.At != 2 || o.Metadata != "two of three" {
				t.Errorf("committed %+v, %v", o, err)
			}
		})
	}
}

// A fetch session by topic id hears that its topic is gone when it is deleted
// and created again, and never gets a byte of the new one; the new id works.
func TestFetchSessionsAcrossRecreation(t *testing.T) {
	b := Start(t, Options{})
	life := func(value string) kadm.TopicID {
		t.Helper()
		CreateTopic(t, b.Addr, "again", 1, nil)
		Produce(t, b.Addr, "again", 0, []string{value})
		listed, err := kadm.NewClient(Client(t, b.Addr)).ListTopics(t.Context(), "again") // the first client remembers ids
		if err != nil {
			t.Fatal(err)
		}
		return listed["again"].ID
	}
	conn := Dial(t, b.Addr)
	fetch := func(id kadm.TopicID, session, epoch int32) *kmsg.FetchResponse {
		t.Helper()
		req := FetchRequest("", 0, 0, 1<<20)
		req.Version, req.SessionID, req.SessionEpoch, req.MaxWaitMillis = 13, session, epoch, 0
		if req.Topics[0].TopicID = id; id == (kadm.TopicID{}) {
			req.Topics = nil
		}
		resp, err := conn.Call(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp.(*kmsg.FetchResponse)
	}
	first := life("first life")
	made := fetch(first, 0, 0)
	if made.ErrorCode != 0 || made.SessionID == 0 || len(made.Topics) != 1 || len(made.Topics[0].Partitions[0].RecordBatches) == 0 {
		t.Fatalf("the session: %+v", made)
	}
	deleteTopic(t, b, "again")
	second := life("second life")
	next := fetch(kadm.TopicID{}, made.SessionID, 1)
	if next.ErrorCode != 0 || len(next.Topics) != 1 {
		t.Fatalf("the session after the deletion: %+v", next)
	}
	if p := next.Topics[0].Partitions[0]; p.ErrorCode != kerr.UnknownTopicID.Code || len(p.RecordBatches) != 0 {
		t.Errorf("the old id: error %d with %d bytes", p.ErrorCode, len(p.RecordBatches))
	}
	next = fetch(second, made.SessionID, 2)
	found := false
	for _, topic := range next.Topics {
		found = found || topic.TopicID == second && topic.Partitions[0].ErrorCode == 0 && len(topic.Partitions[0].RecordBatches) > 0
	}
	if !found {
		for _, topic := range next.Topics {
			p := topic.Partitions[0]
			t.Errorf("in the session %x (first %x second %x): error %d high %d, %d bytes", topic.TopicID, first, second, p.ErrorCode, p.HighWatermark, len(p.RecordBatches))
		}
	}
}

// With auto.create.topics.enable=false nobody makes a topic by asking for it.
func TestNoAutoCreation(t *testing.T) {
	b := Start(t, Options{Props: map[string]string{"auto.create.topics.enable": "false", "delete.topic.enable": "false"}})
	c := Client(t, b.Addr, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0))
	if err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "absent", Value: []byte("x")}).FirstErr(); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("produce: %v", err)
	}
	adm := kadm.NewClient(c)
	CreateTopic(t, b.Addr, "made", 1, nil)
	topics, err := adm.ListTopics(t.Context())
	if err != nil || len(topics) != 1 {
		t.Errorf("topics %v, %v", topics.Names(), err)
	}
	deleted, err := adm.DeleteTopics(t.Context(), "made")
	if err != nil || !errors.Is(deleted["made"].Err, kerr.TopicDeletionDisabled) {
		t.Errorf("delete: %v %v", deleted["made"].Err, err)
	}
}

// Retention frees space on the disk, and what was deleted does not come back.
func TestRetentionFreesSpace(t *testing.T) {
	b := Start(t, Options{Props: map[string]string{"log.retention.check.interval.ms": "200"}})
	CreateTopic(t, b.Addr, "short", 1, map[string]string{"segment.bytes": "100000", "retention.bytes": "300000", "file.delete.delay.ms": "0"})
	s := &shop{t: t, Broker: b}
	if err := s.send("short", every(40, 50_000, 0)...); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 30*time.Second, func() error {
		if left := s.sizes("short", ""); left > 600_000 {
			return fmt.Errorf("%d bytes are on the disk", left)
		}
		return nil
	})
	start := s.start("short")
	b.Kill()
	s.Broker = b.Again()
	if again := s.start("short"); again < start || start < 30 {
		t.Errorf("the log started at %d, after the restart at %d", start, again)
	}
}
