// SPDX-License-Identifier: Apache-2.0

//go:build unix

package journal

import "golang.org/x/sys/unix"

// mapBuffer returns n bytes, aligned to a page, that cost memory only where
// they were touched.
func mapBuffer(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

func unmapBuffer(b []byte) { _ = unix.Munmap(b) } // it was mapped by mapBuffer, so this cannot fail

// forgetBuffer gives the memory behind b back; it reads as zeros afterwards,
// or as before where the system did not listen. b starts on a page.
func forgetBuffer(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) } // best effort
