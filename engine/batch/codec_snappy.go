// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"bytes"
	"encoding/binary"

	"github.com/golang/snappy"
)

// Xerial's framing (snappy-java's SnappyOutputStream): an 8-byte magic, two
// version numbers, then blocks of 32 KiB, each behind its compressed length.
const (
	xerialMagic   = "\x82SNAPPY\x00"
	xerialHead    = len(xerialMagic) + 8
	xerialVersion = 1
	xerialBlock   = 32 << 10
)

// snappyGain is more than a snappy block can grow by: a copy of 64 bytes takes
// at least two.
const snappyGain = 64

func snappyCompress(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = binary.BigEndian.AppendUint32(dst, xerialVersion)
	dst = binary.BigEndian.AppendUint32(dst, xerialVersion)
	for len(src) > 0 {
		block := src[:min(len(src), xerialBlock)]
		src = src[len(block):]
		most := snappy.MaxEncodedLen(len(block))
		dst = room(dst, 4+most)
		at := len(dst)
		encoded := snappy.Encode(dst[at+4:at+4+most], block)
		dst = dst[:at+4+len(encoded)]
		binary.BigEndian.PutUint32(dst[at:], uint32(len(encoded)))
	}
	return dst
}

func snappyDecompress(dst, src []byte, limit int) ([]byte, error) {
	start := len(dst)
	if !isXerial(src) {
		return snappyBlock(dst, src, start, limit)
	}
	for {
		block, rest, err := xerialNext(src)
		if err != nil {
			return dst[:start], err
		}
		if block == nil {
			return dst, nil
		}
		if dst, err = snappyBlock(dst, block, start, limit); err != nil {
			return dst, err
		}
		src = rest
	}
}

func isXerial(src []byte) bool { return bytes.HasPrefix(src, []byte(xerialMagic)) }

// xerialNext takes the next block of a stream; nil at its end.
func xerialNext(src []byte) (block, rest []byte, err error) {
	for isXerial(src) { // streams may follow one another
		if len(src) < xerialHead {
			return nil, nil, codecCorrupt(CodecSnappy, "cut in its header")
		}
		src = src[xerialHead:]
	}
	if len(src) == 0 {
		return nil, nil, nil
	}
	if len(src) < 4 {
		return nil, nil, codecCorrupt(CodecSnappy, "cut in a block's length")
	}
	n := binary.BigEndian.Uint32(src)
	src = src[4:]
	if uint64(n) > uint64(len(src)) {
		return nil, nil, codecCorrupt(CodecSnappy, "cut in a block")
	}
	return src[:n:n], src[n:], nil
}

// snappyBlock appends one block; the length it claims is believed only as far
// as its bytes could make it.
func snappyBlock(dst, block []byte, start, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return dst[:start], codecCorrupt(CodecSnappy, err)
	}
	if n > snappyGain*len(block) {
		return dst[:start], codecCorrupt(CodecSnappy, "claims more than it can hold")
	}
	if len(dst)-start+n > limit {
		return dst[:start], tooLarge(CodecSnappy, limit)
	}
	if n == 0 {
		return dst, nil
	}
	dst = room(dst, n)
	out, err := snappy.Decode(dst[len(dst):len(dst)+n], block)
	if err != nil {
		return dst[:start], codecCorrupt(CodecSnappy, err)
	}
	return dst[:len(dst)+len(out)], nil
}
