// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"

	"github.com/samsa-broker/samsa/engine/vfs"
)

// Bytes of an entry.
const (
	indexEntry     = 8
	timeIndexEntry = 12
)

// errInsane says that an index file cannot belong to its .log.
var errInsane = errors.New("segment: index does not fit")

// A table is one sparse index: entries [0, first) in its file, those from
// first on in a tail in memory. Entries are ordered by their first field.
type table struct {
	at     *location
	suffix string // of its file
	entry  int    // bytes
	tail   atomic.Pointer[tail]
	file   vfs.File // open while spilled bytes are not synced; the owner's
	spill  int      // how often entries were spilled: tells a flush whether it saw the last
}

// tail is append-only: n moves after the bytes it covers.
type tail struct {
	first int
	n     atomic.Int64
	buf   []byte
}

// tailBytes is the memory of one tail: about 2 MiB of log.
const tailBytes = 4096

func tailSize(entry int) int { return tailBytes / entry * entry }

// count is the number of entries.
func (t *table) count() int {
	tl := t.tail.Load()
	return tl.first + int(tl.n.Load())
}

// key is the first field of an entry: what entries are ordered by.
func (t *table) key(e []byte) int64 {
	if t.entry == indexEntry {
		return int64(binary.BigEndian.Uint32(e))
	}
	return int64(binary.BigEndian.Uint64(e))
}

// load takes the file's length as its number of entries, as Kafka does, after
// cutting off the zeros of a preallocated one. last is the last entry, nil if
// there is none. zeros tells that there were zero entries at the end.
func (t *table) load() (last []byte, zeros bool, err error) {
	t.tail.Store(&tail{})
	f, err := t.at.open(t.suffix, os.O_RDONLY)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, false, err
	}
	if size%int64(t.entry) != 0 {
		return nil, false, fmt.Errorf("%w: %d bytes", errInsane, size)
	}
	n := int(size / int64(t.entry))
	last, n, zeros, err = t.lastEntry(f, n)
	if err != nil {
		return nil, zeros, err
	}
	t.tail.Store(&tail{first: n})
	return last, zeros, nil
}

// lastEntry reads backwards over zero entries.
func (t *table) lastEntry(f vfs.File, n int) (last []byte, count int, zeros bool, err error) {
	buf := make([]byte, t.entry)
	block := buf
	for n > 0 {
		m := min(n, len(block)/t.entry)
		part := block[:m*t.entry]
		if _, err := f.ReadAt(part, int64(n-m)*int64(t.entry)); err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, zeros, err
		}
		for ; m > 0; m, n = m-1, n-1 {
			e := part[(m-1)*t.entry : m*t.entry]
			if !allZero(e) {
				return append([]byte(nil), e...), n, zeros, nil
			}
			zeros = true
		}
		if len(block) == t.entry { // it was preallocated: go on in larger steps
			block = make([]byte, t.entry*4096)
		}
	}
	return nil, 0, zeros, nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// add appends an entry to the tail, which must be loaded; a full tail goes to
// the file first.
func (t *table) add(e []byte) error {
	tl := t.tail.Load()
	n := int(tl.n.Load())
	if (n+1)*t.entry > len(tl.buf) {
		err := t.spillTail(tl)
		if vfs.IsNoSpace(err) { // the entries wait in memory until there is room
			grown := &tail{first: tl.first, buf: make([]byte, max(2*len(tl.buf), tailSize(t.entry)))}
			copy(grown.buf, tl.buf)
			grown.n.Store(int64(n))
			t.tail.Store(grown)
			err = nil
		}
		if err != nil {
			return err
		}
		tl = t.tail.Load()
		n = int(tl.n.Load())
	}
	copy(tl.buf[n*t.entry:], e)
	tl.n.Store(int64(n + 1))
	return nil
}

// spills tells whether n more entries may send the tail to a file that is not open.
func (t *table) spills(n int64) bool {
	tl := t.tail.Load()
	return t.file == nil && (tl.n.Load()+n)*int64(t.entry) > int64(max(len(tl.buf), tailSize(t.entry)))
}

func (t *table) spillTail(tl *tail) error {
	n := int(tl.n.Load())
	if n > 0 {
		if t.file == nil {
			f, err := t.at.open(t.suffix, os.O_RDWR|os.O_CREATE)
			if err != nil {
				return err
			}
			t.file = f
		}
		if _, err := t.file.WriteAt(tl.buf[:n*t.entry], int64(tl.first)*int64(t.entry)); err != nil {
			return err
		}
		t.spill++
	}
	t.tail.Store(&tail{first: tl.first + n, buf: make([]byte, tailSize(t.entry))})
	return nil
}

// close gives up the file without a sync: for segments that go away.
func (t *table) close() {
	if t.file != nil {
		_ = t.file.Close()
		t.file = nil
	}
}

// window is a piece of an index file that was read: immutable.
type window struct {
	first int
	data  []byte
}

var windows = sync.Pool{New: func() any { b := make([]byte, tailBytes); return &b }}

// floor finds the last entry whose key is at most key and copies it to dst.
// cache, if given, remembers the piece of the file in which it was found.
func (t *table) floor(key int64, dst []byte, cache *atomic.Pointer[window]) (ok bool, err error) {
	tl := t.tail.Load()
	if n := int(tl.n.Load()); n > 0 && t.key(tl.buf) <= key {
		at := t.search(tl.buf[:n*t.entry], key)
		copy(dst, tl.buf[at*t.entry:(at+1)*t.entry])
		return true, nil
	}
	if tl.first == 0 {
		return false, nil
	}
	if cache != nil {
		if w := cache.Load(); w != nil && t.key(w.data) <= key {
			last := t.key(w.data[len(w.data)-t.entry:])
			if key < last || w.first+len(w.data)/t.entry == tl.first {
				at := t.search(w.data, key)
				copy(dst, w.data[at*t.entry:])
				return true, nil
			}
		} else if w != nil && w.first == 0 { // below the first entry of all: the file's beginning
			return false, nil
		}
	}
	return t.floorInFile(key, tl.first, dst, cache)
}

// search gives the place of the last entry of b whose key is at most key;
// there is at least one.
func (t *table) search(b []byte, key int64) int {
	lo, hi := 0, len(b)/t.entry // entry lo is at most key, entry hi is above
	for hi-lo > 1 {
		mid := int(uint(lo+hi) / 2)
		if t.key(b[mid*t.entry:]) <= key {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// floorInFile searches [0, n) of the file: whole blocks first, then within one.
func (t *table) floorInFile(key int64, n int, dst []byte, cache *atomic.Pointer[window]) (bool, error) {
	f, err := t.at.open(t.suffix, os.O_RDONLY)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", errInsane, err)
		}
		return false, err
	}
	defer f.Close()
	bp := windows.Get().(*[]byte)
	defer windows.Put(bp)
	per := len(*bp) / t.entry
	read := func(block int) ([]byte, error) {
		b := (*bp)[:min(per, n-block*per)*t.entry]
		if m, err := f.ReadAt(b, int64(block)*int64(per*t.entry)); m < len(b) {
			if err == nil || errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: shorter than it was", errInsane)
			}
			return nil, err
		}
		return b, nil
	}
	lo, hi := 0, (n+per-1)/per // the first key of block lo is at most key (or lo is 0), that of hi above
	for hi-lo > 1 {
		mid := int(uint(lo+hi) / 2)
		b, err := read(mid)
		if err != nil {
			return false, err
		}
		if t.key(b) <= key {
			lo = mid
		} else {
			hi = mid
		}
	}
	b, err := read(lo)
	if err != nil {
		return false, err
	}
	if cache != nil {
		cache.Store(&window{first: lo * per, data: append([]byte(nil), b...)})
	}
	if t.key(b) > key {
		return false, nil
	}
	at := t.search(b, key)
	copy(dst, b[at*t.entry:(at+1)*t.entry])
	return true, nil
}

// lastWhere finds, from the end of the file on, the last entry that good
// accepts, given the one before it, and how many entries there are up to it.
// Zero entries are none. read is what was read of the file.
func (t *table) lastWhere(good func(e, before []byte) bool) (n int, e []byte, read int64, err error) {
	f, err := t.at.open(t.suffix, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil, 0, nil
	}
	if err != nil {
		return 0, nil, 0, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, nil, 0, err
	}
	block := make([]byte, tailSize(t.entry))
	entries := func(from, to int) ([]byte, error) {
		b := block[:(to-from)*t.entry]
		got, err := f.ReadAt(b, int64(from)*int64(t.entry))
		read += int64(got)
		if err != nil && (got < len(b) || !errors.Is(err, io.EOF)) {
			return nil, err
		}
		return b, nil
	}
	n = int(size / int64(t.entry))
	if n, err = firstZero(n, entries); err != nil {
		return 0, nil, read, err
	}
	for per := 32; n > 0; per = min(2*per, len(block)/t.entry) { // most often it is one of the last
		from := max(0, n-per)
		b, err := entries(from, n)
		if err != nil {
			return 0, nil, read, err
		}
		for ; n > from+1 || n == 1; n-- {
			e := b[(n-1-from)*t.entry : (n-from)*t.entry]
			var before []byte
			if n > 1 {
				before = b[(n-2-from)*t.entry : (n-1-from)*t.entry]
			}
			if !allZero(e) && good(e, before) {
				return n, append([]byte(nil), e...), read, nil
			}
		}
	}
	return 0, nil, read, nil
}

// firstZero is where the zeros at the end of a file of n entries begin. None is
// below a recovery point.
func firstZero(n int, entries func(from, to int) ([]byte, error)) (int, error) {
	lo, hi := -1, n // the entry at lo is not zero, that at hi is, or is none
	for at := n - 1; hi-lo > 1; at = lo + (hi-lo)/2 {
		b, err := entries(at, at+1)
		if err != nil {
			return 0, err
		}
		if allZero(b) {
			hi = at
		} else {
			lo = at
		}
	}
	return hi, nil
}

// all reads every entry.
func (t *table) all() ([]byte, error) {
	b, err := t.at.read(t.suffix)
	if err != nil {
		return nil, err
	}
	tl := t.tail.Load()
	b = b[:min(len(b), tl.first*t.entry)]
	return append(b, tl.buf[:int(tl.n.Load())*t.entry]...), nil
}

// reset keeps the first n entries, which must stand in the file, and drops the
// others; the file becomes as long as they are.
func (t *table) reset(n int) error {
	if t.file == nil {
		f, err := t.at.open(t.suffix, os.O_RDWR|os.O_CREATE)
		if err != nil {
			return err
		}
		t.file = f
	}
	t.spill++
	t.tail.Store(&tail{first: n})
	return t.file.Truncate(int64(n) * int64(t.entry))
}

// settle writes the tail to the file, syncs and closes it.
func (t *table) settle() error {
	if err := t.spillTail(t.tail.Load()); err != nil {
		return err
	}
	t.tail.Store(&tail{first: t.tail.Load().first})
	if t.file == nil {
		return nil
	}
	err := Sync(t.file)
	t.close()
	return err
}
