// SPDX-License-Identifier: Apache-2.0

//go:build unix && !aix

package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// held lists the lock files this process holds. A POSIX lock belongs to the
// process, whichever FS value took it: a second Lock would succeed, and closing
// it would silently drop the first. So this is the one variable here.
var held struct {
	sync.Mutex
	files []fs.FileInfo
}

// osLock is a held record lock.
type osLock struct {
	f    *os.File
	info fs.FileInfo
}

func (osFS) Lock(name string) (io.Closer, error) {
	held.Lock()
	defer held.Unlock()
	if info, err := os.Stat(name); err == nil {
		for _, h := range held.files {
			if os.SameFile(info, h) {
				return nil, &LockedError{Name: name, PID: os.Getpid()}
			}
		}
	}
	f, err := openFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = setLock(f, name)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	held.files = append(held.files, info)
	return &osLock{f: f, info: info}, nil
}

// setLock tries once, and asks who is in the way.
func setLock(f *os.File, name string) error {
	for {
		whole := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
		err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &whole)
		if err == nil {
			return nil
		}
		if err == unix.EINTR {
			continue
		}
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
			return &fs.PathError{Op: "lock", Path: name, Err: err}
		}
		who := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
		if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &who); err != nil {
			return &LockedError{Name: name}
		}
		if who.Type == unix.F_UNLCK {
			continue // its holder went away in between
		}
		return &LockedError{Name: name, PID: max(0, int(who.Pid))}
	}
}

// Close releases the lock. The file stays.
func (l *osLock) Close() error {
	held.Lock()
	defer held.Unlock()
	for i, h := range held.files {
		if os.SameFile(l.info, h) {
			held.files = append(held.files[:i], held.files[i+1:]...)
			return l.f.Close()
		}
	}
	return fs.ErrClosed
}
