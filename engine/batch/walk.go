// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"errors"
	"fmt"
)

// Walk gives every record of b to fn, in order, and stops at fn's first error,
// which it returns. It allocates nothing for a batch that is not compressed and
// does not verify the checksum. scratch may be nil.
//
// ErrInvalidRecord when the records contradict the header or themselves,
// ErrUnreadable when they do not decompress, ErrTooLarge when they decompress to more than scratch.MaxSize,
// ErrUnsupportedCodec.
func Walk(b Batch, scratch *Scratch, fn func(r *Record) error) error {
	if scratch == nil {
		scratch = new(Scratch)
	}
	if err := wellFormed(b); err != nil {
		return err
	}
	records, err := scratch.open(b, scratch.limit())
	if err != nil {
		return err
	}
	var c cursor
	c.start(b, records)
	for {
		ok, err := c.next(&scratch.rec)
		if err != nil || !ok {
			return err
		}
		if err := fn(&scratch.rec); err != nil {
			return err
		}
	}
}

// wellFormed holds for what Next returns; a Batch may come from elsewhere.
func wellFormed(b Batch) error {
	if len(b) < HeaderSize || b.Size() != len(b) {
		return fmt.Errorf("%w: %d bytes are not one whole batch", ErrCorrupt, len(b))
	}
	if b.Magic() != 2 {
		return fmt.Errorf("%w: %d", ErrUnsupportedMagic, b.Magic())
	}
	return nil
}

// open returns the records of b, decompressed into scratch if need be.
func (s *Scratch) open(b Batch, limit int) ([]byte, error) {
	plain, err := s.openOnce(b, min(limit, usualSize))
	if errors.Is(err, ErrTooLarge) && limit > usualSize && b.Codec() != CodecNone {
		// Once more, into memory that is had at once: growing to it would leave as
		// much again behind. What is not written to costs nothing.
		s.plain = make([]byte, 0, b.Codec().most(b.Records(), limit))
		plain, err = s.openOnce(b, limit)
	}
	return plain, err
}

// openOnce is open without a second attempt.
func (s *Scratch) openOnce(b Batch, limit int) ([]byte, error) {
	if b.Codec() == CodecNone {
		return b.Records(), nil
	}
	return s.openInto(s.plain[:0], b, limit)
}

// openInto is openOnce into dst, which may grow.
func (s *Scratch) openInto(dst []byte, b Batch, limit int) ([]byte, error) {
	plain, err := b.Codec().Decompress(dst, b.Records(), limit, s)
	s.keep(plain)
	if err != nil {
		return nil, unreadable(err)
	}
	return plain, nil
}

// slack is more than a codec wants beyond what it decompresses to: a block.
const slack = lz4Largest + zstdSlack

// unreadable is what bytes that do not decompress are in a batch.
func unreadable(err error) error {
	if errors.Is(err, ErrCorrupt) { // the checksum is right: so it was made
		return fmt.Errorf("%w: %v", ErrUnreadable, err)
	}
	return err
}

// usualSize is what batches rarely decompress to more than.
const usualSize = 8 << 20

// most is the room to decompress src into, at most limit bytes and slack.
func (c Codec) most(src []byte, limit int) int {
	gain := map[Codec]int64{CodecGzip: 1032, CodecSnappy: snappyGain, CodecLZ4: lz4Gain, CodecZstd: zstdMaxBlock / 3}[c]
	return int(min(int64(limit), gain*int64(len(src)))) + slack
}
