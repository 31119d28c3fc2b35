// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package java

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
	"github.com/samsa-broker/samsa/cmd/samsa/e2e/conformance"
)

// tools are the main classes of Kafka 3.9's command line tools.
var tools = map[string]string{
	"topics":       "org.apache.kafka.tools.TopicCommand",
	"groups":       "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
	"produce":      "kafka.tools.ConsoleProducer",
	"consume":      "org.apache.kafka.tools.consumer.ConsoleConsumer",
	"api":          "kafka.admin.BrokerApiVersionsCommand",
	"cluster":      "org.apache.kafka.tools.ClusterTool",
	"produce-perf": "org.apache.kafka.tools.ProducerPerformance",
	"consume-perf": "org.apache.kafka.tools.ConsumerPerformance",
	"latency":      "org.apache.kafka.tools.EndToEndLatency",
	"elect":        "org.apache.kafka.tools.LeaderElectionCommand",
	"reassign":     "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
	"transactions": "org.apache.kafka.tools.TransactionsCommand",
	"features":     "org.apache.kafka.tools.FeatureCommand",
	"quorum":       "org.apache.kafka.tools.MetadataQuorumCommand",
	"tokens":       "org.apache.kafka.tools.DelegationTokenCommand",
	"metrics":      "org.apache.kafka.tools.ClientMetricsCommand",
	"acls":         "kafka.admin.AclCommand",
}

// tool runs one of Kafka 3.9's tools against a broker: its exit code and what
// it printed. The first word may be followed by standard input: "produce<a\nb".
func tool(t *testing.T, addr, command string, more ...string) (code, printed string) {
	t.Helper()
	j := Get(t, "kafka39", "Tools")
	name, stdin, _ := strings.Cut(strings.SplitN(command, " ", 2)[0], "<")
	class := tools[name]
	if class == "" {
		t.Fatalf("no tool %s", name)
	}
	words := []any{class, strings.ReplaceAll(stdin, "~", " ")}
	switch name {
	case "produce-perf", "latency":
	case "cluster":
		more = append(more, "--bootstrap-server", addr)
	default:
		words = append(words, "--bootstrap-server", addr)
	}
	for _, w := range slices.Concat(strings.Fields(command)[1:], more) {
		words = append(words, strings.ReplaceAll(w, "ADDR", addr))
	}
	lines, last, err := j.ask(words...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, j.errs)
	}
	return last[1:], strings.Join(lines, "\n")
}

var vary = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`TopicId: \S{22}`), "TopicId: ID"},
	{regexp.MustCompile(`Cluster ID: \S+`), "Cluster ID: ID"},
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`console-consumer-\d+`), "console-consumer-N"},
	{regexp.MustCompile(`consumer-(\S+)-\d+`), "consumer-$1-N"},
	{regexp.MustCompile(`\b1\d{12}\b`), "TIME"},
	{regexp.MustCompile(`\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+\]`), "[TIME]"},
	{regexp.MustCompile(`[ \t]+`), " "},
	{regexp.MustCompile(`(Error while executing topic command :).*`), "$1"}, // each has its own words
}

// normal replaces what differs between two runs of one tool.
func normal(text, addr string) []string {
	host, port, _ := strings.Cut(addr, ":")
	text = strings.ReplaceAll(strings.ReplaceAll(text, addr, "ADDR"), host+"\t"+port, "ADDR")
	for _, v := range vary {
		text = v.pattern.ReplaceAllString(text, v.with)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return slices.DeleteFunc(lines, func(l string) bool { // stack traces, and how the programs leave a tool
		l = strings.TrimSpace(l)
		return l == "" || l == "exit" || l == "Tools$Exited: exit" || strings.HasPrefix(l, "at ") || strings.HasPrefix(l, "... ")
	})
}

// script is what both brokers are asked, in order.
var script = []string{
	"topics --list",
	"topics --create --topic alpha --partitions 3 --replication-factor 1 --config retention.ms=3600000 --config cleanup.policy=compact,delete",
	"topics --create --topic beta",
	"topics --create --topic alpha",
	"topics --create --topic alpha --if-not-exists",
	"topics --create --topic wide --replication-factor 3",
	"topics --create --topic none --partitions 0",
	"topics --create --topic placed --replica-assignment 0,0",
	"topics --create --topic bad~name",
	"topics --create --topic dot.ted",
	"topics --create --topic dot_ted",
	"topics --create --topic bad --config no.such.key=1",
	"topics --create --topic bad --config retention.ms=soon",
	"topics --create --topic bad --config cleanup.policy=shred",
	"produce<k1:one\\nk2:two\\nk3:three\\n --topic alpha --property parse.key=true --property key.separator=: --sync",
	"produce<h1:x,h2:y|k4|four\\n --topic alpha --property parse.headers=true --property parse.key=true --property headers.delimiter=| --property key.separator=|",
	"produce<a\\nb\\n --topic auto --compression-codec=gzip",
	"produce<plain\\n --topic codecs --compression-codec=none",
	"produce<gzip\\n --topic codecs --compression-codec=gzip",
	"produce<snappy\\n --topic codecs --compression-codec=snappy",
	"produce<lz4\\n --topic codecs --compression-codec=lz4",
	"produce<zstd\\n --topic codecs --compression-codec=zstd",
	"produce<acks0\\n --topic codecs --request-required-acks 0 --producer-property enable.idempotence=false",
	"produce<acks1\\n --topic codecs --request-required-acks 1",
	"consume --topic codecs --from-beginning --max-messages 7 --timeout-ms 20000 --group reader",
	"consume --topic codecs --partition 0 --offset 2 --max-messages 2 --timeout-ms 20000 --property print.offset=true --property print.partition=true --property print.timestamp=true",
	"consume --topic codecs --partition 0 --offset earliest --max-messages 1 --timeout-ms 20000 --isolation-level read_committed",
	"consume --topic alpha --partition 0 --offset earliest --timeout-ms 1500 --property print.key=true --property print.headers=true --property print.value=false",
	"consume --topic alpha --partition 1 --offset earliest --timeout-ms 1500 --property print.key=true --property print.headers=true --property print.offset=true",
	"consume --topic alpha --partition 2 --offset earliest --timeout-ms 1500 --property print.key=true --property print.headers=true",
	"consume --include co.* --from-beginning --max-messages 7 --timeout-ms 20000 --group pattern",
	"consume --topic codecs --partition 0 --offset 99 --max-messages 1 --timeout-ms 1500",
	"topics --list", "topics --list --exclude-internal", "topics --list --topic al.*",
	"topics --describe --exclude-internal",
	"topics --describe --topic alpha",
	"topics --describe --topic __consumer_offsets",
	"topics --describe --exclude-internal --partition-size-limit-per-response 2",
	"topics --describe --under-replicated-partitions", "topics --describe --unavailable-partitions",
	"topics --describe --under-min-isr-partitions", "topics --describe --at-min-isr-partitions --exclude-internal",
	"topics --describe --topics-with-overrides --exclude-internal",
	"topics --describe --topic nothing", "topics --describe --topic nothing --if-exists",
	"topics --describe --topic-id AAAAAAAAAAAAAAAAAAAAAQ",
	"topics --alter --topic alpha --partitions 5",
	"topics --alter --topic alpha --partitions 2",
	"topics --alter --topic alpha --partitions 5",
	"topics --alter --topic alpha --partitions 6 --replica-assignment 0,0,0,0,0,0",
	"topics --alter --topic nothing --partitions 2",
	"topics --describe --topic alpha",
	"groups --list", "groups --list --state", "groups --list --state Empty", "groups --list --state Stable", "groups --list --type", "groups --list --type classic", "groups --list --type consumer",
	"groups --describe --group reader", "groups --describe --group reader --state", "groups --describe --group reader --members", "groups --describe --group reader --members --verbose", "groups --describe --group reader --offsets --verbose",
	"groups --describe --all-groups --state", "groups --describe --group nobody", "groups --describe --group nobody --state", "groups --describe --group nobody --members",
	"groups --reset-offsets --group reader --topic codecs:0 --to-offset 3 --dry-run",
	"groups --reset-offsets --group reader --topic codecs --to-earliest --export --dry-run",
	"groups --reset-offsets --group reader --all-topics --shift-by -2 --execute",
	"groups --reset-offsets --group reader --topic codecs --to-offset 400 --execute",
	"groups --reset-offsets --group fresh --topic codecs --to-offset 4 --execute",
	"groups --describe --group fresh",
	"groups --reset-offsets --group reader --topic nothing --to-earliest --execute",
	"groups --delete-offsets --group reader --topic codecs", "groups --delete-offsets --group reader --topic nothing",
	"groups --describe --group reader",
	"groups --delete --group fresh", "groups --delete --group nobody", "groups --delete --group reader --group pattern", "groups --list",
	"cluster cluster-id",
	"topics --delete --topic alpha", "topics --delete --topic alpha", "topics --delete --topic alpha --if-exists", "topics --delete --topic co.*|beta", "topics --list --exclude-internal",
	"quorum describe --status", "features describe",
}

// liveScript is what both are asked about a group with members.
var liveScript = []string{
	"groups --list --state", "groups --list --state Stable,Empty --type classic",
	"groups --describe --group live", "groups --describe --group live --verbose", "groups --describe --group live --state", "groups --describe --group live --members",
	"groups --describe --group live --members --verbose", "groups --describe --all-groups", "groups --describe --all-groups --members --state",
	"groups --reset-offsets --group live --topic placed --to-earliest --execute", "groups --delete --group live", "groups --delete-offsets --group live --topic placed",
}

// Kafka 3.9's tools say to Samsa's answers what they say to Kafka's.
func TestToolsSayTheSame(t *testing.T) {
	props := map[string]string{"log.segment.delete.delay.ms": "60000"}
	k := conformance.StartKafka(t, conformance.StartZooKeeper(t), t.TempDir(), props)
	b := e2e.Start(t, e2e.Options{Props: props})
	compare := func(command string, anyOrder bool) {
		t.Helper()
		kafkaCode, kafkaSaid := tool(t, k.Addr, command)
		code, said := tool(t, b.Addr, command)
		want := append([]string{"exit code " + kafkaCode}, normal(kafkaSaid, k.Addr)...)
		got := append([]string{"exit code " + code}, normal(said, b.Addr)...)
		if anyOrder { // members come in the order of their random ids
			for _, lines := range [][]string{got, want} {
				for i := range lines {
					lines[i] = strings.TrimSpace(lines[i])
				}
				slices.Sort(lines)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s\nSamsa: %s\nKafka: %s", command, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
	for _, command := range script {
		compare(command, false)
	}
	for addr, c := range map[string]client{k.Addr: clients[3], b.Addr: clients[4]} { // a static and a dynamic member
		j := c.at(t, addr)
		j.Do(t, "open", "one", "live", "placed", "client.id=one", "group.instance.id=first")
		j.Do(t, "open", "two", "live", "placed", "client.id=two")
		shared(t, "placed", 2, map[string]*JVM{"one": j, "two": j})
		j.Do(t, "seek", "one", "placed", 0, 0)
		j.Do(t, "commit", "one")
	}
	for _, command := range liveScript {
		compare(command, true)
	}
}

// apiLine is one API of kafka-broker-api-versions.
var apiLine = regexp.MustCompile(`^\s+(\S+\(\d+\)): ([^,]*)`)

// kafka-broker-api-versions lists for each API that is served the versions
// that Kafka has.
func TestToolsSeeKafkasVersions(t *testing.T) {
	k := conformance.StartKafka(t, conformance.StartZooKeeper(t), t.TempDir(), nil)
	b := e2e.Start(t, e2e.Options{})
	versions := func(addr string) map[string]string {
		code, said := tool(t, addr, "api")
		if code != "0" || !strings.Contains(said, "(id: 0 rack: null) -> (") {
			t.Fatalf("exit code %s: %s", code, said)
		}
		all := map[string]string{}
		for _, line := range strings.Split(said, "\n") {
			if m := apiLine.FindStringSubmatch(line); m != nil {
				all[m[1]] = m[2]
			}
		}
		return all
	}
	ours, kafkas := versions(b.Addr), versions(k.Addr)
	served := 0
	for name, r := range ours {
		if r == "UNSUPPORTED" {
			continue
		}
		served++
		if kafkas[name] != r {
			t.Errorf("%s: Samsa %s, Kafka %s", name, r, kafkas[name])
		}
	}
	if served < 20 || len(kafkas) < 60 {
		t.Errorf("%d APIs served, %d of Kafka", served, len(kafkas))
	}
}

// The load tools finish with every record.
func TestToolsLoad(t *testing.T) {
	b := e2e.Start(t, e2e.Options{})
	e2e.CreateTopic(t, b.Addr, "load", 3, nil)
	total := 0
	for _, codec := range codecs {
		code, said := tool(t, b.Addr, "produce-perf --topic load --num-records 4000 --record-size 200 --throughput -1 --producer-props bootstrap.servers=ADDR acks=all compression.type="+codec)
		if code != "0" || !strings.Contains(said, "4000 records sent") {
			t.Errorf("kafka-producer-perf-test, %s: exit code %s: %s", codec, code, said)
		}
		total += 4000
	}
	code, said := tool(t, b.Addr, fmt.Sprintf("consume-perf --topic load --messages %d --timeout 30000 --group perf", total))
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if fields := strings.Split(lines[len(lines)-1], ", "); code != "0" || len(fields) < 5 || fields[4] != fmt.Sprint(total) {
		t.Errorf("kafka-consumer-perf-test: exit code %s: %s", code, said)
	}
	if code, said := tool(t, b.Addr, "latency ADDR load 20 all 100"); code != "0" || !strings.Contains(said, "Percentiles: 50th") {
		t.Errorf("kafka-e2e-latency: exit code %s: %s", code, said)
	}
}

// Tools whose APIs are not served yet end at once and say why.
func TestToolsRefused(t *testing.T) {
	b := e2e.Start(t, e2e.Options{})
	e2e.CreateTopic(t, b.Addr, "some", 1, nil)
	for _, command := range []string{
		"elect --election-type preferred --all-topic-partitions", "reassign --list", "transactions list", "metrics --describe", "acls --list",
	} {
		code, said := tool(t, b.Addr, command)
		if code == "0" || !strings.Contains(said, "UnsupportedVersionException") && !strings.Contains(said, "does not support") {
			t.Errorf("%s: exit code %s: %s", command, code, said)
		}
	}
}
