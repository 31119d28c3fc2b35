// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"errors"
	"io"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/zstd"
)

// streamWindow is how far zstd may look back in a stream, in bytes: what its
// levels up to 19 need. A frame that says more is decompressed at once.
const streamWindow = 8 << 20

// errWindow says that a stream would have to look back too far.
var errWindow = errors.New("batch: a zstd window too large for a stream")

// source reads what a batch's records decompress to, piece by piece.
type source struct {
	s       *Scratch
	codec   Codec
	src     []byte // LZ4, Snappy: what is left
	flags   byte   // LZ4
	largest int    // LZ4
	held    int    // Snappy: what a block may become
	raw     bool   // Snappy: one block without a frame
	block   []byte // LZ4, Snappy: of the block, in s.plain, what was not read
}

// begin opens the records of b.
func (f *source) begin(s *Scratch, b Batch, held int) error {
	*f = source{s: s, codec: b.Codec(), src: b.Records(), held: held}
	switch f.codec {
	case CodecGzip:
		return s.gzipBegin(f.src)
	case CodecSnappy:
		f.raw = !isXerial(f.src)
	case CodecLZ4:
		var why string
		if f.flags, f.largest, f.src, why = lz4Header(f.src, lz4Strict); why != "" {
			return codecCorrupt(CodecLZ4, why)
		}
	case CodecZstd:
		return s.zstdBegin(f.src)
	}
	return nil
}

// read is an io.Reader's; its errors are those of Codec.Decompress, and
// errWindow.
func (f *source) read(p []byte) (int, error) {
	switch f.codec {
	case CodecGzip:
		return f.s.gzipRead(p)
	case CodecZstd:
		return f.s.zstdRead(p)
	}
	for len(f.block) == 0 {
		if err := f.nextBlock(); err != nil {
			return 0, err
		}
	}
	n := copy(p, f.block)
	f.block = f.block[n:]
	return n, nil
}

// nextBlock decompresses the next block; io.EOF when there is none.
func (f *source) nextBlock() (err error) {
	var plain []byte
	if f.codec == CodecLZ4 {
		block, stored, rest, err := lz4Next(f.src, f.flags, f.largest)
		if err != nil {
			return err
		}
		if block == nil {
			return io.EOF
		}
		f.src = rest
		if stored {
			f.block = block
			return nil
		}
		plain = f.s.lend(min(f.largest, lz4Gain*len(block)+16))
		if plain, err = lz4Append(plain, block, false, f.largest, f.largest); err != nil {
			return err
		}
	} else if plain, err = f.nextSnappy(); err != nil {
		return err
	}
	f.s.keep(plain)
	f.block = plain
	return nil
}

func (f *source) nextSnappy() ([]byte, error) {
	block := f.src
	switch {
	case f.raw && f.src == nil:
		return nil, io.EOF
	case f.raw:
		f.src = nil
	default:
		var err error
		if block, f.src, err = xerialNext(f.src); err != nil {
			return nil, err
		}
		if block == nil {
			return nil, io.EOF
		}
	}
	plain := f.s.plain[:0]
	if n, err := snappy.DecodedLen(block); err == nil && n <= min(f.held, snappyGain*len(block)) {
		plain = f.s.lend(n)
	}
	return snappyBlock(plain, block, 0, f.held)
}

// zstdBegin opens the first frame of src.
func (s *Scratch) zstdBegin(src []byte) error {
	s.src.Reset(src)
	if s.zstdTo != nil {
		return s.zstdTo.Reset(&s.src)
	}
	r, err := zstd.NewReader(&s.src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(streamWindow))
	s.zstdTo = r
	return err
}

// zstdRead reads on; io.EOF behind the last frame.
func (s *Scratch) zstdRead(p []byte) (int, error) {
	n, err := s.zstdTo.Read(p)
	switch {
	case err == nil || err == io.EOF:
		return n, err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return n, errWindow
	}
	return n, codecCorrupt(CodecZstd, err)
}
