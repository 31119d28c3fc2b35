// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// oldJava runs peers/java-old/Client.java with the client of a peer.
func oldJava(t *testing.T, peer string, args ...string) string {
	t.Helper()
	root, err := e2e.Root()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(root, "cmd/samsa/e2e/conformance/peers/java-old/Client.java")
	flags := []string{"-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", ClassPath(t, peer), source}
	return Run(t, nil, Program(t, "java"), append(flags, args...)...)
}

// The Java clients of 0.9, 0.10.2, 0.11 and 4.x produce with each codec they
// have, and each reads what all of them wrote, on Samsa and on a real Kafka 3.9:
// every client sees the same records, offsets, timestamps and headers on both.
func TestOldJavaClients(t *testing.T) {
	k := StartKafka(t, StartZooKeeper(t), t.TempDir(), nil)
	b := e2e.Start(t, e2e.Options{})
	peers := []string{"java-0.9", "java-0.10", "java-0.11", "kafka4"}
	read := map[string]string{}
	for i, addr := range []string{b.Addr, k.Addr} {
		broker := []string{"samsa", "kafka"}[i]
		for _, peer := range peers {
			e2e.CreateTopic(t, addr, "from-"+peer, 1, map[string]string{"retention.ms": "-1"}) // the records are of 2020
			oldJava(t, peer, "produce", addr, "from-"+peer, "15", "none", "gzip", "snappy", "lz4")
		}
		for _, peer := range peers {
			var topics []string
			for _, from := range peers {
				topics = append(topics, "from-"+from)
			}
			read[broker+peer] = oldJava(t, peer, append([]string{"consume", addr}, topics...)...)
		}
	}
	for _, peer := range peers {
		ours, kafkas := read["samsa"+peer], read["kafka"+peer]
		if n := strings.Count(kafkas, "\n"); n != len(peers)*4*15 {
			t.Errorf("%s read %d records from Kafka, %d were written", peer, n, len(peers)*4*15)
		}
		sameLines(t, ours, kafkas)
	}
	newest := read["samsakafka4"]
	for _, want := range []string{
		"from-java-0.9 0 at -1 CreateTime key 0 = none 0 \n", "from-java-0.10 16 at 1600000000001 CreateTime null = gzip 1 again and \n",
		"from-java-0.11 30 at 1600000000000 CreateTime key 0 = snappy 0  [header 0: value 0] [empty: null]\n", "from-java-0.11 48 at 1600000000003 CreateTime key 3 = null\n",
	} {
		if !strings.Contains(newest, want) {
			t.Errorf("a 4.x consumer did not read %q", want)
		}
	}
	if old := read["samsajava-0.9"]; !strings.Contains(old, "from-kafka4 0 at no time key 0 = none 0 \n") {
		t.Errorf("a 0.9 consumer did not read what 4.x wrote:\n%s", tail(old))
	}
	b.Stop()
	logs := list(t, b.Dir, "from-*/*.log")
	out := Java(t, "kafka39", "kafka.tools.DumpLogSegments", nil, "--deep-iteration", "--print-data-log", "--files", strings.Join(logs, ","))
	complainless(t, out)
	if n := strings.Count(out, "| offset: "); n != len(peers)*4*15 {
		t.Errorf("DumpLogSegments prints %d records of ours", n)
	}
}

// oldFormats are the versions of log.message.format.version that matter.
var oldFormats = map[string]string{"magic0": "0.9.0", "magic1": "0.10.2"}

// Directories that a Kafka 2.8 wrote in the formats of 0.9 and 0.10 open here
// after a clean stop and after kill -9: the same records at the same offsets
// with the same timestamps, for old consumers and new ones, and what is added
// now stands behind them. With SAMSA_WRITE_FIXTURES=DIR the directories are
// kept there: testdata/logs was made so.
func TestOldDirectoriesOpenHere(t *testing.T) {
	for name, format := range oldFormats {
		for _, how := range []string{"clean", "killed"} {
			t.Run(name+"-"+how, func(t *testing.T) {
				dir := t.TempDir()
				k := startKafka(t, "kafka-2.8", StartZooKeeper(t), dir, map[string]string{"log.message.format.version": format,
					"inter.broker.protocol.version": "2.8", "log.segment.bytes": "4096", "log.index.interval.bytes": "200", "log.cleaner.backoff.ms": "200", "log.index.size.max.bytes": e2e.OldIndexBytes, "log.retention.ms": "-1"}) // the records are of 2020
				oldDirectory(t, k)
				want := oldRecords(t, k.Addr)
				if how == "clean" {
					k.Stop()
				} else {
					k.Kill()
				}
				if keep := os.Getenv("SAMSA_WRITE_FIXTURES"); keep != "" {
					keepDirectory(t, dir, filepath.Join(keep, name+"-"+how), want)
				}
				b := e2e.Start(t, e2e.Options{Dir: dir, Props: map[string]string{"log.index.size.max.bytes": e2e.OldIndexBytes}})
				got := oldRecords(t, b.Addr)
				for topic, lists := range want {
					for i := range lists {
						if strings.Join(got[topic][i], "\n") != strings.Join(lists[i], "\n") {
							t.Errorf("%s, Fetch v%d: %d records:\n%.2000s\nKafka 2.8 had %d:\n%.2000s", topic, e2e.OldFetches[i], len(got[topic][i]),
								strings.Join(got[topic][i], "\n"), len(lists[i]), strings.Join(lists[i], "\n"))
						}
					}
				}
				e2e.Produce(t, b.Addr, "java", 0, []string{"goes on"})
				if after := strings.Join(oldRecords(t, b.Addr)["java"][1], "\n"); !strings.Contains(after, "48@") || !strings.Contains(after, "goes on") {
					t.Errorf("behind the old records stands %q", tail(after))
				}
			})
		}
	}
}

// oldDirectory fills three topics: what a Java client wrote, sets of every
// codec, and a compacted one whose cleaner has run.
func oldDirectory(t *testing.T, k *Kafka) {
	t.Helper()
	for topic, config := range map[string]map[string]string{"java": nil, "stamped": {"message.timestamp.type": "LogAppendTime"},
		"compacted": {"cleanup.policy": "compact", "segment.bytes": "1024", "min.cleanable.dirty.ratio": "0.01", "segment.ms": "500"}} {
		e2e.CreateTopic(t, k.Addr, topic, 1, config)
	}
	oldJava(t, "java-0.10", "produce", k.Addr, "java", "12", "none", "gzip", "snappy", "lz4")
	oldJava(t, "java-0.10", "produce", k.Addr, "stamped", "6", "none", "gzip")
	raw := e2e.Dial(t, k.Addr)
	for round := range 12 {
		var inside [][]byte
		for key := range 8 {
			inside = append(inside, e2e.OldMessage(1, int64(key), 1_600_000_000_000+int64(round), 0, fmt.Appendf(nil, "key-%d", key), fmt.Appendf(nil, "round %d %s", round, strings.Repeat("y", 20))))
		}
		req := e2e.ProduceRequest("compacted", 0, oldWrapper(1, 7, 1_600_000_000_000+int64(round), 1, inside...))
		req.Version = 2
		if resp, err := raw.Call(req); err != nil || resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode != 0 {
			t.Fatalf("%+v, %v", resp, err)
		}
	}
	e2e.Eventually(t, 60*time.Second, func() error {
		if n := len(e2e.ReadThrough(raw, "compacted", 4)) - 1; n >= 96 {
			return fmt.Errorf("%d of 96 records: the cleaner has not run", n)
		}
		return nil
	})
}

// oldRecords reads every topic in some versions of Fetch: those of
// e2e.OldFetches.
func oldRecords(t *testing.T, addr string) map[string][][]string {
	t.Helper()
	got := map[string][][]string{}
	for _, topic := range e2e.OldTopics {
		for _, version := range e2e.OldFetches {
			got[topic] = append(got[topic], e2e.ReadThrough(e2e.Dial(t, addr), topic, version))
		}
	}
	return got
}

// keepDirectory copies what a log directory holds that matters, and what a
// broker of its time served from it.
func keepDirectory(t *testing.T, dir, to string, want map[string][][]string) {
	t.Helper()
	for _, pattern := range []string{"*", "*/*"} {
		for _, name := range list(t, dir, pattern) {
			info, err := os.Stat(name)
			rel, _ := filepath.Rel(dir, name)
			if err != nil || info.IsDir() || strings.HasPrefix(rel, "__consumer_offsets") || strings.HasSuffix(rel, ".lock") {
				continue
			}
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(to, "logs", rel)), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(to, "logs", rel), string(data))
		}
	}
	for topic, lists := range want {
		for i, lines := range lists {
			write(t, filepath.Join(to, fmt.Sprintf("%s-v%d.txt", topic, e2e.OldFetches[i])), strings.Join(lines, "\n")+"\n")
		}
	}
}
