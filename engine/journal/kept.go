// SPDX-License-Identifier: Apache-2.0

package journal

// keptChunk is what memory for kept groups is taken in.
const keptChunk = 8 << 20

// Kept is the entries that a scan read, in memory outside the heap: they were
// checked, and need not be read again.
type Kept struct {
	limit  int64
	size   int64
	over   bool
	chunks [][]byte // each is filled up to used
	used   []int
}

// Keep returns what keeps up to limit bytes. Of a journal that holds more it
// keeps nothing.
func Keep(limit int64) *Kept { return &Kept{limit: limit} }

// Over tells that there was more than is kept.
func (k *Kept) Over() bool { return k.over }

// add copies the entries of one group.
func (k *Kept) add(entries []byte) {
	if k == nil || k.over || len(entries) == 0 {
		return
	}
	k.size += int64(len(entries))
	last := len(k.chunks) - 1
	if k.size <= k.limit && (last < 0 || len(k.chunks[last])-k.used[last] < len(entries)) {
		b, err := mapBuffer(max(keptChunk, int(roundUp(int64(len(entries)), Block))))
		if err != nil {
			k.size = k.limit + 1
		} else {
			k.chunks, k.used = append(k.chunks, b), append(k.used, 0)
			last++
		}
	}
	if k.size > k.limit {
		k.Free()
		k.over = true
		return
	}
	k.used[last] += copy(k.chunks[last][k.used[last]:], entries)
}

// Each calls fn for every entry, in order; Data is valid until Free. An error
// of fn ends it and is returned.
func (k *Kept) Each(fn func(e *Entry) error) error {
	for i, chunk := range k.chunks {
		for rest := chunk[:k.used[i]]; len(rest) > 0; {
			e, next, err := DecodeEntry(rest)
			if err == nil {
				err = fn(&e)
			}
			if err != nil {
				return err
			}
			rest = next
		}
	}
	return nil
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
