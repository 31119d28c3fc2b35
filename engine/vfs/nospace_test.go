// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

// Too many open files passes, like a full disk: a directory that was fenced for
// it would stay offline when a flood of connections is long over.
func TestIsNoSpace(t *testing.T) {
	for err, want := range map[syscall.Errno]bool{
		syscall.ENOSPC: true, syscall.EDQUOT: true, syscall.EMFILE: true, syscall.ENFILE: true,
		syscall.EIO: false, syscall.EROFS: false,
	} {
		wrapped := fmt.Errorf("checkpoint: %w", &fs.PathError{Op: "open", Path: "x", Err: err})
		if IsNoSpace(wrapped) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
