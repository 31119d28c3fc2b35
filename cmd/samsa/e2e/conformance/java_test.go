// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

const (
	topicCommand    = "org.apache.kafka.tools.TopicCommand"
	groupCommand    = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
	consoleConsumer = "org.apache.kafka.tools.consumer.ConsoleConsumer"
)

// consoleProducer moved between the versions.
var consoleProducer = map[string]string{"kafka39": "kafka.tools.ConsoleProducer", "kafka4": "org.apache.kafka.tools.ConsoleProducer"}

// The Java console tools of both Kafka lines: what one produces both consume.
func TestJavaConsoleTools(t *testing.T) {
	b := e2e.Start(t, e2e.Options{})
	e2e.CreateTopic(t, b.Addr, "console", 1, nil)
	for _, peer := range []string{"kafka39", "kafka4"} {
		Java(t, peer, consoleProducer[peer], strings.NewReader("from "+peer+"\nsecond\n"), "--bootstrap-server", b.Addr, "--topic", "console")
	}
	for _, peer := range []string{"kafka39", "kafka4"} {
		out := Java(t, peer, consoleConsumer, nil, "--bootstrap-server", b.Addr, "--topic", "console", "--group", "group-"+peer,
			"--from-beginning", "--max-messages", "4", "--timeout-ms", "30000")
		if want := "from kafka39\nsecond\nfrom kafka4\nsecond\n"; out != want {
			t.Errorf("%s consumed %q, want %q", peer, out, want)
		}
	}
}

// kafka-topics of both lines creates, lists, describes, alters and deletes.
func TestKafkaTopics(t *testing.T) {
	b := e2e.Start(t, e2e.Options{})
	for _, peer := range []string{"kafka39", "kafka4"} {
		t.Run(peer, func(t *testing.T) {
			tool := func(args ...string) string {
				return Java(t, peer, topicCommand, nil, append([]string{"--bootstrap-server", b.Addr}, args...)...)
			}
			topic := "by-" + peer
			tool("--create", "--topic", topic, "--partitions", "3", "--replication-factor", "1", "--config", "retention.ms=3600000")
			if out := tool("--list"); !strings.Contains(out, topic+"\n") {
				t.Errorf("--list: %q", out)
			}
			tool("--alter", "--topic", topic, "--partitions", "5")
			out := tool("--describe", "--topic", topic)
			for _, want := range []string{"PartitionCount: 5", "ReplicationFactor: 1", "retention.ms=3600000", "Partition: 4\tLeader: 0\tReplicas: 0\tIsr: 0"} {
				if !strings.Contains(out, want) {
					t.Errorf("--describe lacks %q:\n%s", want, out)
				}
			}
			tool("--delete", "--topic", topic)
			if out := tool("--list"); strings.Contains(out, topic) {
				t.Errorf("after --delete: %q", out)
			}
		})
	}
}

// kafka-consumer-groups: describe, every mode of --reset-offsets, and
// --delete-offsets.
func TestKafkaConsumerGroups(t *testing.T) {
	b := e2e.Start(t, e2e.Options{})
	e2e.CreateTopic(t, b.Addr, "resets", 1, nil)
	start := time.Now().Add(-2 * time.Hour).Truncate(time.Second)
	c := e2e.Client(t, b.Addr)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for i := range 20 {
		r := &kgo.Record{Topic: "resets", Value: fmt.Appendf(nil, "%d", i), Timestamp: start.Add(time.Duration(i) * time.Minute)}
		if err := c.ProduceSync(ctx, r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	adm := kadm.NewClient(c)
	var offsets kadm.Offsets
	offsets.AddOffset("resets", 0, 10, -1)
	if _, err := adm.CommitOffsets(ctx, "rewinder", offsets); err != nil {
		t.Fatal(err)
	}
	tool := func(args ...string) string {
		return Java(t, "kafka39", groupCommand, nil, append([]string{"--bootstrap-server", b.Addr, "--group", "rewinder"}, args...)...)
	}
	committed := func() int64 {
		got, err := adm.FetchOffsets(ctx, "rewinder")
		if err != nil {
			t.Fatal(err)
		}
		o, ok := got.Lookup("resets", 0)
		if !ok {
			return -1
		}
		return o.At
	}
	if out := tool("--describe"); !strings.Contains(out, "resets") || !strings.Contains(out, "10") {
		t.Errorf("--describe: %s", out)
	}
	csv := t.TempDir() + "/offsets.csv"
	write(t, csv, "resets,0,7\n")
	for _, mode := range []struct {
		args []string
		want int64
	}{
		{[]string{"--to-earliest"}, 0},
		{[]string{"--to-latest"}, 20},
		{[]string{"--to-offset", "12"}, 12},
		{[]string{"--shift-by", "-4"}, 8},
		{[]string{"--to-datetime", start.Add(5*time.Minute - time.Second).UTC().Format("2006-01-02T15:04:05.000")}, 5},
		{[]string{"--by-duration", "PT1H55M30S"}, 5},
		{[]string{"--to-current"}, 5},
		{[]string{"--from-file", csv}, 7},
	} {
		args := append([]string{"--reset-offsets", "--execute"}, mode.args...)
		if mode.args[0] != "--from-file" {
			args = append(args, "--topic", "resets")
		}
		tool(args...)
		if got := committed(); got != mode.want {
			t.Errorf("%v: committed at %d, want %d", mode.args, got, mode.want)
		}
	}
	tool("--delete-offsets", "--topic", "resets")
	if got := committed(); got != -1 {
		t.Errorf("after --delete-offsets: committed at %d", got)
	}
	tool("--delete")
}
