// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// samsa runs a command of the binary to its end.
func samsa(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, Binary(t), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// Every command says what it is, and shows how it is used.
func TestVersionAndHelp(t *testing.T) {
	out, _, err := samsa(t, "version")
	if !regexp.MustCompile(`^samsa \S+.* go1\.\d+.* \w+/\w+.*3\.9\n$`).MatchString(out) || err != nil {
		t.Errorf("version: %q %v", out, err)
	}
	for _, c := range []struct{ args, want string }{
		{"--help", "samsa start config/server.properties"},
		{"start --help", "samsa start --override log.dirs=/data/a,/data/b"},
		{"start --help", "SIGTERM or SIGINT"},
		{"topics --help", "samsa topics create --topic orders --partitions 6"},
		{"log dump --help", "samsa log dump --deep-iteration --print-data-log"},
		{"log recover --help", "--accept-loss"},
	} {
		out, _, err := samsa(t, strings.Fields(c.args)...)
		if err != nil || !strings.Contains(out, c.want) {
			t.Errorf("samsa %s lacks %q: %v\n%s", c.args, c.want, err, out)
		}
	}
	if _, errs, err := samsa(t, "strat"); err == nil || !strings.Contains(errs, `unknown command "strat"`) {
		t.Errorf("samsa strat: %v %s", err, errs)
	}
}

// A value that is wrong stops the start, with the key, the value and what is
// allowed; all of them at once.
func TestWrongValuesAreRefused(t *testing.T) {
	for _, c := range []struct{ key, value, allowed string }{
		{"num.partitions", "0", "at least 1"},
		{"log.retention.ms", "soon", "an integer"},
		{"log.cleanup.policy", "shred", "delete"},
		{"compression.type", "brotli", "zstd"},
		{"samsa.netpoll", "kqueue", "uring"},
		{"samsa.durability", "hope", "journal"},
		{"listeners", "SSL://:9093", "only PLAINTEXT"},
		{"listeners", "localhost:9092", "NAME://host:port"},
		{"zookeeper.connect", "localhost:2181", "no ZooKeeper support"},
		{"process.roles", "broker,controller", "KRaft"},
		{"authorizer.class.name", "kafka.security.authorizer.AclAuthorizer", "authorization"},
		{"remote.log.storage.system.enable", "true", "tiered storage"},
	} {
		t.Run(c.key+"="+c.value, func(t *testing.T) {
			b, err := Launch(t, Options{Props: map[string]string{c.key: c.value}})
			if err == nil {
				t.Fatal("it started")
			}
			for _, want := range []string{c.key, c.value, c.allowed} {
				if !strings.Contains(b.Log(), want) {
					t.Errorf("the refusal does not say %q:\n%s", want, b.Log())
				}
			}
		})
	}
	b, err := Launch(t, Options{Props: map[string]string{"num.partitions": "0", "log.segment.bytes": "x"}})
	if err == nil || !strings.Contains(b.Log(), "num.partitions=0") || !strings.Contains(b.Log(), "log.segment.bytes=x") {
		t.Errorf("two wrong values are not told at once:\n%s", b.Log())
	}
}

// Keys that nobody knows, and Kafka's that do nothing here, are named once.
func TestIdleKeysAreNamedOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.properties")
	text := "num.netwrok.threads=3\nnum.network.threads=3\nlog.cleaner.threads=2\nqueued.max.requests=100\nnum.partitions=2\nlog.roll.hours=24\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	b := Start(t, Options{File: file})
	for _, want := range []string{"num.netwrok.threads is ignored: neither Kafka", "num.network.threads has no effect: ",
		"log.cleaner.threads has no effect yet: ", "queued.max.requests has no effect: "} {
		if n := strings.Count(b.Log(), want); n != 1 {
			t.Errorf("%q stands %d times in:\n%s", want, n, b.Log())
		}
	}
	for _, acts := range []string{"config: num.partitions ", "config: log.roll.hours "} {
		if strings.Contains(b.Log(), acts) {
			t.Errorf("%s acts and is named:\n%s", acts, b.Log())
		}
	}
}

// --override wins over the file, and the last one over those before.
func TestOverridesWin(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(file, []byte("num.partitions=2\nlog.segment.bytes=1048576\nbroker.rack=file\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := Start(t, Options{File: file, Props: map[string]string{"num.partitions": "5", "broker.rack": " over "}})
	adm := kadm.NewClient(Client(t, b.Addr))
	if _, err := adm.CreateTopic(t.Context(), -1, -1, nil, "five"); err != nil {
		t.Fatal(err)
	}
	md, err := adm.Metadata(t.Context(), "five")
	if err != nil || len(md.Topics["five"].Partitions) != 5 {
		t.Errorf("%d partitions, %v", len(md.Topics["five"].Partitions), err)
	}
	if rack := md.Brokers[0].Rack; rack == nil || *rack != "over" {
		t.Errorf("rack %v", rack)
	}
	configs, err := adm.DescribeTopicConfigs(t.Context(), "five")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range configs[0].Configs {
		if c.Key == "segment.bytes" && (c.MaybeValue() != "1048576" || c.Source.String() != "STATIC_BROKER_CONFIG") {
			t.Errorf("segment.bytes %s from %s", c.MaybeValue(), c.Source)
		}
	}
}

// port, host.name and their advertised twins act where listeners is not set.
func TestAddressesFromBeforeKafka3(t *testing.T) {
	addr := FreeAddr(t)
	_, port, _ := strings.Cut(addr, ":")
	file := filepath.Join(t.TempDir(), "server.properties")
	text := "port=" + port + "\nhost.name=127.0.0.1\nadvertised.host.name=localhost\nadvertised.port=" + port + "\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	b := Start(t, Options{Addr: addr, File: file, Drop: []string{"listeners"}})
	md, err := kadm.NewClient(Client(t, addr)).Metadata(t.Context())
	if err != nil || len(md.Brokers) != 1 || fmt.Sprint(md.Brokers[0].Host, ":", md.Brokers[0].Port) != "localhost:"+port {
		t.Errorf("metadata names %+v, %v", md.Brokers, err)
	}
	if !strings.Contains(b.Ready, "PLAINTEXT://localhost:"+port) {
		t.Error(b.Ready)
	}
}

// samsa topics: create, list, describe, alter and delete, for people and as JSON.
func TestTopicsCommand(t *testing.T) {
	b := Start(t, Options{})
	run := func(want string, args ...string) string {
		t.Helper()
		out, errs, err := samsa(t, append([]string{"topics", "--bootstrap-server", b.Addr}, args...)...)
		if failed := strings.HasPrefix(want, "!"); failed != (err != nil) || !strings.Contains(out+errs, strings.TrimPrefix(want, "!")) {
			t.Errorf("samsa topics %v: want %q, got %v\n%s%s", args, want, err, out, errs)
		}
		return out
	}
	run("Created topic one.", "create", "--topic", "one", "--partitions", "2", "--config", "retention.ms=60000", "--config", "segment.bytes=2048")
	run("!TOPIC_ALREADY_EXISTS", "create", "--topic", "one")
	run("", "create", "--topic", "one", "--if-not-exists")
	run("!retention.ms=x is invalid: want an integer of at least -1", "create", "--topic", "two", "--config", "retention.ms=x")
	run("!want key=value", "create", "--topic", "two", "--config", "retention.ms")
	run("!required flag(s) \"topic\" not set", "create")
	run("!INVALID_REPLICATION_FACTOR", "create", "--topic", "two", "--replication-factor", "3")
	run("one\n", "list")
	run("PartitionCount: 2\tReplicationFactor: 1\tConfigs: retention.ms=60000,segment.bytes=2048\n", "describe", "--topic", "one")
	run("\tTopic: one\tPartition: 1\tLeader: 0\tReplicas: 0\tIsr: 0\n", "describe")
	run("!no topic matches \"t.*\"", "describe", "--topic", "t.*")
	run("Altered topic one.", "alter", "--topic", "one", "--partitions", "3", "--delete-config", "segment.bytes", "--config", "retention.ms=70000")
	run("PartitionCount: 3\tReplicationFactor: 1\tConfigs: retention.ms=70000\n", "describe", "--topic", "o.e")
	run("!INVALID_PARTITIONS", "alter", "--topic", "one", "--partitions", "1")
	run("!nothing to alter", "alter", "--topic", "one")
	run("!--topic says which topic", "alter", "--partitions", "3")
	run("!UNKNOWN_TOPIC_OR_PARTITION", "alter", "--topic", "none", "--config", "retention.ms=1")
	run("No topic is waiting to be accepted.", "alter", "--adopted")
	var described []struct {
		Topic, TopicID string
		Configs        map[string]string
		Partitions     []struct{ Partition, Leader int }
	}
	if err := json.Unmarshal([]byte(run("", "describe", "--json")), &described); err != nil || len(described) != 1 ||
		len(described[0].Partitions) != 3 || described[0].Configs["retention.ms"] != "70000" || len(described[0].TopicID) != 22 {
		t.Errorf("describe --json: %+v %v", described, err)
	}
	var names []string
	if err := json.Unmarshal([]byte(run("", "list", "--json")), &names); err != nil || fmt.Sprint(names) != "[one]" {
		t.Errorf("list --json: %v %v", names, err)
	}
	var made struct{ Topic, TopicID string }
	if err := json.Unmarshal([]byte(run("", "create", "--topic", "three", "--json")), &made); err != nil || made.Topic != "three" || len(made.TopicID) != 22 {
		t.Errorf("create --json: %+v %v", made, err)
	}
	run("Deleted topic one.", "delete", "--topic", "one")
	run("!UNKNOWN_TOPIC_OR_PARTITION", "delete", "--topic", "one")
	run("", "delete", "--topic", "one", "--if-exists")
	if out := run("", "list"); out != "three\n" {
		t.Errorf("at the end: %q", out)
	}
	if _, errs, err := samsa(t, "topics", "list", "--bootstrap-server", FreeAddr(t), "--timeout", "300ms"); err == nil || !strings.Contains(errs, "connection refused") {
		t.Errorf("without a broker: %v %s", err, errs)
	}
}
