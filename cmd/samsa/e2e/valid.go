// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// accepted is a valid request that is answered without an error: who joins has
// been given an id.
func (w *Walk) accepted(key, version int16) kmsg.Request {
	req := w.valid(key, version)
	if join, ok := req.(*kmsg.JoinGroupRequest); ok && version >= 4 {
		resp, err := w.raw.Call(join)
		if err != nil {
			w.t.Fatal(err)
		}
		join.MemberID = resp.(*kmsg.JoinGroupResponse).MemberID
	}
	return req
}

// valid is a request of the key that goes well. What it needs, a group, a member
// or a topic of its own, is made before.
func (w *Walk) valid(key, version int16) kmsg.Request {
	return Body(key, version, func(v reflect.Value) {
		OneOfEach(v)
		fillNames(v, w.names(key))
		w.adjust(v.Addr().Interface().(kmsg.Request), version)
	})
}

// refused is a valid request with names that there are not, and other faults.
func (w *Walk) refused(key, version int16) kmsg.Request {
	req := w.valid(key, version)
	fillNames(reflect.ValueOf(req).Elem(), map[string]any{
		"Topic": "a b", "TopicNames": "a b", "TopicID": [16]byte{7}, "Groups": "unheard-of", "MemberID": "nobody", "ResourceName": "no-such",
		"CoordinatorType": 7, "SessionTimeoutMillis": 1, "ProducerID": 3, "EndpointType": 2, "ClientSoftwareName": "-", "StatesFilter": "odd",
	})
	return req
}

// names are the values of the fields of that name, in whatever structure.
func (w *Walk) names(key int16) map[string]any {
	names := map[string]any{
		"Topic": "one", "TopicID": w.IDs["one"], "ResourceName": "one", "ResourceType": 2, "ConfigNames": "max.message.bytes", "Partition": 0,
		"Group": "offsets", "Groups": "offsets", "CoordinatorKey": "offsets", "CoordinatorKeys": "offsets", "TimeoutMillis": 20_000, "ReplicaID": -1,
		"ClientSoftwareName": "walk", "ClientSoftwareVersion": "1.0", "Metadata": "note", "MaxBytes": 400, "PartitionMaxBytes": 400, "SessionEpoch": -1,
		"Timestamp": -1, "MaxNumOffsets": 1, "Offset": 1, "FetchOffset": 1, "Name": "retention.ms", "Value": "-1", "NumPartitions": 1, "ReplicationFactor": 1,
		"SessionTimeoutMillis": 600_000, "RebalanceTimeoutMillis": 600_000, "ProtocolType": "consumer", "Protocol": "range", "EndpointType": 1,
	}
	switch key {
	case 11:
		names["Group"], names["Name"] = w.unique("joined"), "range"
	case 12, 13, 14, 15:
		group := w.unique("member")
		names["Group"], names["Groups"], names["MemberID"], names["Generation"] = group, group, w.member(group, key != 14), 1
	case 19:
		names["Topic"] = w.unique("made")
	case 20:
		names["Topic"] = w.topic(w.unique("made"))
		names["TopicNames"], names["TopicID"] = names["Topic"], [16]byte{}
	case 3:
		names["TopicID"] = [16]byte{}
	case 37:
		names["Topic"] = w.topic(w.unique("grown"))
	case 42:
		names["Groups"] = w.unique("deleted")
		w.commit(names["Groups"].(string))
	}
	return names
}

// adjust does what the names of fields do not say.
func (w *Walk) adjust(req kmsg.Request, version int16) {
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		req.Topics[0].Partitions[0].Records = records(version)
	case *kmsg.FetchRequest:
		req.ForgottenTopics = nil
	case *kmsg.OffsetCommitRequest:
		req.Generation = -1
	case *kmsg.JoinGroupRequest:
		req.Protocols[0].Metadata = subscription()
	case *kmsg.SyncGroupRequest:
		req.GroupAssignment[0].MemberAssignment = []byte("assignment")
	case *kmsg.ListGroupsRequest:
		req.StatesFilter, req.TypesFilter = []string{"Stable"}, []string{"classic"}
	case *kmsg.CreateTopicsRequest:
		req.Topics[0].ReplicaAssignment = nil
	case *kmsg.CreatePartitionsRequest:
		req.Topics[0].Assignment, req.Topics[0].Count = nil, 3
	}
}

// records are two records as producers of that version of Produce send them.
func records(version int16) []byte {
	const ms = 1_700_000_000_000
	switch {
	case version >= 3:
		return BatchAt(ms, "first", "second")
	case version == 2:
		return append(message(1, nil), message(1, nil)...)
	}
	return append(message(0, nil), message(0, nil)...)
}

// subscription is the metadata of a consumer. Kafka never ends a rebalance of
// consumers whose metadata it cannot read.
func subscription() []byte {
	m := kmsg.NewConsumerMemberMetadata()
	m.Topics = []string{"one"}
	return m.AppendTo(nil)
}

// fillNames sets the fields below v whose names are known.
func fillNames(v reflect.Value, names map[string]any) {
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		if f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct {
			for k := range f.Len() {
				fillNames(f.Index(k), names)
			}
			continue
		}
		switch x := names[name].(type) {
		case int:
			if f.CanInt() {
				f.SetInt(int64(x))
			}
		case [16]byte:
			f.Set(reflect.ValueOf(x))
		case string:
			setText(f, x)
		}
	}
}

// setText puts text into a field that holds some; others are left alone.
func setText(f reflect.Value, text string) {
	switch f.Interface().(type) {
	case string:
		f.SetString(text)
	case *string:
		f.Set(reflect.ValueOf(&text))
	case []string:
		f.Set(reflect.ValueOf([]string{text}))
	case []byte:
		f.SetBytes([]byte(text))
	}
}

// unique is a name that was not given before.
func (w *Walk) unique(what string) string {
	w.given++
	return fmt.Sprintf("%s-%d", what, w.given)
}

// member joins a group that is new and gives the member's id; synced: its
// assignment is given out, too.
func (w *Walk) member(group string, synced bool) string {
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.ProtocolType = 3, group, "consumer"
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 600_000, 600_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: subscription()}}
	id := w.must(join).(*kmsg.JoinGroupResponse).MemberID
	if synced {
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Version, sync.Group, sync.MemberID, sync.Generation = 2, group, id, 1
		sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: id, MemberAssignment: []byte("assignment")}}
		w.must(sync)
	}
	return id
}

// topic makes one, notes its id and gives its name.
func (w *Walk) topic(name string) string {
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, 20_000
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: name, NumPartitions: 2, ReplicationFactor: 1}}
	w.IDs[name] = w.must(create).(*kmsg.CreateTopicsResponse).Topics[0].TopicID
	return name
}

// commit makes a group that only has an offset.
func (w *Walk) commit(group string) {
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Version, commit.Group, commit.Generation = 2, group, -1
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "one", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 1}}}}
	w.must(commit)
}

// must asks what has to go well.
func (w *Walk) must(req kmsg.Request) kmsg.Response {
	w.t.Helper()
	raw := Dial(w.t, w.Addr)
	defer raw.conn.Close()
	resp, err := raw.Call(req)
	if err != nil {
		w.t.Fatal(err)
	}
	if codes := ErrorCodes(resp); codes != "ok" {
		w.t.Fatalf("%s: %s", kmsg.NameForKey(req.Key()), codes)
	}
	return resp
}
