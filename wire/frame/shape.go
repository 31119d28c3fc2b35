// SPDX-License-Identifier: Apache-2.0

package frame

// Shape is the layout of one message in one version, as far as it takes to walk
// over its bytes. kmsg's decoders believe some of what they read: they count
// tagged fields down from any number, though the bytes have ended, they make
// slices for elements that cannot follow, and take null where Kafka does not. A
// body that a Shape accepts holds everything it announces.
type Shape struct{ root structure }

// Check walks over body, which may be longer. It allocates nothing.
func (s *Shape) Check(body []byte) error {
	r := NewReader(body)
	s.root.walk(&r)
	return r.Err()
}

// structure is a run of fields, and of tagged ones in flexible versions.
type structure struct {
	fields   []field
	flexible bool
	min      int // bytes it takes at least
}

// field is one field that is there in the version, and not a tagged one.
type field struct {
	kind     fieldKind
	nullable bool
	size     int        // of a fixed field, or of the elements of a list of those
	elem     *structure // of a list of structures, or the nested structure
}

type fieldKind uint8

const (
	fixedField fieldKind = iota
	stringField
	bytesField
	listField  // of fixed fields, or of structures
	stringList // of strings
	nestedField
)

// maxString is the longest string there can be: its length is an int16, which
// Kafka asks of compact ones as well.
const maxString = 1<<15 - 1

func (s *structure) walk(r *Reader) {
	for i := range s.fields {
		s.fields[i].walk(r, s.flexible)
		if r.bad {
			return
		}
	}
	if s.flexible {
		r.Tags()
	}
}

func (f *field) walk(r *Reader, flexible bool) {
	switch f.kind {
	case fixedField:
		r.Take(f.size)
	case stringField:
		r.skipString(flexible, f.nullable)
	case bytesField:
		r.Take(r.lengthOrNull(flexible, f.nullable))
	case nestedField:
		f.elem.walk(r)
	case listField, stringList:
		n := r.lengthOrNull(flexible, f.nullable)
		if n > len(r.b)/f.least(flexible) {
			r.fail()
		}
		for ; n > 0 && !r.bad; n-- {
			switch {
			case f.kind == stringList:
				r.skipString(flexible, false)
			case f.elem != nil:
				f.elem.walk(r)
			default:
				r.Take(f.size)
			}
		}
	}
}

// least is what an element of a list takes at least.
func (f *field) least(flexible bool) int {
	switch {
	case f.elem != nil:
		return max(1, f.elem.min)
	case f.kind == stringList && !flexible:
		return 2
	}
	return max(1, f.size)
}

// skipString passes a string.
func (r *Reader) skipString(compact, nullable bool) {
	n := r.length(compact, true)
	if n < 0 && nullable {
		return
	}
	if n > maxString {
		r.fail()
		return
	}
	r.Take(n)
}

// lengthOrNull reads the length of a byte field or a list, 0 for null where
// that may be.
func (r *Reader) lengthOrNull(compact, nullable bool) int {
	n := r.length(compact, false)
	if n >= 0 {
		return n
	}
	if !nullable {
		r.fail()
	}
	return 0
}
