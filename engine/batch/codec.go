// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"fmt"
	"math"
)

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
const LevelDefault = math.MinInt32

// DefaultMaxSize caps what a batch may decompress to where nobody names a cap.
const DefaultMaxSize = 256 << 20

var codecNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

// String is the name that compression.type uses.
func (c Codec) String() string {
	switch {
	case c == CodecProducer:
		return "producer"
	case c.valid():
		return codecNames[c]
	}
	return fmt.Sprintf("codec %d", int8(c))
}

// ParseCodec reads a value of compression.type.
func ParseCodec(name string) (Codec, error) {
	switch name {
	case "producer":
		return CodecProducer, nil
	case "uncompressed":
		return CodecNone, nil
	}
	for c, n := range codecNames {
		if n == name && c > 0 {
			return Codec(c), nil
		}
	}
	return CodecNone, fmt.Errorf("%w: %q", ErrUnsupportedCodec, name)
}

func (c Codec) valid() bool { return c >= CodecNone && c <= CodecZstd }

// Compress appends src, compressed, to dst. Snappy is framed as Kafka's Java
// clients do it (xerial), LZ4 as frames of independent 64 KiB blocks. level is
// the codec's own scale, or LevelDefault. scratch keeps the codec's state and
// may be nil.
func (c Codec) Compress(dst, src []byte, level int, scratch *Scratch) ([]byte, error) {
	if scratch == nil {
		scratch = new(Scratch)
	}
	switch c {
	case CodecNone:
		return append(dst, src...), nil
	case CodecGzip:
		return scratch.gzipCompress(dst, src, level)
	case CodecSnappy:
		return snappyCompress(dst, src), nil
	case CodecLZ4:
		return scratch.lz4Compress(dst, src, level)
	case CodecZstd:
		return scratch.zstdCompress(dst, src, level)
	}
	return dst, fmt.Errorf("%w: %s", ErrUnsupportedCodec, c)
}

// Decompress appends what src decompresses to, at most limit bytes, to dst.
// Snappy may be framed or raw. ErrTooLarge when it is more, ErrCorrupt when it
// is not what the codec writes. Memory grows with what was really decoded, not
// with what src claims. scratch keeps the codec's state and may be nil.
func (c Codec) Decompress(dst, src []byte, limit int, scratch *Scratch) ([]byte, error) {
	if scratch == nil {
		scratch = new(Scratch)
	}
	switch c {
	case CodecNone:
		if len(src) > limit {
			return dst, tooLarge(c, limit)
		}
		return append(dst, src...), nil
	case CodecGzip:
		return scratch.gzipDecompress(dst, src, limit)
	case CodecSnappy:
		return snappyDecompress(dst, src, limit)
	case CodecLZ4:
		return lz4Decompress(dst, src, limit, lz4Strict)
	case CodecZstd:
		return scratch.zstdDecompress(dst, src, limit)
	}
	return dst, fmt.Errorf("%w: %s", ErrUnsupportedCodec, c)
}

func tooLarge(c Codec, limit int) error {
	return fmt.Errorf("%w: %s data decompresses to more than %d bytes", ErrTooLarge, c, limit)
}

func codecCorrupt(c Codec, why any) error {
	return fmt.Errorf("%w: %s data: %v", ErrCorrupt, c, why)
}

// room makes space for n more bytes behind dst, growing at least by half.
func room(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	bigger := make([]byte, len(dst), max(len(dst)+n, len(dst)+len(dst)/2))
	copy(bigger, dst)
	return bigger
}
