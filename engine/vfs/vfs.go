// SPDX-License-Identifier: Apache-2.0

// Package vfs is the seam between the engine and the file system.
//
// It offers the few operations a log directory needs, with the durability of
// each one named, and three implementations: OS, the real thing; Mem, a file
// system in memory that can be cloned as a power cut might have left it; and
// Inject, which lets a test fail, cut short, delay or record any operation of
// another FS.
//
// It knows nothing of logs, segments or journals, and starts no goroutine.
//
// # Durability
//
// What was written to a file is durable after Sync on a handle of that file
// through which no error was reported before, or after WriteDurableAt for the
// bytes of that call. The name of a file is durable after SyncDir of the
// directory that holds it; neither implies the other.
//
// # Ownership
//
// An FS may be used by any goroutine. A File may be used by any number of
// goroutines at once, except that Close must come after every other call.
package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"
)

// Failures that callers tell apart. Others come as the operating system gave
// them, wrapped in *fs.PathError.
var (
	// ErrNoDirect says that the file system refuses O_DIRECT for a file.
	ErrNoDirect = errors.New("vfs: direct I/O refused")
	// ErrUnsupported says that this file system cannot do what was asked.
	ErrUnsupported = errors.New("vfs: operation not supported")
)

// FS is a file system. Names use the separators of the host.
type FS interface {
	// OpenFile opens a file with os.O_* flags. A file it creates is durable
	// only after SyncDir of its directory.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// OpenDirect opens an existing file for reading and writing past the page
	// cache. Offsets, lengths and memory addresses must then be multiples of
	// align, a power of two in bytes. It fails with ErrNoDirect where the file
	// system refuses.
	OpenDirect(name string) (f File, align int, err error)
	// Mkdir makes one directory, MkdirAll also those above it.
	Mkdir(name string) error
	MkdirAll(name string) error
	// Remove removes a file or an empty directory, RemoveAll a whole tree; it
	// does not mind a name that is not there.
	Remove(name string) error
	RemoveAll(name string) error
	// Rename moves a file or directory, replacing a file of that name.
	Rename(oldName, newName string) error
	// ReadDir lists a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Stat describes a file or directory.
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the entries of a directory durable: files created in it,
	// removed from it, renamed within, into or out of it.
	SyncDir(name string) error
	// Lock takes the POSIX record lock that a JVM's FileLock takes (F_SETLK,
	// exclusive, whole file), creating the file if needed. It fails with a
	// *LockedError while another process, or this one, holds it. Close
	// releases it. Nobody else in this process may open that file: closing any
	// descriptor of it would drop the lock.
	Lock(name string) (io.Closer, error)
	// Usage tells the bytes free for this process and the size of the file
	// system that holds name.
	Usage(name string) (free, total int64, err error)
}

// File is an open file. All offsets and sizes are bytes.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer

	// WritevAt writes bufs one after the other at off, with one system call
	// when there are at most 128 of them. It returns the bytes that were
	// written, which may be above zero when there is an error (a full disk).
	WritevAt(bufs [][]byte, off int64) (int, error)
	// Truncate cuts or extends (with zeros) the file.
	Truncate(size int64) error
	// Size is the file's current length.
	Size() (int64, error)
	// Sync makes the file's bytes and its length durable (fdatasync). After an
	// error nothing may be assumed of what was written through this handle.
	Sync() error
	// WriteDurableAt writes p at off and returns when those bytes, and the
	// length they gave the file, are durable (RWF_DSYNC, else a write and a
	// Sync).
	WriteDurableAt(p []byte, off int64) error
	// Allocate reserves room for n bytes at off; they read as zeros, and the
	// file's length grows to hold them. ErrUnsupported where that cannot be.
	Allocate(off, n int64) error
	// FD is the descriptor, for sendfile and rings; false where there is none.
	FD() (uintptr, bool)
	// Drop tells the page cache that n bytes at off (0: to the end) are not
	// needed any more. Best effort.
	Drop(off, n int64)
	// Cached tells whether n bytes at off are in the page cache, without
	// touching them; known is false where nobody can tell.
	Cached(off, n int64) (resident, known bool)
}

// LockedError is returned by Lock when somebody else holds the lock.
type LockedError struct {
	Name string // the lock file
	PID  int    // of the holder; 0 when the system does not say
}

// Error names the file and its holder.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("vfs: %s is locked by another process", e.Name)
	}
	return fmt.Sprintf("vfs: %s is locked by process %d", e.Name, e.PID)
}

// IsNoSpace tells whether err means that the disk, or the user's share of it,
// is full, or that the process or the system may open no more files: what was
// not written may be tried again when there is room.
func IsNoSpace(err error) bool {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, full) {
			return true
		}
	}
	return false
}
