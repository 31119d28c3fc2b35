// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package clients

import (
	"os"
	"strings"
	"testing"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
	"github.com/samsa-broker/samsa/cmd/samsa/e2e/conformance"
)

// An admin client's tour, good and bad questions: topics, partitions, configs,
// offsets, records, groups. Each answer is the one that a real Kafka 3.9 gave
// (testdata).
func TestAdminTour(t *testing.T) {
	for name, c := range map[string]client{
		"confluent_admin": {name: "confluent-kafka-python", peer: "python",
			command: []string{"CACHE/python/bin/python", "-B", "PEERS/python/confluent_admin.py"}},
		"kafka_python_admin": {name: "kafka-python", peer: "python", command: []string{"CACHE/python/bin/python", "-B", "PEERS/python/kafka_python_admin.py"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := e2e.Start(t, e2e.Options{})
			command := c.program(t)
			got := strings.Split(strings.TrimSpace(conformance.Run(t, nil, command[0], append(command[1:], b.Addr)...)), "\n")
			text, err := os.ReadFile("testdata/" + name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Split(strings.TrimSpace(string(text)), "\n")[1:]
			if len(got) != len(want) {
				t.Errorf("%d answers, want %d", len(got), len(want))
			}
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Errorf("samsa: %s\nkafka: %s", got[i], want[i])
				}
			}
		})
	}
}
