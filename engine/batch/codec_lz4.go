// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"encoding/binary"
	"math/bits"

	"github.com/pierrec/lz4/v4"
)

// The LZ4 frame format as far as Kafka's clients write and read it: version 1,
// independent blocks, no dictionary. Others are refused here as Kafka refuses
// them, because Java consumers could not read them either.
const (
	lz4Magic       = 0x184D2204
	lz4FlagVersion = 0x40 // of two bits
	lz4FlagVMask   = 0xc0
	lz4FlagIndep   = 0x20
	lz4FlagBlockCk = 0x10
	lz4FlagSize    = 0x08
	lz4FlagContCk  = 0x04
	lz4FlagRest    = 0x03
	lz4Stored      = 1 << 31 // in a block's size: the block is not compressed
	lz4Block       = 64 << 10
	lz4Gain        = 255 // more than a block can grow by
	lz4Largest     = 4 << 20
)

// lz4Head opens every frame we write: 64 KiB independent blocks, no checksums,
// and the checksum of these flags.
var lz4Head = [7]byte{0x04, 0x22, 0x4D, 0x18, lz4FlagVersion | lz4FlagIndep, 0x40, 0x82}

// lz4Strictness says whether the header's checksum counts: the clients of
// magic 0 computed it wrongly.
type lz4Strictness bool

const (
	lz4Strict  lz4Strictness = true
	lz4Lenient lz4Strictness = false
)

// lz4Compress writes one frame. Kafka's default level, 9, means the fast
// compressor; other levels the thorough one.
func (s *Scratch) lz4Compress(dst, src []byte, level int) ([]byte, error) {
	if s.lz4Fast == nil {
		s.lz4Fast = new(lz4.Compressor)
	}
	compress := s.lz4Fast.CompressBlock
	if level != LevelDefault && level != 9 {
		if s.lz4High == nil {
			s.lz4High = new(lz4.CompressorHC)
		}
		s.lz4High.Level = lz4Level(level)
		compress = s.lz4High.CompressBlock
	}
	dst = append(dst, lz4Head[:]...)
	for len(src) > 0 {
		block := src[:min(len(src), lz4Block)]
		src = src[len(block):]
		dst = room(dst, 4+lz4.CompressBlockBound(len(block)))
		at := len(dst)
		n, err := compress(block, dst[at+4:cap(dst)])
		if err != nil {
			return dst, err
		}
		size := uint32(n)
		if n == 0 || n >= len(block) { // it did not get smaller
			n = copy(dst[at+4:cap(dst)], block)
			size = uint32(n) | lz4Stored
		}
		dst = dst[:at+4+n]
		binary.LittleEndian.PutUint32(dst[at:], size)
	}
	return append(dst, 0, 0, 0, 0), nil
}

// lz4Level maps Kafka's 1 to 17 onto the nine of the library.
func lz4Level(level int) lz4.CompressionLevel {
	levels := [...]lz4.CompressionLevel{lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5,
		lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9}
	return levels[min(max(level, 1), len(levels))-1]
}

// lz4Decompress reads one frame; bytes after it are not looked at.
func lz4Decompress(dst, src []byte, limit int, strict lz4Strictness) ([]byte, error) {
	flags, largest, src, why := lz4Header(src, strict)
	if why != "" {
		return dst, codecCorrupt(CodecLZ4, why)
	}
	start := len(dst)
	for {
		block, stored, rest, err := lz4Next(src, flags, largest)
		if err != nil {
			return dst[:start], err
		}
		if block == nil {
			return dst, nil
		}
		src = rest
		if dst, err = lz4Append(dst, block, stored, min(largest, limit-(len(dst)-start)), largest); err != nil {
			if err == ErrTooLarge {
				err = tooLarge(CodecLZ4, limit)
			}
			return dst[:start], err
		}
	}
}

// lz4Next takes the next block of a frame; nil at the end mark, behind which a
// checksum of the content may follow: the batch has its own.
func lz4Next(src []byte, flags byte, largest int) (block []byte, stored bool, rest []byte, err error) {
	if len(src) < 4 {
		return nil, false, nil, codecCorrupt(CodecLZ4, "cut before its end mark")
	}
	size := binary.LittleEndian.Uint32(src)
	src = src[4:]
	if size == 0 {
		return nil, false, nil, nil
	}
	n := int(size &^ lz4Stored)
	after := n
	if flags&lz4FlagBlockCk != 0 {
		after += 4
	}
	if n > largest || after > len(src) {
		return nil, false, nil, codecCorrupt(CodecLZ4, "a block's size")
	}
	block = src[:n:n]
	if after > n && xxh32(block) != binary.LittleEndian.Uint32(src[n:]) {
		return nil, false, nil, codecCorrupt(CodecLZ4, "a block's checksum")
	}
	return block, size&lz4Stored != 0, src[after:], nil
}

// lz4Append appends one block that may yield at most allowed bytes; one that
// yields more is corrupt, or too large when its format would allow more.
func lz4Append(dst, block []byte, stored bool, allowed, largest int) ([]byte, error) {
	if stored {
		if len(block) > allowed {
			return dst, ErrTooLarge
		}
		return append(dst, block...), nil
	}
	most := min(largest, lz4Gain*len(block)+16)
	dst = room(dst, most)
	n, err := lz4.UncompressBlock(block, dst[len(dst):len(dst)+most])
	if err != nil {
		return dst, codecCorrupt(CodecLZ4, err)
	}
	if n > allowed {
		return dst, ErrTooLarge
	}
	return dst[:len(dst)+n], nil
}

// lz4Room is what a block of the frame may need; 0 when it is none.
func lz4Room(src []byte) int {
	if _, largest, _, why := lz4Header(src, lz4Strict); why == "" {
		return min(largest, lz4Gain*len(src)+16)
	}
	return 0
}

// lz4Header reads the frame's header: its flags, the largest block it allows,
// and what follows. why is not empty when it cannot be accepted.
func lz4Header(src []byte, strict lz4Strictness) (flags byte, largest int, rest []byte, why string) {
	if len(src) < 7 || binary.LittleEndian.Uint32(src) != lz4Magic {
		return 0, 0, nil, "no frame"
	}
	flags = src[4]
	size := 6 // up to the checksum
	if flags&lz4FlagSize != 0 {
		size += 8
	}
	index := src[5] >> 4
	switch {
	case flags&lz4FlagVMask != lz4FlagVersion:
		return 0, 0, nil, "unknown version"
	case flags&lz4FlagIndep == 0:
		return 0, 0, nil, "dependent blocks, which Kafka's readers do not support"
	case flags&lz4FlagRest != 0 || src[5]&0x8f != 0:
		return 0, 0, nil, "reserved bits or a dictionary"
	case index < 4 || index > 7:
		return 0, 0, nil, "block size"
	case len(src) <= size:
		return 0, 0, nil, "cut in its header"
	case bool(strict) && byte(xxh32(src[4:size])>>8) != src[size]:
		return 0, 0, nil, "header checksum"
	}
	return flags, 1 << (8 + 2*index), src[size+1:], ""
}

// The primes of xxHash32, seed 0.
const (
	xxPrime1 = 2654435761
	xxPrime2 = 2246822519
	xxPrime3 = 3266489917
	xxPrime4 = 668265263
	xxPrime5 = 374761393
)

// xxh32 is xxHash32 with seed 0, which LZ4 frames use for their checksums.
func xxh32(b []byte) uint32 {
	h := uint32(xxPrime5)
	n := uint32(len(b))
	if len(b) >= 16 {
		var one, two uint32 = xxPrime1, xxPrime2
		v := [4]uint32{one + two, two, 0, -one}
		for len(b) >= 16 {
			for i := range v {
				v[i] = bits.RotateLeft32(v[i]+binary.LittleEndian.Uint32(b[4*i:])*xxPrime2, 13) * xxPrime1
			}
			b = b[16:]
		}
		h = bits.RotateLeft32(v[0], 1) + bits.RotateLeft32(v[1], 7) + bits.RotateLeft32(v[2], 12) + bits.RotateLeft32(v[3], 18)
	}
	h += n
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*xxPrime3, 17) * xxPrime4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*xxPrime5, 11) * xxPrime1
	}
	h = (h ^ h>>15) * xxPrime2
	h = (h ^ h>>13) * xxPrime3
	return h ^ h>>16
}
