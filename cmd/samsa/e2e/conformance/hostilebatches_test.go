// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package conformance

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
)

// A real Kafka answers every hostile batch as the table says, which Samsa is
// held against by TestHostileBatches.
func TestHostileBatchesOfKafka(t *testing.T) {
	kafka := StartKafka(t, StartZooKeeper(t), t.TempDir(), nil)
	samsa := e2e.Start(t, e2e.Options{})
	e2e.CreateTopic(t, kafka.Addr, "hostile", 1, nil)
	e2e.CreateTopic(t, samsa.Addr, "hostile", 1, nil)
	theirs, ours := e2e.Dial(t, kafka.Addr), e2e.Dial(t, samsa.Addr)
	for _, h := range e2e.HostileBatches() {
		for _, version := range []int16{3, 8, 11} {
			ask := func(side string, raw **e2e.Raw, addr string, want int16) {
				req := e2e.ProduceRequest("hostile", 0, h.Records)
				req.Version = version
				resp, err := (*raw).Call(req)
				if err != nil {
					*raw = e2e.Dial(t, addr)
					t.Errorf("%s: %s v%d: %v", side, h.Name, version, err)
					return
				}
				p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
				if p.ErrorCode != want {
					t.Errorf("%s: %s v%d: code %d, the table says %d", side, h.Name, version, p.ErrorCode, want)
				}
			}
			ask("Kafka", &theirs, kafka.Addr, h.KafkaIn(version))
			ask("Samsa", &ours, samsa.Addr, h.WantIn(version))
		}
	}
}

// The same for message sets of the old formats, which Produce v0 to v2 carry.
func TestHostileSetsOfKafka(t *testing.T) {
	kafka := StartKafka(t, StartZooKeeper(t), t.TempDir(), nil)
	e2e.CreateTopic(t, kafka.Addr, "hostile", 1, nil)
	raw := e2e.Dial(t, kafka.Addr)
	for _, h := range e2e.HostileSets() {
		for _, version := range []int16{0, 2} {
			req := e2e.ProduceRequest("hostile", 0, h.Records)
			req.Version = version
			resp, err := raw.Call(req)
			if err != nil {
				raw = e2e.Dial(t, kafka.Addr)
				t.Errorf("%s v%d: %v", h.Name, version, err)
				continue
			}
			if code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != h.Kafka {
				t.Errorf("%s v%d: code %d, the table says %d", h.Name, version, code, h.Kafka)
			}
		}
	}
}
