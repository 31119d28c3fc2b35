// SPDX-License-Identifier: Apache-2.0

//go:build !linux && unix

package netpoll

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// opSys is empty where the kernel reads no memory of an Op.
type opSys struct{}

func (op *Op) forget() {}

func (l *Listener) open(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	l.ln, l.addr = ln, addrPort(ln.Addr())
	return nil
}

func (l *Listener) interrupt() { _ = l.ln.Close() }

func (l *Listener) destroy() {}

func (l *Listener) netListener() (net.Listener, error) { return l.ln, nil }

func (s *Sock) localAddr() netip.AddrPort { return s.local }

func preadFile(fd uintptr, p []byte, off int64) (int, error) {
	for {
		n, err := unix.Pread(int(fd), p, off)
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return 0, fmt.Errorf("netpoll: read-file: %w", err)
		}
	}
}

func pwriteFile(fd uintptr, p []byte, off int64) (int, error) {
	for {
		n, err := unix.Pwrite(int(fd), p, off)
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return 0, fmt.Errorf("netpoll: write-file: %w", err)
		}
	}
}

func fsyncFile(fd uintptr) error { return unix.Fsync(int(fd)) }

// writeDurable writes op.Data and syncs the file.
func writeDurable(op *Op) error {
	for op.moved < len(op.Data) {
		n, err := pwriteFile(op.File, op.Data[op.moved:], op.Off+int64(op.moved))
		if err != nil {
			return err
		}
		op.moved += n
	}
	return fsyncFile(op.File)
}

// mapMemory is n bytes; here the heap must do.
func mapMemory(n int) ([]byte, error) { return make([]byte, n), nil }

func unmapMemory([]byte) {}

// backends lists what Open tries, in order.
func backends() []backend {
	none := func(name string) backend {
		return backend{name, func(Options) (Loop, *Refusal) {
			return nil, &Refusal{Backend: name, Why: "exists on Linux only"}
		}}
	}
	return []backend{none("uring"), none("epoll"), {"portable", openPortable}}
}
