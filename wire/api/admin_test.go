// SPDX-License-Identifier: Apache-2.0

package api

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/wire/frame"
)

// deskCarrier lets a handler run on the test's own goroutine.
type deskCarrier struct{ done int }

func (d *deskCarrier) Home() Home                     { return d }
func (d *deskCarrier) Post(t Task)                    { t.Run() }
func (d *deskCarrier) OnLoop() bool                   { return true }
func (d *deskCarrier) Placed()                        {}
func (d *deskCarrier) ReleaseFrame()                  {}
func (d *deskCarrier) Park(time.Duration, Task, Task) {}
func (d *deskCarrier) Unpark()                        {}
func (d *deskCarrier) Done()                          { d.done++ }
func (d *deskCarrier) Silent()                        {}
func (d *deskCarrier) Close(error)                    {}
func (d *deskCarrier) Go(t Task)                      { t.Run() }
func (d *deskCarrier) Now() int64                     { return 0 }

// ask sends a request of one version through its own bytes, as a client would,
// and decodes the answer.
func ask(t *testing.T, h Handler, version int16, req kmsg.Request) kmsg.Response {
	t.Helper()
	if version < h.Min || version > h.Max || req.Key() != h.Key {
		t.Fatalf("handler of key %d, versions %d-%d was asked with key %d, version %d", h.Key, h.Min, h.Max, req.Key(), version)
	}
	req.SetVersion(version)
	body := kmsg.RequestForKey(req.Key())
	body.SetVersion(version)
	if err := body.ReadFrom(req.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	carrier := &deskCarrier{}
	c := &Call{Body: body, Client: Client{Listener: "PLAINTEXT"}}
	c.Prepare(carrier, frame.Header{Key: h.Key, Version: version, CorrelationID: 7})
	c.Body = body
	h.Serve(c)
	if carrier.done != 1 {
		t.Fatalf("answered %d times", carrier.done)
	}
	head := len(frame.AppendResponseHeader(nil, c.Header)) + 4
	resp := req.ResponseKind()
	resp.SetVersion(version)
	if err := resp.ReadFrom(c.Out[head:]); err != nil {
		t.Fatal(err)
	}
	return resp
}

// shelf is a fake of the controller: it keeps topics in a map.
type shelf struct {
	topics  map[string]*meta.Topic
	brokers map[bool]map[string]string // what is set on all, and on this one
	asked   []string
	fail    error
}

func newShelf(names ...string) *shelf {
	s := &shelf{topics: map[string]*meta.Topic{}}
	for _, n := range names {
		s.topics[n] = &meta.Topic{Name: n, ID: meta.NewTopicID(), Partitions: []meta.State{{Leader: 1, Replicas: []meta.BrokerID{1}}}, Config: map[string]string{}}
	}
	return s
}

func (s *shelf) Load() *meta.Image {
	b := meta.Broker{ID: 1, Rack: "r", Endpoints: []meta.Endpoint{{Listener: "PLAINTEXT", Host: "h", Port: 9092}}}
	other := meta.Broker{ID: 2, Endpoints: []meta.Endpoint{{Listener: "INTERNAL", Host: "h", Port: 9092}}}
	return meta.NewImage("cluster", 1, []meta.Broker{b, other}).With(nil, slices.Collect(maps.Values(s.topics))...)
}

func (s *shelf) CreateTopics(reqs []meta.NewTopic, validateOnly bool) []meta.TopicResult {
	out := make([]meta.TopicResult, len(reqs))
	for i, r := range reqs {
		s.asked = append(s.asked, fmt.Sprintf("create %s %d %d %v validate=%t", r.Name, r.Partitions, r.ReplicationFactor, r.Assignment, validateOnly))
		if s.topics[r.Name] != nil {
			out[i].Err = fmt.Errorf("%w: %s", meta.ErrTopicExists, r.Name)
			continue
		}
		if out[i].Err = errors.Join(r.Fault, r.ConfigFault); out[i].Err != nil {
			continue
		}
		out[i].Topic = newShelf(r.Name).topics[r.Name]
		out[i].Topic.Config = r.Config
		if !validateOnly {
			s.topics[r.Name] = out[i].Topic
		}
	}
	return out
}

func (s *shelf) DeleteTopics(refs []meta.TopicRef) []meta.TopicResult {
	out := make([]meta.TopicResult, len(refs))
	for i, r := range refs {
		t := s.topics[r.Name]
		if !r.ID.IsZero() {
			t = s.Load().TopicByID(r.ID)
		}
		switch {
		case s.fail != nil:
			out[i].Err = s.fail
		case t == nil && !r.ID.IsZero():
			out[i].Err = meta.ErrUnknownTopicID
		case t == nil:
			out[i].Err = meta.ErrUnknownTopic
		default:
			out[i].Topic = t
			delete(s.topics, t.Name)
		}
	}
	return out
}

func (s *shelf) CreatePartitions(reqs []meta.NewPartitions, validateOnly bool) []meta.TopicResult {
	out := make([]meta.TopicResult, len(reqs))
	for i, r := range reqs {
		s.asked = append(s.asked, fmt.Sprintf("partitions %s %d %v nil=%t validate=%t", r.Topic, r.Count, r.Assignment, r.Assignment == nil, validateOnly))
		if s.topics[r.Topic] == nil {
			out[i].Err = fmt.Errorf("%w: %s", meta.ErrUnknownTopic, r.Topic)
		}
	}
	return out
}

func (s *shelf) AlterTopicConfig(topic string, edit func(map[string]string) (map[string]string, error), validateOnly bool) error {
	t := s.topics[topic]
	if t == nil {
		return fmt.Errorf("%w: %s", meta.ErrUnknownTopic, topic)
	}
	set, err := edit(maps.Clone(t.Config))
	if err == nil && !validateOnly {
		t.Config, t.Adopted = set, false
	}
	return err
}

func (s *shelf) AlterBrokerConfig(all bool, edit func(map[string]string) (map[string]string, error), validateOnly bool) error {
	if s.brokers == nil {
		s.brokers = map[bool]map[string]string{true: {}, false: {}}
	}
	set, err := edit(maps.Clone(s.brokers[all]))
	if err == nil && !validateOnly {
		s.brokers[all] = set
	}
	return err
}

// book is a fake of the settings: three topic keys, three broker keys.
type book struct{}

func (book) CheckTopicConfig(set map[string]string) error {
	for k, v := range set {
		if !strings.HasPrefix(k, "list") && k != "number" || v == "bad" {
			return fmt.Errorf("%w: %s=%s", meta.ErrInvalidConfig, k, v)
		}
	}
	return nil
}

func (book) TopicSettings(set map[string]string) []Setting {
	value, source := "5", kmsg.ConfigSourceDefaultConfig
	synonyms := []SettingSynonym{{"log.number", &value, source}}
	if v, ok := set["number"]; ok {
		value, source = v, kmsg.ConfigSourceDynamicTopicConfig
		synonyms = append([]SettingSynonym{{"number", &value, source}}, synonyms...)
	}
	return []Setting{{Name: "list"}, {Name: "number", Value: &value, Type: kmsg.ConfigTypeInt, Source: source, Doc: "A number.", Synonyms: synonyms}}
}

func (book) BrokerSettings() []Setting {
	return []Setting{{Name: "broker.id", ReadOnly: true}, {Name: "secret", Sensitive: true}}
}

func (book) TopicList(key string) (string, bool, bool) {
	return "delete", strings.HasPrefix(key, "list"), strings.HasPrefix(key, "list") || key == "number"
}

func (book) ClusterSettings() []Setting { return []Setting{{Name: "dynamic"}} }

func (book) BrokerList(key string) (string, bool, bool) {
	return "a", key == "words", key == "words" || key == "dynamic"
}

func (book) CheckBrokerConfig(own bool, set map[string]string) error {
	if _, fixed := set["broker.id"]; fixed || set["dynamic"] == "bad" {
		return Fail(frame.InvalidRequest, fmt.Sprint("not ", set, own))
	}
	return nil
}

func (book) UsableBrokerConfig(_ bool, set map[string]string) map[string]string {
	delete(set, "stale")
	return set
}

func (book) StorableBrokerConfig(_ bool, set map[string]string) error {
	if _, ok := set["password"]; ok {
		return fmt.Errorf("%w: password", meta.ErrInvalidConfig)
	}
	return nil
}

func str(s string) *string { return &s }

func text(p *string) string {
	if p == nil {
		return "-"
	}
	return *p
}

// CreateTopics at every version: what is wrong is answered for the one topic,
// and the rest is created.
func TestCreateTopics(t *testing.T) {
	for version := int16(0); version <= 7; version++ {
		s := newShelf("there")
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis = 1000
		add := func(name string, configs map[string]*string, partitions ...int32) {
			topic := kmsg.NewCreateTopicsRequestTopic()
			topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
			for k, v := range configs {
				c := kmsg.NewCreateTopicsRequestTopicConfig()
				c.Name, c.Value = k, v
				topic.Configs = append(topic.Configs, c)
			}
			for _, p := range partitions {
				topic.NumPartitions, topic.ReplicationFactor = -1, -1
				a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
				a.Partition, a.Replicas = p, []int32{1}
				topic.ReplicaAssignment = append(topic.ReplicaAssignment, a)
			}
			req.Topics = append(req.Topics, topic)
		}
		add("new", map[string]*string{"number": str("9")})
		add("there", nil)
		add("twice", nil)
		add("twice", nil)
		add("null", map[string]*string{"number": nil})
		add("wrong", map[string]*string{"nonsense": str("1")})
		add("assigned", nil, 0, 1)
		add("overassigned", nil, 0, 0) // the last counts, as in Kafka
		add(clusterMetadataTopic, nil)
		resp := ask(t, CreateTopics(s, book{}), version, req).(*kmsg.CreateTopicsResponse)
		want := []frame.ErrorCode{0, frame.TopicAlreadyExists, frame.InvalidRequest, frame.InvalidRequest, frame.InvalidConfig,
			frame.InvalidConfig, 0, 0, frame.TopicAuthorizationFailed}
		for i, r := range resp.Topics {
			if r.ErrorCode != int16(want[i]) || r.Topic != req.Topics[i].Topic || version >= 1 && (r.ErrorMessage == nil) != (want[i] == 0) {
				t.Errorf("v%d %s: code %d (%s), want %d", version, r.Topic, r.ErrorCode, text(r.ErrorMessage), want[i])
			}
		}
		if s.topics["new"].Config["number"] != "9" || len(s.topics) != 4 || !slices.Contains(s.asked, "create assigned -1 -1 map[0:[1] 1:[1]] validate=false") {
			t.Errorf("v%d: created %v after %v", version, s.topics, s.asked)
		}
		if r := resp.Topics[0]; version >= 5 && (r.NumPartitions != 1 || r.ReplicationFactor != 1 || len(r.Configs) != 2 || text(r.Configs[1].Value) != "9") {
			t.Errorf("v%d: answered %+v", version, r)
		}
		if r := resp.Topics[1]; version >= 5 && (r.NumPartitions != -1 || r.ReplicationFactor != -1) {
			t.Errorf("v%d: answered %+v", version, r)
		}
		if r := resp.Topics[0]; version >= 7 && meta.TopicID(r.TopicID) != s.topics["new"].ID {
			t.Errorf("v%d: topic id", version)
		}
	}
}

// No time to wait: it is done, and reported as timed out; a validation is not.
func TestNoTime(t *testing.T) {
	s := newShelf()
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic = "a"
	req.Topics = append(req.Topics, topic)
	req.TimeoutMillis, req.ValidateOnly = 0, true
	if r := ask(t, CreateTopics(s, book{}), 7, req).(*kmsg.CreateTopicsResponse); r.Topics[0].ErrorCode != 0 || len(s.topics) != 0 {
		t.Errorf("validated: %+v", r)
	}
	req.ValidateOnly = false
	if r := ask(t, CreateTopics(s, book{}), 7, req).(*kmsg.CreateTopicsResponse); r.Topics[0].ErrorCode != int16(frame.RequestTimedOut) || len(s.topics) != 1 {
		t.Errorf("created: %+v", r)
	}
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.TopicNames, del.TimeoutMillis = []string{"a"}, -1
	if r := ask(t, DeleteTopics(s, s), 3, del).(*kmsg.DeleteTopicsResponse); r.Topics[0].ErrorCode != int16(frame.RequestTimedOut) || len(s.topics) != 0 {
		t.Errorf("deleted: %+v", r)
	}
}

// DeleteTopics by name up to version 5, by name or id from 6 on.
func TestDeleteTopics(t *testing.T) {
	for version := int16(0); version <= 6; version++ {
		s := newShelf("a", "b", "c")
		id := s.topics["b"].ID
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis = 1000
		req.TopicNames = []string{"a", "nope", "a"}
		want := []frame.ErrorCode{0, frame.UnknownTopicOrPartition, 0}
		if version >= 6 {
			req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: str("a")}, {Topic: str("nope")}, {TopicID: id}, {TopicID: meta.NewTopicID()}}
			want = []frame.ErrorCode{0, frame.UnknownTopicOrPartition, 0, frame.UnknownTopicID}
		}
		resp := ask(t, DeleteTopics(s, s), version, req).(*kmsg.DeleteTopicsResponse)
		for i, r := range resp.Topics {
			if r.ErrorCode != int16(want[i]) {
				t.Errorf("v%d topic %d: code %d, want %d", version, i, r.ErrorCode, want[i])
			}
		}
		if version >= 6 && (text(resp.Topics[2].Topic) != "b" || resp.Topics[3].Topic != nil || resp.Topics[0].TopicID != [16]byte{} || resp.Topics[0].ErrorMessage != nil) {
			t.Errorf("v%d: %+v", version, resp.Topics)
		}
		if s.topics["a"] != nil || s.topics["c"] == nil {
			t.Errorf("v%d: left %v", version, s.topics)
		}
		s.fail = meta.ErrDeletionDisabled
		resp = ask(t, DeleteTopics(s, s), version, req).(*kmsg.DeleteTopicsResponse)
		wantCode := frame.TopicDeletionDisabled
		if version < 3 {
			wantCode = frame.InvalidRequest
		}
		if resp.Topics[0].ErrorCode != int16(wantCode) {
			t.Errorf("v%d: deletion disabled is code %d", version, resp.Topics[0].ErrorCode)
		}
	}
	s := newShelf("a")
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: str("a"), TopicID: s.topics["a"].ID}}
	if r := ask(t, DeleteTopics(s, s), 6, req).(*kmsg.DeleteTopicsResponse); r.Topics[0].ErrorCode != int16(frame.InvalidRequest) || len(s.topics) != 1 {
		t.Errorf("both name and id: %+v", r)
	}
}

func TestCreatePartitions(t *testing.T) {
	for version := int16(0); version <= 3; version++ {
		s := newShelf("a", "b", "twice")
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis = 10
		for _, name := range []string{"a", "nope", "twice", "twice", "b"} {
			topic := kmsg.NewCreatePartitionsRequestTopic()
			topic.Topic, topic.Count = name, 3
			if name == "b" {
				topic.Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: []int32{1}}, {Replicas: []int32{1}}}
			}
			req.Topics = append(req.Topics, topic)
		}
		resp := ask(t, CreatePartitions(s), version, req).(*kmsg.CreatePartitionsResponse)
		want := []frame.ErrorCode{0, frame.UnknownTopicOrPartition, frame.InvalidRequest, 0} // what is named twice is answered once
		for i, r := range resp.Topics {
			if r.ErrorCode != int16(want[i]) {
				t.Errorf("v%d %s: code %d, want %d", version, r.Topic, r.ErrorCode, want[i])
			}
		}
		asked := []string{"partitions a 3 [] nil=true validate=false", "partitions nope 3 [] nil=true validate=false", "partitions b 3 [[1] [1]] nil=false validate=false"}
		if !slices.Equal(s.asked, asked) {
			t.Errorf("v%d: asked %q", version, s.asked)
		}
	}
}

// refusing is a book that refuses every config.
type refusing struct{ book }

func (refusing) CheckTopicConfig(set map[string]string) error {
	for k, v := range set {
		return fmt.Errorf("%w: %s=%s", meta.ErrInvalidConfig, k, v)
	}
	return nil
}

// A message longer than a string may be spoils the whole answer: Kafka says
// that it failed, of what went well, too. Version 0 of CreateTopics has none.
func TestMessagesThatCannotBeWritten(t *testing.T) {
	long := strings.Repeat("x", frame.MaxString)
	create := kmsg.NewPtrCreateTopicsRequest()
	create.TimeoutMillis = 1000
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "good", NumPartitions: 1, ReplicationFactor: 1}, {
		Topic: "bad", NumPartitions: 1, ReplicationFactor: 1, Configs: []kmsg.CreateTopicsRequestTopicConfig{{Name: "number", Value: &long}},
	}}
	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.TimeoutMillis = 1000
	grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "a", Count: 9}, {Topic: long, Count: 9}}
	describe := kmsg.NewPtrDescribeConfigsRequest()
	describe.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: 2, ResourceName: "a"}, {ResourceType: 2, ResourceName: long}}
	alter := kmsg.NewPtrAlterConfigsRequest()
	alter.Resources = []kmsg.AlterConfigsRequestResource{{ResourceType: 2, ResourceName: "a"}, {ResourceType: 4, ResourceName: long}}
	change := kmsg.NewPtrIncrementalAlterConfigsRequest()
	change.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: 2, ResourceName: "a"}, {ResourceType: 4, ResourceName: long}}
	s := newShelf("a")
	for _, c := range []struct {
		h   Handler
		req kmsg.Request
	}{
		{CreateTopics(s, refusing{}), create}, {CreatePartitions(s), grow}, {DescribeConfigs(shelfAdmin(s)), describe},
		{AlterConfigs(1, s, book{}), alter}, {IncrementalAlterConfigs(shelfAdmin(s)), change},
	} {
		for version := c.h.Min; version <= c.h.Max; version++ {
			if c.req == create && version == 0 {
				continue
			}
			resp := reflect.ValueOf(ask(t, c.h, version, c.req)).Elem()
			results := resp.FieldByName("Topics")
			if !results.IsValid() {
				results = resp.FieldByName("Resources")
			}
			for i := range 2 {
				if code := results.Index(i).FieldByName("ErrorCode").Int(); code != -1 {
					t.Errorf("%s v%d: result %d has code %d", kmsg.NameForKey(c.h.Key), version, i, code)
				}
			}
		}
	}
}

func TestDescribeConfigs(t *testing.T) {
	for version := int16(0); version <= 4; version++ {
		s := newShelf("a", "b")
		s.topics["a"].Config["number"] = "7"
		s.topics["b"].Adopted = true
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.IncludeSynonyms, req.IncludeDocumentation = true, true
		for _, r := range []kmsg.DescribeConfigsRequestResource{
			{ResourceType: 2, ResourceName: "a"}, {ResourceType: 2, ResourceName: "a", ConfigNames: []string{"number", "nope"}},
			{ResourceType: 2, ResourceName: "b"}, {ResourceType: 2, ResourceName: "nope"}, {ResourceType: 2, ResourceName: "b/d"},
			{ResourceType: 4, ResourceName: "1"}, {ResourceType: 4, ResourceName: ""}, {ResourceType: 4, ResourceName: "2"}, {ResourceType: 4, ResourceName: "x"},
			{ResourceType: 8, ResourceName: "1"}, {ResourceType: 8, ResourceName: ""}, {ResourceType: 16, ResourceName: ""},
		} {
			req.Resources = append(req.Resources, r)
		}
		resp := ask(t, DescribeConfigs(shelfAdmin(s)), version, req).(*kmsg.DescribeConfigsResponse)
		var got []string
		for _, r := range resp.Resources {
			names := ""
			for _, c := range r.Configs {
				names += " " + c.Name + "=" + text(c.Value)
			}
			got = append(got, fmt.Sprintf("%d%s", r.ErrorCode, names))
		}
		want := []string{"0 list=- number=7", "0 number=7", "0 list=- number=5 samsa.adopted=true", "3", "17",
			"0 broker.id=- secret=-", "0 dynamic=-", "42", "42", "0 below=WARN root=INFO", "42", "42"}
		if !slices.Equal(got, want) {
			t.Errorf("v%d: got %q", version, got)
		}
		c := resp.Resources[1].Configs[0]
		req.Resources = append(req.Resources[:1:1], kmsg.DescribeConfigsRequestResource{ResourceType: 77, ResourceName: "1"})
		odd := ask(t, DescribeConfigs(shelfAdmin(s)), version, req).(*kmsg.DescribeConfigsResponse)
		if odd.Resources[0].ErrorCode != 42 || odd.Resources[1].ErrorCode != 42 { // one odd kind, and all are refused
			t.Errorf("v%d: one odd kind: %+v", version, odd.Resources)
		}
		if version == 0 && (c.IsDefault || resp.Resources[2].Configs[1].IsDefault) { // Kafka never says so
			t.Errorf("v%d: is default", version)
		}
		if version >= 1 && (c.Source != kmsg.ConfigSourceDynamicTopicConfig || len(c.ConfigSynonyms) != 2 || c.ConfigSynonyms[1].Name != "log.number") {
			t.Errorf("v%d: %+v", version, c)
		}
		if version >= 3 && (text(c.Documentation) != "A number." || c.ConfigType != kmsg.ConfigTypeInt) {
			t.Errorf("v%d: %+v", version, c)
		}
	}
}

func TestAlterConfigs(t *testing.T) {
	for version := int16(0); version <= 2; version++ {
		s := newShelf("a", "b", "c")
		s.topics["a"].Config["list"] = "x"
		s.topics["c"].Adopted = true
		req := kmsg.NewPtrAlterConfigsRequest()
		add := func(kind kmsg.ConfigResourceType, name string, want frame.ErrorCode, kv ...string) frame.ErrorCode {
			r := kmsg.NewAlterConfigsRequestResource()
			r.ResourceType, r.ResourceName = kind, name
			for i := 0; i < len(kv); i += 2 {
				c := kmsg.NewAlterConfigsRequestResourceConfig()
				c.Name = kv[i]
				if kv[i+1] != "null" {
					c.Value = str(kv[i+1])
				}
				r.Configs = append(r.Configs, c)
			}
			req.Resources = append(req.Resources, r)
			return want
		}
		want := []frame.ErrorCode{
			add(2, "a", 0, "number", "1"),
			add(2, "b", frame.InvalidConfig, "number", "bad"),
			add(2, "c", 0, "samsa.adopted", "true"),
			add(2, "nope", frame.UnknownTopicOrPartition),
			add(4, "1", frame.InvalidRequest, "broker.id", "2"),
			add(4, "", 0, "dynamic", "2"),
			add(4, "2", frame.InvalidRequest),
			add(8, "1", frame.InvalidRequest),
			add(2, "d", frame.InvalidRequest, "number", "null"),
			add(2, "e", frame.InvalidRequest, "number", "1", "number", "2"),
			add(2, "twice", frame.InvalidRequest),
			add(2, "twice", frame.InvalidRequest),
		}
		resp := ask(t, AlterConfigs(1, s, book{}), version, req).(*kmsg.AlterConfigsResponse)
		for i, r := range resp.Resources {
			if r.ErrorCode != int16(want[i]) || r.ErrorMessage == nil != (want[i] == 0) {
				t.Errorf("v%d %s: code %d (%s), want %d", version, r.ResourceName, r.ErrorCode, text(r.ErrorMessage), want[i])
			}
		}
		if got := s.topics["a"].Config; !maps.Equal(got, map[string]string{"number": "1"}) {
			t.Errorf("v%d: set %v", version, got)
		}
		if got := fmt.Sprint(s.brokers); got != "map[false:map[] true:map[dynamic:2]]" {
			t.Errorf("v%d: brokers have %s", version, got)
		}
		if c := s.topics["c"]; c.Adopted || len(c.Config) != 0 {
			t.Errorf("v%d: %+v", version, c)
		}
		req.Resources, req.ValidateOnly = req.Resources[:1], true
		req.Resources[0].Configs[0].Value = str("2")
		if ask(t, AlterConfigs(1, s, book{}), version, req); s.topics["a"].Config["number"] != "1" {
			t.Errorf("v%d: validation changed the topic", version)
		}
	}
}

func TestIncrementalAlterConfigs(t *testing.T) {
	type op = kmsg.IncrementalAlterConfigsRequestResourceConfig
	const set, del, app, sub = 0, 1, 2, 3
	tests := []struct {
		kind kmsg.ConfigResourceType
		name string
		ops  []op
		code frame.ErrorCode
		want string
	}{
		{2, "a", []op{{Name: "number", Op: set, Value: str("2")}}, 0, "map[list:x,y number:2]"},
		{2, "a", []op{{Name: "number", Op: set, Value: str("bad")}}, frame.InvalidConfig, "map[list:x,y number:1]"},
		{2, "a", []op{{Name: "nonsense", Op: set, Value: str("1")}}, frame.InvalidConfig, "map[list:x,y number:1]"},
		{2, "a", []op{{Name: "list", Op: del}, {Name: "nope", Op: del}}, 0, "map[number:1]"},
		{2, "a", []op{{Name: "list", Op: app, Value: str("y, z,w")}}, 0, "map[list:x,y,z,w number:1]"},
		{2, "a", []op{{Name: "list", Op: sub, Value: str("x,q")}}, 0, "map[list:y number:1]"},
		{2, "a", []op{{Name: "list2", Op: app, Value: str("compact")}}, 0, "map[list:x,y list2:delete,compact number:1]"},
		{2, "a", []op{{Name: "number", Op: app, Value: str("3")}}, frame.InvalidConfig, "map[list:x,y number:1]"},
		{2, "a", []op{{Name: "nope", Op: sub, Value: str("3")}}, frame.UnknownServerError, "map[list:x,y number:1]"},
		{2, "a", []op{{Name: "number", Op: set}}, frame.InvalidRequest, "map[list:x,y number:1]"},
		{2, "a", []op{{Name: "number", Op: del}, {Name: "number", Op: del}}, frame.InvalidRequest, "map[list:x,y number:1]"},
		{2, "a", []op{{Name: "number", Op: 9, Value: str("1")}}, frame.UnknownServerError, "map[list:x,y number:1]"},
		{2, "a", []op{{Name: "samsa.adopted", Op: del}}, 0, "map[list:x,y number:1]"},
		{2, "a", []op{{Name: "samsa.adopted", Op: set, Value: str("maybe")}}, frame.InvalidConfig, "map[list:x,y number:1]"},
		{2, "nope", []op{{Name: "nope", Op: app, Value: str("1")}}, frame.UnknownServerError, "map[list:x,y number:1]"},
		{2, "", nil, frame.InvalidRequest, "map[list:x,y number:1]"},
		{2, "nope", nil, frame.UnknownTopicOrPartition, "map[list:x,y number:1]"},
		{4, "1", []op{{Name: "dynamic", Op: del}}, 0, "map[list:x,y number:1]"},
		{4, "1", []op{{Name: "broker.id", Op: del}}, 0, "map[list:x,y number:1]"},
		{4, "3", nil, frame.InvalidRequest, "map[list:x,y number:1]"},
		{16, "1", nil, frame.InvalidRequest, "map[list:x,y number:1]"},
	}
	for version := int16(0); version <= 1; version++ {
		for _, tc := range tests {
			s := newShelf("a")
			s.topics["a"].Config = map[string]string{"list": "x,y", "number": "1"}
			s.topics["a"].Adopted = true
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: tc.kind, ResourceName: tc.name, Configs: tc.ops}}
			r := ask(t, IncrementalAlterConfigs(shelfAdmin(s)), version, req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
			if r.ErrorCode != int16(tc.code) || fmt.Sprint(s.topics["a"].Config) != tc.want {
				t.Errorf("v%d %v: code %d (%s), set %v", version, tc.ops, r.ErrorCode, text(r.ErrorMessage), s.topics["a"].Config)
			}
			if touched := tc.code == 0 && tc.kind == 2; s.topics["a"].Adopted == touched {
				t.Errorf("v%d %v: adopted %t", version, tc.ops, s.topics["a"].Adopted)
			}
		}
	}
}

// A broker's settings change on one broker or on all: set, delete, append and
// subtract as with topics; what is stale in the store is dropped on the way, and
// what cannot be stored is refused only when it would be.
func TestIncrementalAlterConfigsOfBrokers(t *testing.T) {
	type op = kmsg.IncrementalAlterConfigsRequestResourceConfig
	const set, del, app, sub = 0, 1, 2, 3
	for _, tc := range []struct {
		name     string
		ops      []op
		validate bool
		code     frame.ErrorCode
		want     string // what is set on all, then on broker 1
	}{
		{"1", []op{{Name: "dynamic", Op: set, Value: str("1")}}, false, 0, "map[stale:1] map[dynamic:1 words:x]"},
		{"", []op{{Name: "dynamic", Op: set, Value: str("1")}}, false, 0, "map[dynamic:1] map[words:x]"},
		{"1", []op{{Name: "dynamic", Op: set, Value: str("1")}}, true, 0, "map[stale:1] map[words:x]"},
		{"1", []op{{Name: "dynamic", Op: set, Value: str("bad")}}, true, frame.InvalidRequest, "map[stale:1] map[words:x]"},
		{"1", []op{{Name: "words", Op: app, Value: str("y")}}, false, 0, "map[stale:1] map[words:x,y]"},
		{"", []op{{Name: "words", Op: app, Value: str("y")}}, false, 0, "map[words:a,y] map[words:x]"},
		{"1", []op{{Name: "words", Op: sub, Value: str("x")}}, false, 0, "map[stale:1] map[words:]"},
		{"1", []op{{Name: "words", Op: del}}, false, 0, "map[stale:1] map[]"},
		{"1", []op{{Name: "dynamic", Op: app, Value: str("1")}}, false, frame.InvalidConfig, "map[stale:1] map[words:x]"},
		{"1", []op{{Name: "nonsense", Op: app, Value: str("1")}}, false, frame.UnknownServerError, "map[stale:1] map[words:x]"},
		{"1", []op{{Name: "dynamic", Op: set}}, false, frame.InvalidRequest, "map[stale:1] map[words:x]"},
		{"1", []op{{Name: "password", Op: set, Value: str("p")}}, false, frame.InvalidConfig, "map[stale:1] map[words:x]"},
		{"1", []op{{Name: "password", Op: set, Value: str("p")}}, true, 0, "map[stale:1] map[words:x]"},
		{"7", []op{{Name: "dynamic", Op: set, Value: str("1")}}, false, frame.InvalidRequest, "map[stale:1] map[words:x]"},
	} {
		s := newShelf()
		s.brokers = map[bool]map[string]string{true: {"stale": "1"}, false: {"words": "x"}}
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.ValidateOnly = tc.validate
		req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: 4, ResourceName: tc.name, Configs: tc.ops}}
		r := ask(t, IncrementalAlterConfigs(shelfAdmin(s)), 1, req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
		if got := fmt.Sprint(s.brokers[true], s.brokers[false]); r.ErrorCode != int16(tc.code) || got != tc.want {
			t.Errorf("%q %v: code %d (%s), set %s", tc.name, tc.ops, r.ErrorCode, text(r.ErrorMessage), got)
		}
	}
}

func TestDescribeCluster(t *testing.T) {
	for version := int16(0); version <= 1; version++ {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType, req.IncludeClusterAuthorizedOperations = 1, true
		r := ask(t, DescribeCluster(newShelf()), version, req).(*kmsg.DescribeClusterResponse)
		if r.ErrorCode != 0 || r.ClusterID != "cluster" || r.ControllerID != 1 || len(r.Brokers) != 1 || r.Brokers[0].Port != 9092 || text(r.Brokers[0].Rack) != "r" || r.ClusterAuthorizedOperations != 8096 {
			t.Errorf("v%d: %+v", version, r)
		}
	}
	for kind, want := range map[int8]frame.ErrorCode{2: frame.MismatchedEndpointType, 9: frame.UnsupportedEndpointType} {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType = kind
		if r := ask(t, DescribeCluster(newShelf()), 1, req).(*kmsg.DescribeClusterResponse); r.ErrorCode != int16(want) || r.ErrorMessage == nil {
			t.Errorf("endpoint type %d: %+v", kind, r)
		}
	}
}

type twoDirs struct{}

func (twoDirs) LogDirs() []LogDir {
	p := func(topic string, i int32, size int64) LogDirReplica {
		return LogDirReplica{Partition: meta.Partition{Topic: topic, Index: i}, Size: size}
	}
	return []LogDir{
		{Path: "/d1", Total: 100, Usable: 50, Replicas: []LogDirReplica{p("b", 1, 1), p("a", 0, 2), p("b", 0, 3)}},
		{Path: "/d2", Err: errors.New("gone"), Total: -1, Usable: -1},
	}
}

func TestDescribeLogDirs(t *testing.T) {
	show := func(r *kmsg.DescribeLogDirsResponse) string {
		var b strings.Builder
		for _, d := range r.Dirs {
			fmt.Fprintf(&b, "%s %d;", d.Dir, d.ErrorCode)
			for _, topic := range d.Topics {
				for _, p := range topic.Partitions {
					fmt.Fprintf(&b, " %s-%d=%d", topic.Topic, p.Partition, p.Size)
				}
			}
		}
		return b.String()
	}
	for version := int16(0); version <= 4; version++ {
		req := kmsg.NewPtrDescribeLogDirsRequest()
		r := ask(t, DescribeLogDirs(twoDirs{}), version, req).(*kmsg.DescribeLogDirsResponse)
		if got := show(r); got != "/d1 0; a-0=2 b-0=3 b-1=1/d2 56;" {
			t.Errorf("v%d: all: %s", version, got)
		}
		if version >= 4 && (r.Dirs[0].TotalBytes != 100 || r.Dirs[0].UsableBytes != 50 || r.Dirs[1].TotalBytes != -1) {
			t.Errorf("v%d: %+v", version, r.Dirs)
		}
		req.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: "b", Partitions: []int32{1, 7}}, {Topic: "x"}}
		if got := show(ask(t, DescribeLogDirs(twoDirs{}), version, req).(*kmsg.DescribeLogDirsResponse)); got != "/d1 0; b-1=1/d2 56;" {
			t.Errorf("v%d: some: %s", version, got)
		}
	}
}

// Every error of controller/meta has a code, and its message is for people.
func TestMetaErrorsHaveCodes(t *testing.T) {
	for _, err := range []error{meta.ErrTopicExists, meta.ErrUnknownTopic, meta.ErrUnknownTopicID, meta.ErrInvalidTopic, meta.ErrInvalidPartitions,
		meta.ErrInvalidReplicationFactor, meta.ErrInvalidAssignment, meta.ErrInvalidRequest, meta.ErrInvalidConfig, meta.ErrDeletionDisabled,
		meta.ErrStorage, meta.ErrStopped, meta.ErrTopicID} {
		code, message := verdict(fmt.Errorf("%w: x", err))
		if code == int16(frame.UnknownServerError) || code == 0 || strings.HasPrefix(*message, "meta: ") || !strings.HasSuffix(*message, ": x") {
			t.Errorf("%v: code %d, message %s", err, code, *message)
		}
	}
	if code, message := verdict(nil); code != 0 || message != nil {
		t.Error("no error has a code")
	}
	if code, _ := verdict(errors.New("x")); code != int16(frame.UnknownServerError) {
		t.Error("an unknown error")
	}
}
