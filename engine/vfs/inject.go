// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
)

// OpKind names an operation that Inject reports.
type OpKind uint8

// The operations, of an FS and then of a File.
const (
	OpOpen OpKind = iota // OpenFile and OpenDirect
	OpMkdir
	OpRemove
	OpRename
	OpReadDir
	OpStat
	OpSyncDir
	OpLock
	OpUsage
	OpRead
	OpWrite // WriteAt and WritevAt
	OpWriteDurable
	OpTruncate
	OpSize
	OpSync
	OpAllocate
	OpClose
)

var opNames = [...]string{"open", "mkdir", "remove", "rename", "readdir", "stat", "syncdir", "lock", "usage",
	"read", "write", "writedurable", "truncate", "size", "sync", "allocate", "close"}

// String is the operation's name as scripts write it.
func (k OpKind) String() string {
	if int(k) < len(opNames) {
		return opNames[k]
	}
	return fmt.Sprintf("op%d", uint8(k))
}

// Changes tells whether the operation changes the disk or makes it durable:
// those are the ones that a full or failing disk refuses.
func (k OpKind) Changes() bool {
	switch k {
	case OpMkdir, OpRemove, OpRename, OpSyncDir, OpWrite, OpWriteDurable, OpTruncate, OpSync, OpAllocate:
		return true
	}
	return false
}

// Op is one operation about to happen.
type Op struct {
	Kind OpKind
	Name string // of the file; the old one of a rename
	To   string // the new name of a rename
	Off  int64  // of reads, writes, allocations; the size of a truncation
	Len  int    // bytes to read or write
	N    int64  // number of this operation on this FS, from 1
}

// String is one line for a record of operations.
func (o Op) String() string {
	switch o.Kind {
	case OpRename:
		return fmt.Sprintf("%s %s %s", o.Kind, o.Name, o.To)
	case OpRead, OpWrite, OpWriteDurable:
		return fmt.Sprintf("%s %s %d+%d", o.Kind, o.Name, o.Off, o.Len)
	case OpTruncate:
		return fmt.Sprintf("%s %s %d", o.Kind, o.Name, o.Off)
	}
	return fmt.Sprintf("%s %s", o.Kind, o.Name)
}

// ShortWrite, as the answer to an OpWrite or OpWriteDurable, lets the first
// Written bytes through and then fails with Err.
type ShortWrite struct {
	Written int
	Err     error
}

// Error is Err's text.
func (s *ShortWrite) Error() string { return s.Err.Error() }

// Unwrap is Err.
func (s *ShortWrite) Unwrap() error { return s.Err }

// Inject returns an FS that asks before each operation of inner: nil lets it
// happen, an error is its result instead. before may block to delay the
// operation, and is called by whatever goroutine operates. Files have no
// descriptor, so that nothing goes around.
func Inject(inner FS, before func(op Op) error) FS { return &injectFS{inner: inner, before: before} }

// injectFS asks, then passes on.
type injectFS struct {
	inner  FS
	before func(Op) error
	n      atomic.Int64
}

func (i *injectFS) ask(op Op) error {
	op.N = i.n.Add(1)
	return i.before(op)
}

func (i *injectFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	if err := i.ask(Op{Kind: OpOpen, Name: name}); err != nil {
		return nil, err
	}
	f, err := i.inner.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &injectFile{File: f, fs: i, name: name}, nil
}

func (i *injectFS) OpenDirect(name string) (File, int, error) {
	if err := i.ask(Op{Kind: OpOpen, Name: name}); err != nil {
		return nil, 0, err
	}
	f, align, err := i.inner.OpenDirect(name)
	if err != nil {
		return nil, 0, err
	}
	return &injectFile{File: f, fs: i, name: name}, align, nil
}

func (i *injectFS) Mkdir(name string) error {
	if err := i.ask(Op{Kind: OpMkdir, Name: name}); err != nil {
		return err
	}
	return i.inner.Mkdir(name)
}

func (i *injectFS) MkdirAll(name string) error {
	if err := i.ask(Op{Kind: OpMkdir, Name: name}); err != nil {
		return err
	}
	return i.inner.MkdirAll(name)
}

func (i *injectFS) Remove(name string) error {
	if err := i.ask(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	return i.inner.Remove(name)
}

func (i *injectFS) RemoveAll(name string) error {
	if err := i.ask(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	return i.inner.RemoveAll(name)
}

func (i *injectFS) Rename(oldName, newName string) error {
	if err := i.ask(Op{Kind: OpRename, Name: oldName, To: newName}); err != nil {
		return err
	}
	return i.inner.Rename(oldName, newName)
}

func (i *injectFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := i.ask(Op{Kind: OpReadDir, Name: name}); err != nil {
		return nil, err
	}
	return i.inner.ReadDir(name)
}

func (i *injectFS) Stat(name string) (fs.FileInfo, error) {
	if err := i.ask(Op{Kind: OpStat, Name: name}); err != nil {
		return nil, err
	}
	return i.inner.Stat(name)
}

func (i *injectFS) SyncDir(name string) error {
	if err := i.ask(Op{Kind: OpSyncDir, Name: name}); err != nil {
		return err
	}
	return i.inner.SyncDir(name)
}

func (i *injectFS) Lock(name string) (io.Closer, error) {
	if err := i.ask(Op{Kind: OpLock, Name: name}); err != nil {
		return nil, err
	}
	return i.inner.Lock(name)
}

func (i *injectFS) Usage(name string) (free, total int64, err error) {
	if err := i.ask(Op{Kind: OpUsage, Name: name}); err != nil {
		return 0, 0, err
	}
	return i.inner.Usage(name)
}
