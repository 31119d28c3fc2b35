// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxVec is the number of buffers one pwritev takes: they stand on the stack.
const maxVec = 128

// openFile opens without Go's poller: a FUSE file may support poll, and asking
// it would call its server from inside the open.
func openFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	for {
		fd, err := unix.Open(name, flag|unix.O_CLOEXEC, uint32(perm.Perm()))
		if err == nil {
			return os.NewFile(uintptr(fd), name), nil
		}
		if err != unix.EINTR {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

func (osFS) OpenDirect(name string) (File, int, error) {
	f, err := openFile(name, os.O_RDWR|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, 0, &fs.PathError{Op: "open", Path: name, Err: ErrNoDirect}
	}
	if err != nil {
		return nil, 0, err
	}
	file := newOSFile(f)
	align, err := directAlign(int(file.fd))
	if err == nil {
		err = probeDirect(file, align)
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return file, align, nil
}

// directAlign asks STATX_DIOALIGN (kernel 6.1). Silence, which is what older
// kernels and stacked file systems answer, means 4096; an explicit zero means
// that this file cannot do it.
func directAlign(fd int) (int, error) {
	const page = 4096
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_DIOALIGN, &st)
	if err != nil || st.Mask&unix.STATX_DIOALIGN == 0 {
		return page, nil
	}
	if st.Dio_offset_align == 0 || st.Dio_mem_align == 0 {
		return 0, ErrNoDirect
	}
	return int(max(st.Dio_offset_align, st.Dio_mem_align)), nil
}

// probeDirect reads one block: some file systems accept the flag at open and
// refuse it at the first transfer.
func probeDirect(f *osFile, align int) error {
	buf := make([]byte, 2*align)
	skip := align - int(uintptr(unsafe.Pointer(&buf[0]))%uintptr(align))
	_, err := f.f.ReadAt(buf[skip:skip+align], 0)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return ErrNoDirect
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (osFS) SyncDir(name string) error {
	d, err := openFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

func (osFS) Usage(name string) (free, total int64, err error) {
	var st unix.Statfs_t
	for {
		err = unix.Statfs(name, &st)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: name, Err: err}
	}
	size := int64(st.Frsize)
	if size == 0 {
		size = int64(st.Bsize)
	}
	return int64(st.Bavail) * size, int64(st.Blocks) * size, nil
}

// Size does not allocate: where nobody can tell what is cached, a reader asks
// for it each time.
func (f *osFile) Size() (int64, error) {
	for {
		var st unix.Stat_t
		err := unix.Fstat(int(f.fd), &st)
		runtime.KeepAlive(f)
		if err == nil {
			return st.Size, nil
		}
		if err != unix.EINTR {
			return 0, f.pathError("fstat", err)
		}
	}
}

func (f *osFile) WritevAt(bufs [][]byte, off int64) (int, error) {
	total, inFirst := 0, 0 // inFirst: bytes of bufs[0] already written
	for len(bufs) > 0 {
		var vec [maxVec]unix.Iovec
		used := fillVec(&vec, bufs, inFirst)
		n, errno := f.pwritev(unix.SYS_PWRITEV, vec[:used], off+int64(total), 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return total, f.pathError("pwritev", errno)
		}
		total += n
		if n == 0 && used > 0 {
			return total, f.pathError("pwritev", io.ErrShortWrite)
		}
		bufs, inFirst = advance(bufs, inFirst, n)
	}
	return total, nil
}

// fillVec points vec at the bytes still to write; empty buffers take no place.
func fillVec(vec *[maxVec]unix.Iovec, bufs [][]byte, inFirst int) int {
	used := 0
	for i, b := range bufs {
		if i == 0 {
			b = b[inFirst:]
		}
		if len(b) == 0 {
			continue
		}
		if used == maxVec {
			break
		}
		vec[used].Base = &b[0]
		vec[used].SetLen(len(b))
		used++
	}
	return used
}

// advance drops n written bytes, and empty buffers before what is left.
func advance(bufs [][]byte, inFirst, n int) ([][]byte, int) {
	n += inFirst
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	return bufs, n
}

// pwritev makes the system call trap without allocating.
func (f *osFile) pwritev(trap uintptr, vec []unix.Iovec, off int64, flags uintptr) (int, syscall.Errno) {
	if len(vec) == 0 {
		return 0, 0
	}
	n, _, errno := syscall.Syscall6(trap, f.fd, uintptr(unsafe.Pointer(&vec[0])), uintptr(len(vec)),
		uintptr(off), uintptr(uint64(off)>>(unsafe.Sizeof(uintptr(0))*8-1)>>1), flags)
	runtime.KeepAlive(f)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func (f *osFile) WriteDurableAt(p []byte, off int64) error {
	if f.noDsync.Load() {
		return f.writeThenSync(p, off)
	}
	for len(p) > 0 {
		var vec [1]unix.Iovec
		vec[0].Base = &p[0]
		vec[0].SetLen(len(p))
		n, errno := f.pwritev(unix.SYS_PWRITEV2, vec[:], off, unix.RWF_DSYNC)
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.EOPNOTSUPP, unix.ENOSYS:
			f.noDsync.Store(true)
			return f.writeThenSync(p, off)
		default:
			return f.pathError("pwritev2", errno)
		}
		if n == 0 {
			return f.pathError("pwritev2", io.ErrShortWrite)
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

func (f *osFile) Sync() error {
	for {
		err := unix.Fdatasync(int(f.fd))
		runtime.KeepAlive(f)
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return f.pathError("fdatasync", err)
		}
	}
}

func (f *osFile) Allocate(off, n int64) error {
	for {
		err := unix.Fallocate(int(f.fd), 0, off, n)
		runtime.KeepAlive(f)
		switch err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EOPNOTSUPP, unix.ENOSYS:
			return f.pathError("fallocate", ErrUnsupported)
		default:
			return f.pathError("fallocate", err)
		}
	}
}

func (f *osFile) FD() (uintptr, bool) { return f.fd, true }

func (f *osFile) Drop(off, n int64) {
	_ = unix.Fadvise(int(f.fd), off, n, unix.FADV_DONTNEED) // best effort by contract
	runtime.KeepAlive(f)
}

func (f *osFile) Cached(off, n int64) (resident, known bool) {
	if n <= 0 {
		return true, true
	}
	var st unix.Cachestat_t
	err := unix.Cachestat(uint(f.fd), &unix.CachestatRange{Off: uint64(off), Len: uint64(n)}, &st, 0)
	runtime.KeepAlive(f)
	if err != nil {
		return false, false
	}
	page := int64(os.Getpagesize())
	pages := (off+n-1)/page - off/page + 1
	return int64(st.Cache) >= pages, true
}

func (f *osFile) pathError(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.f.Name(), Err: err}
}
