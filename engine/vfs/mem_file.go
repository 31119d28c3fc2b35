// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"io"
	"io/fs"
	"syscall"
)

// fileOp is a change of a file that is not durable yet: a write of data at off,
// or with nil data a cut or extension to size.
type fileOp struct {
	data []byte
	off  int64
	size int64 // the file's length after it
	// durable: older changes may be in doubt, this one and the length are not.
	durable bool
}

// memFile is a handle.
type memFile struct {
	m      *Mem
	n      *node
	name   string
	write  bool
	closed bool
}

// enter takes the lock for an operation.
func (f *memFile) enter(op string, writes bool) error {
	f.m.mu.Lock()
	if f.closed {
		f.m.mu.Unlock()
		return pathErr(op, f.name, fs.ErrClosed)
	}
	if writes && !f.write {
		f.m.mu.Unlock()
		return pathErr(op, f.name, syscall.EBADF)
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.enter("read", false); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	if off < 0 {
		return 0, pathErr("read", f.name, fs.ErrInvalid)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.enter("write", true); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	return f.put(p, off)
}

func (f *memFile) WritevAt(bufs [][]byte, off int64) (int, error) {
	if err := f.enter("pwritev", true); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	total := 0
	for _, b := range bufs {
		n, err := f.put(b, off+int64(total))
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// put writes what there is room for.
func (f *memFile) put(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, pathErr("write", f.name, fs.ErrInvalid)
	}
	var full error
	if grow := off + int64(len(p)) - int64(len(f.n.data)); grow > 0 && f.m.used+grow > f.m.capacity {
		full = pathErr("write", f.name, syscall.ENOSPC)
		p = p[:max(0, int64(len(p))-(f.m.used+grow-f.m.capacity))]
	}
	if len(p) == 0 {
		return 0, full
	}
	if end := off + int64(len(p)); end > int64(len(f.n.data)) {
		f.m.used += end - int64(len(f.n.data))
		f.n.data = grow(f.n.data, end)
	}
	copy(f.n.data[off:], p)
	f.n.pending = append(f.n.pending, fileOp{data: append([]byte(nil), p...), off: off, size: int64(len(f.n.data))})
	f.n.mod = f.m.tick()
	return len(p), full
}

// grow extends with zeros, whatever the spare capacity holds.
func grow(data []byte, size int64) []byte {
	was := len(data)
	if size <= int64(cap(data)) {
		data = data[:size]
	} else {
		bigger := make([]byte, size, max(size, 2*int64(was)))
		copy(bigger, data)
		data = bigger
	}
	clear(data[was:])
	return data
}

// resize cuts or extends.
func (f *memFile) resize(size int64) {
	f.m.used += size - int64(len(f.n.data))
	f.n.data = setSize(f.n.data, size)
	f.n.pending = append(f.n.pending, fileOp{size: size})
	f.n.mod = f.m.tick()
}

func setSize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size]
	}
	return grow(data, size)
}

func (f *memFile) Truncate(size int64) error {
	if err := f.enter("truncate", true); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	if size < 0 {
		return pathErr("truncate", f.name, fs.ErrInvalid)
	}
	if f.m.used+size-int64(len(f.n.data)) > f.m.capacity {
		return pathErr("truncate", f.name, syscall.ENOSPC)
	}
	f.resize(size)
	return nil
}

func (f *memFile) Size() (int64, error) {
	if err := f.enter("stat", false); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *memFile) Sync() error {
	if err := f.enter("sync", false); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	f.sync()
	return nil
}

func (f *memFile) sync() {
	for _, op := range f.n.pending {
		f.n.synced = op.apply(f.n.synced)
	}
	f.n.pending = nil
}

// apply carries op out on an image of the file.
func (op fileOp) apply(image []byte) []byte {
	if op.data == nil {
		return setSize(image, op.size)
	}
	if end := op.off + int64(len(op.data)); end > int64(len(image)) {
		image = grow(image, end)
	}
	copy(image[op.off:], op.data)
	return image
}

func (f *memFile) WriteDurableAt(p []byte, off int64) error {
	if err := f.enter("write", true); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	if _, err := f.put(p, off); err != nil {
		return err
	}
	switch n := len(f.n.pending); {
	case len(p) == 0:
	case n == 1: // nothing older is in doubt
		f.sync()
	default:
		f.n.pending[n-1].durable = true
	}
	return nil
}

func (f *memFile) Allocate(off, n int64) error {
	if err := f.enter("allocate", true); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	if off < 0 || n <= 0 {
		return pathErr("allocate", f.name, fs.ErrInvalid)
	}
	end := off + n
	if end <= int64(len(f.n.data)) {
		return nil
	}
	if f.m.used+end-int64(len(f.n.data)) > f.m.capacity {
		return pathErr("allocate", f.name, syscall.ENOSPC)
	}
	f.resize(end)
	return nil
}

func (f *memFile) Close() error {
	if err := f.enter("close", false); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	f.closed = true
	f.n.opens--
	f.m.release(f.n)
	return nil
}

func (f *memFile) FD() (uintptr, bool) { return 0, false }
func (f *memFile) Drop(int64, int64)   {}

// Cached says yes: memory is all there is.
func (f *memFile) Cached(int64, int64) (resident, known bool) { return true, true }
