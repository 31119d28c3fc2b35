// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/wire/frame"
)

// town is a cluster of two brokers, one of which has no listener for us, and
// the topics t and u; it creates what it is asked to.
type town struct {
	image *meta.Image
	made  []string
	fail  error
}

func newTown() *town {
	w := &town{image: meta.NewImage("id", 1, []meta.Broker{
		{ID: 1, Endpoints: []meta.Endpoint{{Listener: "PLAINTEXT", Host: "here", Port: 9092}}, Rack: "r"},
		{ID: 2, Endpoints: []meta.Endpoint{{Listener: "INTERNAL", Host: "there", Port: 9093}}},
	})}
	for i, name := range []string{"t", "u"} {
		w.image = w.image.With(nil, &meta.Topic{Name: name, ID: meta.TopicID{byte(i + 1)}, Partitions: []meta.State{
			{Leader: 1, LeaderEpoch: 3, ISR: []meta.BrokerID{1}, Replicas: []meta.BrokerID{1, 2}},
			{Leader: 2, LeaderEpoch: 4, ISR: []meta.BrokerID{2}, Replicas: []meta.BrokerID{2}},
		}})
	}
	return w
}

func (w *town) Load() *meta.Image { return w.image }

func (w *town) AutoCreate(name string) (*meta.Topic, error) {
	w.made = append(w.made, name)
	if w.fail != nil {
		return nil, w.fail
	}
	t := &meta.Topic{Name: name, ID: meta.NewTopicID(), Partitions: []meta.State{{Leader: 1}}}
	w.image = w.image.With(nil, t)
	return t, nil
}

// metadata asks and gives the topics as "name:code" in order.
func (w *town) metadata(t *testing.T, version int16, create bool, topics ...string) (*kmsg.MetadataResponse, string) {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = create
	if topics != nil {
		req.Topics = []kmsg.MetadataRequestTopic{}
	}
	for _, name := range topics {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	resp := ask(t, Metadata(Deps{Cluster: w, Creator: w, AutoCreate: true}), version, req).(*kmsg.MetadataResponse)
	var got []string
	for _, topic := range resp.Topics {
		got = append(got, fmt.Sprintf("%s:%v", *topic.Topic, frame.ErrorCode(topic.ErrorCode)))
	}
	return resp, strings.Join(got, " ")
}

// What "no topics" means changed with v1: before, an empty list is all of
// them; since, null is all and an empty list is none.
func TestMetadataAllAndNone(t *testing.T) {
	w := newTown()
	for version := int16(0); version <= 12; version++ {
		none := ""
		if version == 0 {
			none = "t:NONE u:NONE"
		}
		if _, got := w.metadata(t, version, false); version > 0 && got != "t:NONE u:NONE" {
			t.Errorf("v%d null: %q", version, got)
		}
		if _, got := w.metadata(t, version, false, []string{}...); got != none {
			t.Errorf("v%d empty: %q", version, got)
		}
		if _, got := w.metadata(t, version, false, "u", "u"); got != "u:NONE" {
			t.Errorf("v%d twice: %q", version, got)
		}
	}
}

// A client sees brokers and leaders it can reach through its own listener.
func TestMetadataListeners(t *testing.T) {
	resp, _ := newTown().metadata(t, 12, false, "t")
	if len(resp.Brokers) != 1 || resp.Brokers[0].Host != "here" || *resp.Brokers[0].Rack != "r" || resp.ControllerID != 1 || *resp.ClusterID != "id" {
		t.Errorf("%+v", resp)
	}
	p := resp.Topics[0].Partitions
	if p[0].Leader != 1 || p[0].LeaderEpoch != 3 || p[0].ErrorCode != 0 || !slices.Equal(p[0].Replicas, []int32{1, 2}) {
		t.Errorf("%+v", p[0])
	}
	if p[1].Leader != -1 || p[1].ErrorCode != int16(frame.LeaderNotAvailable) {
		t.Errorf("%+v", p[1])
	}
}

// Topics are created for v0 to v3 always, later when the client asks for it,
// never with a bad name; failure has its code.
func TestMetadataAutoCreate(t *testing.T) {
	for _, tc := range []struct {
		version int16
		create  bool
		name    string
		fail    error
		want    string
		made    bool
	}{
		{3, false, "new", nil, "new:NONE", true},
		{4, false, "new", nil, "new:UNKNOWN_TOPIC_OR_PARTITION", false},
		{4, true, "new", nil, "new:NONE", true},
		{12, true, "bad name", nil, "bad name:INVALID_TOPIC_EXCEPTION", false},
		{12, true, "new", fmt.Errorf("no: %w", meta.ErrStorage), "new:KAFKA_STORAGE_ERROR", true},
		{12, true, "new", errors.New("strange"), "new:UNKNOWN_SERVER_ERROR", true},
	} {
		w := newTown()
		w.fail = tc.fail
		if _, got := w.metadata(t, tc.version, tc.create, tc.name); got != tc.want || (len(w.made) > 0) != tc.made {
			t.Errorf("v%d %q create %v: %q, made %v", tc.version, tc.name, tc.create, got, w.made)
		}
	}
	off := newTown()
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = true
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("new")}}
	resp := ask(t, Metadata(Deps{Cluster: off, Creator: off}), 12, req).(*kmsg.MetadataResponse)
	if len(off.made) != 0 || resp.Topics[0].ErrorCode != int16(frame.UnknownTopicOrPartition) {
		t.Error("a topic was created though auto.create.topics.enable is false")
	}
}

// Topic ids are understood from v12 on.
func TestMetadataByID(t *testing.T) {
	w := newTown()
	byID := func(version int16, id [16]byte) int16 {
		req := kmsg.NewPtrMetadataRequest()
		topic := kmsg.NewMetadataRequestTopic()
		topic.TopicID = id
		req.Topics = []kmsg.MetadataRequestTopic{topic}
		return ask(t, Metadata(Deps{Cluster: w}), version, req).(*kmsg.MetadataResponse).Topics[0].ErrorCode
	}
	if code := byID(12, [16]byte{2}); code != 0 {
		t.Errorf("known: %d", code)
	}
	if code := byID(12, [16]byte{9}); code != int16(frame.UnknownTopicID) {
		t.Errorf("unknown: %d", code)
	}
	if code := byID(10, [16]byte{2}); code != int16(frame.InvalidRequest) {
		t.Errorf("v10: %d", code)
	}
}

// ApiVersions advertises exactly the handlers there are, in every version, and
// refuses a client software name that is none.
func TestApiVersions(t *testing.T) {
	list := Handlers(Deps{})
	for _, h := range list {
		if h.Key != frame.KeyApiVersions {
			continue
		}
		for version := h.Min; version <= h.Max; version++ {
			req := kmsg.NewPtrApiVersionsRequest()
			req.ClientSoftwareName, req.ClientSoftwareVersion = "apache-kafka-java", "3.9.0"
			resp := ask(t, h, version, req).(*kmsg.ApiVersionsResponse)
			if resp.ErrorCode != 0 || len(resp.ApiKeys) != len(list) {
				t.Fatalf("v%d: error %d, %d keys for %d handlers", version, resp.ErrorCode, len(resp.ApiKeys), len(list))
			}
			for i, k := range resp.ApiKeys {
				if k.ApiKey != list[i].Key || k.MinVersion != list[i].Min || k.MaxVersion != list[i].Max {
					t.Errorf("v%d: %+v, handler %+v", version, k, list[i])
				}
			}
			req.ClientSoftwareName = "-bad-"
			if resp := ask(t, h, version, req).(*kmsg.ApiVersionsResponse); version >= 3 && resp.ErrorCode != int16(frame.InvalidRequest) {
				t.Errorf("v%d: a bad name gives %d", version, resp.ErrorCode)
			}
		}
	}
}

// blocks gives producer ids in blocks of two.
type blocks struct {
	next int64
	err  error
}

func (b *blocks) ProducerIDBlock() (int64, int32, error) {
	b.next += 100
	return b.next, 2, b.err
}

// Ids come one by one out of blocks; transactional ids are not served yet.
func TestInitProducerID(t *testing.T) {
	b := &blocks{}
	h := InitProducerID(Deps{ProducerIDs: b})
	give := func(edit func(*kmsg.InitProducerIDRequest)) *kmsg.InitProducerIDResponse {
		req := kmsg.NewPtrInitProducerIDRequest()
		edit(req)
		return ask(t, h, 5, req).(*kmsg.InitProducerIDResponse)
	}
	for _, want := range []int64{100, 101, 200, 201, 300} {
		if r := give(func(*kmsg.InitProducerIDRequest) {}); r.ErrorCode != 0 || r.ProducerID != want || r.ProducerEpoch != 0 {
			t.Errorf("%+v, want id %d", r, want)
		}
	}
	if r := give(func(q *kmsg.InitProducerIDRequest) { q.TransactionalID = kmsg.StringPtr("x") }); r.ErrorCode != int16(frame.CoordinatorNotAvailable) || r.ProducerID != -1 {
		t.Errorf("transactional: %+v", r)
	}
	if r := give(func(q *kmsg.InitProducerIDRequest) { q.TransactionalID = kmsg.StringPtr("") }); r.ErrorCode != int16(frame.InvalidRequest) {
		t.Errorf("empty transactional id: %+v", r)
	}
	if r := give(func(q *kmsg.InitProducerIDRequest) { q.ProducerID = 5 }); r.ErrorCode != int16(frame.InvalidRequest) {
		t.Errorf("id without epoch: %+v", r)
	}
	b.err = meta.ErrStorage
	give(func(*kmsg.InitProducerIDRequest) {}) // the last of the block
	if r := give(func(*kmsg.InitProducerIDRequest) {}); r.ErrorCode != int16(frame.CoordinatorNotAvailable) {
		t.Errorf("no block: %+v", r)
	}
}
