// SPDX-License-Identifier: Apache-2.0

//go:build linux

package limit

import (
	"fmt"
	"hash/crc32"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func copies(o Options) (map[string]float64, error) {
	out := map[string]float64{}
	for name, size := range map[string]int{"cached": mib, "memory": 256 * mib} {
		from, to := make([]byte, size), make([]byte, size)
		copy(to, from) // touches both
		n, took, _ := repeat(o.For/2, func() error { copy(to, from); return nil })
		out[name] = float64(n) * float64(size) / 1e9 / took.Seconds()
	}
	return out, nil
}

func checksums(o Options) (map[string]float64, error) {
	table := crc32.MakeTable(crc32.Castagnoli)
	out := map[string]float64{}
	for name, size := range map[string]int{"256 KiB": 256 << 10, "1 KiB": 1 << 10} {
		b := aligned(size)
		sum := uint32(0)
		n, took, _ := repeat(o.For/2, func() error {
			for range 64 {
				sum ^= crc32.Checksum(b, table)
			}
			return nil
		})
		runtime.KeepAlive(sum)
		out[name] = float64(n) * 64 * float64(size) / 1e9 / took.Seconds()
	}
	return out, nil
}

func calls(o Options) (map[string]float64, error) {
	n, took, _ := repeat(o.For/3, func() error {
		for range 256 {
			_ = unix.Getppid() // getpid may be remembered by the library
		}
		return nil
	})
	out := map[string]float64{"getppid": float64(n) * 256 / 1e6 / took.Seconds()}
	for name, batch := range map[string]int{"nop": 1, "nop 64": 64} {
		rate, err := nops(o.For/3, batch)
		if err == unix.ENOSYS || err == unix.EPERM {
			continue // this machine allows no ring, and then there is no such line
		}
		if err != nil {
			return nil, err
		}
		out[name] = rate / 1e6
	}
	return out, nil
}

// params is struct io_uring_params.
type params struct {
	sqEntries, cqEntries, flags, sqThreadCPU, sqThreadIdle, features, wqFd uint32
	_                                                                      [3]uint32
	sq                                                                     struct{ head, tail, mask, entries, flags, dropped, array, _ uint32 }
	_                                                                      uint64
	cq                                                                     struct{ head, tail, mask, entries, overflow, cqes, flags, _ uint32 }
	_                                                                      uint64
}

// nops does nothing through a ring, batch by batch, and says how often a second.
// It is the bare interface: the wrapper that the broker uses is no part of this.
func nops(d time.Duration, batch int) (float64, error) {
	const singleIssuer, deferTaskrun = 1 << 12, 1 << 13
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := params{flags: singleIssuer | deferTaskrun}
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 64, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return 0, errno
	}
	defer unix.Close(int(fd))
	size := max(p.sq.array+p.sqEntries*4, p.cq.cqes+p.cqEntries*16)
	ring, err := unix.Mmap(int(fd), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return 0, fmt.Errorf("limit: ring: %w", err)
	}
	defer func() { _ = unix.Munmap(ring) }() // it is ours
	entries, err := unix.Mmap(int(fd), 0x10000000, int(p.sqEntries)*64, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return 0, fmt.Errorf("limit: ring: %w", err)
	}
	defer func() { _ = unix.Munmap(entries) }() // all zero: each is a no-op
	word := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&ring[off])) }
	for i := range p.sqEntries {
		*word(p.sq.array + i*4) = i
	}
	tail, head := word(p.sq.tail), word(p.cq.head)
	n, took, err := repeat(d, func() error {
		atomic.AddUint32(tail, uint32(batch))
		const getEvents = 1
		if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, fd, uintptr(batch), uintptr(batch), getEvents, 0, 0); errno != 0 {
			return errno
		}
		if came := atomic.LoadUint32(word(p.cq.tail)) - *head; came != uint32(batch) {
			return fmt.Errorf("limit: ring: %d completions of %d", came, batch)
		}
		atomic.AddUint32(head, uint32(batch))
		return nil
	})
	return float64(n) * float64(batch) / took.Seconds(), err
}
