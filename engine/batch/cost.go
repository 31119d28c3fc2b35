// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
)

// Cost is about how many bytes Check holds at one time for a batch, beside a Scratch's own. It looks at
// no more than the heads of the batch and of its compressed records.
func Cost(b Batch, rules *Rules) int {
	if wellFormed(b) != nil || b.Codec() == CodecNone {
		return 0
	}
	records, most := b.Records(), rules.MaxHeld
	if rules.TargetCodec != CodecProducer && rules.TargetCodec != b.Codec() { // and compressed again
		return 2 * min(most, wholeSize(b, true))
	}
	switch b.Codec() {
	case CodecSnappy:
		if n, err := snappy.DecodedLen(records); err == nil && !isXerial(records) {
			return min(most, n)
		}
	case CodecLZ4:
		return lz4Room(records)
	case CodecZstd:
		var h zstd.Header
		if h.Decode(records) == nil {
			window := h.WindowSize
			if h.SingleSegment {
				window = h.FrameContentSize
			}
			return int(min(window, streamWindow))
		}
	}
	return 0
}
