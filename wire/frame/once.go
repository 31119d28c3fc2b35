// SPDX-License-Identifier: Apache-2.0

package frame

import "bytes"

// A request should name each partition once. Kafka gathers them in maps: what
// is named again replaces what was named before. Once does that to a decoded
// request; one that names nothing twice, which is every client's, costs a few
// comparisons and no memory.

// Once leaves of each topic and partition the last mention, at the place of the
// first, and no topic without partitions.
func (q *ProduceRequest) Once() {
	if !repeats(len(q.Topics), func(i int) (key []byte, first, end int) {
		t := &q.Topics[i]
		return t.Name, t.First, t.End
	}, func(i int) int32 { return q.Parts[i].Index }) {
		return
	}
	places := map[string]int{}
	var names []ProduceTopic
	var lists [][]ProducePart
	for _, t := range q.Topics {
		if t.First == t.End {
			continue
		}
		at, known := places[string(t.Name)]
		if !known {
			at = len(names)
			places[string(t.Name)] = at
			names, lists = append(names, t), append(lists, nil)
		}
		lists[at] = append(lists[at], q.Parts[t.First:t.End]...)
	}
	var parts []ProducePart
	for at := range names {
		seen := map[int32]int{}
		names[at].First = len(parts)
		for _, p := range lists[at] {
			if i, again := seen[p.Index]; again {
				parts[i] = p
				continue
			}
			seen[p.Index] = len(parts)
			parts = append(parts, p)
		}
		names[at].End = len(parts)
	}
	q.Topics, q.Parts = names, parts
}

// Once leaves of each partition the last mention, at the place of the first.
func (q *FetchRequest) Once() {
	if !repeats(len(q.Topics), func(i int) (key []byte, first, end int) {
		t := &q.Topics[i]
		if len(t.Name) == 0 {
			return t.ID[:], t.First, t.End
		}
		return t.Name, t.First, t.End
	}, func(i int) int32 { return q.Parts[i].Index }) {
		return
	}
	type place struct {
		name  string
		id    [16]byte
		index int32
	}
	seen := map[place]int{}
	var topics []FetchTopic
	var parts []FetchPart
	for _, t := range q.Topics {
		first := len(parts)
		for _, p := range q.Parts[t.First:t.End] {
			at := place{string(t.Name), t.ID, p.Index}
			if i, again := seen[at]; again {
				parts[i] = p
				continue
			}
			seen[at] = len(parts)
			parts = append(parts, p)
		}
		if t.First, t.End = first, len(parts); t.First < t.End {
			topics = append(topics, t)
		}
	}
	q.Topics, q.Parts = topics, parts
}

const (
	few         = 8       // up to so many names are compared each with each
	compareMost = 1 << 17 // so many comparisons are no more than gathering all in a map
)

// repeats tells whether a request may name a topic or partition twice, or a
// topic without partitions. It is never wrong when it says no.
func repeats(topics int, topic func(i int) (key []byte, first, end int), index func(i int) int32) bool {
	var met [64]uint64 // of topics, by a few bits of their names
	compared := 0
	for i := range topics {
		key, first, end := topic(i)
		if first == end || repeatsIndex(first, end, index) {
			return true
		}
		if topics > few {
			at := spread(key)
			if word, bit := &met[at>>6], uint64(1)<<(at&63); *word&bit == 0 {
				*word |= bit
				continue
			}
		}
		if compared += i; compared > compareMost {
			return true // it may
		}
		for j := range i {
			if other, _, _ := topic(j); bytes.Equal(other, key) {
				return true
			}
		}
	}
	return false
}

// spread gives twelve bits of what names differ in: their ends and lengths.
func spread(key []byte) uint {
	v := uint(len(key)) * 7
	for i := max(0, len(key)-6); i < len(key); i++ {
		v = v*31 + uint(key[i])
	}
	return v & 4095
}

// repeatsIndex tells whether the partitions from first to end may hold one twice.
func repeatsIndex(first, end int, index func(i int) int32) bool {
	rising := true
	for i := first + 1; i < end && rising; i++ {
		rising = index(i-1) < index(i)
	}
	if rising {
		return false
	}
	if end-first <= few {
		for i := first + 1; i < end; i++ {
			for j := first; j < i; j++ {
				if index(i) == index(j) {
					return true
				}
			}
		}
		return false
	}
	var met [64]uint64
	for i := first; i < end; i++ {
		at := index(i)
		if at < 0 || at >= int32(len(met))*64 {
			return true // it may
		}
		word, bit := &met[at>>6], uint64(1)<<(at&63)
		if *word&bit != 0 {
			return true
		}
		*word |= bit
	}
	return false
}
