// SPDX-License-Identifier: Apache-2.0

package vfs

import "math/rand"

// sector is the unit that a power cut leaves whole: old or new, never a mix.
const sector = 512

// crash draws what a power cut leaves.
type crash struct {
	rng    *rand.Rand
	keep   float64 // the share of what is in doubt that survives
	cloned map[*node]*node
	out    *Mem
}

// CrashClone returns a disk that a power cut at this moment might have left;
// m itself goes on. Names survive when their directory was synced, bytes and
// lengths when their file was, or when WriteDurableAt wrote them. Of the rest
// each renaming, and each write in units of 512 bytes, survives or not, in
// order of their time; a length that is in doubt is any that the file had since
// its last sync. The same seed on the same history gives the same disk; some
// seeds keep everything and some nothing. Locks are gone.
func (m *Mem) CrashClone(seed int64) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &crash{rng: rand.New(rand.NewSource(seed)), cloned: map[*node]*node{}, out: NewMem()}
	c.out.capacity, c.out.clock = m.capacity, m.clock
	switch c.rng.Intn(8) {
	case 0:
		c.keep = 0
	case 1:
		c.keep = 1
	default:
		c.keep = c.rng.Float64()
	}
	names := c.names(m)
	c.out.root = c.dir(m.root, names)
	return c.out
}

func (c *crash) survives() bool { return c.rng.Float64() < c.keep }

// names plays the changes that survive over copies of the durable directories.
func (c *crash) names(m *Mem) map[*node]map[string]*node {
	after := map[*node]map[string]*node{}
	of := func(dir *node) map[string]*node {
		if dir == nil {
			return nil
		}
		if after[dir] == nil {
			after[dir] = make(map[string]*node, len(dir.durable))
			for name, n := range dir.durable {
				after[dir][name] = n
			}
		}
		return after[dir]
	}
	for _, op := range m.pending {
		if !c.survives() {
			continue
		}
		op.applyTo(of(op.oldDir), of(op.newDir))
	}
	return after
}

// dir clones a directory with what is left in it, in order of names so that
// the draws repeat.
func (c *crash) dir(n *node, after map[*node]map[string]*node) *node {
	if done := c.cloned[n]; done != nil {
		return done
	}
	clone := newDir()
	clone.mod = n.mod
	c.cloned[n] = clone
	left, changed := after[n]
	if !changed {
		left = n.durable
	}
	for _, name := range sortedNames(left) {
		child := left[name]
		var got *node
		if child.dir {
			got = c.dir(child, after)
		} else {
			got = c.file(child)
		}
		got.links++
		clone.entries[name], clone.durable[name] = got, got
	}
	return clone
}

// file clones a file with what is left of its bytes.
func (c *crash) file(n *node) *node {
	if done := c.cloned[n]; done != nil {
		return done
	}
	data := c.bytes(n)
	clone := &node{data: data, synced: append([]byte(nil), data...), mod: n.mod}
	c.cloned[n] = clone
	c.out.used += int64(len(data))
	return clone
}

// bytes plays what survives of a file's changes over its synced bytes.
func (c *crash) bytes(n *node) []byte {
	data := append([]byte(nil), n.synced...)
	first := 0 // changes before it have their length for certain
	for i, op := range n.pending {
		if op.durable {
			first = i + 1
		}
	}
	lengthOf := first + c.rng.Intn(len(n.pending)-first+1) // changes whose length is known
	size := int64(len(n.synced))
	if lengthOf > 0 {
		size = n.pending[lengthOf-1].size
	}
	for i, op := range n.pending {
		switch {
		case op.data == nil && i < lengthOf, op.durable:
			data = op.apply(data)
		case op.data != nil:
			data = c.sectors(data, op)
		}
	}
	return append([]byte(nil), setSize(data, size)...)
}

// sectors applies a write sector by sector.
func (c *crash) sectors(data []byte, op fileOp) []byte {
	for done := int64(0); done < int64(len(op.data)); {
		n := min(sector-(op.off+done)%sector, int64(len(op.data))-done)
		if c.survives() {
			data = fileOp{data: op.data[done : done+n], off: op.off + done}.apply(data)
		}
		done += n
	}
	return data
}
