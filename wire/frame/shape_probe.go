// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"fmt"
	"reflect"
)

// Message is what a Shape is made of: a request or response of kmsg.
type Message interface {
	SetVersion(version int16)
	IsFlexible() bool
	AppendTo(dst []byte) []byte
}

// NewShape learns the layout of m in a version from what m writes: a field that
// changes nothing when it changes is not in that version, one whose default
// takes no room is a tagged one. m is of no use afterwards.
func NewShape(m Message, version int16) (*Shape, error) {
	m.SetVersion(version)
	v := reflect.ValueOf(m).Elem()
	fill(v)
	m.SetVersion(version) // fill has set the defaults
	p := &probe{m: m}
	s := &Shape{root: p.structure(v)}
	if p.err != nil {
		return nil, fmt.Errorf("%T version %d: %w", m, version, p.err)
	}
	r := NewReader(m.AppendTo(nil))
	if s.root.walk(&r); r.Err() != nil || r.Len() != 0 {
		return nil, fmt.Errorf("%T version %d: what it writes is not what was learnt: %d bytes left, %v", m, version, r.Len(), r.Err())
	}
	return s, nil
}

// fill gives every list below v one element and everything else its default.
func fill(v reflect.Value) {
	if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
		d.Default()
	}
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		f := v.Field(i)
		if !v.Type().Field(i).IsExported() {
			continue
		}
		switch f.Kind() {
		case reflect.Slice:
			if f.Type().Elem().Kind() != reflect.Uint8 {
				f.Set(reflect.MakeSlice(f.Type(), 1, 1))
				fill(f.Index(0))
			}
		case reflect.Struct:
			fill(f)
		}
	}
}

// probe is the message that is written again and again.
type probe struct {
	m   Message
	err error
}

func (p *probe) written() []byte { return p.m.AppendTo(nil) }

// with is what is written while f holds x.
func (p *probe) with(f, x reflect.Value) []byte {
	was := reflect.New(f.Type()).Elem()
	was.Set(f)
	f.Set(x)
	out := p.written()
	f.Set(was)
	return out
}

func (p *probe) structure(v reflect.Value) structure {
	s := structure{flexible: p.m.IsFlexible()}
	if s.flexible {
		s.min = 1
	}
	for i := range v.NumField() {
		sf := v.Type().Field(i)
		if !sf.IsExported() || sf.Name == "Version" || sf.Name == "UnknownTags" {
			continue
		}
		if f, ok := p.field(v.Field(i)); ok {
			s.fields = append(s.fields, f)
			s.min += f.smallest(s.flexible)
		}
	}
	return s
}

// smallest is what the field takes at least.
func (f *field) smallest(flexible bool) int {
	switch {
	case f.kind == fixedField:
		return f.size
	case f.kind == nestedField:
		return f.elem.min
	case flexible:
		return 1
	case f.kind == stringField:
		return 2
	}
	return 4
}

// field learns about one field; false when it is not there or tagged.
func (p *probe) field(v reflect.Value) (field, bool) {
	none, one, two := samples(v)
	switch {
	case v.Kind() == reflect.Struct:
		elem := p.structure(v)
		if len(elem.fields) == 0 {
			return field{}, false
		}
		return field{kind: nestedField, elem: &elem}, true
	case !one.IsValid():
		p.err = fmt.Errorf("a field of type %s", v.Type())
		return field{}, false
	case !two.IsValid(): // of fixed size: none is invalid, too
		was, is := p.written(), p.with(v, one)
		return field{kind: fixedField, size: int(v.Type().Size())}, !bytes.Equal(was, is) && len(was) == len(is)
	}
	a, b, c := p.with(v, none), p.with(v, one), p.with(v, two)
	if len(c) == len(b) || len(b)-len(a) != len(c)-len(b) {
		return field{}, false
	}
	f := field{kind: stringField, nullable: !bytes.Equal(a, p.with(v, empty(v)))}
	if v.Kind() == reflect.Slice {
		switch elem := v.Type().Elem(); {
		case elem.Kind() == reflect.Uint8:
			f.kind = bytesField
		case elem.Kind() == reflect.String:
			f.kind = stringList
		case elem.Kind() == reflect.Struct:
			s := p.structure(v.Index(0))
			f.kind, f.elem = listField, &s
		default:
			f.kind, f.size = listField, int(elem.Size())
		}
	}
	return f, true
}

// empty is a value that is not null and has nothing in it.
func empty(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Slice:
		return reflect.MakeSlice(v.Type(), 0, 0)
	case reflect.Pointer:
		return reflect.New(v.Type().Elem())
	}
	return reflect.Zero(v.Type())
}

// samples are values of v's type: null or empty, and ones with one and two
// elements; of a type of fixed size only one that is not its default.
func samples(v reflect.Value) (none, one, two reflect.Value) {
	t := v.Type()
	none = reflect.Zero(t)
	switch v.Kind() {
	case reflect.Slice:
		elem := reflect.New(t.Elem()).Elem()
		if v.Len() > 0 {
			elem = v.Index(0)
		}
		one = reflect.Append(reflect.MakeSlice(t, 0, 2), elem)
		two = reflect.Append(one, elem)
		return none, one, two
	case reflect.String:
		return none, reflect.ValueOf("x").Convert(t), reflect.ValueOf("xx").Convert(t)
	case reflect.Pointer:
		if t.Elem().Kind() != reflect.String {
			return none, reflect.Value{}, reflect.Value{}
		}
		x, xx := "x", "xx"
		return none, reflect.ValueOf(&x), reflect.ValueOf(&xx)
	}
	one = reflect.New(t).Elem()
	switch v.Kind() {
	case reflect.Bool:
		one.SetBool(!v.Bool())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		one.SetInt(v.Int() + 1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		one.SetUint(v.Uint() + 1)
	case reflect.Float64:
		one.SetFloat(v.Float() + 1)
	case reflect.Array:
		one.Index(0).SetUint(1)
	default:
		return none, reflect.Value{}, reflect.Value{}
	}
	return reflect.Value{}, one, reflect.Value{}
}
