// SPDX-License-Identifier: Apache-2.0

package main

import "golang.org/x/sys/unix"

// writesBlock tells whether an asynchronous write to a file may wait where it
// is submitted. The file systems of block devices known here only queue a direct
// write; FUSE, network file systems and what nobody has measured may do all of
// it there, and then it must not be on an event loop.
func writesBlock(fd uintptr) bool {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(fd), &st); err != nil {
		return true
	}
	switch st.Type {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC: // ext2 and ext3 have ext4's
		return false
	}
	return true
}
