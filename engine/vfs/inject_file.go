// SPDX-License-Identifier: Apache-2.0

package vfs

import "errors"

// injectFile asks its FS before each operation. Drop and Cached pass unasked:
// they promise nothing.
type injectFile struct {
	File
	fs   *injectFS
	name string
}

func (f *injectFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.ask(Op{Kind: OpRead, Name: f.name, Off: off, Len: len(p)}); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *injectFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.fs.ask(Op{Kind: OpWrite, Name: f.name, Off: off, Len: len(p)})
	if err == nil {
		return f.File.WriteAt(p, off)
	}
	return f.short(err, [][]byte{p}, off)
}

func (f *injectFile) WritevAt(bufs [][]byte, off int64) (int, error) {
	size := 0
	for _, b := range bufs {
		size += len(b)
	}
	err := f.fs.ask(Op{Kind: OpWrite, Name: f.name, Off: off, Len: size})
	if err == nil {
		return f.File.WritevAt(bufs, off)
	}
	return f.short(err, bufs, off)
}

// short writes as much as a ShortWrite allows; other errors allow nothing.
func (f *injectFile) short(err error, bufs [][]byte, off int64) (int, error) {
	var s *ShortWrite
	if !errors.As(err, &s) {
		return 0, err
	}
	total := 0
	for _, b := range bufs {
		b = b[:min(len(b), s.Written-total)]
		n, werr := f.File.WriteAt(b, off+int64(total))
		total += n
		if werr != nil {
			return total, werr
		}
	}
	return total, s.Err
}

func (f *injectFile) WriteDurableAt(p []byte, off int64) error {
	err := f.fs.ask(Op{Kind: OpWriteDurable, Name: f.name, Off: off, Len: len(p)})
	if err == nil {
		return f.File.WriteDurableAt(p, off)
	}
	_, err = f.short(err, [][]byte{p}, off)
	return err
}

func (f *injectFile) Truncate(size int64) error {
	if err := f.fs.ask(Op{Kind: OpTruncate, Name: f.name, Off: size}); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *injectFile) Size() (int64, error) {
	if err := f.fs.ask(Op{Kind: OpSize, Name: f.name}); err != nil {
		return 0, err
	}
	return f.File.Size()
}

func (f *injectFile) Sync() error {
	if err := f.fs.ask(Op{Kind: OpSync, Name: f.name}); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *injectFile) Allocate(off, n int64) error {
	if err := f.fs.ask(Op{Kind: OpAllocate, Name: f.name, Off: off, Len: int(n)}); err != nil {
		return err
	}
	return f.File.Allocate(off, n)
}

// Close always closes; an injected error is only reported.
func (f *injectFile) Close() error {
	asked := f.fs.ask(Op{Kind: OpClose, Name: f.name})
	if err := f.File.Close(); err != nil {
		return err
	}
	return asked
}

func (f *injectFile) FD() (uintptr, bool) { return 0, false }
