// SPDX-License-Identifier: Apache-2.0

//go:build giouring

package ring

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/pawelgaczynski/giouring"
	"golang.org/x/sys/unix"
)

// Buffers is a ring of buffers from which the kernel takes one for each receive.
// It is the provided-buffer ring of io_uring_register(2), IORING_REGISTER_PBUF_RING.
type Buffers struct {
	mem     []byte
	entries []giouring.BufAndRing
	tail    uint16
}

// NewBuffers registers a buffer ring as group on r, with room for n buffers (a
// power of two up to 32768). It holds none yet.
func (r *Ring) NewBuffers(group uint16, n int) (*Buffers, error) {
	mem, err := unix.Mmap(-1, 0, n*int(unsafe.Sizeof(giouring.BufAndRing{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("ring: map the buffer ring: %w", err)
	}
	reg := &giouring.BufReg{RingAddr: uint64(uintptr(unsafe.Pointer(&mem[0]))), RingEntries: uint32(n), Bgid: group}
	if _, errno := r.g.Register(r.m.ringFd, giouring.RegisterPbufRing, unsafe.Pointer(reg), 1); errno != 0 {
		_ = unix.Munmap(mem)
		return nil, fmt.Errorf("ring: register the buffer ring: %w", errno)
	}
	entries := unsafe.Slice((*giouring.BufAndRing)(unsafe.Pointer(&mem[0])), n)
	return &Buffers{mem: mem, entries: entries}, nil
}

// Add gives buffer id, the memory of p, to the kernel.
func (b *Buffers) Add(id uint16, p []byte) {
	e := &b.entries[int(b.tail)&(len(b.entries)-1)]
	e.Addr = uint64(uintptr(unsafe.Pointer(&p[0])))
	e.Len = uint32(len(p))
	e.Bid = id
	b.tail++
	// The ring's tail lies where entry 0 has its reserved half-word, beside its
	// buffer id: one store of both publishes the tail after the entry.
	first := &b.entries[0]
	word := (*uint32)(unsafe.Pointer(&first.Bid))
	atomic.StoreUint32(word, uint32(b.tail)<<16|uint32(first.Bid))
}

// Close frees the memory; the ring must be closed before.
func (b *Buffers) Close() { _ = unix.Munmap(b.mem) }
