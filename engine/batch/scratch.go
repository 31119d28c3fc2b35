// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"bytes"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Scratch is the memory that walking, checking and compressing reuse: buffers
// and the state of codecs, each made when first needed. The zero value is
// ready. It belongs to one goroutine at a time; what was returned from it is
// gone when it is used again.
type Scratch struct {
	// MaxSize caps what Walk and WalkLegacy decompress, in bytes; 0 is
	// DefaultMaxSize.
	MaxSize int

	rec     Record
	plain   []byte // decompressed records
	out     []byte // a rewritten batch
	src     bytes.Reader
	gzipIn  *gzip.Reader
	gzipOut *gzip.Writer
	gzipAt  int           // level of gzipOut
	zstdIn  *zstd.Decoder // of the whole
	zstdTo  *zstd.Decoder // of a stream
	zstdOut *zstd.Encoder
	zstdAt  int // level of zstdOut
	lz4Fast *lz4.Compressor
	lz4High *lz4.CompressorHC
	builder *Builder
	window  []byte // of a stream
	flow    stream
}

// keepBytes is the largest buffer that Shrink leaves.
const keepBytes = 1 << 20

// Release frees what an unusual batch was decompressed into and tells how many
// bytes that were. What Check returned stays.
func (s *Scratch) Release() (bytes int) {
	if cap(s.plain) <= keepBytes {
		return 0
	}
	bytes, s.plain = cap(s.plain), nil
	return bytes
}

// Shrink frees buffers that an unusual batch made large. Call it before a
// scratch waits in a pool.
func (s *Scratch) Shrink() {
	s.Release()
	if cap(s.out) > keepBytes {
		s.out = nil
	}
	if s.flow.size > usualSize { // its window may be large
		s.zstdTo = nil
	}
	if s.builder != nil && cap(s.builder.buf) > keepBytes {
		s.builder = nil
	}
}

func (s *Scratch) limit() int {
	if s.MaxSize > 0 {
		return s.MaxSize
	}
	return DefaultMaxSize
}
