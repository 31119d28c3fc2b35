// SPDX-License-Identifier: Apache-2.0

//go:build linux

package load

import (
	"encoding/binary"
	"fmt"
)

// scanner reads an answer's fields off a connection; its first error sticks.
type scanner struct {
	c    *conn
	left int // of the frame
	err  error
}

// take makes the next n bytes of the frame available and consumes them.
func (s *scanner) take(n int) []byte {
	if s.err == nil && (n < 0 || n > s.left) {
		s.err = fmt.Errorf("%w: a field of %d bytes where %d are left", ErrWrong, n, s.left)
	}
	if s.err != nil {
		return nil
	}
	b, err := s.c.need(n)
	if err != nil {
		s.err = err
		return nil
	}
	s.c.skip(n)
	s.left -= n
	return b
}

func (s *scanner) skip(n int) { s.take(n) }

func (s *scanner) int16() int {
	if b := s.take(2); b != nil {
		return int(int16(binary.BigEndian.Uint16(b)))
	}
	return 0
}

func (s *scanner) int32() int {
	if b := s.take(4); b != nil {
		return int(int32(binary.BigEndian.Uint32(b)))
	}
	return 0
}

// count reads a compact length: 0 for null, else one less than what stands there.
func (s *scanner) count() int {
	var v uint64
	for shift := 0; shift < 35; shift += 7 {
		b := s.take(1)
		if b == nil {
			return 0
		}
		v |= uint64(b[0]&0x7f) << shift
		if b[0] < 0x80 {
			return max(0, int(v)-1)
		}
	}
	s.err = fmt.Errorf("%w: a length of more than five bytes", ErrWrong)
	return 0
}

// drop lets the kernel throw n bytes away.
func (s *scanner) drop(n int) error {
	if n > s.left {
		return fmt.Errorf("%w: records of %d bytes where %d are left", ErrWrong, n, s.left)
	}
	s.left -= n
	return s.c.discard(n)
}

// read fills dst.
func (s *scanner) read(dst []byte) error {
	if len(dst) > s.left {
		return fmt.Errorf("%w: records of %d bytes where %d are left", ErrWrong, len(dst), s.left)
	}
	s.left -= len(dst)
	return s.c.read(dst)
}
