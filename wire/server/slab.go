// SPDX-License-Identifier: Apache-2.0

package server

import "math/bits"

// slabs is a lane's memory for bytes that sockets and files are read into: out
// of the garbage collector's sight, in classes of powers of two. Mapped memory
// costs nothing until it is touched. It belongs to the lane's loop.
type slabs struct {
	free     [32][][]byte
	rest     []byte // of the chunk small classes are cut from
	retained int    // bytes in free that could be unmapped
}

const (
	slabMinBits    = 10      // 1 KiB
	slabMapBits    = 16      // from 64 KiB on a slab is a mapping of its own
	slabChunk      = 1 << 20 // small slabs are cut from these
	slabRetainedUp = 32 << 20
)

// slabClass is the power of two that holds n bytes.
func slabClass(n int) int { return max(slabMinBits, bits.Len(uint(max(n, 1)-1))) }

// get returns n bytes of undefined content; cap is the whole slab.
func (s *slabs) get(n int) []byte {
	c := slabClass(n)
	if f := s.free[c]; len(f) > 0 {
		b := f[len(f)-1]
		s.free[c] = f[:len(f)-1]
		if c >= slabMapBits {
			s.retained -= 1 << c
		}
		return b[:n]
	}
	size := 1 << c
	if c >= slabMapBits {
		return mapBytes(size)[:n]
	}
	if len(s.rest) < size {
		s.rest = mapBytes(slabChunk)
	}
	b := s.rest[:size:size]
	s.rest = s.rest[size:]
	return b[:n]
}

// put takes back what get returned.
func (s *slabs) put(b []byte) {
	b = b[:cap(b)]
	c := slabClass(len(b))
	if 1<<c != len(b) {
		panic("BUG: server: not a slab")
	}
	if c >= slabMapBits {
		if s.retained+len(b) > slabRetainedUp {
			unmapBytes(b)
			return
		}
		s.retained += len(b)
	}
	s.free[c] = append(s.free[c], b)
}
