// SPDX-License-Identifier: Apache-2.0

package batch

// Codec is a compression type as batches name it.
type Codec int8

// The codecs of Kafka. CodecProducer is no codec: as compression.type of a
// topic it keeps whatever the producer chose.
const (
	CodecProducer Codec = iota - 1
	CodecNone
	CodecGzip
	CodecSnappy
	CodecLZ4
	CodecZstd
)

// LevelDefault asks for a codec's own default level.
const LevelDefault = -1 << 31
