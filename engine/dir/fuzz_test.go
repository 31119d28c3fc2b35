// SPDX-License-Identifier: Apache-2.0

package dir

import (
	"maps"
	"testing"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
)

// Kafka's text files: no panic, and what is read is written the same.
func FuzzText(tf *testing.F) {
	f := hostiletest.New(tf)
	f.Add("0\n1\nt 0 5\n")
	f.Add("0\n2\nt 0 5\nt 0 6\n")
	f.Add("version: 0\ntopic_id: AQAAAAAAAAAAAAAAAAAAAA")
	f.Add("#\nversion=0\nbroker.id=1\ncluster.id=a\\:b\n")
	f.Fuzz(func(t *testing.T, text string) {
		if offsets, err := parseOffsets(text); err == nil {
			again, err := parseOffsets(formatOffsets(offsets))
			if err != nil || !maps.Equal(offsets, again) {
				t.Fatalf("%v became %v, %v", offsets, again, err)
			}
		}
		if id, err := parseMetadata(text); err == nil {
			if again, err := parseMetadata("version: 0\ntopic_id: " + topicText(id)); err != nil || again != id {
				t.Fatalf("%x became %x, %v", id, again, err)
			}
		}
		if m, err := parseMeta(text); err == nil && m.BrokerID < -1 {
			t.Fatalf("broker id %d", m.BrokerID)
		}
		if topic, partition, ok := parseLogName(text); ok && logName(topic, partition) != text {
			t.Fatalf("%q became %q", text, logName(topic, partition))
		}
		suffixOf(text)
	})
}
