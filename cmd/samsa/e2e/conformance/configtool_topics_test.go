// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// What in the answers of two brokers cannot be the same: ids, and the words that
// each has for an error, which follow its code.
var (
	topicID = regexp.MustCompile(`(TopicId: |"topicId": "|"TopicID": ")[A-Za-z0-9_-]{22}`)
	words   = regexp.MustCompile(`(?m)^(.*?\b[A-Z][A-Z_]{6,}\b).*$`)
)

// samsa topics works against a real Kafka as it does against Samsa: create, list,
// describe, alter and delete, for people and as JSON, with the same exit codes.
func samsaTopics(p *pair) {
	for _, c := range []struct{ args, want string }{
		{"create --topic one --partitions 2 --config retention.ms=60000 --config segment.bytes=2048", "Created topic one."},
		{"create --topic one", "failed: TOPIC_ALREADY_EXISTS"},
		{"create --topic one --if-not-exists", "ok"},
		{"create --topic two --config retention.ms=x", "failed: INVALID_CONFIG"},
		{"create --topic two --config no.such.key=1", "failed: INVALID_CONFIG"},
		{"create --topic two --replication-factor 3", "failed: INVALID_REPLICATION_FACTOR"},
		{"create --topic a/b", "failed: INVALID_TOPIC_EXCEPTION"},
		{"create --topic defaults --json", "defaults"},
		{"list", "defaults\none\n"},
		{"list --json", `"one"`},
		{"list --topic o.*", "one"},
		{"list --topic t.* --exclude-internal", "tools"},
		{"describe --topic one", "PartitionCount: 2\tReplicationFactor: 1\tConfigs: retention.ms=60000,segment.bytes=2048\n"},
		{"describe --topic defaults", "Partition: 1\tLeader: 0\tReplicas: 0\tIsr: 0"},
		{"describe --topic one --json", `"60000"`},
		{"describe --topic none", `no topic matches "none"`},
		{"alter --topic one --partitions 3 --delete-config segment.bytes --config retention.ms=70000", "Altered topic one."},
		{"describe --topic one", "PartitionCount: 3\tReplicationFactor: 1\tConfigs: retention.ms=70000\n"},
		{"alter --topic one --partitions 1", "failed: INVALID_PARTITIONS"},
		{"alter --topic one --config retention.ms=x", "failed: INVALID_CONFIG"},
		{"alter --topic none --config retention.ms=1", "failed: UNKNOWN_TOPIC_OR_PARTITION"},
		{"alter --topic none --partitions 3", "failed: UNKNOWN_TOPIC_OR_PARTITION"},
		{"alter --topic one --config retention.ms=71000 --json", `"one"`},
		{"alter --adopted", "No topic is waiting to be accepted."},
		{"delete --topic one --json", `"one"`},
		{"delete --topic defaults", "Deleted topic defaults."},
		{"delete --topic one", "failed: UNKNOWN_TOPIC_OR_PARTITION"},
		{"delete --topic one --if-exists", "ok"},
	} {
		ours, kafkas := p.topics(p.samsa.Addr, c.args), p.topics(p.kafka.Addr, c.args)
		if ours != kafkas {
			p.t.Errorf("samsa topics %s\nSamsa: %s\nKafka: %s", c.args, ours, kafkas)
		}
		want, fails := strings.CutPrefix(c.want, "failed: ")
		if !strings.Contains(ours, want) || fails && !strings.HasPrefix(ours, "failed") {
			p.t.Errorf("samsa topics %s lacks %q:\n%s", c.args, c.want, ours)
		}
	}
}

func (p *pair) topics(addr, args string) string {
	p.t.Helper()
	out, err := TryRun(p.t, nil, e2e.Binary(p.t), append([]string{"topics", "--bootstrap-server", addr}, strings.Fields(args)...)...)
	verdict := "ok"
	if err != nil {
		verdict = "failed"
		out = words.ReplaceAllString(out, "$1")
	}
	out = topicID.ReplaceAllString(strings.ReplaceAll(out, addr, "ADDRESS"), "${1}some")
	return fmt.Sprint(verdict, "\n", out)
}
