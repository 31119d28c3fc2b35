// SPDX-License-Identifier: Apache-2.0

//go:build unix

package dir

import (
	"io/fs"
	"syscall"
)

// inode numbers a file within its file system; 0 where nobody says.
func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}
