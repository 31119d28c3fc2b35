// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
	"github.com/samsa-broker/samsa/controller/meta"
)

// What is written is read back, and is the JSON that Kafka 3.9 writes.
func TestZnodes(t *testing.T) {
	id, err := meta.ParseTopicID("AAAAAAAAQACAAAAAAAAAAQ")
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(1730000000000)
	want := func(got []byte, text string) {
		t.Helper()
		if string(got) != text {
			t.Errorf("got  %s\nwant %s", got, text)
		}
	}
	a := Assignment{ID: id, Replicas: [][]meta.BrokerID{{1, 2}, {2}}, Adding: map[int32][]meta.BrokerID{0: {2}}}
	want(EncodeTopic(a), `{"version":3,"topic_id":"AAAAAAAAQACAAAAAAAAAAQ","partitions":{"0":[1,2],"1":[2]},"adding_replicas":{"0":[2]},"removing_replicas":{}}`)
	if got, err := DecodeTopic(EncodeTopic(a)); err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("topic: %+v, %v", got, err)
	}
	if got, err := DecodeTopic([]byte(`{"version":1,"partitions":{"0":[1]}}`)); err != nil || !got.ID.IsZero() || len(got.Replicas) != 1 {
		t.Errorf("version 1: %+v, %v", got, err)
	}
	s := State{ControllerEpoch: 12, Leader: 1, LeaderEpoch: 3, ISR: []meta.BrokerID{1, 2}}
	want(EncodeState(s), `{"controller_epoch":12,"leader":1,"version":1,"leader_epoch":3,"isr":[1,2]}`)
	s.Recovering = true
	want(EncodeState(s), `{"controller_epoch":12,"leader":1,"version":1,"leader_epoch":3,"isr":[1,2],"leader_recovery_state":1}`)
	if got, err := DecodeState(EncodeState(s)); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("state: %+v, %v", got, err)
	}
	want(EncodeState(State{Leader: meta.NoBroker}), `{"controller_epoch":0,"leader":-1,"version":1,"leader_epoch":0,"isr":[]}`)
	want(EncodeConfig(nil), `{"version":1,"config":{}}`)
	want(EncodeConfig(map[string]string{"a": "<&>"}), `{"version":1,"config":{"a":"<&>"}}`)
	want(EncodeController(3, now), `{"version":2,"brokerid":3,"timestamp":"1730000000000","kraftControllerEpoch":-1}`)
	want(EncodeFeature(), `{"version":2,"status":1,"features":{}}`)
	want(EncodeClusterID("x"), `{"version":"1","id":"x"}`)
	want(EncodeProducerIDs(2, 1000), `{"version":1,"broker":2,"block_start":"1000","block_end":"1999"}`)
	if next, err := DecodeProducerIDs(EncodeProducerIDs(2, 1000)); err != nil || next != 2000 {
		t.Errorf("producer ids: %d, %v", next, err)
	}
	if next, err := DecodeProducerIDs(nil); err != nil || next != 0 {
		t.Errorf("no producer ids: %d, %v", next, err)
	}
	b := meta.Broker{ID: 1, Rack: "r1", Endpoints: []meta.Endpoint{
		{Listener: "INT", Host: "::1", Port: 9093, Protocol: "SASL_SSL"}, {Listener: "PLAINTEXT", Host: "h1", Port: 9092, Protocol: "PLAINTEXT"}}}
	want(EncodeBroker(b, now), `{"version":5,"host":"h1","port":9092,"jmx_port":-1,"timestamp":"1730000000000","endpoints":["INT://[::1]:9093","PLAINTEXT://h1:9092"],"listener_security_protocol_map":{"INT":"SASL_SSL","PLAINTEXT":"PLAINTEXT"},"rack":"r1","features":{}}`)
	if got, err := DecodeBroker(1, EncodeBroker(b, now)); err != nil || !reflect.DeepEqual(got, b) {
		t.Errorf("broker: %+v, %v", got, err)
	}
	if got, err := DecodeBroker(4, []byte(`{"version":1,"host":"old","port":9092}`)); err != nil || len(got.Endpoints) != 1 || got.Endpoints[0].Host != "old" {
		t.Errorf("version 1 broker: %+v, %v", got, err)
	}
}

// A node that cannot be understood is an error, not a guess.
func TestBadZnodes(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{"partitions":{"1":[1]}}`, `{"partitions":{"2147483647":[1]}}`, `{"partitions":{"-1":[1],"0":[1]}}`,
		`{"partitions":{"x":[1]}}`, `{"topic_id":"short","partitions":{}}`,
	} {
		if a, err := DecodeTopic([]byte(text)); !errors.Is(err, ErrZnode) {
			t.Errorf("%s: %+v, %v", text, a, err)
		}
	}
	for _, text := range []string{`{"block_end":"x"}`, `{"block_end":"9223372036854775807"}`, `{"block_end":"-7"}`} {
		if _, err := DecodeProducerIDs([]byte(text)); !errors.Is(err, ErrZnode) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{`{"endpoints":["nonsense"]}`, `{"endpoints":["A://h"]}`, `{"endpoints":["A://h:70000"]}`, `{"endpoints":["://h:1"]}`} {
		if _, err := DecodeBroker(1, []byte(text)); !errors.Is(err, ErrZnode) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := DecodeEpoch([]byte("99999999999")); !errors.Is(err, ErrZnode) {
		t.Errorf("epoch: %v", err)
	}
	if _, err := DecodeClusterID([]byte(`{"version":"1"}`)); !errors.Is(err, ErrZnode) {
		t.Errorf("cluster id: %v", err)
	}
}

// No bytes make a decoder panic, and what one accepts it reads the same again.
func FuzzZnodes(tf *testing.F) {
	f := hostiletest.New(tf)
	f.Add([]byte(`{"version":3,"topic_id":"AAAAAAAAQACAAAAAAAAAAQ","partitions":{"0":[1,2],"1":[2]},"adding_replicas":{"0":[2]},"removing_replicas":{}}`))
	f.Add([]byte(`{"controller_epoch":12,"leader":1,"version":1,"leader_epoch":3,"isr":[1,2],"leader_recovery_state":1}`))
	f.Add([]byte(`{"version":1,"config":{"k":"v"}}`))
	f.Add([]byte(`{"version":1,"broker":2,"block_start":"1000","block_end":"1999"}`))
	f.Add([]byte(`{"version":5,"host":"h1","port":9092,"endpoints":["INT://[::1]:9093"],"listener_security_protocol_map":{"INT":"SASL_SSL"},"rack":"r1"}`))
	f.Add([]byte(`{"version":"1","id":"x"}`))
	f.Add([]byte(`7`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if a, err := DecodeTopic(data); err == nil {
			again, err := DecodeTopic(EncodeTopic(a))
			if err != nil || !bytes.Equal(EncodeTopic(again), EncodeTopic(a)) {
				t.Errorf("topic: %+v, %v", again, err)
			}
		}
		if s, err := DecodeState(data); err == nil {
			again, err := DecodeState(EncodeState(s))
			if err != nil || !bytes.Equal(EncodeState(again), EncodeState(s)) {
				t.Errorf("state: %+v, %v", again, err)
			}
		}
		if c, err := DecodeConfig(data); err == nil && c == nil {
			t.Error("config without a map")
		}
		if b, err := DecodeBroker(1, data); err == nil {
			if _, err := DecodeBroker(1, EncodeBroker(b, time.UnixMilli(0))); err != nil {
				t.Errorf("broker %+v: %v", b, err)
			}
		}
		if o, err := DecodeConsumerOffset(data); err == nil {
			if again, err := DecodeConsumerOffset(EncodeConsumerOffset(o)); err != nil || again != o {
				t.Errorf("offset %d: %d, %v", o, again, err)
			}
		}
		if path, err := PathConsumerOffset(string(data), meta.Partition{Topic: "t"}); err == nil {
			if len(path) > offsetPathBytesMax || strings.Contains(path, "/../") || strings.Contains(path, "//") || !utf8.ValidString(path) {
				t.Errorf("path %q", path)
			}
		}
		_, _ = DecodeClusterID(data)
		_, _ = DecodeEpoch(data)
		if next, err := DecodeProducerIDs(data); err == nil && next < 0 {
			t.Errorf("producer ids from %d", next)
		}
	})
}

// An offset's path is Kafka's, its data the number in decimal.
func TestConsumerOffsetZnode(t *testing.T) {
	path, err := PathConsumerOffset("g", meta.Partition{Topic: "t", Index: 7})
	if err != nil || path != "/consumers/g/offsets/t/7" {
		t.Errorf("%s, %v", path, err)
	}
	if got, err := DecodeConsumerOffset(EncodeConsumerOffset(-12)); err != nil || got != -12 {
		t.Errorf("%d, %v", got, err)
	}
	if _, err := DecodeConsumerOffset(nil); err == nil {
		t.Error("no data is an offset")
	}
}
