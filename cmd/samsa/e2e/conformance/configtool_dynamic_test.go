// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// configStep is one change of what is set on brokers while they run: op is
// "set", "delete", "append", "subtract", or "all" for the request that replaces
// everything.
type configStep struct {
	broker string // "" for all of them
	op     string
	keys   []string // key=value; a key alone has a null value
	check  bool     // validate only
}

// What brokers may be set to while they run, what not, and what they then show,
// their topics included, is what Kafka 3.9 allows and shows; and all of it
// survives a restart.
func TestBrokerConfigsChangeLikeKafkas(t *testing.T) {
	props := map[string]string{"log.retention.hours": "100", "log.segment.bytes": "1048576", "compression.type": "lz4", "broker.id": "0",
		"log.segment.delete.delay.ms": "1000", "transaction.state.log.num.partitions": "1", "listener.name.plaintext.max.connections": "1000", "log.cleaner.dedupe.buffer.size": "4194304"}
	zk, dir := StartZooKeeper(t), t.TempDir()
	k := StartKafka(t, zk, dir, props)
	b := e2e.Start(t, e2e.Options{Props: props})
	for _, addr := range []string{k.Addr, b.Addr} {
		e2e.CreateTopic(t, addr, "described", 1, map[string]string{"segment.bytes": "2048"})
	}
	here, there := e2e.Dial(t, b.Addr), e2e.Dial(t, k.Addr)
	for _, step := range brokerConfigSteps() {
		ours, kafkas := alterBroker(t, here, step), alterBroker(t, there, step)
		if ours.code != kafkas.code {
			t.Errorf("%+v\nSamsa: %d %s\nKafka: %d %s", step, ours.code, ours.message, kafkas.code, kafkas.message)
		}
		if ours.code == 0 && !step.check && !t.Failed() {
			sameSettings(t, fmt.Sprintf("after %+v", step), here, there)
		}
	}
	sameSettings(t, "at the end", here, there)
	if n := len(askSettings(t, here, kmsg.ConfigResourceTypeBroker, "")); n < 3 {
		t.Errorf("%d settings of all brokers are left to survive a restart", n)
	}
	b.Kill()
	b = b.Again()
	sameSettings(t, "after a restart", e2e.Dial(t, b.Addr), there)
}

func brokerConfigSteps() []configStep {
	step := func(broker, op string, keys ...string) configStep {
		return configStep{broker: broker, op: op, keys: keys}
	}
	check := func(broker, op string, keys ...string) configStep { return configStep{broker, op, keys, true} }
	return []configStep{
		step("0", "set", "log.retention.ms=1000000"), step("", "set", "log.retention.ms=2000000"), step("0", "delete", "log.retention.ms"),
		step("", "set", "message.max.bytes=2000000", "log.segment.bytes=2000000"), step("0", "set", "message.max.bytes=3000000"),
		check("0", "set", "message.max.bytes=4000000"), check("0", "set", "message.max.bytes=-1"), step("0", "set", "message.max.bytes=x"),
		// What cannot change, what only one broker may have, what only a listener.
		step("0", "set", "broker.id=1"), step("0", "set", "num.partitions=3"), step("", "set", "auto.create.topics.enable=false"), step("0", "set", "log.retention.hours=7"),
		step("0", "delete", "num.partitions"), step("0", "set", "log.roll.hours=7"), step("0", "set", "log.message.format.version=2.8"),
		step("", "set", "listeners=PLAINTEXT://localhost:1"), step("", "set", "ssl.keystore.type=JKS"), step("0", "set", "ssl.keystore.type=JKS"),
		step("", "set", "listener.name.plaintext.ssl.keystore.type=JKS"), step("0", "set", "listener.name.plaintext.ssl.keystore.type=JKS"),
		step("0", "set", "listener.name.plaintext.ssl.keystore.password=secret"), step("0", "set", "listener.name.plaintext.ssl.client.auth=required"),
		step("", "set", "listener.name.plaintext.max.connections=500"), step("", "set", "listener.name.plaintext.max.connections=0"), step("", "set", "sasl.enabled.mechanisms=PLAIN"),
		step("0", "set", "sasl.jaas.config=secret"), step("0", "delete", "listener.name.plaintext.ssl.client.auth"), step("0", "set", "sasl.jaas.config=secret"), step("0", "set", "password.encoder.secret=secret"),
		// Pools at most halve or double.
		step("0", "set", "num.io.threads=16"), step("0", "set", "num.io.threads=3"), step("0", "set", "num.io.threads=40"), step("", "set", "background.threads=0"),
		step("", "set", "num.network.threads=7"), step("", "set", "num.network.threads=4"), step("", "set", "log.cleaner.threads=3"), step("", "set", "log.cleaner.threads=2"),
		step("0", "set", "num.replica.fetchers=2"), step("0", "set", "num.recovery.threads.per.data.dir=2"),
		// Limits.
		step("0", "set", "max.connections=500"), step("", "set", "max.connections.per.ip=100"), step("", "set", "max.connections.per.ip=-1"),
		step("0", "set", "max.connections.per.ip.overrides=127.0.0.1:50"), step("0", "set", "max.connections.per.ip.overrides=nonsense"), step("0", "set", "max.connection.creation.rate=1000"),
		step("0", "set", "max.connection.creation.rate=0"),
		// Lists.
		step("0", "append", "log.cleanup.policy=compact"), step("0", "append", "log.cleanup.policy=compact"), step("0", "subtract", "log.cleanup.policy=delete"),
		step("0", "append", "log.cleanup.policy=shred"), step("0", "append", "compression.type=gzip"), step("0", "delete", "log.cleanup.policy"), step("0", "subtract", "log.cleanup.policy=compact"),
		// Values, together and alone.
		step("", "set", "log.local.retention.ms=5000000"), step("", "set", "log.local.retention.ms=-1"),
		step("", "set", "log.local.retention.bytes=100"), step("", "set", "log.local.retention.ms=1000"), step("", "set", "log.retention.bytes=-5"), step("", "set", "compression.type=brotli"),
		step("", "set", "log.preallocate=perhaps"), step("", "set", "log.message.timestamp.type=LogAppendTime"), step("", "set", "log.flush.interval.ms=1000"), step("", "set", "log.roll.ms=0"),
		step("", "set", "log.roll.jitter.ms=7"), step("", "set", "log.index.size.max.bytes=3"), step("", "set", "min.insync.replicas=0"), step("", "set", "unclean.leader.election.enable=true"),
		step("", "set", "remote.log.index.file.cache.total.size.bytes=0"), step("", "set", "producer.id.expiration.ms=0"), step("", "set", "producer.id.expiration.ms=5000"),
		step("", "set", "transaction.partition.verification.enable=false"), step("", "set", "log.retention.ms= 2000000 "), step("", "set", "log.retention.ms=0"),
		// Keys that exist only at run time, and such as nobody knows.
		step("0", "set", "leader.replication.throttled.rate=1000"), step("0", "set", "leader.replication.throttled.rate=-1"), step("", "set", "no.such.key=1"), step("", "delete", "no.such.other.key"),
		// Malformed.
		step("0", "set", "log.retention.ms"), step("0", "all", "log.retention.ms"), step("0", "set", "log.retention.ms=1", "log.retention.ms=2"), step("7", "set", "log.retention.ms=1"),
		step("x", "set", "log.retention.ms=1"), step("7", "all", "log.retention.ms=1"), step("x", "all", "log.retention.ms=1"), step("0", "set"),
		// The request that replaces everything.
		check("0", "all", "log.retention.ms=77777"), step("0", "all", "num.io.threads=16", "log.retention.ms=88888"), step("0", "all", "broker.id=7"), step("0", "all", "log.retention.ms=soon"),
		step("", "all", "log.retention.ms=99999", "log.segment.bytes=2000000", "compression.type=zstd", "max.connections.per.ip=90"),
	}
}

// verdict is what a broker said to a change.
type verdict struct {
	code    int16
	message string
}

func alterBroker(t *testing.T, conn *e2e.Raw, step configStep) verdict {
	t.Helper()
	say := func(code int16, message *string) verdict { return verdict{code, value(message)} }
	split := func(key string) (string, *string) {
		name, v, ok := strings.Cut(key, "=")
		if !ok {
			return name, nil
		}
		return name, &v
	}
	if step.op == "all" {
		req := kmsg.NewPtrAlterConfigsRequest()
		req.Version, req.ValidateOnly = 2, step.check
		r := kmsg.NewAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, step.broker
		for _, key := range step.keys {
			c := kmsg.NewAlterConfigsRequestResourceConfig()
			c.Name, c.Value = split(key)
			r.Configs = append(r.Configs, c)
		}
		req.Resources = append(req.Resources, r)
		resp, err := conn.Call(req)
		if err != nil {
			t.Fatal(err)
		}
		one := resp.(*kmsg.AlterConfigsResponse).Resources[0]
		return say(one.ErrorCode, one.ErrorMessage)
	}
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version, req.ValidateOnly = 1, step.check
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeBroker, step.broker
	for _, key := range step.keys {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = split(key)
		c.Op = kmsg.IncrementalAlterConfigOp(slices.Index([]string{"set", "delete", "append", "subtract"}, step.op))
		r.Configs = append(r.Configs, c)
	}
	req.Resources = append(req.Resources, r)
	resp, err := conn.Call(req)
	if err != nil {
		t.Fatal(err)
	}
	one := resp.(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	return say(one.ErrorCode, one.ErrorMessage)
}

// sameSettings compares what both show of the broker, of all brokers and of a
// topic. Kafka hears of a change from ZooKeeper, a little later.
func sameSettings(t *testing.T, when string, ours, kafkas *e2e.Raw) {
	t.Helper()
	var different []string
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-again.C {
		different = nil
		for _, r := range []struct {
			kind kmsg.ConfigResourceType
			name string
		}{{kmsg.ConfigResourceTypeBroker, "0"}, {kmsg.ConfigResourceTypeBroker, ""}, {kmsg.ConfigResourceTypeTopic, "described"}} {
			a, b := askSettings(t, ours, r.kind, r.name), askSettings(t, kafkas, r.kind, r.name)
			for _, name := range slices.Sorted(maps.Keys(b)) {
				mine, ok := a[name]
				if ownWay[name] != "" {
					continue
				}
				if x, y := full(mine, ok), full(b[name], true); x != y {
					different = append(different, fmt.Sprintf("%v %q %s\nSamsa: %s\nKafka: %s", r.kind, r.name, name, x, y))
				}
			}
			for name := range a {
				if _, ok := b[name]; !ok && !strings.HasPrefix(name, "samsa.") && ownWay[name] == "" && !legacy[name] {
					different = append(different, fmt.Sprintf("%v %q %s is only here", r.kind, r.name, name))
				}
			}
		}
		if len(different) == 0 || time.Now().After(deadline) {
			break
		}
	}
	for _, d := range different {
		t.Errorf("%s: %s", when, d)
	}
}

// full is all that is shown of a setting, its documentation apart.
func full(c kmsg.DescribeConfigsResponseResourceConfig, ok bool) string {
	if !ok {
		return "nothing"
	}
	return outline(c) + fmt.Sprint(" read-only ", c.ReadOnly)
}
