// SPDX-License-Identifier: Apache-2.0

package journal

import "syscall"

const (
	errNoSpace = syscall.ENOSPC
	errDisk    = syscall.EIO
)
