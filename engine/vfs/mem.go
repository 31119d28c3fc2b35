// SPDX-License-Identifier: Apache-2.0

package vfs

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Mem is a file system in memory that remembers what was not yet made durable.
// Its root exists; other directories must be made. It has no descriptors, no
// direct I/O and one simulated process: its locks say PID 1.
type Mem struct {
	mu       sync.Mutex // guards everything reachable from here
	root     *node
	pending  []*entryOp // changes of directories, in order
	locked   map[*node]bool
	used     int64 // bytes of all files, also of unlinked ones that are open
	capacity int64
	clock    int64 // ticks of ModTime, so that runs repeat
}

// NewMem returns an empty file system without a size limit.
func NewMem() *Mem {
	return &Mem{root: newDir(), locked: map[*node]bool{}, capacity: 1 << 62}
}

// SetCapacity makes every write that would need more than n bytes in total
// stop short with ENOSPC.
func (m *Mem) SetCapacity(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = n
}

// node is a file or a directory.
type node struct {
	dir     bool
	entries map[string]*node // of a directory, now
	durable map[string]*node // of a directory, after a power cut
	data    []byte           // of a file, now
	synced  []byte           // of a file, after a power cut
	pending []fileOp         // what leads from synced to data
	opens   int              // handles
	links   int              // names, now
	mod     int64
}

func newDir() *node {
	return &node{dir: true, entries: map[string]*node{}, durable: map[string]*node{}}
}

// entryOp is one change of names: remove oldName from one directory, set
// newName in another (or the same). Either may be empty.
type entryOp struct {
	oldDir, newDir   *node
	oldName, newName string
	node             *node
}

// applyTo carries op out on two directories' names, either of which may be nil.
func (op *entryOp) applyTo(from, to map[string]*node) {
	for name, n := range from {
		if n == op.node || name == op.oldName { // a file has one name
			delete(from, name)
		}
	}
	if to != nil {
		to[op.newName] = op.node
	}
}

// apply carries op out on the durable names.
func (op *entryOp) apply() {
	var from, to map[string]*node
	if op.oldDir != nil {
		from = op.oldDir.durable
	}
	if op.newDir != nil {
		to = op.newDir.durable
	}
	op.applyTo(from, to)
}

// split makes path elements of a name.
func split(name string) []string {
	name = filepath.ToSlash(filepath.Clean(name))
	name = strings.TrimPrefix(name, filepath.ToSlash(filepath.VolumeName(name)))
	var parts []string
	for _, p := range strings.Split(name, "/") {
		if p != "" && p != "." {
			parts = append(parts, p)
		}
	}
	return parts
}

func pathErr(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// find walks to name.
func (m *Mem) find(op, name string) (*node, error) {
	n := m.root
	for _, p := range split(name) {
		if !n.dir {
			return nil, pathErr(op, name, syscall.ENOTDIR)
		}
		next, ok := n.entries[p]
		if !ok {
			return nil, pathErr(op, name, fs.ErrNotExist)
		}
		n = next
	}
	return n, nil
}

// parent walks to the directory that holds, or would hold, name.
func (m *Mem) parent(op, name string) (dir *node, base string, err error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", pathErr(op, name, fs.ErrInvalid)
	}
	dir = m.root
	for _, p := range parts[:len(parts)-1] {
		next, ok := dir.entries[p]
		if !ok {
			return nil, "", pathErr(op, name, fs.ErrNotExist)
		}
		if !next.dir {
			return nil, "", pathErr(op, name, syscall.ENOTDIR)
		}
		dir = next
	}
	return dir, parts[len(parts)-1], nil
}

func (m *Mem) tick() int64 { m.clock++; return m.clock }

// link gives n a name that is not durable yet.
func (m *Mem) link(dir *node, base string, n *node) {
	dir.entries[base] = n
	dir.mod = m.tick()
	n.links++
	m.pending = append(m.pending, &entryOp{newDir: dir, newName: base, node: n})
}

// unlink takes a name away, not durably yet.
func (m *Mem) unlink(dir *node, base string) {
	n := dir.entries[base]
	delete(dir.entries, base)
	dir.mod = m.tick()
	m.pending = append(m.pending, &entryOp{oldDir: dir, oldName: base, node: n})
	m.unlinked(n)
}

// unlinked frees the bytes of a file that nobody can reach any more.
func (m *Mem) unlinked(n *node) {
	n.links--
	m.release(n)
}

func (m *Mem) release(n *node) {
	if !n.dir && n.links == 0 && n.opens == 0 {
		m.used -= int64(len(n.data))
	}
}

// OpenFile opens or creates a file.
func (m *Mem) OpenFile(name string, flag int, _ fs.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("open", name)
	if err != nil {
		return nil, err
	}
	n, ok := dir.entries[base]
	switch {
	case ok && n.dir:
		return nil, pathErr("open", name, syscall.EISDIR)
	case ok && flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		return nil, pathErr("open", name, fs.ErrExist)
	case !ok && flag&os.O_CREATE == 0:
		return nil, pathErr("open", name, fs.ErrNotExist)
	case !ok:
		n = &node{mod: m.tick()}
		m.link(dir, base, n)
	}
	f := &memFile{m: m, n: n, name: name, write: flag&(os.O_WRONLY|os.O_RDWR) != 0}
	if flag&os.O_TRUNC != 0 && f.write {
		f.resize(0)
	}
	n.opens++
	return f, nil
}

// OpenDirect always refuses: there is no cache to go around.
func (m *Mem) OpenDirect(name string) (File, int, error) {
	return nil, 0, pathErr("open", name, ErrNoDirect)
}

// Mkdir makes a directory.
func (m *Mem) Mkdir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("mkdir", name)
	if err != nil {
		return err
	}
	if _, ok := dir.entries[base]; ok {
		return pathErr("mkdir", name, fs.ErrExist)
	}
	n := newDir()
	n.mod = m.tick()
	m.link(dir, base, n)
	return nil
}

// MkdirAll makes a directory and those above it.
func (m *Mem) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir := m.root
	for _, p := range split(name) {
		next, ok := dir.entries[p]
		if !ok {
			next = newDir()
			next.mod = m.tick()
			m.link(dir, p, next)
		} else if !next.dir {
			return pathErr("mkdir", name, syscall.ENOTDIR)
		}
		dir = next
	}
	return nil
}

// Remove removes a file or an empty directory.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("remove", name)
	if err != nil {
		return err
	}
	n, ok := dir.entries[base]
	if !ok {
		return pathErr("remove", name, fs.ErrNotExist)
	}
	if n.dir && len(n.entries) > 0 {
		return pathErr("remove", name, syscall.ENOTEMPTY)
	}
	m.unlink(dir, base)
	return nil
}

// RemoveAll removes a tree, deepest names first.
func (m *Mem) RemoveAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("remove", name)
	if err != nil {
		return nil // what is not there needs no removing
	}
	if _, ok := dir.entries[base]; ok {
		m.removeTree(dir, base)
	}
	return nil
}

func (m *Mem) removeTree(dir *node, base string) {
	n := dir.entries[base]
	for _, name := range sortedNames(n.entries) {
		m.removeTree(n, name)
	}
	m.unlink(dir, base)
}

// Rename moves a name; a power cut finds it moved or not moved.
func (m *Mem) Rename(oldName, newName string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, oldBase, err := m.parent("rename", oldName)
	if err != nil {
		return err
	}
	n, ok := from.entries[oldBase]
	if !ok {
		return pathErr("rename", oldName, fs.ErrNotExist)
	}
	to, newBase, err := m.parent("rename", newName)
	if err != nil {
		return err
	}
	if over, ok := to.entries[newBase]; ok && over != n {
		if over.dir && (!n.dir || len(over.entries) > 0) {
			return pathErr("rename", newName, fs.ErrExist)
		}
		if !over.dir && n.dir {
			return pathErr("rename", newName, syscall.ENOTDIR)
		}
		m.unlinked(over)
	}
	delete(from.entries, oldBase)
	to.entries[newBase] = n
	from.mod = m.tick()
	to.mod = from.mod
	m.pending = append(m.pending, &entryOp{oldDir: from, oldName: oldBase, newDir: to, newName: newBase, node: n})
	return nil
}

func sortedNames(entries map[string]*node) []string {
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// ReadDir lists a directory.
func (m *Mem) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return nil, pathErr("readdir", name, syscall.ENOTDIR)
	}
	var list []fs.DirEntry
	for _, base := range sortedNames(n.entries) {
		list = append(list, fs.FileInfoToDirEntry(newMemInfo(base, n.entries[base])))
	}
	return list, nil
}

// Stat describes a file or directory.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("stat", name)
	if err != nil {
		return nil, err
	}
	return newMemInfo(filepath.Base(name), n), nil
}

// SyncDir makes the names of a directory durable.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find("syncdir", name)
	if err != nil {
		return err
	}
	if !n.dir {
		return pathErr("syncdir", name, syscall.ENOTDIR)
	}
	rest := m.pending[:0]
	for _, op := range m.pending {
		if op.oldDir == n || op.newDir == n {
			op.apply()
		} else {
			rest = append(rest, op)
		}
	}
	clear(m.pending[len(rest):])
	m.pending = rest
	return nil
}

// Lock takes the file's lock.
func (m *Mem) Lock(name string) (io.Closer, error) {
	f, err := m.OpenFile(name, os.O_RDWR|os.O_CREATE, 0)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	n := f.(*memFile).n
	if m.locked[n] {
		m.mu.Unlock()
		_ = f.Close()
		return nil, &LockedError{Name: name, PID: 1}
	}
	m.locked[n] = true
	m.mu.Unlock()
	return &memLock{f: f.(*memFile)}, nil
}

// memLock is a held lock.
type memLock struct{ f *memFile }

func (l *memLock) Close() error {
	l.f.m.mu.Lock()
	delete(l.f.m.locked, l.f.n)
	l.f.m.mu.Unlock()
	return l.f.Close()
}

// Usage tells the capacity and what is left of it.
func (m *Mem) Usage(string) (free, total int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return max(0, m.capacity-m.used), m.capacity, nil
}

// memInfo is a snapshot of a node.
type memInfo struct {
	name string
	size int64
	dir  bool
	mod  int64
}

func newMemInfo(name string, n *node) memInfo {
	return memInfo{name: name, size: int64(len(n.data)), dir: n.dir, mod: n.mod}
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) Sys() any           { return nil }
func (i memInfo) ModTime() time.Time { return time.UnixMilli(i.mod) }

func (i memInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}
