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
	large   []byte // while Check runs: more than that, outside of the heap
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

// lend is memory to decompress n bytes into: what is kept, or memory outside of
// the heap, as long as Check runs. What grew on the heap would leave as much
// again behind, and the garbage collector lets several times as much stand.
func (s *Scratch) lend(n int) []byte {
	if n <= keepBytes {
		return s.plain[:0]
	}
	if cap(s.large) >= n {
		return s.large[:0]
	}
	s.unlend()
	if s.large = mapped(n); s.large == nil {
		return s.plain[:0]
	}
	return s.large[:0]
}

// unlend gives back what lend took.
func (s *Scratch) unlend() {
	if s.large != nil {
		unmapped(s.large[:cap(s.large)])
		s.large = nil
	}
}

// keep makes plain, if it grew on the heap, what is used the next time.
func (s *Scratch) keep(plain []byte) {
	if cap(plain) > cap(s.plain) && (s.large == nil || cap(plain) == 0 || &plain[:1][0] != &s.large[:1][0]) {
		s.plain = plain[:0]
	}
}

// Shrink frees buffers that an unusual batch made large. Call it before a
// scratch waits in a pool.
func (s *Scratch) Shrink() {
	if cap(s.plain) > 2*keepBytes { // what grew to keepBytes may be somewhat more
		s.plain = nil
	}
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
