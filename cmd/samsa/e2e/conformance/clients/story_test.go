// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package clients

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
	"github.com/samsa-broker/samsa/cmd/samsa/e2e/conformance"
)

func TestMain(m *testing.M) { os.Exit(e2e.Main(m)) }

const (
	partitions = 3
	firstStamp = 1700000000000
)

// records is how many records a story has; small values of a few hundred bytes.
const records = 600

// codecs are the compressions of Kafka, by the numbers of batch attributes.
var codecs = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// client is a stock client and the program that plays its part.
type client struct {
	name    string
	peer    string   // the folder in ../peers that installs it
	command []string // "CACHE" stands for the peers' cache, "PEERS" for ../peers
	shows   string   // the steps its program must print
	noAdmin bool     // it has no call that creates topics
}

// play runs the story of one client with one codec against a broker.
func (c client) play(t *testing.T, b *e2e.Broker, codec string) {
	topic := "story-" + codec
	e2e.CreateTopic(t, b.Addr, topic+"-in", partitions, nil)
	if c.noAdmin {
		e2e.CreateTopic(t, b.Addr, topic, partitions, nil)
	}
	produce(t, b.Addr, topic+"-in", codec)
	command := c.program(t)
	out := conformance.Run(t, nil, command[0], append(command[1:], b.Addr, topic, codec, strconv.Itoa(records))...)
	printed := parse(t, out)
	if got := strings.Join(printed.steps, " "); got != c.shows {
		t.Errorf("shown: %s\nwant:  %s", got, c.shows)
	}
	if versions := row(t, c.name)[2]; !strings.HasPrefix(versions, strings.ReplaceAll(printed.version, " librdkafka", ", librdkafka")) {
		t.Errorf("docs/clients.md says version %q, %q ran", versions, printed.version)
	}
	t.Logf("%s %s: %s", c.name, printed.version, strings.Join(printed.steps, " "))
	want := read(t, b.Addr, topic, codec, strings.Contains(c.shows, "idempotent"))
	same(t, "franz-go", want, "what was sent", sent(codec, want))
	same(t, c.name, printed.out, "franz-go", want)
	same(t, "kcat", kcat(t, b.Addr, topic), "franz-go", want)
	same(t, c.name, printed.in, "franz-go", read(t, b.Addr, topic+"-in", codec, true))
}

// program is the command of a client's program, installed.
func (c client) program(t *testing.T) []string {
	t.Helper()
	root, err := e2e.Root()
	if err != nil {
		t.Fatal(err)
	}
	var command []string
	for _, word := range c.command {
		word = strings.ReplaceAll(word, "CACHE", filepath.Join(root, ".cache", "peers"))
		word = strings.ReplaceAll(word, "PEERS", filepath.Join(root, "cmd", "samsa", "e2e", "conformance", "peers"))
		file := word[strings.Index(word, "=")+1:]
		if filepath.IsAbs(file) {
			if _, err := os.Stat(file); err != nil {
				t.Fatalf("%s is not installed (%v): run cmd/samsa/e2e/conformance/peers/install %s", c.name, err, c.peer)
			}
		}
		command = append(command, word)
	}
	return command
}

// place is a record as a reader saw it, one line a record so that two readers
// can be compared.
type place struct {
	partition, offset, stamp int64
	key, sum, headers        string
}

func (p place) String() string {
	return fmt.Sprintf("%d %d %d %s %s %s", p.partition, p.offset, p.stamp, p.key, p.sum, p.headers)
}

func compare(a, b place) int {
	if a.partition != b.partition {
		return int(a.partition - b.partition)
	}
	return int(a.offset - b.offset)
}

// printed is what a client's program said.
type printed struct {
	steps   []string
	out, in []place
	version string
}

func parse(t *testing.T, text string) printed {
	t.Helper()
	var p printed
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "step":
			p.steps = append(p.steps, rest)
		case "out":
			p.out = append(p.out, parsePlace(t, rest))
		case "in":
			p.in = append(p.in, parsePlace(t, rest))
		case "done":
			p.version = rest
		}
	}
	if p.version == "" {
		t.Fatalf("the program did not come to its end:\n%s", text)
	}
	return p
}

func parsePlace(t *testing.T, line string) place {
	t.Helper()
	var p place
	if n, err := fmt.Sscan(line, &p.partition, &p.offset, &p.stamp, &p.key, &p.sum, &p.headers); err != nil {
		t.Fatalf("line %q: %d fields: %v", line, n, err)
	}
	return p
}

// same fails unless two readers saw the same records at the same places.
func same(t *testing.T, name string, got []place, other string, want []place) {
	t.Helper()
	slices.SortFunc(got, compare)
	slices.SortFunc(want, compare)
	if len(got) != len(want) {
		t.Errorf("%s: %d records, %s: %d", name, len(got), other, len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("%s: %v\n%s: %v", name, got[i], other, want[i])
		}
	}
}

// key, value, stamp and headers are what every program produces as record i.
func key(i int) string { return fmt.Sprintf("key-%d", i%17) }
func value(codec string, i int) string {
	return strings.Repeat(fmt.Sprintf("%s %d ", codec, i), 20+i%30)
}
func stamp(i int) int64 { return firstStamp + int64(i) }

func sum(value []byte) string { return fmt.Sprintf("%x", sha256.Sum256(value)) }

// sent is what should stand at the places where the records were found: each
// record once, in the order it was sent in each partition.
func sent(codec string, found []place) []place {
	var want []place
	next := map[int64]int64{}
	for i := range records {
		at := slices.IndexFunc(found, func(p place) bool { return p.stamp == stamp(i) })
		if at < 0 {
			continue
		}
		p := found[at].partition
		want = append(want, place{p, next[p], stamp(i), key(i), sum([]byte(value(codec, i))), fmt.Sprintf("h=%d", i)})
		next[p]++
	}
	return want
}

// produce fills a topic by franz-go.
func produce(t *testing.T, addr, topic, codec string) {
	t.Helper()
	compression := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}[codec]
	c := e2e.Client(t, addr, kgo.ProducerBatchCompression(compression), kgo.ProducerLinger(20*time.Millisecond))
	var all []*kgo.Record
	for i := range records {
		all = append(all, &kgo.Record{Topic: topic, Key: []byte(key(i)), Value: []byte(value(codec, i)), Timestamp: time.UnixMilli(stamp(i)),
			Headers: []kgo.RecordHeader{{Key: "h", Value: []byte(strconv.Itoa(i))}}})
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := c.ProduceSync(ctx, all...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// read is a topic as franz-go reads it, every batch compressed as it should be,
// with a producer id exactly when its producer was idempotent.
func read(t *testing.T, addr, topic, codec string, idempotent bool) []place {
	t.Helper()
	c := e2e.Client(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var all []place
	for len(all) < records {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("franz-go read %d records of %s: %v", len(all), topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			headers := "-"
			if len(r.Headers) > 0 {
				headers = r.Headers[0].Key + "=" + string(r.Headers[0].Value)
			}
			all = append(all, place{int64(r.Partition), r.Offset, r.Timestamp.UnixMilli(), string(r.Key), sum(r.Value), headers})
			if got := codecs[r.Attrs.CompressionType()]; got != codec {
				t.Fatalf("%s-%d holds offset %d compressed with %s, not %s", topic, r.Partition, r.Offset, got, codec)
			}
			if (r.ProducerID >= 0) != idempotent {
				t.Fatalf("%s-%d holds offset %d of producer id %d; idempotent: %v", topic, r.Partition, r.Offset, r.ProducerID, idempotent)
			}
		})
	}
	return all
}

// kcat is a topic as Debian's librdkafka reads it.
func kcat(t *testing.T, addr, topic string) []place {
	t.Helper()
	out := conformance.Run(t, nil, conformance.Program(t, "kcat"), "-b", addr, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-X", "check.crcs=true",
		"-f", "%p|%o|%T|%k|%s|%h\n")
	var all []place
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "|")
		if len(f) != 6 {
			t.Fatalf("kcat printed %q", line)
		}
		if f[5] == "" {
			f[5] = "-"
		}
		var n [3]int64
		for i := range n {
			n[i], _ = strconv.ParseInt(f[i], 10, 64)
		}
		all = append(all, place{n[0], n[1], n[2], f[3], sum([]byte(f[4])), f[5]})
	}
	return all
}
