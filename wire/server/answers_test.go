// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/wire/frame"
)

// kmsg asks with a message of kmsg's.
func (c *wireClient) kmsg(version int16, req kmsg.Request) kmsg.Response {
	c.t.Helper()
	req.SetVersion(version)
	c.begin(req.Key(), version)
	c.out = req.AppendTo(c.out)
	header := 4
	if req.IsFlexible() && req.Key() != frame.KeyApiVersions {
		header = 5
	}
	resp := req.ResponseKind()
	resp.SetVersion(version)
	if err := resp.ReadFrom(c.call(header)); err != nil {
		c.t.Fatal(err)
	}
	return resp
}

// A partition that is not here ends no wait for those that are: a consumer of
// both would ask again without a pause.
func TestFetchWaitsBesideAnUnknownPartition(t *testing.T) {
	b := newBroker(t, 1, 3)
	if _, err := b.AutoCreate("t"); err != nil {
		t.Fatal(err)
	}
	c := newWireClient(t, b)
	q := frame.FetchRequest{MinBytes: 1, MaxBytes: 1 << 20, MaxWaitMs: 200, SessionEpoch: -1}
	c.fetch(11, q, "t", 0, 0) // the log is open from here on
	began := time.Now()
	_, parts := c.fetch(11, q, "t", 0, 0, 77)
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
	if parts[0].Code != frame.None || parts[1].Code != frame.UnknownTopicOrPartition {
		t.Errorf("answers %v, %v", parts[0].Code, parts[1].Code)
	}
	q.MaxWaitMs = 20_000
	began = time.Now()
	c.fetch(11, q, "t", 0, 77)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("with nothing to wait for answered after %v", took)
	}
}

// A last fetched epoch that this log never had is out of range, as in Kafka.
func TestFetchWithAnUnknownLastEpoch(t *testing.T) {
	b := newBroker(t, 1, 1)
	if _, err := b.AutoCreate("t"); err != nil {
		t.Fatal(err)
	}
	c := newWireClient(t, b)
	q := frame.FetchRequest{MaxBytes: 1 << 20, SessionEpoch: -1}
	c.fetch(12, q, "t", 0, 0)
	q.Topics = []frame.FetchTopic{{Name: []byte("t"), End: 1}}
	q.ReplicaID, q.ReplicaEpoch, q.MinBytes, q.MaxWaitMs = -1, -1, 1, 100
	q.Parts = []frame.FetchPart{{LeaderEpoch: -1, LastFetchedEpoch: 50, LogStart: -1, MaxBytes: 1 << 20}}
	if _, parts := c.fetchRaw(12, q); parts[0].Code != frame.OffsetOutOfRange {
		t.Errorf("%v with epoch %d", parts[0].Code, parts[0].DivergingEpoch)
	}
}

// Records of internal topics are not deleted for clients: committed offsets
// would be lost. A partition named twice is refused both times.
func TestOffsetsAreGuarded(t *testing.T) {
	b := newBroker(t, 1, 1)
	for _, name := range []string{"t", "__consumer_offsets"} {
		if _, err := b.AutoCreate(name); err != nil {
			t.Fatal(err)
		}
	}
	c := newWireClient(t, b)
	trim := kmsg.NewPtrDeleteRecordsRequest()
	trim.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "__consumer_offsets", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Offset: -1}}}}
	if p := c.kmsg(2, trim).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]; p.ErrorCode != int16(frame.InvalidTopicException) {
		t.Errorf("DeleteRecords of offsets: code %d", p.ErrorCode)
	}
	list := kmsg.NewPtrListOffsetsRequest()
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Timestamp = -1
	list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "t", Partitions: []kmsg.ListOffsetsRequestTopicPartition{p, p}}}
	for i, p := range c.kmsg(6, list).(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
		if p.ErrorCode != int16(frame.InvalidRequest) {
			t.Errorf("ListOffsets, time %d: code %d", i+1, p.ErrorCode)
		}
	}
}
