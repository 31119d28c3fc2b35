// SPDX-License-Identifier: Apache-2.0

//go:build unix

package netpoll

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

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

// pwriteFile and fsyncFile serve the systems without RWF_DSYNC.
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
