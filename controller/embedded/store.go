// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/samsa-broker/samsa/controller/meta"
)

// FileName is the store's name in a log directory.
const FileName = "samsa.meta"

// Errors of the store. Both wrap meta.ErrStorage where they answer a request.
var (
	ErrLocked  = errors.New("embedded: another process has the store open")
	ErrCorrupt = errors.New("embedded: the store cannot be understood")
	errVersion = errors.New("embedded: the node has another version")
)

var (
	znodeBucket = []byte("znodes")
	ownBucket   = []byte("samsa")
)

const (
	nodeFormat    = 1
	nodeHeader    = 1 + 1 + 4 + 4*8
	flagNull      = 1
	flagEphemeral = 2
	lockWait      = 200 * time.Millisecond
)

// node is one znode. Data is the node's own copy.
type node struct {
	flags        byte
	version      int32
	czxid, mzxid int64
	ctime, mtime int64
	data         []byte
}

func (n node) encode() []byte {
	b := make([]byte, 0, nodeHeader+len(n.data))
	b = append(b, nodeFormat, n.flags)
	b = binary.BigEndian.AppendUint32(b, uint32(n.version))
	for _, v := range [...]int64{n.czxid, n.mzxid, n.ctime, n.mtime} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return append(b, n.data...)
}

func decodeNode(b []byte) (node, error) {
	if len(b) < nodeHeader || b[0] != nodeFormat {
		return node{}, fmt.Errorf("%w: a node of %d bytes", ErrCorrupt, len(b))
	}
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[6+8*i:])) }
	n := node{flags: b[1], version: int32(binary.BigEndian.Uint32(b[2:])), czxid: at(0), mzxid: at(1), ctime: at(2), mtime: at(3)}
	n.data = append(n.data, b[nodeHeader:]...)
	return n, nil
}

// store is the open file.
type store struct {
	db   *bolt.DB
	now  func() time.Time
	seen *atomic.Int64            // the version of what is durable: the last transaction's number
	hook func(stage string) error // tests: before "commit", and after "committed"
}

// openStore opens a file that exists.
func openStore(path string, now func() time.Time, seen *atomic.Int64) (*store, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, OpenFile: openExisting})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("%w: %s%s", ErrLocked, path, holder(filepath.Dir(path)))
	}
	if err != nil {
		return nil, fmt.Errorf("embedded: open %s: %w", path, err)
	}
	s := &store{db: db, now: now, seen: seen}
	err = db.View(func(tx *bolt.Tx) error {
		if tx.Bucket(znodeBucket) == nil || tx.Bucket(ownBucket) == nil {
			return fmt.Errorf("%w: %s has no buckets of ours", ErrCorrupt, path)
		}
		seen.Store(int64(tx.Bucket(znodeBucket).Sequence()))
		return nil
	})
	if err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

func openExisting(name string, flag int, perm os.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag&^os.O_CREATE, perm)
}

// createStore makes a new file in a directory: complete under another name,
// then renamed, so that a power cut leaves all of it or nothing.
func createStore(dir string, now func() time.Time, seen *atomic.Int64, first func(*txn) error) (*store, error) {
	path, temp := filepath.Join(dir, FileName), filepath.Join(dir, FileName+".tmp")
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("embedded: %w", err)
	}
	db, err := bolt.Open(temp, 0o600, &bolt.Options{Timeout: lockWait})
	if err != nil {
		return nil, fmt.Errorf("embedded: create %s: %w", temp, err)
	}
	s := &store{db: db, now: now, seen: new(atomic.Int64)}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{znodeBucket, ownBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = s.update(first)
	}
	if cerr := db.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("embedded: create %s: %w", path, err)
	}
	return openStore(path, now, seen)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (s *store) close() error { return s.db.Close() }

// update runs one transaction and returns when it is on disk.
func (s *store) update(fn func(*txn) error) error {
	tx, err := s.db.Begin(true)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing to do once committed
	t := &txn{nodes: tx.Bucket(znodeBucket), own: tx.Bucket(ownBucket), now: s.now().UnixMilli()}
	seq, err := t.nodes.NextSequence()
	if err != nil {
		return err
	}
	t.zxid = int64(seq)
	if err := fn(t); err != nil {
		return err
	}
	if s.hook != nil {
		if err := s.hook("commit"); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	s.saw(t.zxid)
	if s.hook != nil {
		return s.hook("committed")
	}
	return nil
}

// saw notes that a transaction is durable; those who commit at the same time may
// get here in another order than the file's.
func (s *store) saw(zxid int64) {
	for before := s.seen.Load(); before < zxid && !s.seen.CompareAndSwap(before, zxid); {
		before = s.seen.Load()
	}
}

// view reads.
func (s *store) view(fn func(*txn) error) error {
	return s.db.View(func(tx *bolt.Tx) error {
		return fn(&txn{nodes: tx.Bucket(znodeBucket), own: tx.Bucket(ownBucket)})
	})
}

// full tells whether an error means nothing worse than a full disk: the
// transaction is undone, and the file is as it was.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// txn is one transaction: ZooKeeper's operations on the tree.
type txn struct {
	nodes, own *bolt.Bucket
	zxid, now  int64
}

// get reads a node.
func (t *txn) get(path string) (n node, ok bool, err error) {
	b := t.nodes.Get([]byte(path))
	if b == nil {
		return node{}, false, nil
	}
	if n, err = decodeNode(b); err != nil {
		return node{}, false, fmt.Errorf("%s: %w", path, err)
	}
	return n, true, nil
}

// create makes a node; data nil is ZooKeeper's null. Its parent must be there.
func (t *txn) create(path string, data []byte, flags byte) error {
	if t.nodes.Get([]byte(path)) != nil {
		panic("BUG: embedded: node " + path + " is there already")
	}
	if parent := path[:strings.LastIndexByte(path, '/')]; parent != "" && t.nodes.Get([]byte(parent)) == nil {
		panic("BUG: embedded: node " + path + " has no parent")
	}
	if data == nil {
		flags |= flagNull
	}
	return t.nodes.Put([]byte(path), node{flags: flags, czxid: t.zxid, mzxid: t.zxid, ctime: t.now, mtime: t.now, data: data}.encode())
}

// set changes the data of a node, or creates it, and gives its new version. A
// version other than -1 must be the node's.
func (t *txn) set(path string, data []byte, ifVersion int32) (int32, error) {
	n, ok, err := t.get(path)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, t.create(path, data, 0)
	}
	if ifVersion != -1 && ifVersion != n.version {
		return 0, fmt.Errorf("%w: %s has %d, expected %d", errVersion, path, n.version, ifVersion)
	}
	n.flags &^= flagNull
	n.version, n.mzxid, n.mtime, n.data = n.version+1, t.zxid, t.now, data
	return n.version, t.nodes.Put([]byte(path), n.encode())
}

// ensure creates a node without data if it is missing.
func (t *txn) ensure(path string) error {
	if t.nodes.Get([]byte(path)) != nil {
		return nil
	}
	return t.create(path, nil, 0)
}

// remove deletes a node and everything below it; a missing one is no error.
func (t *txn) remove(path string) error {
	var names [][]byte
	c := t.nodes.Cursor()
	prefix := path + "/"
	for k, _ := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, _ = c.Next() {
		names = append(names, append([]byte(nil), k...))
	}
	for _, k := range append(names, []byte(path)) {
		if err := t.nodes.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// children gives the names of a node's children in order.
func (t *txn) children(path string) []string {
	var out []string
	c := t.nodes.Cursor()
	prefix := path + "/"
	for k, _ := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); {
		name, _, deeper := strings.Cut(string(k[len(prefix):]), "/")
		if !deeper {
			out = append(out, name)
			k, _ = c.Next()
			continue
		}
		k, _ = c.Seek([]byte(prefix + name + "0")) // '0' follows '/': past everything below
	}
	return out
}

// dropEphemeral removes what belonged to the run before.
func (t *txn) dropEphemeral() error {
	var names [][]byte
	err := t.nodes.ForEach(func(k, v []byte) error {
		if len(v) >= nodeHeader && v[1]&flagEphemeral != 0 {
			names = append(names, append([]byte(nil), k...))
		}
		return nil
	})
	for _, k := range names {
		if err == nil {
			err = t.nodes.Delete(k)
		}
	}
	return err
}

// storageError makes an error of the file answer requests as one of storage.
func storageError(err error) error { return fmt.Errorf("%w: %w", meta.ErrStorage, err) }
