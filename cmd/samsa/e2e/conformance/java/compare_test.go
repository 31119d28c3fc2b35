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

// Every client is told the same by Samsa and by a real Kafka 3.9: answers, and
// of errors their class.
func TestJavaIsToldTheSame(t *testing.T) {
	props := map[string]string{"log.segment.delete.delay.ms": "60000", "group.initial.rebalance.delay.ms": "0"}
	k := conformance.StartKafka(t, conformance.StartZooKeeper(t), t.TempDir(), props)
	b := e2e.Start(t, e2e.Options{Props: props})
	for _, c := range clients {
		t.Run(c.version, func(t *testing.T) {
			commands := c.commands()
			kafkas, ours := c.told(t, k.Addr, commands), c.told(t, b.Addr, commands)
			for i, command := range commands {
				if kafkas[i] != ours[i] {
					t.Errorf("%s\nSamsa: %s\nKafka: %s", command, ours[i], kafkas[i])
				}
			}
		})
	}
}

// commands are what a client asks; TOPIC is its own name, TIME the first
// record's timestamp.
func (c client) commands() []string {
	all := []string{
		"cluster", "create TOPIC 1 retention.ms=7200000", "create TOPIC 1", "create bad~name 1", "create TOPIC-0 0", "create TOPIC-x 1 no.such=1", "create TOPIC-x 1 retention.ms=soon",
		"describe TOPIC", "describe TOPIC-none", "config TOPIC retention.ms", "config TOPIC segment.bytes", "config TOPIC-none segment.bytes", "delete TOPIC-none",
		"produce TOPIC 300 TIME compression.type=gzip IDEMPOTENT", "read TOPIC 0 100 20", "offsets TOPIC", "times TOPIC TIME", "offsets TOPIC-auto",
		"create TOPIC-append 1 message.timestamp.type=LogAppendTime", "produce TOPIC-append 40 TIME compression.type=lz4", "read TOPIC-append 0 0 40",
		"create TOPIC-lz4 1 compression.type=lz4", "produce TOPIC-lz4 40 TIME compression.type=gzip", "read TOPIC-lz4 0 0 40",
		"create TOPIC-zstd 1 compression.type=zstd", "produce TOPIC-zstd 40 TIME compression.type=gzip",
		"create TOPIC-small 1 max.message.bytes=1500",
		"big TOPIC-small 1600", "big TOPIC 900000", "big TOPIC 2000000", "big TOPIC 1048506", "big TOPIC 1048600", "big TOPIC 2000000 compression.type=lz4",
		"read TOPIC 0 0 50 max.partition.fetch.bytes=1", "read TOPIC 0 0 50 fetch.max.bytes=1 max.poll.records=1", "read TOPIC 0 250 40 isolation.level=read_committed check.crcs=true",
		"read TOPIC 0 999 1 auto.offset.reset=none", "read TOPIC 0 999 1 auto.offset.reset=earliest",
		"create TOPIC-old 1 message.timestamp.before.max.ms=1000", "produce TOPIC-old 3 TIME",
		"open m TOPIC-g TOPIC", "take m 302", "commit m", "close m", "open m TOPIC-g TOPIC", "wait m", "seek m TOPIC 0 0", "take m 302", "events m", "close m",
		"open m ~ TOPIC", "take m 1", "close m", "open m TOPIC-g TOPIC session.timeout.ms=100 heartbeat.interval.ms=50", "take m 1", "close m",
		"open m TOPIC-n TOPIC auto.offset.reset=none", "take m 1", "close m",
	}
	if c.admin {
		all = append(all, "grow TOPIC 3", "grow TOPIC 2", "grow TOPIC-none 2", "trim TOPIC 0 10", "trim TOPIC 0 99999", "trim TOPIC 0 -1", "offsets TOPIC", "read TOPIC 0 0 1 auto.offset.reset=none")
	}
	if c.groups {
		// Kafka 3.9.2 sends older clients null for the records it refuses, which they cannot parse; Samsa sends none, as Kafka did before.
		all = append(all, "read TOPIC-zstd 0 0 40", "group TOPIC-g", "group TOPIC-nobody", "committed TOPIC-g", "committed TOPIC-nobody", "forget TOPIC-nobody",
			"alter TOPIC retention.ms=5000", "config TOPIC retention.ms", "alter TOPIC retention.ms=", "config TOPIC retention.ms", "alter TOPIC retention.ms=x", "alter TOPIC-none retention.ms=1", "alter TOPIC no.such=1",
			"list-offsets TOPIC-lz4 0 earliest", "list-offsets TOPIC-lz4 0 latest", "list-offsets TOPIC-lz4 0 TIME",
			"move TOPIC-g TOPIC 0 5", "committed TOPIC-g", "move TOPIC-fresh TOPIC 1 3", "committed TOPIC-fresh", "move TOPIC-g TOPIC 9 5", "unmove TOPIC-g TOPIC 0", "unmove TOPIC-g TOPIC-none 0", "committed TOPIC-g",
			"open m TOPIC-s TOPIC group.instance.id=one", "wait m", "move TOPIC-s TOPIC 0 5", "unmove TOPIC-s TOPIC 0", "forget TOPIC-s", "remove TOPIC-s two", "close m", "group TOPIC-s", "remove TOPIC-s one", "group TOPIC-s", "remove TOPIC-nobody ~",
			"broker-config 0 log.retention.hours", "broker-config 0 num.partitions", "log-dirs 0", "features",
			"forget TOPIC-g", "forget TOPIC-fresh")
	}
	if c.version >= "3" {
		all = append(all, "list-offsets TOPIC 0 maxTimestamp", "list-offsets TOPIC-lz4 0 maxTimestamp")
	}
	if c.version >= "3.9" {
		all = append(all, "list-offsets TOPIC-lz4 0 earliestLocal", "list-offsets TOPIC-lz4 0 latestTiered", "open m TOPIC-848 TOPIC group.protocol=consumer", "take m 1", "close m")
	}
	return append(all, "delete TOPIC", "topics")
}

var (
	errorClass  = regexp.MustCompile(`^([\w.]*\.)?(\w+)(:.*)?$`)
	randomTimes = regexp.MustCompile(`\b(1[789]\d{11}|\d{14,})\b`)
)

// told asks everything and returns the answers.
func (c client) told(t *testing.T, addr string, commands []string) []string {
	t.Helper()
	j := c.at(t, addr)
	j.Do(t, "patience", 5)
	var answers []string
	topic := "c" + strings.ReplaceAll(c.version, ".", "-")
	for _, command := range commands {
		command = strings.NewReplacer("TOPIC", topic, "TIME", fmt.Sprint(base)).Replace(command)
		var words []any
		for _, w := range strings.Fields(command) {
			if w == "IDEMPOTENT" {
				words = append(words, c.idempotent()...)
			} else if w == "~" {
				words = append(words, "")
			} else {
				words = append(words, w)
			}
		}
		lines, err := j.Try(t, words...)
		if words[0] == "take" && len(lines) > 1 {
			lines = lines[:1] // how many come at once is chance
		}
		if words[0] == "topics" {
			lines = slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(l, topic) })
		}
		if err != nil {
			lines = append(lines, "error "+errorClass.ReplaceAllString(err.Error(), "$2"))
		}
		for i, l := range lines {
			if strings.Contains(command, "-append") || strings.HasSuffix(command, "maxTimestamp") {
				l = randomTimes.ReplaceAllString(l, "TIME")
			}
			lines[i] = strings.ReplaceAll(l, addr, "ADDR")
		}
		answers = append(answers, strings.Join(lines, "\n"))
	}
	return answers
}
