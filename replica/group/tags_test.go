// SPDX-License-Identifier: Apache-2.0

package group

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A value in __consumer_offsets that claims 2^32-1 tagged fields is refused at
// once; kmsg alone would count them down for a minute, at every start.
func TestClaimedTagsOfValues(t *testing.T) {
	lie := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	offset := kmsg.OffsetCommitValue{Version: 4, Offset: 1, Metadata: "m"}
	group := kmsg.GroupMetadataValue{Version: 4, ProtocolType: "consumer", Members: make([]kmsg.GroupMetadataValueMember, 1)}
	for name, b := range map[string][]byte{"offset": offset.AppendTo(nil), "group": group.AppendTo(nil)} {
		key := encodeGroupKey("g")
		if name == "offset" {
			key = encodeOffsetKey("g", TopicPartition{"t", 1})
		}
		if err := NewReplay().Record(0, NoProducer, key, b); err != nil {
			t.Errorf("%s: a good value: %v", name, err)
		}
		for cut := 1; cut <= 2; cut++ { // the tags of the value, and of its last member
			bad := append(append([]byte(nil), b[:len(b)-cut]...), lie...)
			began := time.Now()
			if err := NewReplay().Record(0, NoProducer, key, bad); !errors.Is(err, errBadRecord) {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("%s: refused after %v", name, took)
			}
		}
	}
}
