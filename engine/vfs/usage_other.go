// SPDX-License-Identifier: Apache-2.0

//go:build !linux && !darwin && !freebsd && !dragonfly

package vfs

import "io/fs"

func (osFS) Usage(name string) (free, total int64, err error) {
	return 0, 0, &fs.PathError{Op: "statfs", Path: name, Err: ErrUnsupported}
}
