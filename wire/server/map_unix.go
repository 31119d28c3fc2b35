// SPDX-License-Identifier: Apache-2.0

//go:build unix

package server

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// mapBytes maps n bytes of zeroed memory that the garbage collector never sees.
func mapBytes(n int) []byte {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		panic(fmt.Sprintf("FATAL: server: no memory for %d bytes: %v", n, err))
	}
	return b
}

// unmapBytes gives back what mapBytes returned.
func unmapBytes(b []byte) {
	if err := unix.Munmap(b); err != nil {
		panic(fmt.Sprintf("BUG: server: unmapping %d bytes: %v", len(b), err))
	}
}
