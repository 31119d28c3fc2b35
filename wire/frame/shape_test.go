// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// keys39 are what a Kafka 3.9 broker in ZooKeeper mode serves.
func keys39() (keys []int16) {
	for key := int16(0); key <= 69; key++ {
		if req := kmsg.RequestForKey(key); req != nil && (key < 52 || key == 56 || key == 57 || key == 58 || key == 60 || key == 61 || key >= 65) {
			keys = append(keys, key)
		}
	}
	return keys
}

// The layout of every request can be learnt, in every version.
func TestShapesOfAllRequests(t *testing.T) {
	for _, key := range keys39() {
		for version := int16(0); version <= kmsg.RequestForKey(key).MaxVersion(); version++ {
			req := kmsg.RequestForKey(key)
			s, err := NewShape(req, version)
			if err != nil {
				t.Error(err)
				continue
			}
			req.SetVersion(version)
			b := req.AppendTo(nil)
			for n := range b {
				if err := s.Check(b[:n]); !errors.Is(err, ErrMalformed) {
					t.Errorf("%T version %d: %d of %d bytes: %v", req, version, n, len(b), err)
				}
			}
			if n := testing.AllocsPerRun(10, func() { _ = s.Check(b) }); n != 0 {
				t.Errorf("%T version %d: %v allocations", req, version, n)
			}
		}
	}
}
