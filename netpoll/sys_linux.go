// SPDX-License-Identifier: Apache-2.0

package netpoll

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// iovMax is how many pieces one sendmsg takes; a Send of more goes in several.
const iovMax = 16

// opSys is the memory of a Send that the kernel reads.
type opSys struct {
	iov [iovMax]unix.Iovec
	msg unix.Msghdr
}

// open binds and listens with a raw descriptor: Go's poller must not learn of
// it, or each connection would wake it for nothing.
func (l *Listener) open(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	p, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", port)
	if err != nil {
		return err
	}
	ip := netip.IPv6Unspecified()
	if host != "" {
		a, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			return err
		}
		ip = a.AddrPort().Addr().Unmap()
		if a.Zone != "" {
			ip = ip.WithZone(a.Zone)
		}
	}
	err = l.listenOn(ip, p)
	if host == "" && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL)) {
		err = l.listenOn(netip.IPv4Unspecified(), p)
	}
	return err
}

// listenOn makes the socket for one address.
func (l *Listener) listenOn(ip netip.Addr, port int) error {
	family, sa := unix.AF_INET, unix.Sockaddr(nil)
	if ip.Is4() {
		sa = &unix.SockaddrInet4{Addr: ip.As4(), Port: port}
	} else {
		family = unix.AF_INET6
		zone, _ := strconv.Atoi(ip.Zone())
		if i, err := net.InterfaceByName(ip.Zone()); ip.Zone() != "" && err == nil {
			zone = i.Index
		}
		sa = &unix.SockaddrInet6{Addr: ip.As16(), Port: port, ZoneId: uint32(zone)}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err := l.setUp(fd, family, ip, sa); err != nil {
		unix.Close(fd)
		return err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		unix.Close(fd)
		return os.NewSyscallError("getsockname", err)
	}
	l.fd, l.addr = fd, sockaddrPort(bound)
	return nil
}

// setUp sets the options that accepted sockets inherit, binds and listens.
func (l *Listener) setUp(fd, family int, ip netip.Addr, sa unix.Sockaddr) error {
	set := func(level, opt, value int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, opt, value))
	}
	err := errors.Join(set(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), set(unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
	if family == unix.AF_INET6 && ip.IsUnspecified() {
		err = errors.Join(err, set(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0))
	}
	if l.opts.ReusePort {
		err = errors.Join(err, set(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	}
	if n := l.opts.RecvBufferBytes; n > 0 {
		err = errors.Join(err, set(unix.SOL_SOCKET, unix.SO_RCVBUF, n))
	}
	if n := l.opts.SendBufferBytes; n > 0 {
		err = errors.Join(err, set(unix.SOL_SOCKET, unix.SO_SNDBUF, n))
	}
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, sa); err != nil {
		return os.NewSyscallError("bind", err)
	}
	backlog := l.opts.Backlog
	if backlog <= 0 {
		backlog = 1 << 16 // the kernel cuts it to somaxconn
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}

// interrupt makes accepts that wait on the socket return.
func (l *Listener) interrupt() {
	if l.fd >= 0 {
		_ = unix.Shutdown(l.fd, unix.SHUT_RDWR)
	}
	l.mu.Lock()
	if l.ln != nil {
		_ = l.ln.Close()
	}
	l.mu.Unlock()
}

func (l *Listener) destroy() {
	if l.fd >= 0 {
		unix.Close(l.fd)
	}
}

// netListener is the socket as package net sees it, for the portable backend.
func (l *Listener) netListener() (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ln != nil {
		return l.ln, nil
	}
	fd, err := unix.FcntlInt(uintptr(l.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	l.ln, err = net.FileListener(f)
	return l.ln, err
}

// newSock takes over an accepted descriptor. It asks for nothing but the peer's
// address: this end's is asked for when somebody wants it.
func newSock(fd int) *Sock {
	s := &Sock{fd: fd}
	if sa, err := unix.Getpeername(fd); err == nil {
		s.remote = sockaddrPort(sa)
	}
	return s
}

// localAddr asks the kernel for this end's address.
func (s *Sock) localAddr() netip.AddrPort {
	sa, err := unix.Getsockname(s.fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return sockaddrPort(sa)
}

func sockaddrPort(sa unix.Sockaddr) netip.AddrPort {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		ip := netip.AddrFrom16(a.Addr).Unmap()
		if a.ZoneId != 0 && ip.Is6() {
			ip = ip.WithZone(strconv.Itoa(int(a.ZoneId)))
		}
		return netip.AddrPortFrom(ip, uint16(a.Port))
	}
	return netip.AddrPort{}
}

// opError gives the failure of an operation the package's names.
func opError(k Kind, e syscall.Errno) error {
	switch e {
	case unix.ECONNRESET, unix.EPIPE, unix.ECONNABORTED, unix.ENOTCONN, unix.ETIMEDOUT:
		return ErrReset
	case unix.ECANCELED:
		return ErrCanceled
	}
	return fmt.Errorf("netpoll: %s: %w", k, e)
}

// gather fills the operation's vector with what is left of bufs after skip
// bytes, and says how many bytes that is and whether more follow.
func (op *Op) gather(skip int) (bytes int, more bool) {
	if op.sys == nil {
		op.sys = op.loop.vector()
	}
	n := 0
	for _, b := range op.Bufs {
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		b = b[skip:]
		skip = 0
		if n == iovMax {
			more = true
			break
		}
		op.sys.iov[n].Base = &b[0]
		op.sys.iov[n].SetLen(len(b))
		bytes += len(b)
		n++
	}
	op.sys.msg = unix.Msghdr{Iov: &op.sys.iov[0]}
	op.sys.msg.SetIovlen(n)
	return bytes, more
}

// vector is memory for a Send.
func (c *core) vector() *opSys {
	n := len(c.sys)
	if n == 0 {
		return &opSys{}
	}
	v := c.sys[n-1]
	c.sys = c.sys[:n-1]
	return v
}

// forget drops the pointers that the kernel has been shown.
func (op *Op) forget() {
	if op.sys != nil {
		*op.sys = opSys{}
		op.loop.sys = append(op.loop.sys, op.sys)
		op.sys = nil
	}
}

// The calls below never block, so they are raw: the processor stays ours.

func rawRecv(fd int, p []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), 0, 0, 0)
	return int(n), e
}

func rawSend(fd int, p []byte, flags int) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), uintptr(flags|unix.MSG_NOSIGNAL), 0, 0)
	return int(n), e
}

func rawSendmsg(fd int, m *unix.Msghdr, flags int) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(m)), uintptr(flags|unix.MSG_NOSIGNAL))
	return int(n), e
}

// rawSendfile may wait for a disk when pages are cold; see SendFile.
func rawSendfile(fd int, file uintptr, off int64, count int) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_SENDFILE, uintptr(fd), file, uintptr(unsafe.Pointer(&off)), uintptr(count), 0, 0)
	return int(n), e
}

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

// writeDurable writes op.Data with RWF_DSYNC; where the file system does not know
// the flag, with fdatasync after it.
func writeDurable(op *Op) error {
	for op.moved < len(op.Data) {
		rest := op.Data[op.moved:]
		vec := [][]byte{rest}
		n, err := unix.Pwritev2(int(op.File), vec, op.Off+int64(op.moved), unix.RWF_DSYNC)
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
			if n, err = unix.Pwrite(int(op.File), rest, op.Off+int64(op.moved)); err == nil {
				err = unix.Fdatasync(int(op.File))
			}
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("netpoll: write-file: %w", err)
		}
		op.moved += n
	}
	return nil
}

// mapMemory is n bytes outside the garbage collector's heap.
func mapMemory(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

func unmapMemory(p []byte) {
	if p != nil {
		_ = unix.Munmap(p)
	}
}

// backends lists what Open tries, in order.
func backends() []backend {
	return []backend{
		{"uring", openUring},
		{"epoll", openEpoll},
		{"portable", openPortable},
	}
}

// sendFileStep makes the next call of a SendFile: its head, or a piece of its
// file no larger than budget. It moves op.moved on.
func (op *Op) sendFileStep(fd, budget int, scratch *[]byte) (n int, e syscall.Errno, err error) {
	if op.moved < len(op.Head) {
		flags := unix.MSG_MORE
		if op.Len == 0 {
			flags = 0
		}
		n, e = rawSend(fd, op.Head[op.moved:], flags)
	} else if op.Len > 0 {
		sent := op.moved - len(op.Head)
		count := min(op.Len-sent, budget, sendfileBytes)
		if op.File != 0 {
			n, e = rawSendfile(fd, op.File, op.Off+int64(sent), count)
		} else {
			n, e, err = op.sendFileAt(fd, op.Off+int64(sent), count, scratch)
		}
		if e == 0 && err == nil && n == 0 {
			err = ErrShortFile
		}
	}
	if e == 0 {
		op.moved += n
	} else {
		n = 0
	}
	return n, e, err
}

// sendFileAt reads a piece of a file without descriptor and sends it.
func (op *Op) sendFileAt(fd int, off int64, count int, scratch *[]byte) (int, syscall.Errno, error) {
	if op.FileAt == nil {
		return 0, 0, ErrUnsupported
	}
	if *scratch == nil {
		*scratch = make([]byte, 64<<10)
	}
	p := (*scratch)[:min(count, len(*scratch))]
	n, err := op.FileAt.ReadAt(p, off)
	if n == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			err = ErrShortFile
		}
		return 0, 0, err
	}
	n, e := rawSend(fd, p[:n], 0)
	return n, e, nil
}
