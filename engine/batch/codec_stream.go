// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// gzipCompress writes one gzip member; level 1 to 9.
func (s *Scratch) gzipCompress(dst, src []byte, level int) ([]byte, error) {
	if level == LevelDefault {
		level = gzip.DefaultCompression
	}
	if s.gzipOut == nil || s.gzipAt != level {
		w, err := gzip.NewWriterLevel(io.Discard, level)
		if err != nil {
			return dst, err
		}
		s.gzipOut, s.gzipAt = w, level
	}
	buf := bytes.NewBuffer(dst)
	s.gzipOut.Reset(buf)
	if _, err := s.gzipOut.Write(src); err != nil {
		return dst, err
	}
	if err := s.gzipOut.Close(); err != nil {
		return dst, err
	}
	return buf.Bytes(), nil
}

// gzipDecompress reads every member of src. As in Java, bytes behind a member
// that begin no further one are passed over.
func (s *Scratch) gzipDecompress(dst, src []byte, limit int) ([]byte, error) {
	defer s.src.Reset(nil)
	if err := s.gzipBegin(src); err != nil {
		return dst, err
	}
	start := len(dst)
	for {
		dst = room(dst, 4096)
		n, err := s.gzipRead(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst)-start > limit:
			return dst[:start], tooLarge(CodecGzip, limit)
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst[:start], err
		}
	}
}

// gzipBegin opens the first member of src.
func (s *Scratch) gzipBegin(src []byte) error {
	s.src.Reset(src)
	if s.gzipIn == nil {
		s.gzipIn = new(gzip.Reader)
	}
	if err := s.gzipIn.Reset(&s.src); err != nil {
		return codecCorrupt(CodecGzip, err)
	}
	s.gzipIn.Multistream(false)
	return nil
}

// gzipRead reads on; io.EOF behind the last member.
func (s *Scratch) gzipRead(p []byte) (int, error) {
	for {
		n, err := s.gzipIn.Read(p)
		switch {
		case err == io.EOF:
			if s.src.Len() == 0 || s.gzipIn.Reset(&s.src) != nil {
				return n, io.EOF
			}
			s.gzipIn.Multistream(false)
		case err != nil:
			return n, codecCorrupt(CodecGzip, err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

// zstdCompress writes one zstd frame; level is zstd's own scale.
func (s *Scratch) zstdCompress(dst, src []byte, level int) ([]byte, error) {
	if level == LevelDefault {
		level = 3
	}
	if s.zstdOut == nil || s.zstdAt != level {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
			zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false), zstd.WithWindowSize(zstdWindow))
		if err != nil {
			return dst, err
		}
		s.zstdOut, s.zstdAt = w, level
	}
	return s.zstdOut.EncodeAll(src, dst), nil
}

const (
	zstdWindow    = 2 << 20           // of what is written, as zstd itself has it at level 3
	zstdMaxWindow = 1 << 27           // what zstd's own readers accept
	zstdMaxBlock  = 128 << 10         // what a block of three bytes may grow to
	zstdSlack     = zstdMaxBlock + 64 // with this much room a block never fails for lack of it
)

// zstdDecompress decodes into memory that the decoder may not grow: a frame
// that comes near its end is started again with twice the room, as long as its
// blocks could really fill that. The decoder's errors count only while there
// was room: near the end it calls good blocks broken.
func (s *Scratch) zstdDecompress(dst, src []byte, limit int) ([]byte, error) {
	if s.zstdIn == nil {
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdMaxWindow), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return dst, err
		}
		s.zstdIn = r
	}
	most := limit
	if blocks := len(src)/3 + 1; blocks < limit/zstdMaxBlock {
		most = blocks * zstdMaxBlock
	}
	start, size := len(dst), min(most, max(4*len(src), 4096, cap(dst)-len(dst)-zstdSlack))
	for {
		dst = room(dst, size+zstdSlack)
		out, err := s.zstdIn.DecodeAll(src, dst[:start:start+size+zstdSlack])
		got := len(out) - start
		full := errors.Is(err, zstd.ErrDecoderSizeExceeded)
		switch {
		case got > limit, full && size == most && most == limit:
			return dst[:start], tooLarge(CodecZstd, limit)
		case err == nil:
			return out, nil
		case !full && got <= size:
			return dst[:start], codecCorrupt(CodecZstd, err)
		case size == most:
			return dst[:start], codecCorrupt(CodecZstd, "more than its blocks can hold")
		}
		size = min(most, 2*size)
	}
}
