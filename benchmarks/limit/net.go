// SPDX-License-Identifier: Apache-2.0

//go:build linux

package limit

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// pair makes two ends of a TCP connection of loopback, in blocking mode.
func pair() (a, b int, err error) {
	ln, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, err
	}
	defer unix.Close(ln)
	if err = errors.Join(unix.Bind(ln, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(ln, 1)); err != nil {
		return -1, -1, err
	}
	addr, err := unix.Getsockname(ln)
	if err != nil {
		return -1, -1, err
	}
	if a, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, -1, err
	}
	if err = unix.Connect(a, addr); err == nil {
		b, _, err = unix.Accept4(ln, unix.SOCK_CLOEXEC)
	}
	if err != nil {
		_ = unix.Close(a)
		return -1, -1, err
	}
	err = errors.Join(unix.SetsockoptInt(a, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1), unix.SetsockoptInt(b, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	return a, b, err
}

// stream sends as fast as it can for a while.
func stream(o Options, sendfile bool) (map[string]float64, error) {
	a, b, err := pair()
	if err != nil {
		return nil, fmt.Errorf("limit: loopback: %w", err)
	}
	const chunk = 128 << 10
	buf := make([]byte, chunk)
	fd, err := unix.MemfdCreate("limit", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if _, err := unix.Pwrite(fd, buf, 0); err != nil {
		return nil, err
	}
	received := int64(0)
	reader := pinned(o.Server, func() error {
		in := make([]byte, chunk)
		for {
			n, err := unix.Read(b, in)
			if n <= 0 || err != nil {
				return err
			}
			received += int64(n)
		}
	})
	began := time.Now()
	writer := pinned(o.Client, func() error {
		defer unix.Close(a)
		_, _, err := repeat(o.For, func() error {
			off := int64(0)
			var err error
			if sendfile {
				_, err = unix.Sendfile(a, fd, &off, chunk)
			} else {
				_, err = unix.Write(a, buf)
			}
			return err
		})
		return err
	})
	err = errors.Join(<-writer, <-reader)
	took := time.Since(began)
	_ = unix.Close(b)
	return map[string]float64{"rate": float64(received) / (1 << 30) / took.Seconds()}, err
}

// pingPong sends 64 B there and back.
func pingPong(o Options) (map[string]float64, error) {
	a, b, err := pair()
	if err != nil {
		return nil, fmt.Errorf("limit: loopback: %w", err)
	}
	echo := pinned(o.Server, func() error {
		buf := make([]byte, 64)
		for {
			n, err := unix.Read(b, buf)
			if n <= 0 || err != nil {
				return err
			}
			if _, err := unix.Write(b, buf[:n]); err != nil {
				return err
			}
		}
	})
	took := hdrhistogram.New(1, 60_000_000_000, 3) // ns
	asker := pinned(o.Client, func() error {
		defer unix.Close(a)
		buf := make([]byte, 64)
		_, _, err := repeat(o.For, func() error {
			began := time.Now()
			if _, err := unix.Write(a, buf); err != nil {
				return err
			}
			for n := 0; n < len(buf); {
				got, err := unix.Read(a, buf[n:])
				if err != nil {
					return err
				}
				if got == 0 {
					return io.ErrUnexpectedEOF
				}
				n += got
			}
			return took.RecordValue(time.Since(began).Nanoseconds())
		})
		return err
	})
	err = errors.Join(<-asker, <-echo)
	_ = unix.Close(b)
	return map[string]float64{"p50": float64(took.ValueAtQuantile(50)) / 1e3, "p99": float64(took.ValueAtQuantile(99)) / 1e3}, err
}
