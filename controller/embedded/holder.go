// SPDX-License-Identifier: Apache-2.0

//go:build unix

package embedded

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// holder names the process that holds a log directory's lock. It must not be
// called once this process holds that lock: closing any descriptor of the file
// would drop it.
func holder(dir string) string {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil || lock.Type == unix.F_UNLCK {
		return ""
	}
	return fmt.Sprintf(" (process %d)", lock.Pid)
}
