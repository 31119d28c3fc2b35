// SPDX-License-Identifier: Apache-2.0

package journal

import "github.com/samsa-broker/samsa/engine/vfs"

// keptChunk is what memory for kept groups is taken in.
const keptChunk = 8 << 20

// Kept is the entries that a scan read, in memory outside the heap: they were
// checked, and need not be read again. Of a journal that holds more than the
// limit it keeps the first groups, and where the others begin.
type Kept struct {
	limit  int64
	size   int64
	chunks [][]byte // each is filled up to used
	used   []int
	rest   *where // of the first group that is not kept; nil: all are
}

// where is where a group stands, and what must be known to read it.
type where struct {
	position int64
	sequence uint64
	most     int64
}

// Keep returns what keeps up to limit bytes.
func Keep(limit int64) *Kept { return &Kept{limit: limit} }

// add copies the entries of one group, which stands at p.
func (k *Kept) add(entries []byte, p where) {
	if k == nil || k.rest != nil || len(entries) == 0 {
		return
	}
	last := len(k.chunks) - 1
	more := k.size+int64(len(entries)) <= k.limit
	if more && (last < 0 || len(k.chunks[last])-k.used[last] < len(entries)) {
		b, err := mapBuffer(max(keptChunk, int(roundUp(int64(len(entries)), Block))))
		if more = err == nil; more {
			k.chunks, k.used = append(k.chunks, b), append(k.used, 0)
			last++
		}
	}
	if !more {
		k.rest = &p
		return
	}
	k.size += int64(len(entries))
	k.used[last] += copy(k.chunks[last][k.used[last]:], entries)
}

// Each calls fn for every entry of the journal that was scanned from checkpoint
// c on, in order: those that are kept, whose Data is valid until Free, and those
// that are not, which it reads again; their Data is fn's. again is what it read.
// An error of fn ends it and is returned.
func (k *Kept) Each(fsys vfs.FS, dir string, c *Checkpoint, fn func(e *Entry) error) (again Scanned, err error) {
	for i, chunk := range k.chunks {
		for rest := chunk[:k.used[i]]; len(rest) > 0; {
			e, next, err := DecodeEntry(rest)
			if err == nil {
				err = fn(&e)
			}
			if err != nil {
				return Scanned{}, err
			}
			rest = next
		}
	}
	if k.rest == nil {
		return Scanned{}, nil
	}
	return scanFrom(k.rest, fsys, dir, c, func(_ uint64, e *Entry) error {
		e.Data = append([]byte(nil), e.Data...)
		return fn(e)
	})
}

// Free gives the memory back.
func (k *Kept) Free() {
	if k == nil {
		return
	}
	for _, b := range k.chunks {
		unmapBuffer(b)
	}
	k.chunks, k.used = nil, nil
}
