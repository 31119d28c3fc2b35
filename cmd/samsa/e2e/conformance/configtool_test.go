// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

const (
	configCommand  = "kafka.admin.ConfigCommand"
	deleteRecords  = "org.apache.kafka.tools.DeleteRecordsCommand"
	getOffsetShell = "org.apache.kafka.tools.GetOffsetShell"
	logDirsCommand = "org.apache.kafka.tools.LogDirsCommand"
)

// pair is a Samsa and a real Kafka that get the same calls of Kafka's tools.
type pair struct {
	t      *testing.T
	samsa  *e2e.Broker
	kafka  *Kafka
	many   string    // folder of ManyTools
	stamps time.Time // of the first record
}

// newPair starts both, with the same topics and the same records in them.
func newPair(t *testing.T) *pair {
	props := map[string]string{"broker.id": "0", "log.segment.delete.delay.ms": "1000", "transaction.state.log.num.partitions": "1",
		"log.cleaner.dedupe.buffer.size": "4194304", "auto.create.topics.enable": "false", "num.partitions": "2"}
	p := &pair{t: t, kafka: StartKafka(t, StartZooKeeper(t), t.TempDir(), props), samsa: e2e.Start(t, e2e.Options{Props: props}), many: many(t)}
	p.stamps = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, addr := range []string{p.samsa.Addr, p.kafka.Addr} {
		e2e.CreateTopic(t, addr, "tools", 2, map[string]string{"retention.ms": "-1", "segment.bytes": "2000000"})
		c := e2e.Client(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for i := range 20 {
			late := []time.Duration{0, 7, 3, 9}[i%4] * time.Second // the newest is not the last
			r := &kgo.Record{Topic: "tools", Partition: int32(i % 2), Value: fmt.Appendf(nil, "record %02d", i), Timestamp: p.stamps.Add(time.Duration(i/4)*time.Minute + late)}
			if err := c.ProduceSync(ctx, r).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
	}
	return p
}

// told is what a tool said to one of them, without what cannot be equal.
type told struct {
	code  string
	lines []string
}

func (d told) String() string {
	return fmt.Sprintf("exit code %s\n%s", d.code, strings.Join(d.lines, "\n"))
}

// call is a tool's class, its arguments, and what it must say to Samsa, too.
type call struct{ class, args, want string }

// all gives both the same calls, in one process each, and compares what is said.
func (p *pair) all(peer string, calls ...call) {
	p.t.Helper()
	there := make(chan []told, 1)
	go func() { there <- p.ask(peer, p.kafka.Addr, p.kafka.Dir, calls) }()
	ours := p.ask(peer, p.samsa.Addr, p.samsa.Dir, calls)
	kafkas := <-there
	if len(ours) != len(calls) || len(kafkas) != len(calls) {
		p.t.Fatalf("%s: %d calls, %d answers from Samsa, %d from Kafka: %v", peer, len(calls), len(ours), len(kafkas), ours[max(0, len(ours)-1):])
	}
	for i, c := range calls {
		if ours[i].code != kafkas[i].code || !slices.Equal(ours[i].lines, kafkas[i].lines) {
			p.t.Errorf("%s %s %s\nSamsa: %v\nKafka: %v", peer, c.class, c.args, ours[i], kafkas[i])
		}
		if !strings.Contains(ours[i].String(), c.want) {
			p.t.Errorf("%s %s %s lacks %q:\n%v", peer, c.class, c.args, c.want, ours[i])
		}
	}
}

// Parts of what tools print that differ between any two brokers, or are stack
// traces and log lines of the tool.
var (
	noise   = regexp.MustCompile(`^\s+at |^\s*\.\.\. |^log4j:|^SLF4J|^\[.*\] (WARN|INFO|ERROR) |^\s*$|^\d{4}-\d\d-\d\dT|^ended$|ManyTools\$Ended`)
	thrown  = regexp.MustCompile(`^(?:Caused by: |Error while executing.*|java\.util\.concurrent\.ExecutionException: |Exception in thread "main" )*((?:org\.apache\.kafka|java)[\w.]*Exception).*$`)
	setting = regexp.MustCompile(`^  ([^ =]+)=`)
	ids     = regexp.MustCompile(`TopicId: \S{22}`)
)

// ourKey tells a key of Samsa's own from a logger, of which no synonyms are told.
func ourKey(key, line string) bool {
	return strings.HasPrefix(key, "samsa.") && !strings.HasSuffix(line, " synonyms={}")
}

// many is the folder with the compiled ManyTools.
func many(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	Run(t, nil, Program(t, "javac"), "-d", dir, "-cp", ClassPath(t, "kafka39"), "scripts/ManyTools.java")
	return dir
}

func (p *pair) ask(peer, addr, dir string, calls []call) (all []told) {
	var stdin strings.Builder
	for _, c := range calls {
		words := append([]string{c.class, "--bootstrap-server", addr}, strings.Fields(c.args)...)
		stdin.WriteString(strings.Join(words, "\t") + "\n")
	}
	out, err := TryRun(p.t, strings.NewReader(stdin.String()), Program(p.t, "java"), "-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-cp", p.many+":"+ClassPath(p.t, peer), "ManyTools")
	if err != nil {
		out += "\n" + err.Error() + "\n\x01 cut short\n"
	}
	var d told
	for line := range strings.Lines(out) {
		line = strings.TrimRight(strings.NewReplacer(addr, "ADDRESS", dir, "DIR").Replace(line), "\n ")
		if code, last := strings.CutPrefix(line, "\x01 "); last {
			d.code = code
			all, d = append(all, d), told{}
			continue
		}
		if m := setting.FindStringSubmatch(line); m != nil && (ownWay[m[1]] != "" || legacy[m[1]] || ourKey(m[1], line) || m[1] == "advertised.listeners") {
			continue
		}
		if m := thrown.FindStringSubmatch(line); m != nil { // the words of errors are each broker's own
			line = m[1]
		}
		line = ids.ReplaceAllString(line, "TopicId: some")
		if !noise.MatchString(line) && (len(d.lines) == 0 || d.lines[len(d.lines)-1] != line) {
			d.lines = append(d.lines, line)
		}
	}
	return all
}

// Kafka's tools, and ours, say the same of Samsa and of a real Kafka 3.9.
func TestConfigToolsSayTheSame(t *testing.T) {
	p := newPair(t)
	for _, tool := range []struct {
		name string
		use  func(*pair)
	}{{"kafka-get-offsets", kafkaGetOffsets}, {"kafka-log-dirs", kafkaLogDirs}, {"kafka-delete-records", kafkaDeleteRecords}, {"kafka-configs", kafkaConfigs}, {"kafka-configs of loggers", kafkaLoggers},
		{"samsa topics", samsaTopics}} {
		t.Run(tool.name, func(t *testing.T) {
			own := *p
			own.t = t
			tool.use(&own)
		})
	}
}

// kafka-configs does with Samsa what it does with Kafka: topics, one broker, all
// brokers; describe, describe all, add, delete, and what is refused.
func kafkaConfigs(p *pair) {
	topic, broker, all := "--entity-type topics --entity-name tools ", "--entity-type brokers --entity-name 0 ", "--entity-type brokers --entity-default "
	on := func(args, want string) call { return call{configCommand, args, want} }
	p.all("kafka39", on(topic+"--describe", "retention.ms=-1"), on(topic+"--alter --add-config retention.ms=70000,cleanup.policy=[compact,delete] --delete-config segment.bytes", "Completed updating"),
		on(topic+"--describe", "cleanup.policy=compact,delete sensitive=false"), on(topic+"--describe --all", "compression.type=producer"), on("--entity-type topics --describe", "retention.ms=70000"),
		on(topic+"--alter --add-config no.such.key=1", "code 1"), on(topic+"--alter --add-config retention.ms=soon", "code 1"), on(topic+"--alter --delete-config no.such.key", "code 1"),
		on("--entity-type topics --entity-name absent --alter --add-config retention.ms=1", "code 1"),
		on(broker+"--describe", "code 0"), on(broker+"--alter --add-config log.retention.ms=80000,num.io.threads=9", "Completed updating"),
		on(all+"--alter --add-config log.retention.ms=90000,message.max.bytes=2000000", "Completed updating"), on(broker+"--describe", "log.retention.ms=80000"),
		on(all+"--describe", "log.retention.ms=90000"), on(broker+"--describe --all", "num.io.threads=9"), on("--entity-type brokers --describe", "log.retention.ms=80000"),
		on(broker+"--alter --add-config num.partitions=3", "code 1"), on(broker+"--alter --add-config log.retention.ms=soon", "code 1"),
		on(all+"--alter --add-config listeners=PLAINTEXT://localhost:1", "code 1"), on("--entity-type brokers --entity-name 7 --alter --add-config log.retention.ms=1", "code 1"),
		on(broker+"--alter --delete-config log.retention.ms", "Completed updating"), on(all+"--alter --delete-config log.retention.ms,message.max.bytes", "Completed updating"), on(all+"--describe", "code 0"))
	p.all("kafka4", on(topic+"--describe", "retention.ms=70000"), on(topic+"--alter --add-config retention.ms=71000", "Completed updating"), on(topic+"--describe", "retention.ms=71000"),
		on(broker+"--alter --add-config log.retention.ms=81000", "Completed updating"), on(all+"--alter --add-config log.retention.ms=91000", "Completed updating"),
		on(broker+"--describe", "log.retention.ms=81000"), on(all+"--describe", "log.retention.ms=91000"), on(broker+"--alter --delete-config log.retention.ms", "Completed updating"))
}

// Quotas of users, clients and addresses are not served yet: kafka-configs says
// which request the broker does not support.
func TestKafkaConfigsWithoutQuotas(t *testing.T) {
	p := &pair{t: t, samsa: e2e.Start(t, e2e.Options{}), many: many(t)}
	var calls []call
	for _, who := range []string{"users --entity-name ann", "clients --entity-name app", "ips --entity-name 127.0.0.1"} {
		key := "consumer_byte_rate"
		if strings.HasPrefix(who, "ips") {
			key = "connection_creation_rate"
		}
		calls = append(calls, call{configCommand, "--entity-type " + who + " --describe", "UnsupportedVersionException"},
			call{configCommand, "--entity-type " + who + " --alter --add-config " + key + "=1000", "UnsupportedVersionException"})
	}
	for i, d := range p.ask("kafka39", p.samsa.Addr, p.samsa.Dir, calls) {
		if d.code != "1" || !strings.Contains(d.String(), calls[i].want) {
			t.Errorf("%s: %v", calls[i].args, d)
		}
	}
}

// kafka-get-offsets in all its time modes, for topics, patterns and partitions.
func kafkaGetOffsets(p *pair) {
	at := func(d time.Duration) string { return fmt.Sprint(p.stamps.Add(d).UnixMilli()) }
	var calls []call
	for _, args := range []string{"", "--topic t.*s --partitions 1", "--topic absent", "--topic-partitions tools:0,other:1", "--topic-partitions tools:1-2", "--exclude-internal-topics",
		"--topic tools --time latest", "--topic tools --time earliest", "--topic tools --time max-timestamp", "--topic tools --time earliest-local", "--topic tools --time latest-tiered",
		"--topic tools --time -1", "--topic tools --time -2", "--topic tools --time -3", "--topic tools --time -4", "--topic tools --time -5",
		"--topic tools --time " + at(0), "--topic tools --time " + at(63*time.Second), "--topic tools --time " + at(time.Hour)} {
		calls = append(calls, call{getOffsetShell, args, ""})
	}
	p.all("kafka39", append(calls, call{getOffsetShell, "--topic tools", "code 0\ntools:0:10\ntools:1:10"})...)
	p.all("kafka4", call{getOffsetShell, "--topic tools", "tools:0:10"}, call{getOffsetShell, "--topic tools --time earliest", "tools:0:0"},
		call{getOffsetShell, "--topic tools --time max-timestamp", "tools:0:"}, call{getOffsetShell, "--topic tools --time " + at(63*time.Second), "tools:0:"})
}

// kafka-delete-records moves the log start, and refuses what Kafka refuses.
func kafkaDeleteRecords(p *pair) {
	cut := func(partitions, want string) call {
		file := filepath.Join(p.t.TempDir(), "offsets.json")
		write(p.t, file, `{"partitions":[`+partitions+`],"version":1}`)
		return call{deleteRecords, "--offset-json-file " + file, want}
	}
	p.all("kafka39", cut(`{"topic":"tools","partition":0,"offset":3},{"topic":"tools","partition":1,"offset":-1}`, "tools-0\tlow_watermark: 3"),
		cut(`{"topic":"tools","partition":0,"offset":2}`, "tools-0\tlow_watermark: 3"), cut(`{"topic":"tools","partition":0,"offset":11}`, "OffsetOutOfRangeException"),
		cut(`{"topic":"tools","partition":0,"offset":1},{"topic":"tools","partition":0,"offset":2}`, "code 1"),
		call{getOffsetShell, "--topic tools --time earliest", "tools:0:3\ntools:1:10"})
	p.all("kafka4", cut(`{"topic":"tools","partition":0,"offset":5}`, "tools-0\tlow_watermark: 5"), call{getOffsetShell, "--topic tools --time earliest", "tools:0:5\ntools:1:10"})
}

// kafka-log-dirs shows directories, partitions and sizes as Kafka's are.
func kafkaLogDirs(p *pair) {
	for _, peer := range []string{"kafka39", "kafka4"} {
		p.all(peer, call{logDirsCommand, "--describe --topic-list tools", `"logDir":"DIR"`}, call{logDirsCommand, "--describe --broker-list 0 --topic-list tools", `"tools-0"`},
			call{logDirsCommand, "--describe --broker-list 7", "code 1"}, call{logDirsCommand, "--describe --topic-list absent", `"partitions":[]`})
	}
}
