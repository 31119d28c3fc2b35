// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"io/fs"
	"os"
	"sync/atomic"
)

// osFS is the host's file system. It has no state of its own.
type osFS struct{}

// OS returns the host's file system.
func OS() FS { return osFS{} }

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := openFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return newOSFile(f), nil
}

func (osFS) Mkdir(name string) error    { return os.Mkdir(name, 0o755) }
func (osFS) MkdirAll(name string) error { return os.MkdirAll(name, 0o755) }

func (osFS) Remove(name string) error    { return os.Remove(name) }
func (osFS) RemoveAll(name string) error { return os.RemoveAll(name) }

func (osFS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

func (osFS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }
func (osFS) Stat(name string) (fs.FileInfo, error)      { return os.Stat(name) }

// osFile is a file of the host. What differs between systems is in
// file_linux.go and file_other.go.
type osFile struct {
	f  *os.File
	fd uintptr // of f, asked once: os.File.Fd is not free
	// noDsync is set once the file system refused RWF_DSYNC.
	noDsync atomic.Bool
}

func newOSFile(f *os.File) *osFile { return &osFile{f: f, fd: f.Fd()} }

func (f *osFile) ReadAt(p []byte, off int64) (int, error)  { return f.f.ReadAt(p, off) }
func (f *osFile) WriteAt(p []byte, off int64) (int, error) { return f.f.WriteAt(p, off) }
func (f *osFile) Close() error                             { return f.f.Close() }
func (f *osFile) Truncate(size int64) error                { return f.f.Truncate(size) }

// writeThenSync is WriteDurableAt without help from the system.
func (f *osFile) writeThenSync(p []byte, off int64) error {
	if _, err := f.f.WriteAt(p, off); err != nil {
		return err
	}
	return f.Sync()
}
