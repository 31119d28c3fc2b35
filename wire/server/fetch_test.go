// SPDX-License-Identifier: Apache-2.0

package server

import (
	"testing"
	"time"

	"github.com/samsa-broker/samsa/wire/frame"
)

// fetch asks for partitions 0..n-1 of a topic from offset on, as q says
// otherwise; with n the ids in parts are the caller's.
func (c *wireClient) fetch(version int16, q frame.FetchRequest, topic string, offset int64, parts ...int32) (frame.FetchResponse, []frame.FetchedPart) {
	c.t.Helper()
	q.ReplicaEpoch = -1
	if q.ReplicaID == 0 {
		q.ReplicaID = -1
	}
	if len(parts) == 0 && topic != "" {
		parts = []int32{0}
	}
	if len(parts) > 0 {
		q.Topics = []frame.FetchTopic{{Name: []byte(topic), End: len(parts)}}
		q.Parts = nil
		for _, i := range parts {
			q.Parts = append(q.Parts, frame.FetchPart{Index: i, Offset: offset, LeaderEpoch: -1, LastFetchedEpoch: -1, LogStart: -1, MaxBytes: 1 << 20})
		}
	}
	return c.fetchRaw(version, q)
}

func (c *wireClient) fetchRaw(version int16, q frame.FetchRequest) (frame.FetchResponse, []frame.FetchedPart) {
	c.t.Helper()
	c.begin(frame.KeyFetch, version)
	c.out = q.AppendTo(c.out, version)
	header := 4
	if version >= 12 {
		header = 5
	}
	var resp frame.FetchResponse
	if err := resp.Decode(version, c.call(header)); err != nil {
		c.t.Fatal(err)
	}
	return resp, resp.Parts
}

// A session answers only what changed, moves by its epoch, forgets what it is
// told to, and refuses what does not fit.
func TestFetchSessions(t *testing.T) {
	b := newBroker(t, 1, 3)
	if _, err := b.AutoCreate("t"); err != nil {
		t.Fatal(err)
	}
	c := newWireClient(t, b)
	write := func(part int32) {
		q := frame.ProduceRequest{Acks: -1, TimeoutMs: 5000, Topics: []frame.ProduceTopic{{Name: []byte("t"), End: 1}}, Parts: []frame.ProducePart{{Index: part, Records: makeBatch(t, plain, "v")}}}
		c.begin(frame.KeyProduce, 9)
		c.out = q.AppendTo(c.out, 9)
		c.call(5)
	}
	max := frame.FetchRequest{MaxBytes: 1 << 20}
	full, parts := c.fetch(12, max, "t", 0, 0, 1, 2)
	if full.SessionID == 0 || len(parts) != 3 {
		t.Fatalf("full: %+v", full)
	}
	at := max
	at.SessionID, at.SessionEpoch = full.SessionID, 1
	next, parts := c.fetch(12, at, "", 0)
	if next.Code != 0 || next.SessionID != full.SessionID || len(parts) != 0 {
		t.Fatalf("nothing changed: %+v", next)
	}
	write(1)
	at.SessionEpoch = 2
	if _, parts = c.fetch(12, at, "", 0); len(parts) != 1 || parts[0].Index != 1 || len(parts[0].Bytes) == 0 || parts[0].HighWatermark != 1 {
		t.Fatalf("partition 1 changed: %+v", parts)
	}
	at.SessionEpoch = 3 // go on behind it; nothing is new then
	if _, parts = c.fetch(12, at, "t", 1, 1); len(parts) != 0 {
		t.Fatalf("read to the end: %+v", parts)
	}
	write(1)
	write(2)
	forget := at
	forget.SessionEpoch = 4
	forget.Forgotten, forget.ForgottenParts = []frame.FetchTopic{{Name: []byte("t"), End: 1}}, []int32{1}
	if _, parts = c.fetch(12, forget, "", 0); len(parts) != 1 || parts[0].Index != 2 {
		t.Fatalf("partition 1 was forgotten: %+v", parts)
	}
	at.SessionEpoch = 4 // an epoch that is over
	if r, _ := c.fetch(12, at, "", 0); r.Code != frame.InvalidFetchSessionEpoch || r.SessionID != 0 {
		t.Fatalf("old epoch: %+v", r)
	}
	ids := at
	ids.SessionEpoch = 5
	if r, _ := c.fetch(13, ids, "", 0); r.Code != frame.FetchSessionTopicIDError {
		t.Fatalf("ids in a session of names: %+v", r)
	}
	at.SessionID++
	if r, _ := c.fetch(12, at, "", 0); r.Code != frame.FetchSessionIDNotFound {
		t.Fatalf("unknown session: %+v", r)
	}
	end := max
	end.SessionID, end.SessionEpoch = full.SessionID, -1
	if r, parts := c.fetch(12, end, "t", 0, 2); r.Code != 0 || r.SessionID != 0 || len(parts) != 1 {
		t.Fatalf("final: %+v", r)
	}
	at.SessionID, at.SessionEpoch = full.SessionID, 5
	if r, _ := c.fetch(12, at, "", 0); r.Code != frame.FetchSessionIDNotFound {
		t.Fatalf("the session should be gone: %+v", r)
	}
}

// Refusals: old versions, replicas that are none, unknown topics by name and
// by id, offsets outside, leader epochs.
func TestFetchRefusals(t *testing.T) {
	b := newBroker(t, 1, 1)
	if _, err := b.AutoCreate("t"); err != nil {
		t.Fatal(err)
	}
	c := newWireClient(t, b)
	one := frame.FetchRequest{MaxBytes: 1 << 20, SessionEpoch: -1}
	code := func(version int16, q frame.FetchRequest, topic string, offset int64, parts ...int32) frame.ErrorCode {
		t.Helper()
		_, got := c.fetch(version, q, topic, offset, parts...)
		if len(got) != 1 {
			t.Fatalf("%d partitions", len(got))
		}
		return got[0].Code
	}
	spoof := one
	spoof.ReplicaID = 2
	waits := one
	waits.MaxWaitMs, waits.MinBytes = 10_000, 1
	for _, tc := range []struct {
		name string
		got  frame.ErrorCode
		want frame.ErrorCode
	}{
		{"v0 behind the end", code(0, waits, "t", 99), frame.OffsetOutOfRange},
		{"v3 as a replica", code(3, spoof, "t", 0), frame.TopicAuthorizationFailed},
		{"replica", code(11, spoof, "t", 0), frame.TopicAuthorizationFailed},
		{"unknown topic", code(12, waits, "nope", 0), frame.UnknownTopicOrPartition},
		{"unknown partition", code(12, waits, "t", 0, 9), frame.UnknownTopicOrPartition},
		{"negative partition", code(12, waits, "t", 0, -1), frame.UnknownTopicOrPartition},
		{"unknown id", code(13, waits, "t", 0), frame.UnknownTopicID},
		{"behind the end", code(12, waits, "t", 99), frame.OffsetOutOfRange},
		{"before the start", code(4, waits, "t", -5), frame.OffsetOutOfRange},
		{"good", code(12, one, "t", 0), frame.None},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, tc.got, tc.want)
		}
	}
	epoch := one
	epoch.Topics = []frame.FetchTopic{{Name: []byte("t"), End: 1}}
	epoch.ReplicaID = -1
	for e, want := range map[int32]frame.ErrorCode{4: frame.FencedLeaderEpoch, 5: frame.None, 6: frame.UnknownLeaderEpoch} {
		epoch.Parts = []frame.FetchPart{{LeaderEpoch: e, LastFetchedEpoch: -1, MaxBytes: 1000}}
		if _, parts := c.fetchRaw(12, epoch); parts[0].Code != want {
			t.Errorf("leader epoch %d: %v, want %v", e, parts[0].Code, want)
		}
	}
}

// A fetch that asks for more than there is waits its time and answers with
// what there is. The time counts from the beginning of the loop's turn, which a
// slow build makes long.
func TestFetchWaitsItsTime(t *testing.T) {
	b := newBroker(t, 1, 1)
	if _, err := b.AutoCreate("t"); err != nil {
		t.Fatal(err)
	}
	c := newWireClient(t, b)
	c.produceOne(9, frame.ProduceRequest{Acks: -1}, "t", makeBatch(t, plain, "v"))
	began := time.Now()
	_, parts := c.fetch(12, frame.FetchRequest{MaxBytes: 1 << 20, MinBytes: 1 << 20, MaxWaitMs: 200, SessionEpoch: -1}, "t", 0)
	if d := time.Since(began); d < 150*time.Millisecond || d > 5*time.Second || len(parts[0].Bytes) == 0 {
		t.Errorf("after %v: %d bytes", d, len(parts[0].Bytes))
	}
}
