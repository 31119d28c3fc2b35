// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package vfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

func openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}

func (osFS) OpenDirect(name string) (File, int, error) {
	return nil, 0, &fs.PathError{Op: "open", Path: name, Err: ErrNoDirect}
}

func (osFS) SyncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // this system keeps its directories itself
	}
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

func (f *osFile) Size() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) WritevAt(bufs [][]byte, off int64) (int, error) { return f.writeEach(bufs, off) }
func (f *osFile) WriteDurableAt(p []byte, off int64) error       { return f.writeThenSync(p, off) }

// Sync goes further than fsync on darwin: os.File asks for F_FULLFSYNC.
func (f *osFile) Sync() error { return f.f.Sync() }

func (f *osFile) Allocate(int64, int64) error {
	return &fs.PathError{Op: "allocate", Path: f.f.Name(), Err: ErrUnsupported}
}

func (f *osFile) FD() (uintptr, bool) { return f.fd, true }

func (f *osFile) Drop(int64, int64) {}

func (f *osFile) Cached(int64, int64) (resident, known bool) { return false, false }

// writeEach is WritevAt without help from the system.
func (f *osFile) writeEach(bufs [][]byte, off int64) (int, error) {
	total := 0
	for _, b := range bufs {
		n, err := f.f.WriteAt(b, off+int64(total))
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}
