// SPDX-License-Identifier: Apache-2.0

//go:build linux

package powercut

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Mount shows a disk at a directory until the function it returns is called.
// It needs /dev/fuse and root.
func Mount(d *Disk, at string) (unmount func() error, err error) {
	zero := time.Duration(0)
	server, err := fs.Mount(at, &node{disk: d, inode: d.root}, &fs.Options{
		MountOptions:    fuse.MountOptions{DirectMount: true, FsName: "powercut", Name: "powercut", MaxWrite: 1 << 20},
		EntryTimeout:    &zero,
		AttrTimeout:     &zero,
		NegativeTimeout: &zero,
	})
	if err != nil {
		return nil, fmt.Errorf("mount the power-cut disk at %s (needs root and /dev/fuse): %w", at, err)
	}
	return func() error {
		if err := server.Unmount(); err == nil {
			return nil
		}
		return unix.Unmount(at, unix.MNT_DETACH)
	}, nil
}

// node is one file or directory of a mounted disk.
type node struct {
	fs.Inode
	disk  *Disk
	inode *inode
}

var (
	_ fs.NodeLookuper  = (*node)(nil)
	_ fs.NodeReaddirer = (*node)(nil)
	_ fs.NodeCreater   = (*node)(nil)
	_ fs.NodeMkdirer   = (*node)(nil)
	_ fs.NodeUnlinker  = (*node)(nil)
	_ fs.NodeRmdirer   = (*node)(nil)
	_ fs.NodeRenamer   = (*node)(nil)
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeReader    = (*node)(nil)
	_ fs.NodeWriter    = (*node)(nil)
	_ fs.NodeFsyncer   = (*node)(nil)
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeAllocater = (*node)(nil)
	_ fs.NodeStatfser  = (*node)(nil)
)

// change runs fn under the disk's lock, unless the power is gone.
func (n *node) change(fn func() syscall.Errno) syscall.Errno {
	if delay := time.Duration(n.disk.delay.Load()); delay > 0 {
		<-time.After(delay)
	}
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if n.disk.cut || n.disk.broken.Load() {
		return syscall.EIO
	}
	return fn()
}

func (n *node) child(ctx context.Context, i *inode) *fs.Inode {
	return n.NewInode(ctx, &node{disk: n.disk, inode: i}, fs.StableAttr{Mode: i.mode(), Ino: i.id})
}

func (i *inode) mode() uint32 {
	if i.names != nil {
		return fuse.S_IFDIR | 0o755
	}
	return fuse.S_IFREG | 0o644
}

func (i *inode) attr(out *fuse.Attr) {
	out.Ino, out.Mode, out.Nlink = i.id, i.mode(), 1
	out.Size, out.Blksize = uint64(len(i.data)), 4096
	out.Blocks = (out.Size + 511) / 512
	out.SetTimes(nil, &i.mtime, &i.mtime)
}

// Lookup finds an entry.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	i, ok := n.inode.names[name]
	if !ok {
		return nil, syscall.ENOENT
	}
	i.attr(&out.Attr)
	return n.child(ctx, i), 0
}

// Readdir lists the entries.
func (n *node) Readdir(context.Context) (fs.DirStream, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	var list []fuse.DirEntry
	for name, i := range n.inode.names {
		list = append(list, fuse.DirEntry{Name: name, Mode: i.mode(), Ino: i.id})
	}
	slices.SortFunc(list, func(a, b fuse.DirEntry) int { return int(a.Ino) - int(b.Ino) })
	return fs.NewListDirStream(list), 0
}

// Create makes a file, pending until its directory is synced.
func (n *node) Create(ctx context.Context, name string, flags uint32, _ uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	child, errno := n.add(ctx, name, false, out)
	n.note(flags)
	return child, nil, 0, errno
}

// Mkdir makes a directory, pending until its parent is synced.
func (n *node) Mkdir(ctx context.Context, name string, _ uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.add(ctx, name, true, out)
}

func (n *node) add(ctx context.Context, name string, dir bool, out *fuse.EntryOut) (child *fs.Inode, errno syscall.Errno) {
	errno = n.change(func() syscall.Errno {
		if n.inode.names[name] != nil {
			return syscall.EEXIST
		}
		i := n.disk.inode(dir)
		apply(&move{[]entry{{n.inode, name, i}}})
		i.attr(&out.Attr)
		child = n.child(ctx, i)
		return 0
	})
	return child, errno
}

// Unlink removes a file's entry; an open file lives on without one.
func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	return n.change(func() syscall.Errno {
		if n.inode.names[name] == nil {
			return syscall.ENOENT
		}
		apply(&move{[]entry{{n.inode, name, nil}}})
		return 0
	})
}

// Rmdir removes an empty directory.
func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	return n.change(func() syscall.Errno {
		i := n.inode.names[name]
		switch {
		case i == nil:
			return syscall.ENOENT
		case len(i.names) > 0:
			return syscall.ENOTEMPTY
		}
		apply(&move{[]entry{{n.inode, name, nil}}})
		return 0
	})
}

// Rename moves an entry; after a cut it has happened or it has not.
func (n *node) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	return n.change(func() syscall.Errno {
		i := n.inode.names[name]
		target := to.EmbeddedInode().Operations().(*node).inode
		switch {
		case i == nil:
			return syscall.ENOENT
		case flags != 0:
			return syscall.EINVAL
		}
		apply(&move{[]entry{{n.inode, name, nil}, {target, newName, i}}})
		return 0
	})
}

// Open opens a file; the kernel does the permissions.
func (n *node) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	n.note(flags)
	return nil, 0, 0
}

func (n *node) note(flags uint32) {
	if flags&unix.O_DIRECT != 0 {
		n.disk.direct.Store(true)
	}
}

// Read reads what programs see, synced or not.
func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if off >= int64(len(n.inode.data)) {
		return fuse.ReadResultData(nil), 0
	}
	return fuse.ReadResultData(dest[:copy(dest, n.inode.data[off:])]), 0
}

// Write changes bytes, pending until they are synced. A DSYNC write is
// followed by the kernel's own Fsync before the program hears of it.
func (n *node) Write(_ context.Context, _ fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	errno := n.change(func() syscall.Errno {
		n.inode.write(write{off, slices.Clone(data)})
		return 0
	})
	return uint32(len(data)), errno
}

// Fsync makes a file's bytes, or a directory's entries, durable.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return n.change(func() syscall.Errno {
		n.inode.sync()
		return 0
	})
}

// Getattr reports the size.
func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.inode.attr(&out.Attr)
	return 0
}

// Setattr truncates or extends, pending until synced.
func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return n.change(func() syscall.Errno {
		if size, ok := in.GetSize(); ok {
			n.inode.write(write{off: int64(size)})
		}
		n.inode.attr(&out.Attr)
		return 0
	})
}

// Allocate reserves space: here it only extends the file.
func (n *node) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	return n.change(func() syscall.Errno {
		if mode&unix.FALLOC_FL_KEEP_SIZE == 0 && off+size > uint64(len(n.inode.data)) {
			n.inode.write(write{off: int64(off + size)})
		}
		return 0
	})
}

// Statfs reports the free space.
func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 255
	out.Blocks = uint64(n.disk.limit / 4096)
	out.Bfree = uint64(max(0, n.disk.limit-n.disk.root.used()) / 4096)
	out.Bavail = out.Bfree
	return 0
}
