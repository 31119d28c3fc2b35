// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package clients

import (
	"testing"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// What the programs show; docs/clients.md has the same rows.
const (
	reads = "consume group offset timestamp share"
	all   = "admin produce idempotent " + reads
)

const debian = "/usr/bin/python3"

// stock is every client, in the order of docs/clients.md.
var stock = []client{
	{name: "kafka-python-debian", peer: "python", command: []string{debian, "-B", "PEERS/python/kafka_python_story.py"}, shows: "admin produce " + reads},
	{name: "kafka-python", peer: "python", command: []string{"CACHE/python/bin/python", "-B", "PEERS/python/kafka_python_story.py"}, shows: all},
	{name: "aiokafka", peer: "python", command: []string{"CACHE/python/bin/python", "-B", "PEERS/python/aiokafka_story.py"}, shows: all},
	{name: "confluent-kafka-python-debian", peer: "python", command: []string{debian, "-B", "PEERS/python/confluent_story.py"}, shows: all},
	{name: "confluent-kafka-python", peer: "python", command: []string{"CACHE/python/bin/python", "-B", "PEERS/python/confluent_story.py"}, shows: all},
	{name: "confluent-kafka-go", peer: "go", command: []string{"CACHE/go/confluent"}, shows: all},
	{name: "franz-go", peer: "go", command: []string{"CACHE/go/franz"}, shows: all},
	{name: "sarama", peer: "go", command: []string{"CACHE/go/sarama"}, shows: all},
	{name: "segmentio-kafka-go", peer: "go", command: []string{"CACHE/go/segmentio"}, shows: "admin produce " + reads},
	{name: "kafkajs", peer: "node", command: node("node", "kafkajs_story.js"), shows: all},
	{name: "node-rdkafka", peer: "nodelibrdkafka", command: node("nodelibrdkafka", "node_rdkafka_story.js"), shows: all},
	{name: "rust-rdkafka", peer: "rust", command: []string{"CACHE/rust/rdkafka-story"}, shows: all},
}

// node is the command of a program in Node.
func node(peer, program string) []string {
	return []string{"/usr/bin/env", "NODE_PATH=CACHE/" + peer + "/node_modules", "node", "PEERS/" + peer + "/" + program}
}

// Every client plays the common story with every codec. Each has a broker of
// its own, a topic a codec.
func TestClient(t *testing.T) {
	for _, c := range stock {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := e2e.Start(t, e2e.Options{Props: map[string]string{"log.retention.ms": "-1"}}) // the records say 2023
			for _, codec := range codecs {
				t.Run(codec, func(t *testing.T) { c.play(t, b, codec) })
			}
		})
	}
}
