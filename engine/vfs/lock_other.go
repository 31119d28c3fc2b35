// SPDX-License-Identifier: Apache-2.0

//go:build !unix || aix

package vfs

import (
	"io"
	"io/fs"
)

func (osFS) Lock(name string) (io.Closer, error) {
	return nil, &fs.PathError{Op: "lock", Path: name, Err: ErrUnsupported}
}
