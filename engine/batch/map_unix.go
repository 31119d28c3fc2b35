// SPDX-License-Identifier: Apache-2.0

//go:build unix

package batch

import "golang.org/x/sys/unix"

// mapped is n bytes outside of the heap, nil where there are none. What is not
// written to takes no memory.
func mapped(n int) []byte {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil
	}
	return b
}

// unmapped gives back what mapped gave.
func unmapped(b []byte) { _ = unix.Munmap(b) }
