// SPDX-License-Identifier: Apache-2.0

package group

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
)

// The layouts, spelled out by hand from Kafka's schemas: what a 3.9 broker
// writes, to the byte.
func TestRecordBytes(t *testing.T) {
	one, two := "range", "m-1"
	consumer := consumerProtocol
	g := newGroup("g", 0)
	g.generation, g.protocol, g.sinceMs = 7, &one, 0x0102030405
	instance := "i"
	g.add(&member{
		id: two, instance: &instance, clientID: "c", clientHost: "/::1", rebalanceMs: 300000, sessionMs: 45000,
		protocols: []Protocol{{"range", []byte{0xaa, 0xbb}}},
	}, consumer)
	empty := newGroup("g", 0)
	empty.generation, empty.sinceMs, empty.protocolType = 8, -1, &consumer
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"offset key", encodeOffsetKey("grp", TopicPartition{"top", 258}), "0001 0003 677270 0003 746f70 00000102"},
		{"group key", encodeGroupKey("grp"), "0002 0003 677270"},
		{
			"offset value", encodeOffsetValue(committed{offset: 42, leaderEpoch: 5, metadata: "md", commitMs: 1000, expireMs: -1}),
			"0003 000000000000002a 00000005 0002 6d64 00000000000003e8",
		},
		{
			"offset value with expiry", encodeOffsetValue(committed{offset: 42, leaderEpoch: 5, commitMs: 1000, expireMs: 2000}),
			"0001 000000000000002a 0000 00000000000003e8 00000000000007d0",
		},
		{
			"group value", encodeGroupValue(g, map[string][]byte{"m-1": {0xcc}}),
			"0003 0008 636f6e73756d6572 00000007 0005 72616e6765 0003 6d2d31 0000000102030405 00000001" +
				"0003 6d2d31 0001 69 0001 63 0004 2f3a3a31 000493e0 0000afc8 00000002 aabb 00000001 cc",
		},
		{
			"empty group value", encodeGroupValue(empty, nil),
			"0003 0008 636f6e73756d6572 00000008 ffff ffff ffffffffffffffff 00000000",
		},
	} {
		want, err := hex.DecodeString(strings.ReplaceAll(c.want, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(c.got, want) {
			t.Errorf("%s:\n got %x\nwant %x", c.name, c.got, want)
		}
	}
}

// Records of every version that Kafka ever wrote are read; later ones are passed over by name.
func TestRecordVersions(t *testing.T) {
	for version := int16(0); version <= 4; version++ {
		v := kmsg.OffsetCommitValue{Version: version, Offset: 9, LeaderEpoch: 3, Metadata: "m", CommitTimestamp: 5, ExpireTimestamp: 6}
		got, err := decodeOffsetValue(v.AppendTo(nil))
		want := committed{offset: 9, leaderEpoch: -1, metadata: "m", commitMs: 5, expireMs: -1}
		if version >= 3 {
			want.leaderEpoch = 3
		}
		if version == 1 {
			want.expireMs = 6
		}
		if err != nil || got != want {
			t.Errorf("offset value v%d: %+v, %v; want %+v", version, got, err, want)
		}
		name := "x"
		g := kmsg.GroupMetadataValue{Version: version, ProtocolType: "consumer", Generation: 3, Protocol: &name, Leader: &name, CurrentStateTimestamp: 77,
			Members: []kmsg.GroupMetadataValueMember{{MemberID: "x", RebalanceTimeoutMillis: 11, SessionTimeoutMillis: 12}}}
		back, err := decodeGroupValue(g.AppendTo(nil))
		if err != nil || back.Generation != 3 || len(back.Members) != 1 {
			t.Fatalf("group value v%d: %+v, %v", version, back, err)
		}
		rebalance, since := int32(11), int64(77)
		if version == 0 {
			rebalance = 12
		}
		if version < 2 {
			since = -1
		}
		if back.Members[0].RebalanceTimeoutMillis != rebalance || back.CurrentStateTimestamp != since {
			t.Errorf("group value v%d: %+v", version, back)
		}
	}
	if k, err := decodeKey([]byte{0, 0, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 4}); err != nil || k != (recordKey{"g", true, TopicPartition{"t", 4}}) {
		t.Errorf("offset key v0: %+v, %v", k, err)
	}
	if _, err := decodeKey([]byte{0, 3, 0, 0}); !errors.Is(err, errUnknownKey) {
		t.Errorf("key v3: %v", err)
	}
	if _, err := decodeOffsetValue([]byte{0, 5, 0, 0}); !errors.Is(err, errUnknownValue) {
		t.Errorf("offset value v5: %v", err)
	}
	if _, err := decodeGroupValue([]byte{0xff, 0xff}); !errors.Is(err, errUnknownValue) {
		t.Errorf("group value v-1: %v", err)
	}
}

// Offsets that transactions committed, as adopted directories hold them: they
// count from the commit marker on, unless the group committed later itself.
func TestReplayTransactions(t *testing.T) {
	r := NewReplay()
	offset := int64(0)
	put := func(producer int64, group string, partition int32, value int64) {
		var v []byte
		if value >= 0 {
			v = encodeOffsetValue(committed{offset: value, leaderEpoch: -1, commitMs: 1, expireMs: -1})
		}
		if err := r.Record(offset, producer, encodeOffsetKey(group, TopicPartition{"t", partition}), v); err != nil {
			t.Fatal(err)
		}
		offset++
	}
	put(NoProducer, "g", 0, 1)
	put(7, "g", 0, 10) // committed
	put(8, "g", 1, 11) // aborted
	put(9, "g", 2, 12) // committed, but the group committed after it
	put(NoProducer, "g", 2, 100)
	put(10, "h", 0, 13) // never ended
	put(11, "g", 3, 14) // committed, but its tombstone came before
	put(NoProducer, "g", 3, -1)
	for i, commit := range []bool{true, false, true} {
		r.Marker(offset, int64(7+i), commit)
		offset++
	}
	r.Marker(offset, 11, true)
	m := NewMachine(DefaultOptions(), r, 1000)
	ask := func(group string, stable bool) string {
		e := m.Step(1000, Asked{Request: &Fetch{Group: group, RequireStable: stable, Partitions: partitions("t-0,t-1,t-2,t-3")}})
		return answerString(e[0].(Reply).Answer)
	}
	if got, want := ask("g", true), "fetch ok t-0=10 t-1=-1 t-2=100 t-3=-1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := ask("h", false), "fetch ok t-0=-1 t-1=-1 t-2=-1 t-3=-1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := ask("h", true), "fetch ok t-0=-1(unstable offset commit) t-1=-1 t-2=-1 t-3=-1"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// FuzzReplay: no bytes in a log make the loading panic, what is refused
// changes nothing, and what is loaded can be served.
func FuzzReplay(tf *testing.F) {
	f := hostiletest.New(tf)
	name := "range"
	for version := int16(0); version <= 4; version++ {
		g := kmsg.GroupMetadataValue{Version: version, ProtocolType: "consumer", Generation: 3, Protocol: &name, Leader: &name,
			Members: []kmsg.GroupMetadataValueMember{{MemberID: "range", Subscription: subscription("t")}, {MemberID: "b", InstanceID: &name}}}
		f.Add(encodeGroupKey("g"), g.AppendTo(nil))
		v := kmsg.OffsetCommitValue{Version: version, Offset: 1, Metadata: "m"}
		f.Add(encodeOffsetKey("g", TopicPartition{"t", 1}), v.AppendTo(nil))
	}
	f.Add([]byte{0, 3}, []byte{})
	f.Add([]byte{0, 2, 0xff, 0xff}, []byte{0, 3, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r := NewReplay()
		for i, producer := range []int64{NoProducer, 5} {
			if err := r.Record(int64(i), producer, key, value); err != nil && len(r.groups)+len(r.offsets) > 0 {
				t.Fatalf("refused (%v) and kept", err)
			}
		}
		if err := r.Record(2, NoProducer, key, nil); err == nil && len(r.groups)+len(r.offsets) > 0 {
			t.Fatal("a tombstone left something")
		}
		_ = r.Record(3, NoProducer, key, value)
		r.Marker(4, 5, true)
		m := NewMachine(DefaultOptions(), r, 10)
		m.Step(20, Asked{Request: &List{}})
		for id := range m.groups {
			m.Step(30, Asked{Request: &Describe{Group: id}})
			m.Step(30, Asked{Request: &Fetch{Group: id, All: true}})
		}
		m.Step(40_000_000, Tick{})
		m.Step(1<<50, Tick{})
		m.Step(1<<50, Resigned{})
	})
}

// FuzzSubscription: the topics we find are those that kmsg finds.
func FuzzSubscription(tf *testing.F) {
	f := hostiletest.New(tf)
	f.Add(subscription("a"))
	f.Add(subscription("a+b+c"))
	f.Add([]byte{0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		got := map[string]struct{}{}
		err := subscribedTopics(got, b)
		var m kmsg.ConsumerMemberMetadata
		if m.ReadFrom(b) != nil || m.Version < 0 {
			return // it looks at what follows too
		}
		want := map[string]struct{}{}
		for _, topic := range m.Topics {
			want[topic] = struct{}{}
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%v, %v; kmsg: %v", got, err, want)
		}
	})
}
