// SPDX-License-Identifier: Apache-2.0

package group

import (
	"encoding/binary"
	"fmt"
)

// consumerProtocol is the protocol type whose subscriptions Kafka specifies.
const consumerProtocol = "consumer"

// subscribedTopics adds the topics of a consumer's subscription to the set.
// The layout is ConsumerProtocolSubscription, any version: version int16, then
// an array of strings; what follows is the assignor's business.
func subscribedTopics(set map[string]struct{}, b []byte) error {
	if len(b) < 6 {
		return fmt.Errorf("%w: subscription of %d bytes", errBadRecord, len(b))
	}
	n := int32(binary.BigEndian.Uint32(b[2:]))
	b = b[6:]
	for i := int32(0); i < n; i++ {
		if len(b) < 2 {
			return fmt.Errorf("%w: subscription ends at topic %d of %d", errBadRecord, i, n)
		}
		size := int(int16(binary.BigEndian.Uint16(b)))
		b = b[2:]
		if size < 0 || size > len(b) {
			return fmt.Errorf("%w: topic %d of a subscription has %d bytes, %d are left", errBadRecord, i, size, len(b))
		}
		set[string(b[:size])] = struct{}{}
		b = b[size:]
	}
	return nil
}
