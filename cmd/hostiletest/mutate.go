// SPDX-License-Identifier: Apache-2.0

package hostiletest

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
)

// mutator makes inputs out of seeds. The same seeds and numbers make the same
// inputs in the same order.
type mutator struct {
	rnd   *rand.Rand
	seeds [][]any
	pool  [][]any // inputs made before, to go on from
	args  []any
	bufs  [][]byte // one for each byte argument, used again
	other []byte
	kept  [][]byte // what args were before the target had them
}

const (
	poolSize  = 512
	bytesMost = 1 << 14 // an input grows no further
)

func newMutator(seed, stream uint64, seeds [][]any) *mutator {
	m := &mutator{rnd: rand.New(rand.NewPCG(seed, stream)), seeds: seeds}
	m.args = make([]any, len(seeds[0]))
	m.bufs = make([][]byte, len(seeds[0]))
	m.kept = make([][]byte, len(seeds[0]))
	return m
}

// next is the next input. Its bytes are good until the next call; the target
// may change them.
func (m *mutator) next() []any {
	from := m.pick()
	fat := -1 // the argument that is changed in any case
	if len(from) > 1 {
		fat = m.rnd.IntN(len(from))
	}
	for i, v := range from {
		change := len(from) == 1 || i == fat || m.rnd.IntN(3) == 0
		m.args[i] = m.value(i, v, change)
	}
	if m.rnd.IntN(1024) == 0 {
		m.remember()
	}
	return m.args
}

// pick chooses what to start from: seeds mostly.
func (m *mutator) pick() []any {
	if len(m.pool) > 0 && m.rnd.IntN(4) == 0 {
		return m.pool[m.rnd.IntN(len(m.pool))]
	}
	return m.seeds[m.rnd.IntN(len(m.seeds))]
}

func (m *mutator) remember() {
	if len(m.pool) < poolSize {
		m.pool = append(m.pool, m.shown())
		return
	}
	m.pool[m.rnd.IntN(poolSize)] = m.shown()
}

// shown is a copy of the input that next returned last, as it was then.
func (m *mutator) shown() []any {
	out := make([]any, len(m.args))
	for i, a := range m.args {
		switch a.(type) {
		case []byte:
			out[i] = append([]byte{}, m.kept[i]...)
		default:
			out[i] = a
		}
	}
	return out
}

// value is argument i, changed or not.
func (m *mutator) value(i int, v any, change bool) any {
	switch x := v.(type) {
	case []byte:
		b := append(m.bufs[i][:0], x...)
		if change {
			b = m.mangle(b, i)
		}
		m.bufs[i] = b
		m.kept[i] = append(m.kept[i][:0], b...)
		return b[:len(b):len(b)]
	case string:
		if !change {
			return x
		}
		m.bufs[i] = m.mangle(append(m.bufs[i][:0], x...), i)
		return string(m.bufs[i])
	case bool:
		return x != (change && m.rnd.IntN(2) == 0)
	}
	if !change {
		return v
	}
	return m.number(v)
}

// number is another number of v's type: near, or at an edge.
func (m *mutator) number(v any) any {
	n := reflect.New(reflect.TypeOf(v)).Elem()
	n.Set(reflect.ValueOf(v))
	step := int64(m.rnd.IntN(16)) - 8
	if m.rnd.IntN(4) == 0 {
		step = lies[m.rnd.IntN(len(lies))]
	}
	switch {
	case n.CanInt():
		n.SetInt(n.Int() + step)
	case n.CanUint():
		n.SetUint(n.Uint() + uint64(step))
	}
	return n.Interface()
}

// lies are what a length or a count may claim.
var lies = []int64{0, 1, -1, -2, 2, 127, 128, 255, 256, 32767, -32768, 65535, 1 << 20, 1<<28 - 1, 1<<31 - 1, -1 << 31, 1 << 31, 1<<32 - 1, 1<<63 - 1, -1 << 63}

// words turn up in what decoders look for.
var words = []string{"\x82SNAPPY\x00", "\x04\x22\x4d\x18", "\x28\xb5\x2f\xfd", "\x1f\x8b\x08\x00", "\xff\xff\xff\xff", "\x00\x00\x00\x00", "\x80\x00\x00\x00\x00\x00\x00\x00",
	"\xff\xff\xff\xff\x0f", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x80\x80\x80\x80\x00", "-1", "2147483648", "9223372036854775807", "\n", " ", "=", ",", ":", "//", "\\u0000", "${", "\"", "{", "}", "[", "]", "null", "1e9", "\x00", "\xc3\x28", "t-0", "version"}

// mangle changes b in one to four ways. i is the argument it is for.
func (m *mutator) mangle(b []byte, i int) []byte {
	for n := 1 + m.rnd.IntN(4); n > 0; n-- {
		b = m.step(b, i)
	}
	return b[:min(len(b), bytesMost)]
}

// step changes b in one way.
func (m *mutator) step(b []byte, i int) []byte {
	r := m.rnd
	if len(b) == 0 {
		return m.insert(b, 0, []byte(words[r.IntN(len(words))]))
	}
	at := r.IntN(len(b))
	switch r.IntN(14) {
	case 0, 1:
		b[at] ^= 1 << r.IntN(8)
	case 2:
		b[at] = byte(r.Uint32())
	case 3:
		b[at] += byte(r.IntN(9)) - 4
	case 4, 5:
		return m.lie(b, at)
	case 6:
		return m.varlie(b, at)
	case 7:
		return b[:at]
	case 8: // without a part
		end := at + 1 + r.IntN(min(len(b)-at, 64))
		return append(b[:at], b[min(end, len(b)):]...)
	case 9: // a part twice
		m.other = append(m.other[:0], b[at:min(len(b), at+1+r.IntN(128))]...)
		return m.insert(b, at, m.other)
	case 10: // the end of another
		if o := m.someBytes(i); len(o) > 0 {
			return append(b[:at], o[r.IntN(len(o)):]...)
		}
	case 11: // a part of another
		if o := m.someBytes(i); len(o) > 0 {
			from := r.IntN(len(o))
			copy(b[at:], o[from:min(len(o), from+1+r.IntN(32))])
		}
	case 12:
		return m.insert(b, at, []byte(words[r.IntN(len(words))]))
	case 13:
		copy(b[at:], words[r.IntN(len(words))])
	}
	return b
}

// lie writes a number that is too large, too small or nearly right over b[at:].
func (m *mutator) lie(b []byte, at int) []byte {
	size := 1 << m.rnd.IntN(4)
	if at+size > len(b) {
		at = max(0, len(b)-size)
	}
	v := uint64(lies[m.rnd.IntN(len(lies))])
	if m.rnd.IntN(3) == 0 {
		v = uint64(len(b) - at + m.rnd.IntN(5) - 4)
	}
	var word [8]byte
	binary.BigEndian.PutUint64(word[:], v<<(64-8*size))
	if m.rnd.IntN(8) == 0 {
		binary.LittleEndian.PutUint64(word[:], v)
	}
	copy(b[at:], word[:size])
	return b
}

// varlie puts a varint that lies in place of one byte.
func (m *mutator) varlie(b []byte, at int) []byte {
	v := uint64(lies[m.rnd.IntN(len(lies))])
	if m.rnd.IntN(3) == 0 {
		v = uint64(len(b) - at + m.rnd.IntN(5))
	}
	var word [binary.MaxVarintLen64 + 1]byte
	n := binary.PutUvarint(word[:], v)
	if m.rnd.IntN(4) == 0 { // longer than it must be
		word[n-1] |= 0x80
		n++
	}
	b[at] = word[0]
	return m.insert(b, at+1, word[1:n])
}

func (m *mutator) someBytes(i int) []byte {
	switch v := m.seeds[m.rnd.IntN(len(m.seeds))][i].(type) {
	case []byte:
		return v
	case string:
		return []byte(v)
	}
	return nil
}

// insert puts what before b[at:].
func (m *mutator) insert(b []byte, at int, what []byte) []byte {
	if len(b)+len(what) > bytesMost {
		return b
	}
	n := len(what)
	b = append(b, what...)
	copy(b[at+n:], b[at:len(b)-n])
	copy(b[at:], what)
	return b
}
