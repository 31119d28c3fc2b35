// SPDX-License-Identifier: Apache-2.0

//go:build darwin || freebsd || dragonfly

package vfs

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

func (osFS) Usage(name string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(name, &st); err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: name, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}
