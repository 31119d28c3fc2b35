// SPDX-License-Identifier: Apache-2.0

package netpoll

import "fmt"

// arena is the memory of a loop's receive buffers: one mapping that the garbage
// collector does not look at. Which buffers are lent is kept in a bit each, so
// that giving one back twice is found at once.
type arena struct {
	mem  []byte
	lent []uint64
	free []uint32 // epoll and portable; with uring the kernel holds the free ones
}

func newArena(buffers int, list bool) (*arena, error) {
	mem, err := mapMemory(buffers * BufBytes)
	if err != nil {
		return nil, fmt.Errorf("netpoll: map %d receive buffers: %w", buffers, err)
	}
	a := &arena{mem: mem, lent: make([]uint64, (buffers+63)/64)}
	if list {
		a.free = make([]uint32, buffers)
		for i := range a.free {
			a.free[i] = uint32(buffers - 1 - i)
		}
	}
	return a, nil
}

// at is the whole memory of buffer i.
func (a *arena) at(i uint32) []byte {
	off := int(i) * BufBytes
	return a.mem[off : off+BufBytes : off+BufBytes]
}

// lend marks buffer i as the caller's and wraps its first n bytes.
func (a *arena) lend(i uint32, n int) Buf {
	a.lent[i/64] |= 1 << (i % 64)
	return Buf{Data: a.at(i)[:n], id: i + 1}
}

// back takes b from the caller and returns its index.
func (a *arena) back(b Buf) uint32 {
	i := b.id - 1
	if a.lent[i/64]&(1<<(i%64)) == 0 {
		panic("BUG: netpoll: receive buffer recycled twice")
	}
	a.lent[i/64] &^= 1 << (i % 64)
	return i
}

// take is a free buffer, if there is one.
func (a *arena) take() (i uint32, ok bool) {
	n := len(a.free)
	if n == 0 {
		return 0, false
	}
	i = a.free[n-1]
	a.free = a.free[:n-1]
	return i, true
}

// give puts a free buffer back.
func (a *arena) give(i uint32) { a.free = append(a.free, i) }

// close frees the memory, unless somebody still holds some of it: then it stays
// until the process ends.
func (a *arena) close() {
	for _, word := range a.lent {
		if word != 0 {
			return
		}
	}
	unmapMemory(a.mem)
	a.mem = nil
}
