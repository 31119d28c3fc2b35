// SPDX-License-Identifier: Apache-2.0

//go:build linux

package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrWrong says that a broker answered something that is not true: a slot with
// a wrong byte is a failure and no number.
var ErrWrong = errors.New("load: wrong answer")

// conn is one connection with a receive buffer of its own.
type conn struct {
	net  *net.TCPConn
	raw  syscall.RawConn
	buf  []byte
	r, w int
}

func dial(addr string) (*conn, error) {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	return &conn{net: c.(*net.TCPConn), raw: raw, buf: make([]byte, 64<<10)}, nil
}

func (c *conn) close() { _ = c.net.Close() }

// sendFile sends n bytes of a file from off, without copying them.
func (c *conn) sendFile(fd int, off int64, n int) error {
	var failed error
	err := c.raw.Write(func(sock uintptr) bool {
		for n > 0 {
			sent, err := unix.Sendfile(int(sock), fd, &off, n)
			switch {
			case err == unix.EAGAIN:
				return false
			case err == unix.EINTR:
				continue
			case err != nil:
				failed = err
				return true
			case sent == 0:
				failed = io.ErrUnexpectedEOF
				return true
			}
			n -= sent
		}
		return true
	})
	return errors.Join(failed, err)
}

// need makes n bytes, at most the buffer's size, available and returns them;
// they are not consumed.
func (c *conn) need(n int) ([]byte, error) {
	if c.w-c.r >= n {
		return c.buf[c.r : c.r+n], nil
	}
	if n > len(c.buf) {
		return nil, fmt.Errorf("%w: %d bytes where at most %d are expected", ErrWrong, n, len(c.buf))
	}
	if c.r > 0 {
		copy(c.buf, c.buf[c.r:c.w])
		c.r, c.w = 0, c.w-c.r
	}
	for c.w < n {
		got, err := c.net.Read(c.buf[c.w:])
		if err != nil {
			return nil, err
		}
		c.w += got
	}
	return c.buf[:n], nil
}

// skip consumes n bytes that were made available.
func (c *conn) skip(n int) { c.r += n }

// frame waits for an answer's size.
func (c *conn) frame() (int, error) {
	b, err := c.need(4)
	if err != nil {
		return 0, err
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	c.skip(4)
	if n < 4 {
		return 0, fmt.Errorf("%w: a frame of %d bytes", ErrWrong, n)
	}
	return n, nil
}

// read consumes n bytes into memory of the caller's.
func (c *conn) read(dst []byte) error {
	n := copy(dst, c.buf[c.r:c.w])
	c.r += n
	_, err := io.ReadFull(c.net, dst[n:])
	return err
}

// discard consumes n bytes; what is not in the buffer yet is dropped by the
// kernel (MSG_TRUNC on a stream copies nothing).
func (c *conn) discard(n int) error {
	have := min(n, c.w-c.r)
	c.r += have
	n -= have
	var failed error
	err := c.raw.Read(func(sock uintptr) bool {
		for n > 0 {
			got, _, errno := unix.Syscall6(unix.SYS_RECVFROM, sock, 0, uintptr(n), unix.MSG_TRUNC, 0, 0)
			switch {
			case errno == unix.EAGAIN:
				return false
			case errno == unix.EINTR:
				continue
			case errno != 0:
				failed = errno
				return true
			case got == 0:
				failed = io.ErrUnexpectedEOF
				return true
			}
			n -= int(got)
		}
		return true
	})
	return errors.Join(failed, err)
}
