// SPDX-License-Identifier: Apache-2.0

//go:build linux

package host

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Prepare touches n bytes of memory and gives back all but one page in each
// 256 KiB. In a virtual machine whose free memory goes back to its host, the
// first touch of a page costs more than a broker does; memory that is broken
// up like this stays. Keep the result for as long as the benchmark runs.
func Prepare(n int64) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("host: %d bytes of memory: %w", n, err)
	}
	_ = unix.Madvise(b, unix.MADV_NOHUGEPAGE) // a huge page cannot be given back in parts
	page := 4096
	for i := 0; i < len(b); i += page {
		b[i] = 1
	}
	const every = 256 << 10
	for i := 0; i+every <= len(b); i += every {
		if err := unix.Madvise(b[i+page:i+every], unix.MADV_DONTNEED); err != nil {
			return b, fmt.Errorf("host: giving memory back: %w", err)
		}
	}
	return b, nil
}
