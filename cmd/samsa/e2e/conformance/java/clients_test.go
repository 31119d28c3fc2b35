// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package java

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

func TestMain(m *testing.M) {
	code := e2e.Main(m)
	CloseAll()
	os.Exit(code)
}

// client is one version of kafka-clients and what it can do.
type client struct {
	version string
	peer    string
	codecs  []string
	sources []string
	admin   bool // grows topics, deletes records
	groups  bool // lists and describes groups
	static  bool // static members, cooperative rebalances
}

var (
	oldCodecs = []string{"none", "gzip", "snappy", "lz4"}
	codecs    = append(slices.Clone(oldCodecs), "zstd")
	clients   = []client{
		{"0.11.0.3", "java-0.11", oldCodecs, []string{"Member", "Background"}, false, false, false},
		{"1.1.1", "java-1.1", oldCodecs, []string{"Member", "Background", "Since11"}, true, false, false},
		{"2.8.2", "java-2.8", codecs, []string{"Member", "Background", "Since11", "Since20", "Since28"}, true, true, true},
		{"3.9.2", "kafka39", codecs, []string{"Member", "Background", "Since11", "Since20", "Since28"}, true, true, true},
		{"4.3.1", "kafka4", codecs, []string{"Member", "Background", "Since11", "Since20", "Since28"}, true, true, true},
	}
)

// at gives the client's process, turned to a broker.
func (c client) at(t *testing.T, addr string) *JVM {
	t.Helper()
	j := Get(t, c.peer, "Driver", c.sources...)
	if got := j.Do(t, "broker", addr); len(got) != 1 || got[0] != c.version {
		t.Fatalf("%s runs kafka-clients %v, want %s", c.peer, got, c.version)
	}
	return j
}

// idempotent are the options of an idempotent producer: 0.11 wants one request
// at a time.
func (c client) idempotent() []any {
	options := []any{"enable.idempotence=true"}
	if c.version == "0.11.0.3" {
		options = append(options, "max.in.flight.requests.per.connection=1")
	}
	return options
}

// sent is how many records a producer sends; the programs know the same.
const sent = 300

// base is the timestamp of the first.
var base = time.Now().Add(-time.Hour).Truncate(time.Second).UnixMilli()

// produced turns a producer's metadata into what every reader must see.
func produced(t *testing.T, topic string, metadata []string) []string {
	t.Helper()
	if len(metadata) != sent {
		t.Fatalf("%d acknowledged, want %d", len(metadata), sent)
	}
	lines := make([]string, sent)
	for i, m := range metadata {
		var partition, offset, timestamp int64
		if _, err := fmt.Sscan(m, &partition, &offset, &timestamp); err != nil || timestamp != base+int64(i) {
			t.Fatalf("metadata %q of record %d, timestamp %d sent: %v", m, i, base+int64(i), err)
		}
		key, value := fmt.Sprintf("key-%d", i%23), sum([]byte(fmt.Sprintf("value-%d%s", i, strings.Repeat(" samsa", i%40))))
		if i%29 == 28 {
			key = "null"
		}
		if i%31 == 30 {
			value = "null"
		}
		lines[i] = fmt.Sprintf("%s %d %d %d CreateTime %s %s n='%d' none=null n='again' =''", topic, partition, offset, timestamp, key, value, i)
	}
	return sorted(lines)
}

func sum(value []byte) string { return fmt.Sprintf("%x", sha256.Sum256(value))[:32] }

// sorted orders records by topic, partition and offset.
func sorted(lines []string) []string {
	place := func(line string) string {
		var topic string
		var partition, offset int64
		_, _ = fmt.Sscan(line, &topic, &partition, &offset)
		return fmt.Sprintf("%s %09d %09d", topic, partition, offset)
	}
	lines = slices.Clone(lines)
	sort.SliceStable(lines, func(i, j int) bool { return place(lines[i]) < place(lines[j]) })
	return lines
}

// franz reads so many records of a topic with franz-go, as the programs show
// them, and checks that their batches have the codec.
func franz(t *testing.T, addr, topic, codec string, count int) []string {
	t.Helper()
	c := e2e.Client(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var lines []string
	for len(lines) < count {
		fetches := c.PollFetches(ctx)
		if err := errors.Join(fetches.Err(), ctx.Err()); err != nil {
			t.Fatalf("franz-go read %d of %d records of %s: %v", len(lines), count, topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if got := int(r.Attrs.CompressionType()); codec != "" && got != slices.Index(codecs, codec) {
				t.Fatalf("%s-%d at %d: codec %d, want %s", topic, r.Partition, r.Offset, got, codec)
			}
			lines = append(lines, show(r))
		})
	}
	return sorted(lines)
}

func show(r *kgo.Record) string {
	kind, key, value := "CreateTime", "null", "null"
	if r.Attrs.TimestampType() == 1 {
		kind = "LogAppendTime"
	}
	if r.Key != nil {
		key = string(r.Key)
	}
	if r.Value != nil {
		value = sum(r.Value)
	}
	line := fmt.Sprintf("%s %d %d %d %s %s %s", r.Topic, r.Partition, r.Offset, r.Timestamp.UnixMilli(), kind, key, value)
	for _, h := range r.Headers {
		if h.Value == nil {
			line += " " + h.Key + "=null"
		} else {
			line += fmt.Sprintf(" %s='%s'", h.Key, h.Value)
		}
	}
	return line
}

// same fails at the first line that differs.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%s, %d lines, want %d: line %d\n got %s\nwant %s", what, len(got), len(want), i, at(got, i), at(want, i))
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}

// Every Java client with every codec it has: makes a topic, produces keyed
// records with headers and timestamps, and it, franz-go and the producer's
// metadata agree on every record. Idempotent and plain, acks all, 1 and 0.
func TestJavaClients(t *testing.T) {
	for _, c := range clients {
		t.Run(c.version, func(t *testing.T) {
			b := e2e.Start(t, e2e.Options{})
			j := c.at(t, b.Addr)
			for _, codec := range c.codecs {
				topic := "t-" + codec
				j.Do(t, "create", topic, 3, "retention.ms=7200000")
				same(t, "describe", j.Do(t, "describe", topic),
					[]string{"0 leader 0 replicas 1 isr 1", "1 leader 0 replicas 1 isr 1", "2 leader 0 replicas 1 isr 1"})
				same(t, "config", j.Do(t, "config", topic, "retention.ms"), []string{"7200000 default false"})
				want := produced(t, topic, j.Do(t, append([]any{"produce", topic, sent, base, "compression.type=" + codec}, c.idempotent()...)...))
				same(t, codec+": franz-go", franz(t, b.Addr, topic, codec, sent), want)
				j.Do(t, "open", "m", "g-"+codec, topic)
				same(t, codec+": own consumer", sorted(j.Do(t, "take", "m", sent)), want)
				j.Do(t, "close", "m")
			}
			for _, acks := range []string{"all", "1", "0"} {
				topic := "acks-" + acks
				j.Do(t, "create", topic, 1)
				j.Do(t, "produce", topic, sent, base, "acks="+acks, "enable.idempotence=false", "compression.type="+c.codecs[len(c.codecs)-1])
				if got := franz(t, b.Addr, topic, "", sent); len(got) != sent || !strings.Contains(got[sent-1], fmt.Sprintf("n='%d'", sent-1)) {
					t.Errorf("acks=%s: %d records, last %s", acks, len(got), got[sent-1])
				}
			}
		})
	}
}

// What the admin and the consumer of each client say of places: cluster,
// offsets, times, seeks, and since 1.1 deleted records and grown topics.
func TestJavaPlaces(t *testing.T) {
	for _, c := range clients {
		t.Run(c.version, func(t *testing.T) {
			b := e2e.Start(t, e2e.Options{})
			j := c.at(t, b.Addr)
			same(t, "cluster", j.Do(t, "cluster"), []string{"nodes 1", "controller 0", "address " + b.Addr, "id 22"})
			j.Do(t, "create", "places", 1)
			want := produced(t, "places", j.Do(t, append([]any{"produce", "places", sent, base}, c.idempotent()...)...))
			same(t, "offsets", j.Do(t, "offsets", "places"), []string{fmt.Sprintf("0 0 %d", sent)})
			same(t, "times", j.Do(t, "times", "places", base+100), []string{fmt.Sprintf("0 100 %d", base+100)})
			same(t, "times before all", j.Do(t, "times", "places", base-100), []string{fmt.Sprintf("0 0 %d", base)})
			same(t, "times after all", j.Do(t, "times", "places", base+sent), []string{"0 none"})
			same(t, "read", j.Do(t, "read", "places", 0, 123, 50), want[123:173])
			if c.admin {
				same(t, "trim", j.Do(t, "trim", "places", 0, 40), []string{"low watermark 40"})
				same(t, "offsets", j.Do(t, "offsets", "places"), []string{fmt.Sprintf("0 40 %d", sent)})
				same(t, "read from the start", j.Do(t, "read", "places", 0, 0, 10), want[40:50])
				j.Do(t, "grow", "places", 4)
				e2e.Eventually(t, 10*time.Second, func() error {
					if got := j.Do(t, "describe", "places"); len(got) != 4 {
						return fmt.Errorf("%d partitions", len(got))
					}
					return nil
				})
			}
			if _, err := j.Try(t, "create", "places", 1); err == nil || !strings.Contains(err.Error(), "TopicExistsException") {
				t.Errorf("create again: %v", err)
			}
			j.Do(t, "delete", "places")
			same(t, "topics", j.Do(t, "topics"), nil)
			if _, err := j.Try(t, "delete", "places"); err == nil || !strings.Contains(err.Error(), "UnknownTopicOrPartitionException") {
				t.Errorf("delete again: %v", err)
			}
		})
	}
}

// What any Java client wrote every other reads, with the same timestamps and
// headers. A zstd batch reaches those that cannot know it as it stands, as from
// Kafka, and their client says so.
func TestJavaVersionsReadEachOther(t *testing.T) {
	b := e2e.Start(t, e2e.Options{})
	jvms := map[string]*JVM{}
	for _, c := range clients {
		jvms[c.version] = c.at(t, b.Addr)
	}
	keys := map[string]string{} // where each key went, the same for all
	for _, writer := range clients {
		for _, codec := range []string{"none", writer.codecs[len(writer.codecs)-1]} {
			topic := "by-" + writer.version + "-" + codec
			jvms[writer.version].Do(t, "create", topic, 3)
			want := produced(t, topic, jvms[writer.version].Do(t, append([]any{"produce", topic, sent, base, "compression.type=" + codec}, writer.idempotent()...)...))
			for _, line := range want {
				f := strings.Fields(line)
				if last, ok := keys[f[5]]; f[5] != "null" && ok && last != f[1] {
					t.Errorf("%s put %s into partition %s, others into %s", writer.version, f[5], f[1], last)
				}
				keys[f[5]] = f[1]
			}
			for _, reader := range clients {
				if !slices.Contains(reader.codecs, codec) {
					_, err := jvms[reader.version].Try(t, "read", topic, 0, 0, 1)
					if err == nil || !strings.Contains(err.Error(), "Unknown compression type id: 4") {
						t.Errorf("%s read zstd: %v", reader.version, err)
					}
					continue
				}
				var got []string
				for p := range 3 {
					part := slices.DeleteFunc(slices.Clone(want), func(l string) bool { return !strings.HasPrefix(l, fmt.Sprintf("%s %d ", topic, p)) })
					got = append(got, jvms[reader.version].Do(t, "read", topic, p, 0, len(part))...)
				}
				same(t, fmt.Sprintf("%s read by %s", topic, reader.version), got, want)
			}
		}
	}
}

// committed is where a group stands, by topic and partition.
func committed(t *testing.T, addr, group string) map[string]int64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	got, err := kadm.NewClient(e2e.Client(t, addr)).FetchOffsets(ctx, group)
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]int64{}
	got.Each(func(o kadm.OffsetResponse) { at[fmt.Sprintf("%s-%d", o.Topic, o.Partition)] = o.At })
	return at
}
