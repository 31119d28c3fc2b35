// SPDX-License-Identifier: Apache-2.0

// Package powercut cuts the power under an unmodified samsa binary.
//
// A Disk is a file system in memory that remembers, for every file and every
// directory, what would survive a power cut: bytes are durable once an fsync
// or a DSYNC write covered them, directory entries once their directory was
// synced. Mount shows a Disk to the binary through FUSE. Cut freezes it: from
// that moment nothing more is accepted, and the Disk it returns holds what was
// durable plus a random part of what was not, torn at 512-byte sectors.
//
// It is a strict disk: a synced file whose directory entry was not synced may
// be gone, and a rename may be undone. It is not a journaling file system's
// mercy that the broker is tested against.
package powercut

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sectorBytes is what a device writes whole or not at all.
const sectorBytes = 512

// Disk is the simulated disk. Safe for concurrent use.
type Disk struct {
	mu     sync.Mutex
	root   *inode
	next   uint64
	cut    bool
	limit  int64 // bytes the disk holds
	direct atomic.Bool
	delay  atomic.Int64 // nanoseconds that each write and sync takes
	broken atomic.Bool  // writes and syncs fail with EIO
}

// inode is a file or a directory: what it is now, what is durable of it, and
// the changes in between, oldest first.
type inode struct {
	id    uint64
	mtime time.Time

	data    []byte // a file's bytes as programs see them
	durable []byte
	writes  []write

	names        map[string]*inode // a directory's entries; nil for a file
	durableNames map[string]*inode
	moves        []*move
}

// write is one unsynced change of a file: bytes at an offset, or with a nil
// data a new size.
type write struct {
	off  int64
	data []byte
}

// move is one unsynced change of entries, kept or lost as a whole.
type move struct {
	sets []entry
}

// entry sets a name of a directory; a nil child removes it.
type entry struct {
	dir   *inode
	name  string
	child *inode
}

// NewDisk is an empty disk of that many bytes.
func NewDisk(bytes int64) *Disk {
	d := &Disk{limit: bytes}
	d.root = d.inode(true)
	return d
}

// SawDirect reports whether a file was opened with O_DIRECT.
func (d *Disk) SawDirect() bool { return d.direct.Load() }

// Slow makes each write and sync take that long from now on.
func (d *Disk) Slow(each time.Duration) { d.delay.Store(int64(each)) }

// Break makes writes and syncs fail with EIO from now on.
func (d *Disk) Break() { d.broken.Store(true) }

func (d *Disk) inode(dir bool) *inode {
	d.next++
	n := &inode{id: d.next, mtime: time.Now()}
	if dir {
		n.names, n.durableNames = map[string]*inode{}, map[string]*inode{}
	}
	return n
}

// apply carries out a change of entries and notes it as pending.
func apply(m *move) {
	for _, e := range m.sets {
		set(e.dir.names, e)
		if !slices.Contains(e.dir.moves, m) {
			e.dir.moves = append(e.dir.moves, m)
		}
	}
}

func set(names map[string]*inode, e entry) {
	if e.child == nil {
		delete(names, e.name)
		return
	}
	names[e.name] = e.child
}

// sync makes a file's bytes or a directory's entries durable. A move between
// two directories becomes durable in both.
func (n *inode) sync() {
	for _, w := range n.writes {
		n.durable = w.onto(n.durable)
	}
	n.writes = nil
	for _, m := range n.moves {
		for _, e := range m.sets {
			set(e.dir.durableNames, e)
			if e.dir != n {
				e.dir.moves = slices.DeleteFunc(e.dir.moves, func(other *move) bool { return other == m })
			}
		}
	}
	n.moves = nil
}

// write changes the live bytes and notes the change.
func (n *inode) write(w write) {
	n.data = w.onto(n.data)
	n.writes = append(n.writes, w)
	n.mtime = time.Now()
}

// onto carries out a change on an image.
func (w write) onto(image []byte) []byte {
	if w.data == nil {
		if w.off <= int64(len(image)) {
			return image[:w.off]
		}
		return append(image, make([]byte, w.off-int64(len(image)))...)
	}
	if end := w.off + int64(len(w.data)); end > int64(len(image)) {
		image = append(image, make([]byte, end-int64(len(image)))...)
	}
	copy(image[w.off:], w.data)
	return image
}

// Cut ends the disk's life and returns the disk that a machine finds when the
// power is back. Writes that arrive later fail.
func (d *Disk) Cut(rng *rand.Rand) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true
	after := &Disk{limit: d.limit, next: d.next}
	c := &cutter{rng: rng, keep: []float64{0, 0, 0.5, 0.9, 1}[rng.IntN(5)], moves: map[*move]bool{}, done: map[*inode]*inode{}}
	after.root = c.survivor(d.root)
	return after
}

// cutter decides what survives. keep is the chance of one unsynced sector or
// entry in this cut.
type cutter struct {
	rng   *rand.Rand
	keep  float64
	moves map[*move]bool
	done  map[*inode]*inode
}

func (c *cutter) lucky() bool { return c.rng.Float64() < c.keep }

// survivor is the image of a file or directory after the cut.
func (c *cutter) survivor(n *inode) *inode {
	if s, ok := c.done[n]; ok {
		return s
	}
	s := &inode{id: n.id, mtime: n.mtime}
	c.done[n] = s
	if n.names == nil {
		s.data = c.bytes(n)
		s.durable = slices.Clone(s.data)
		return s
	}
	names := maps.Clone(n.durableNames)
	for _, m := range n.moves {
		if _, decided := c.moves[m]; !decided {
			c.moves[m] = c.lucky()
		}
		if c.moves[m] {
			for _, e := range m.sets {
				if e.dir == n {
					set(names, e)
				}
			}
		}
	}
	s.names = map[string]*inode{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		s.names[name] = c.survivor(names[name])
	}
	s.durableNames = maps.Clone(s.names)
	return s
}

// bytes is a file's image: what was synced, and of each later write a random
// part of its sectors.
func (c *cutter) bytes(n *inode) []byte {
	image := slices.Clone(n.durable)
	for _, w := range n.writes {
		if w.data == nil {
			if c.lucky() {
				image = w.onto(image)
			}
			continue
		}
		for at := int64(0); at < int64(len(w.data)); {
			step := min(sectorBytes-(w.off+at)%sectorBytes, int64(len(w.data))-at)
			if c.lucky() {
				image = write{w.off + at, w.data[at : at+step]}.onto(image)
			}
			at += step
		}
	}
	return image
}

// used is the number of bytes in files that are reachable.
func (n *inode) used() int64 {
	total := int64(len(n.data))
	for _, child := range n.names {
		total += child.used()
	}
	return total
}
