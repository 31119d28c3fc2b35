// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// alter changes what is set on broker 0, or on all brokers, and gives its error.
func alter(t *testing.T, addr string, all bool, changes ...string) error {
	t.Helper()
	var list []kadm.AlterConfig
	for _, c := range changes {
		key, value, set := strings.Cut(c, "=")
		one := kadm.AlterConfig{Op: kadm.DeleteConfig, Name: key}
		if set {
			one = kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &value}
		}
		list = append(list, one)
	}
	var ids []int32
	if !all {
		ids = []int32{0}
	}
	resps, err := kadm.NewClient(Client(t, addr)).AlterBrokerConfigs(t.Context(), list, ids...)
	if err != nil {
		t.Fatal(err)
	}
	if err := resps[0].Err; err != nil {
		return fmt.Errorf("%w %s", err, resps[0].ErrMessage)
	}
	return nil
}

// inForce is the value of a broker's key and where it comes from.
func inForce(t *testing.T, addr, key string) string {
	t.Helper()
	for _, c := range describeBroker(t, addr) {
		if c.Key == key {
			return c.MaybeValue() + " " + c.Source.String()
		}
	}
	return "nothing"
}

// What is set on the broker while it runs wins over what is set on all, that
// over server.properties, that over the default; it acts at once, survives a
// kill and a start, and leaves what was below it when it is deleted.
func TestBrokerConfigLayers(t *testing.T) {
	b := Start(t, Options{Props: map[string]string{"log.segment.bytes": "100000"}})
	s := &shop{t: t, Broker: b}
	topic := s.topic("layered")
	is := func(want string) {
		t.Helper()
		if got := inForce(t, b.Addr, "log.segment.bytes"); got != want {
			t.Errorf("log.segment.bytes is %s, want %s", got, want)
		}
	}
	rolls := func(want bool) {
		t.Helper()
		before := s.segments(topic, ".log")
		if err := s.send(topic, every(20, 300, 0)...); err != nil {
			t.Fatal(err)
		}
		if after := s.segments(topic, ".log"); after > before != want {
			t.Errorf("%d segments, then %d", before, after)
		}
	}
	is("100000 STATIC_BROKER_CONFIG")
	rolls(false)
	if err := errors.Join(alter(t, b.Addr, true, "log.segment.bytes=1000"), alter(t, b.Addr, false, "log.segment.bytes=90000")); err != nil {
		t.Fatal(err)
	}
	is("90000 DYNAMIC_BROKER_CONFIG")
	b.Kill()
	b = b.Again()
	s.Broker = b
	is("90000 DYNAMIC_BROKER_CONFIG")
	if err := alter(t, b.Addr, false, "log.segment.bytes"); err != nil {
		t.Fatal(err)
	}
	is("1000 DYNAMIC_DEFAULT_BROKER_CONFIG")
	rolls(true)
	b.Stop()
	b = b.Again()
	s.Broker = b
	is("1000 DYNAMIC_DEFAULT_BROKER_CONFIG")
	rolls(true)
	if err := alter(t, b.Addr, true, "log.segment.bytes"); err != nil {
		t.Fatal(err)
	}
	is("100000 STATIC_BROKER_CONFIG")
}

// Clients are sent to the address that advertised.listeners is given while the
// broker runs, after a restart too; listeners cannot change and say what to do.
func TestAdvertisedListenersChange(t *testing.T) {
	b := Start(t, Options{})
	_, port, _ := strings.Cut(b.Addr, ":")
	told := func() string {
		md, err := kadm.NewClient(Client(t, b.Addr)).BrokerMetadata(t.Context())
		if err != nil || len(md.Brokers) != 1 {
			t.Fatalf("%v %v", md, err)
		}
		return fmt.Sprint(md.Brokers[0].Host, ":", md.Brokers[0].Port)
	}
	if err := alter(t, b.Addr, false, "advertised.listeners=PLAINTEXT://localhost:"+port); err != nil {
		t.Fatal(err)
	}
	if got := told(); got != "localhost:"+port {
		t.Errorf("clients are sent to %s", got)
	}
	b.Kill()
	b = b.Again()
	if got := told(); got != "localhost:"+port {
		t.Errorf("clients are sent to %s after a restart", got)
	}
	for _, c := range []struct{ change, want string }{
		{"listeners=PLAINTEXT://127.0.0.1:1,OTHER://127.0.0.1:2", "listener OTHER has no security protocol"},
		{"listeners=PLAINTEXT://127.0.0.1:1", "set it in server.properties and start again"},
		{"advertised.listeners=OTHER://localhost:1", "listener OTHER has no security protocol"},
		{"samsa.event.loops=3", "set it in server.properties and start again"},
	} {
		if err := alter(t, b.Addr, false, c.change); !errors.Is(err, kerr.InvalidRequest) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.change, err)
		}
	}
}

// What is set and has no effect here is named once.
func TestIdleBrokerConfigsAreNamedOnce(t *testing.T) {
	b := Start(t, Options{})
	for _, value := range []string{"4", "5"} {
		if err := alter(t, b.Addr, true, "num.network.threads="+value, "log.cleaner.backoff.ms=100"+value, "odd.key="+value); err != nil {
			t.Fatal(err)
		}
	}
	for key, why := range map[string]string{"num.network.threads": "has no effect: no thread pool", "log.cleaner.backoff.ms": "has no effect yet: ",
		"odd.key": "is ignored: it is kept, and neither Kafka"} {
		if n := strings.Count(b.Log(), "config set while the broker runs: "+key+" "+why); n != 1 {
			t.Errorf("%s is named %d times:\n%s", key, n, b.Log())
		}
	}
}

// producer.id.expiration.ms acts while the broker runs, at the next check: a
// producer that was silent for longer is forgotten, and its last batch, sent
// again, is new.
func TestProducerExpiryActsAtOnce(t *testing.T) {
	b := Start(t, Options{Props: map[string]string{"producer.id.expiration.check.interval.ms": "300"}})
	CreateTopic(t, b.Addr, "t", 1, nil)
	raw := Dial(t, b.Addr)
	batch := Batch(77, 0, 0, "once")
	send := func() int64 {
		t.Helper()
		resp, err := raw.Call(ProduceRequest("t", 0, batch))
		if err != nil {
			t.Fatal(err)
		}
		p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 {
			t.Fatalf("produce answers %d", p.ErrorCode)
		}
		return p.BaseOffset
	}
	for began := time.Now(); time.Since(began) < 1500*time.Millisecond; { // some checks
		if at := send(); at != 0 {
			t.Fatalf("a duplicate got offset %d: the producer is forgotten after a day", at)
		}
	}
	if err := alter(t, b.Addr, true, "producer.id.expiration.ms=1"); err != nil {
		t.Fatal(err)
	}
	Eventually(t, 20*time.Second, func() error {
		if at := send(); at == 0 {
			return errors.New("the producer is known still")
		}
		return nil
	})
}
