// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
)

func load(t *testing.T, text string, overrides ...string) (*Broker, []Notice) {
	t.Helper()
	b, notices, err := Load(strings.NewReader(text), overrides)
	if err != nil {
		t.Fatal(err)
	}
	return b, notices
}

// wrong is a value that no rule of a type lets through; empty where every text
// is right.
func wrong(k *Key) string {
	switch k.Type {
	case Boolean, Int, Short, Long, Double:
		return "12 apples"
	case List, String, Class:
		if k.Effect == Refused || k.Valid != nil {
			return "no such, thing"
		}
	}
	return ""
}

// Every key, once: it is documented, its default is right, a wrong value is
// refused by name, and what it does not do here has a reason.
func TestEveryKey(t *testing.T) {
	for kind, table := range map[string][]Key{"broker": BrokerKeys(), "topic": TopicKeys()} {
		for _, k := range table {
			t.Run(kind+"/"+k.Name, func(t *testing.T) {
				if k.Doc == "" || !strings.HasSuffix(k.Doc, ".") {
					t.Errorf("doc %q", k.Doc)
				}
				if (k.Effect == Acts) != (k.Why == "") {
					t.Errorf("effect %d, why %q", k.Effect, k.Why)
				}
				if k.Null && k.Default != "" {
					t.Error("null and a default")
				}
				if !k.Null {
					if v, err := k.Parse(" " + k.Default + "\t"); err != nil || v != k.Default {
						t.Errorf("default %q: %q, %v", k.Default, v, err)
					}
				}
				if k.Valid == nonEmpty {
					if _, err := k.Parse(" "); !errors.Is(err, ErrInvalid) {
						t.Error("an empty value is allowed")
					}
				} else if w := wrong(&k); w != "" {
					_, err := k.Parse(w)
					var fault *ValueError
					if !errors.As(err, &fault) || fault.Key != k.Name || fault.Value != w || fault.Allowed == "" || !errors.Is(err, ErrInvalid) {
						t.Errorf("wrong value: %v", err)
					}
				}
				if r := k.Valid; r != nil && r.bounded {
					if _, err := k.Parse(whole(r.min - 1)); err == nil && (r.other == nil || *r.other != r.min-1) {
						t.Errorf("%v is below what is allowed", r.min-1)
					}
				}
				for _, from := range k.Inherits {
					if brokerIndex[from] == nil {
						t.Errorf("inherits from %s, which does not exist", from)
					}
				}
			})
		}
	}
}

// The numbers of keys are those of Kafka 3.9: 329 of a broker, 36 of a topic.
func TestNumberOfKeys(t *testing.T) {
	if kafka := len(BrokerKeys()) - len(samsaKeys) - len(legacyKeys); kafka != 329 || len(TopicKeys()) != 36 {
		t.Fatalf("%d and %d", kafka, len(TopicKeys()))
	}
}

// An empty file is a broker with Kafka's defaults.
func TestDefaults(t *testing.T) {
	b, notices := load(t, "")
	if len(notices) != 0 || !b.Standalone() || b.ID != -1 || !b.GenerateID || b.NumPartitions != 1 || !b.AutoCreateTopics || !b.Journal {
		t.Fatalf("%+v, %v", b, notices)
	}
	if got := fmt.Sprint(b.LogDirs, b.Listeners, b.Advertised, " ", b.AdminListener); got != "[/tmp/kafka-logs] [PLAINTEXT://:9092] [PLAINTEXT://:9092] 127.0.0.1:9644" {
		t.Fatal(got)
	}
	if b.FlushCheckInterval != math.MaxInt64 || b.OffsetsRetention != 7*24*time.Hour || b.ControlFrameMaxBytes != 1048588+64<<10 || b.GroupInitialDelay != 3*time.Second {
		t.Fatalf("%+v", b)
	}
	want := Topic{SegmentBytes: 1 << 30, SegmentMs: 604800000, SegmentIndexBytes: 10 << 20, IndexInterval: 4096, Delete: true,
		RetentionMs: 604800000, RetentionBytes: -1, FileDeleteDelayMs: 60000, FlushMessages: math.MaxInt64, FlushMs: math.MaxInt64,
		MaxMessageBytes: 1048588, Compression: "producer", TimestampBeforeMaxMs: math.MaxInt64, TimestampAfterMaxMs: math.MaxInt64,
		DeleteRetentionMs: 86400000, MaxCompactionLagMs: math.MaxInt64, MinCleanableDirtyRatio: 0.5, MinInsyncReplicas: 1, DownConversion: true}
	if got := b.TopicDefaults(); got != want {
		t.Fatalf("%+v", got)
	}
}

// The sample file says nothing that has no effect.
func TestSampleFile(t *testing.T) {
	b, notices, err := LoadFile("server.properties", []string{"num.partitions=3"})
	if err != nil || len(notices) != 0 {
		t.Fatal(err, notices)
	}
	if b.NumPartitions != 3 || b.LogDirs[0] != "./data" || b.Listeners[0].HostPort() != "localhost:9092" || b.ID != 0 {
		t.Fatalf("%+v", b)
	}
	if _, _, err := LoadFile("missing.properties", nil); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

// Java's properties format, and overrides above it.
func TestFormat(t *testing.T) {
	b, notices := load(t, "# c\n! c\nnum.partitions : 4 \nlog.dirs=/a,\\\n  /b\nbroker.rack ${HOME}\nbroker.id=1\nbroker.id=2\nmy.key=x\n",
		"broker.id= 3 ", "num.network.threads=9", "sasl.jaas.config=secret")
	if b.NumPartitions != 4 || fmt.Sprint(b.LogDirs) != "[/a /b]" || b.Rack != "${HOME}" || b.ID != 3 {
		t.Fatalf("%+v", b)
	}
	want := "my.key is ignored: neither Kafka 3.9 nor Samsa has such a key|" +
		"num.network.threads has no effect: " + whyThreads + "|sasl.jaas.config has no effect yet: " + whySasl
	var got []string
	for _, n := range notices {
		got = append(got, n.String())
	}
	if strings.Join(got, "|") != want {
		t.Fatalf("%q", got)
	}
}

// Everything wrong comes at once, sorted, and passwords are not repeated.
func TestAllFaultsAtOnce(t *testing.T) {
	_, _, err := Load(strings.NewReader("num.partitions=0\nlog.segment.bytes=1g\nauto.create.topics.enable=yes\nprocess.roles=broker\ncompression.type=brotli\n"), []string{"novalue"})
	if err == nil {
		t.Fatal("accepted")
	}
	want := []string{
		`config: invalid: override "novalue" is not key=value`,
		"config: auto.create.topics.enable=yes is invalid: want true or false",
		"config: compression.type=brotli is invalid: want one of uncompressed, zstd, lz4, snappy, gzip, producer",
		"config: log.segment.bytes=1g is invalid: want an integer of at least 14",
		"config: num.partitions=0 is invalid: want an integer of at least 1",
		"config: process.roles=broker is invalid: " + whyKraft,
	}
	if err.Error() != strings.Join(want, "\n") {
		t.Fatal(err)
	}
}

// What keys say together, and what must not be silently lost, one by one.
func TestRefusals(t *testing.T) {
	for text, key := range map[string]string{
		"broker.id=1001":                          "broker.id",
		"broker.id.generation.enable=false":       "broker.id",
		"broker.id=1\nnode.id=2":                  "node.id",
		"listeners=":                              "listeners",
		"listeners=localhost:9092":                "listeners",
		"listeners=PLAINTEXT://:99999":            "listeners",
		"listeners=SSL://:9093":                   "listeners",
		"listeners=INTERNAL://:9093":              "listeners",
		"listeners=PLAINTEXT://:1,PLAINTEXT://:2": "listeners",
		"listeners=A://:1,B://:1\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT": "listeners",
		"listener.security.protocol.map=A:TELNET":                                         "listener.security.protocol.map",
		"listeners=PLAINTEXT://0.0.0.0:9092":                                              "advertised.listeners",
		"advertised.listeners=SSL://x:1":                                                  "advertised.listeners",
		"inter.broker.listener.name=OTHER":                                                "inter.broker.listener.name",
		"security.inter.broker.protocol=SASL_SSL":                                         "security.inter.broker.protocol",
		"log.dirs=,":                            "log.dirs",
		"log.dirs=/a,/a":                        "log.dirs",
		"log.retention.hours=0":                 "log.retention.ms",
		"log.roll.ms=0":                         "log.roll.ms",
		"log.roll.jitter.ms=-1":                 "log.roll.jitter.ms",
		"queued.max.request.bytes=5":            "queued.max.request.bytes",
		"max.connections.per.ip=0":              "max.connections.per.ip",
		"max.connections.per.ip.overrides=host": "max.connections.per.ip.overrides",
		"connections.max.idle.ms=50":            "connections.max.idle.ms",
		"group.min.session.timeout.ms=2000000":  "group.min.session.timeout.ms",
		"offsets.topic.compression.codec=5":     "offsets.topic.compression.codec",
		"authorizer.class.name=kafka.security.authorizer.AclAuthorizer":            "authorizer.class.name",
		"remote.log.storage.system.enable=true":                                    "remote.log.storage.system.enable",
		"inter.broker.protocol.version=4.0":                                        "inter.broker.protocol.version",
		"inter.broker.protocol.version=3.9-IV1":                                    "inter.broker.protocol.version",
		"samsa.journal.bytes=5":                                                    "samsa.journal.bytes",
		"samsa.admin.listener=9644":                                                "samsa.admin.listener",
		"log.cleaner.min.compaction.lag.ms=5\nlog.cleaner.max.compaction.lag.ms=4": "log.cleaner.min.compaction.lag.ms",
	} {
		_, _, err := Load(strings.NewReader(text), nil)
		var fault *ValueError
		if !errors.As(err, &fault) || fault.Key != key {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"inter.broker.protocol.version=2.8", "inter.broker.protocol.version=0.10.2-IV0", "inter.broker.protocol.version=3.9.0",
		"broker.id=0\nbroker.id.generation.enable=false", "max.connections.per.ip=0\nmax.connections.per.ip.overrides=h:5", "samsa.admin.listener=none",
		"listeners=A://127.0.0.1:1,B://[::1]:1\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT", "log.retention.ms=-5", "principal.builder.class="} {
		if _, _, err := Load(strings.NewReader(text), nil); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Listeners, and the keys from before Kafka 3.0.
func TestListeners(t *testing.T) {
	for text, want := range map[string]string{
		"port=9093": "[PLAINTEXT://:9093] [PLAINTEXT://:9093] 0",
		"host.name=10.0.0.1\nadvertised.host.name=me":       "[PLAINTEXT://10.0.0.1:9092] [PLAINTEXT://me:9092] 0",
		"port=1\nadvertised.port=2":                         "[PLAINTEXT://:1] [PLAINTEXT://:2] 0",
		"listeners=plaintext://[::1]:1\nport=5":             "[PLAINTEXT://[::1]:1] [PLAINTEXT://[::1]:1] 1",
		"listeners=PLAINTEXT://:1\nadvertised.port=5":       "[PLAINTEXT://:1] [PLAINTEXT://:1] 1",
		"host.name=h\nadvertised.listeners=PLAINTEXT://a:7": "[PLAINTEXT://h:9092] [PLAINTEXT://a:7] 0",
		"listeners=IN://:1, OUT://:2\nlistener.security.protocol.map=in:plaintext,OUT:PLAINTEXT\nadvertised.listeners=OUT://o:9": "[IN://:1 OUT://:2] [OUT://o:9] 0",
	} {
		b, notices := load(t, text)
		if got := fmt.Sprint(b.Listeners, b.Advertised, " ", len(notices)); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
	b, _ := load(t, "listeners=IN://:1,OUT://:2\nlistener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT\ninter.broker.listener.name=out")
	if b.InterBrokerListener != "OUT" {
		t.Fatal(b.InterBrokerListener)
	}
}

// A topic's own configs win over the broker's, and each broker key that stands
// for one reaches it, the strongest first.
func TestTopic(t *testing.T) {
	b, _ := load(t, "log.retention.hours=2\nlog.retention.minutes=3\nlog.roll.hours=1\nlog.flush.interval.ms=77\nlog.message.timestamp.difference.max.ms=5\nlog.message.timestamp.after.max.ms=9\ncompression.type=zstd\ncompression.zstd.level=7")
	d := b.TopicDefaults()
	if d.RetentionMs != 180_000 || d.SegmentMs != 3600_000 || d.FlushMs != 77 || d.TimestampBeforeMaxMs != 5 || d.TimestampAfterMaxMs != 9 || d.Compression != "zstd" || d.CompressionLevel != 7 {
		t.Fatalf("%+v", d)
	}
	got, err := b.Topic(map[string]string{"retention.ms": " -1", "cleanup.policy": "compact, delete", "message.timestamp.type": "LogAppendTime", "compression.type": "snappy"})
	if err != nil || got.RetentionMs != -1 || !got.Compact || !got.Delete || !got.LogAppendTime || got.HasLevel || got.SegmentMs != 3600_000 {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = b.Topic(map[string]string{"retention.ms": "-2", "segment.bytes": "13", "no.such": "x", "remote.storage.enable": "true"})
	if err == nil || strings.Count(err.Error(), "\n") != 3 || !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
	if _, err = b.Topic(map[string]string{"min.compaction.lag.ms": "2", "max.compaction.lag.ms": "1"}); !errors.Is(err, ErrInvalid) {
		t.Fatal(err)
	}
	if ValidateTopic("cleanup.policy", "compact,forget") == nil || ValidateTopic("follower.replication.throttled.replicas", "0:1,2:3") != nil || ValidateTopic("x", "y") == nil {
		t.Fatal("ValidateTopic")
	}
}

// A topic config either acts or is named.
func TestTopicNotices(t *testing.T) {
	own := map[string]string{}
	want := 0
	for _, k := range TopicKeys() {
		own[k.Name] = k.Default
		if k.Effect == Later || k.Effect == None {
			want++
		}
	}
	own["no.such"] = "x"
	got := TopicNotices(own)
	if len(got) != want+1 || want < 10 {
		t.Fatalf("%d notices, want %d", len(got), want+1)
	}
	for _, n := range got {
		if n.Why == "" || n.Key == "segment.bytes" {
			t.Error(n)
		}
	}
}

// Every topic config with a broker key follows that key.
func TestEveryTopicKeyInherits(t *testing.T) {
	for _, k := range TopicKeys() {
		for i, from := range k.Inherits {
			value := map[Type]string{Boolean: "true", Int: "8", Short: "8", Long: "8", Double: "0.25"}[k.Type]
			switch k.Name {
			case "compression.type":
				value = "gzip"
			case "cleanup.policy":
				value = "compact"
			case "message.timestamp.type":
				value = "LogAppendTime"
			case "message.format.version":
				value = "2.8"
			case "segment.bytes":
				value = "99"
			case "message.downconversion.enable":
				value = "false"
			}
			b, _ := load(t, "log.cleaner.max.compaction.lag.ms=10\n"+from+"="+value)
			want := inherited(k.Name, from, value)
			if got := b.effective(nil, k.Name); got != want || got == k.Default {
				t.Errorf("%s from %s (%d): %q, want %q", k.Name, from, i, got, want)
			}
		}
	}
}

func entry(t *testing.T, list []Entry, name string) Entry {
	t.Helper()
	for _, e := range list {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("%s is not described", name)
	return Entry{}
}

// DescribeConfigs: values, sources, synonyms and secrets as Kafka shows them.
func TestDescribe(t *testing.T) {
	b, _ := load(t, "log.retention.hours=2\nlog.segment.bytes=100\nsasl.jaas.config=secret\nmy.key=secret")
	list := b.Describe()
	if e := entry(t, list, "log.segment.bytes"); e.Value != "100" || e.Source != SourceStatic || e.Type != Int || len(e.Synonyms) != 2 || e.Synonyms[1].Value != "1073741824" || e.Doc == "" {
		t.Errorf("%+v", e)
	}
	if e := entry(t, list, "log.dirs"); !e.Null || e.Source != SourceDefault || len(e.Synonyms) != 0 {
		t.Errorf("%+v", e)
	}
	for _, name := range []string{"sasl.jaas.config", "my.key"} {
		if e := entry(t, list, name); !e.Null || !e.Sensitive || e.Value != "" || e.Source != SourceStatic || e.Synonyms[0].Value != "" {
			t.Errorf("%+v", e)
		}
	}
	topic := b.DescribeTopic(map[string]string{"segment.bytes": "50"})
	if len(topic) != len(topicTable) {
		t.Errorf("%d topic configs", len(topic))
	}
	want := []Synonym{{"segment.bytes", "50", SourceTopic, false}, {"log.segment.bytes", "100", SourceStatic, false}, {"log.segment.bytes", "1073741824", SourceDefault, false}}
	if e := entry(t, topic, "segment.bytes"); e.Value != "50" || e.Source != SourceTopic || !reflect.DeepEqual(e.Synonyms, want) {
		t.Errorf("%+v", e)
	}
	if e := entry(t, topic, "retention.ms"); e.Value != "7200000" || e.Source != SourceDefault || len(e.Synonyms) != 0 {
		t.Errorf("%+v", e)
	}
}

// Whatever a file holds, Load answers or refuses.
func FuzzLoad(tf *testing.F) {
	f := hostiletest.New(tf)
	sample, err := os.ReadFile("server.properties")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", string(sample), "listeners=A://[::1]:1,B://:2\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT",
		"log.retention.hours=-1\nlog.roll.hours=2147483647\nlog.retention.minutes=-2147483648", "a\\u00e9=\\u0000\nb=${b}\n", "\\u12", "max.connections.per.ip.overrides=a:1,b:2,:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, _, err := Load(strings.NewReader(text), nil)
		if err != nil {
			return
		}
		if len(b.Describe()) < len(brokerTable)-20 || len(b.DescribeTopic(nil)) != len(topicTable) {
			t.Fatal("keys are missing")
		}
		if _, err := b.Topic(nil); err != nil {
			t.Fatal(err)
		}
	})
}

// Whatever stands on the command line, Load answers or refuses.
func FuzzOverrides(tf *testing.F) {
	f := hostiletest.New(tf)
	for _, seed := range []string{"", "=", "listeners=A://[::1]:1", "log.dirs=a,b\nlog.dirs=", "broker.id=2147483648", "max.connections.per.ip.overrides=a:1,::1:2", "password.x=${a}", "samsa.event.loops=-1", "log.retention.hours = 1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		b, _, err := Load(strings.NewReader("broker.id=1"), strings.Split(lines, "\n"))
		if (b == nil) != (err != nil) {
			t.Fatalf("%v, %v", b, err)
		}
	})
}
