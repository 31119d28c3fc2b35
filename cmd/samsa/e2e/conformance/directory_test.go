// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"context"
	"fmt"

	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// small rolls segments and writes index entries often.
var small = map[string]string{"log.segment.bytes": "8192", "log.index.interval.bytes": "256"}

// DumpLogSegments reads our segments, indexes, snapshots and offsets topic
// without a complaint, after a clean stop.
func TestDumpLogSegmentsReadsOurs(t *testing.T) {
	b := e2e.Start(t, e2e.Options{Props: small})
	fill(t, b.Addr, "dumped")
	commitSome(t, b.Addr, "dumped")
	b.Stop()
	logs := list(t, b.Dir, "dumped-*/*.log")
	if len(logs) < 4 {
		t.Fatalf("only %d segments: the test wants rolled ones", len(logs))
	}
	dump := func(files []string, args ...string) string {
		return Java(t, "kafka39", "kafka.tools.DumpLogSegments", nil, append([]string{"--files", strings.Join(files, ",")}, args...)...)
	}
	out := dump(logs, "--deep-iteration", "--print-data-log")
	complainless(t, out)
	if n := strings.Count(out, "payload: "); n != 5*300 {
		t.Errorf("%d records printed, %d produced", n, 5*300)
	}
	complainless(t, dump(append(list(t, b.Dir, "dumped-*/*.index"), list(t, b.Dir, "dumped-*/*.timeindex")...)))
	complainless(t, dump(list(t, b.Dir, "dumped-*/*.index"), "--index-sanity-check"))
	complainless(t, dump(list(t, b.Dir, "dumped-*/*.snapshot")))
	out = dump(list(t, b.Dir, "__consumer_offsets-*/*.log"), "--offsets-decoder")
	complainless(t, out)
	if !strings.Contains(out, "offset_commit::group=committers,partition=dumped-0") && !strings.Contains(out, `"group":"committers"`) {
		t.Errorf("the offsets decoder shows no commit of ours:\n%s", tail(out))
	}
	ours := Run(t, nil, e2e.Binary(t), "log", "dump", "--deep-iteration", "--print-data-log", "--files", strings.Join(logs, ","))
	sameLines(t, ours, dump(logs, "--deep-iteration", "--print-data-log"))
}

// complainless fails on the words with which DumpLogSegments complains.
func complainless(t *testing.T, out string) {
	t.Helper()
	for _, word := range []string{"Mismatch", "isvalid: false", "Exception", "Could not", "Non-consecutive", "out of order", "failed"} {
		if at := strings.Index(out, word); at >= 0 {
			t.Errorf("DumpLogSegments complains: %s", out[max(0, at-200):min(len(out), at+800)])
		}
	}
}

// sameLines compares what `samsa log dump` and DumpLogSegments print.
func sameLines(t *testing.T, ours, kafkas string) {
	t.Helper()
	a, b := strings.Split(strings.TrimSpace(ours), "\n"), strings.Split(strings.TrimSpace(kafkas), "\n")
	for i := range min(len(a), len(b)) {
		if strings.TrimSpace(a[i]) != strings.TrimSpace(b[i]) {
			t.Fatalf("line %d: samsa log dump prints\n%s\nKafka prints\n%s", i, a[i], b[i])
		}
	}
	if len(a) != len(b) {
		t.Fatalf("samsa log dump prints %d lines, Kafka %d", len(a), len(b))
	}
}

// fill produces 300 records with each codec to the one partition of a topic.
func fill(t *testing.T, addr, topic string) {
	t.Helper()
	e2e.CreateTopic(t, addr, topic, 1, nil)
	for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		for chunk := range 10 {
			var values []string
			for n := range 30 {
				values = append(values, fmt.Sprintf("codec %d chunk %d record %d %s", i, chunk, n, strings.Repeat("x", n*3)))
			}
			e2e.Produce(t, addr, topic, 0, values, kgo.ProducerBatchCompression(codec))
		}
	}
}

func commitSome(t *testing.T, addr, topic string) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, 42, -1)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := kadm.NewClient(e2e.Client(t, addr)).CommitOffsets(ctx, "committers", offsets); err != nil {
		t.Fatal(err)
	}
}

func list(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s/%s: %v", dir, pattern, err)
	}
	slices.Sort(names)
	return names
}

// A directory that a real Kafka 3.9 wrote, transactions and a compacted topic
// included, opens here after a clean stop and after kill -9, and serves the
// same records at the same offsets with the same timestamps.
func TestKafkaDirectoryOpensHere(t *testing.T) {
	for _, how := range []string{"clean stop", "kill -9"} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			props := map[string]string{"log.segment.bytes": "65536", "log.cleaner.backoff.ms": "200", "log.index.interval.bytes": "512"}
			k := StartKafka(t, StartZooKeeper(t), dir, props)
			fill(t, k.Addr, "plain")
			compacted(t, k)
			transactions(t, k.Addr)
			commitSome(t, k.Addr, "plain")
			want := everything(t, k.Addr)
			if how == "kill -9" {
				k.Kill()
			} else {
				k.Stop()
			}
			b := e2e.Start(t, e2e.Options{Dir: dir, Props: props})
			for what, records := range everything(t, b.Addr) {
				if len(want[what]) == 0 {
					t.Fatalf("%s: Kafka served nothing, the test proves nothing", what)
				}
				same(t, what, records, want[what])
			}
			offsets, err := kadm.NewClient(e2e.Client(t, b.Addr)).FetchOffsets(context.Background(), "committers")
			if o, _ := offsets.Lookup("plain", 0); err != nil || o.At != 42 {
				t.Errorf("committed offset %+v, %v", o, err)
			}
			e2e.Produce(t, b.Addr, "plain", 0, []string{"goes on"})
		})
	}
}

// compacted writes a topic whose cleaner has really run.
func compacted(t *testing.T, k *Kafka) {
	t.Helper()
	e2e.CreateTopic(t, k.Addr, "compacted", 1, map[string]string{"cleanup.policy": "compact", "segment.bytes": "16384",
		"min.cleanable.dirty.ratio": "0.01", "segment.ms": "1000"})
	c := e2e.Client(t, k.Addr, kgo.DefaultProduceTopic("compacted"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for round := range 20 {
		for key := range 50 {
			r := &kgo.Record{Key: fmt.Appendf(nil, "key-%d", key), Value: fmt.Appendf(nil, "round %d %s", round, strings.Repeat("y", 40))}
			c.Produce(ctx, r, nil)
		}
		if err := c.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	e2e.Eventually(t, 60*time.Second, func() error {
		if n := len(e2e.ReadAll(t, k.Addr, "compacted")[0]); n >= 1000 {
			return fmt.Errorf("%d of 1000 records: the cleaner has not run", n)
		}
		return nil
	})
}

// transactions writes committed and aborted ones, and leaves one open.
func transactions(t *testing.T, addr string) {
	t.Helper()
	e2e.CreateTopic(t, addr, "txn", 1, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for i := range 6 {
		c := e2e.Client(t, addr, kgo.TransactionalID(fmt.Sprint("txn-", i)), kgo.DefaultProduceTopic("txn"), kgo.TransactionTimeout(10*time.Minute))
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for n := range 10 {
			if err := c.ProduceSync(ctx, kgo.StringRecord(fmt.Sprintf("transaction %d record %d", i, n))).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if i == 5 {
			continue // stays open: read_committed must stop before it
		}
		if err := c.EndTransaction(ctx, kgo.TransactionEndTry(i%2 == 0)); err != nil {
			t.Fatal(err)
		}
	}
}

// everything is what a broker serves of the test's topics.
func everything(t *testing.T, addr string) map[string][]e2e.Record {
	t.Helper()
	return map[string][]e2e.Record{
		"plain":              e2e.ReadAll(t, addr, "plain")[0],
		"compacted":          e2e.ReadAll(t, addr, "compacted")[0],
		"txn":                e2e.ReadAll(t, addr, "txn")[0],
		"txn read_committed": committedOnly(t, addr, "txn"),
	}
}

// committedOnly reads what read_committed gives until nothing more comes.
func committedOnly(t *testing.T, addr, topic string) []e2e.Record {
	t.Helper()
	c := e2e.Client(t, addr, kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	var got []e2e.Record
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		fetches := c.PollFetches(ctx)
		cancel()
		if fetches.Empty() {
			return got
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got = append(got, e2e.Record{Offset: r.Offset, Key: string(r.Key), Value: string(r.Value), Timestamp: r.Timestamp})
		})
	}
}

func same(t *testing.T, what string, got, want []e2e.Record) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if g, w := got[i], want[i]; g.Offset != w.Offset || g.Key != w.Key || g.Value != w.Value || !g.Timestamp.Equal(w.Timestamp) {
			t.Fatalf("%s record %d: %+v, Kafka served %+v", what, i, g, w)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d records, Kafka served %d", what, len(got), len(want))
	}
}
