// SPDX-License-Identifier: Apache-2.0

package hostiletest

import (
	"bytes"
	"encoding/binary"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Message is a request or response of kmsg.
type Message interface {
	SetVersion(version int16)
	IsFlexible() bool
	AppendTo(dst []byte) []byte
}

// Length is one length in an encoded message: At and Size say where it stands,
// as an int16, an int32 or, with Size 1 and Compact, a varint.
type Length struct {
	Field    string // the path of the field it belongs to
	At, Size int
	Compact  bool
	Tagged   bool // the count of a tagged section, or the size of a tag
	Maybe    bool // it looks like one, but may be a value
}

// Request is a request of the key in a version whose every list, string and
// byte field holds one element, and its body; nil when kmsg knows no such key.
func Request(key, version int16) (kmsg.Request, []byte) {
	req := kmsg.RequestForKey(key)
	if req == nil {
		return nil, nil
	}
	req.SetVersion(version)
	Fill(req, version)
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		req.Acks = -1 // 0 has no answer
	case *kmsg.FetchRequest:
		req.MaxWaitMillis = 1
	}
	return req, req.AppendTo(nil)
}

// Fill puts one element into every list, string and byte field of m.
func Fill(m Message, version int16) {
	m.SetVersion(version)
	each(reflect.ValueOf(m).Elem(), "", m.IsFlexible(), func(_ string, v reflect.Value) { v.Set(sized(v, 1)) })
	m.SetVersion(version)
}

// Lists are the lists of m as Fill made it; set puts as many copies of its
// element into one, or nil for -1.
func Lists(m Message) (fields []string, set func(i, n int)) {
	var values, ones []reflect.Value
	each(reflect.ValueOf(m).Elem(), "", false, func(path string, v reflect.Value) {
		if v.Kind() == reflect.Slice || v.Kind() == reflect.Pointer {
			one := reflect.New(v.Type()).Elem()
			one.Set(v)
			fields, values, ones = append(fields, path), append(values, v), append(ones, one)
		}
	})
	return fields, func(i, n int) {
		values[i].Set(ones[i])
		if n != 1 {
			values[i].Set(sized(values[i], n))
		}
	}
}

// Lengths finds the lengths in what m writes, filled by Fill, by making every
// field one element longer: the first byte that changes belongs to its length.
func Lengths(m Message) (out []Length) {
	flexible := m.IsFlexible()
	was := m.AppendTo(nil)
	find := func(path string, size int, tagged bool) {
		is := m.AppendTo(nil)
		at := 0
		for at < min(len(was), len(is)) && was[at] == is[at] {
			at++
		}
		if len(was) == len(is) || at >= len(was) {
			return // not in this version
		}
		if flexible {
			out = append(out, Length{Field: path, At: at, Size: 1, Compact: true, Tagged: tagged})
			at++ // a tagged field has its length within the size of its tag
			for at < len(was) && was[at] == is[at] {
				at++
			}
			if at < len(was) && was[at]+1 == is[at] && !tagged {
				out[len(out)-1].Tagged = true
				out = append(out, Length{Field: path + " or what follows", At: at, Size: 1, Compact: true, Maybe: true})
			}
			return
		}
		out = append(out, Length{Field: path, At: at - size + 1, Size: size, Tagged: tagged})
	}
	each(reflect.ValueOf(m).Elem(), "", flexible, func(path string, v reflect.Value) {
		if v.Kind() == reflect.Struct { // tags
			for _, n := range []int{-1, 2} { // a longer one, and one more
				old := reflect.ValueOf(v.Interface())
				v.Set(sized(v, n))
				find(path, 0, true)
				v.Set(old)
			}
			return
		}
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		v.Set(sized(v, 2))
		size := 4
		if v.Kind() == reflect.String || v.Kind() == reflect.Pointer {
			size = 2
		}
		find(path, size, false)
		v.Set(old)
	})
	return out
}

// each gives fn every list, string, byte field and, with tags, set of unknown
// tags below v.
func each(v reflect.Value, path string, tags bool, fn func(path string, v reflect.Value)) {
	for i := range v.NumField() {
		sf, f := v.Type().Field(i), v.Field(i)
		switch {
		case !sf.IsExported() || sf.Name == "Version":
		case sf.Name == "UnknownTags":
			if tags {
				fn(path+"."+sf.Name, f)
			}
		case f.Kind() == reflect.Struct: // kmsg writes its unknown tags, but counts them into no size
			each(f, path+"."+sf.Name, false, fn)
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			fn(path+"."+sf.Name, f)
			for k := range min(1, f.Len()) {
				each(f.Index(k), path+"."+sf.Name, tags, fn)
			}
		case f.Kind() == reflect.Slice || f.Kind() == reflect.String:
			fn(path+"."+sf.Name, f)
		case f.Kind() == reflect.Pointer && f.Type().Elem().Kind() == reflect.String:
			fn(path+"."+sf.Name, f)
		}
	}
}

// sized is a value like v with n elements, or null for -1; of a set of tags n
// tags, or one that is longer for -1.
func sized(v reflect.Value, n int) reflect.Value {
	text := string(bytes.Repeat([]byte{'x'}, max(0, n)))
	switch v.Kind() {
	case reflect.Struct:
		var t kmsg.Tags
		if n < 0 {
			t.Set(1000, []byte("xx"))
		}
		for i := range max(0, n) {
			t.Set(1000+uint32(i), []byte("x"))
		}
		return reflect.ValueOf(t)
	case reflect.String:
		return reflect.ValueOf(text).Convert(v.Type())
	case reflect.Pointer:
		if n < 0 {
			return reflect.Zero(v.Type())
		}
		return reflect.ValueOf(&text)
	}
	if n < 0 {
		return reflect.Zero(v.Type())
	}
	elem := reflect.New(v.Type().Elem()).Elem()
	if v.Len() > 0 {
		elem.Set(v.Index(0))
	} else if d, ok := elem.Addr().Interface().(interface{ Default() }); ok {
		d.Default()
	}
	switch elem.Kind() {
	case reflect.Uint8:
		return reflect.ValueOf([]byte(text)).Convert(v.Type())
	case reflect.String:
		elem.SetString("x")
	}
	out := reflect.MakeSlice(v.Type(), 0, n)
	for range n {
		out = reflect.Append(out, elem)
	}
	return out
}

// Lie is a message with one length replaced by another.
type Lie struct {
	Name  string
	Bytes []byte
	// Must says that no decoder may take it, whatever the field is.
	Must bool
}

// Lies are the bodies that have another length at l: far too long, negative,
// one and a few more than there is, and varints of every bad shape.
func (l Length) Lies(body []byte) (out []Lie) {
	put := func(name string, must bool, length ...byte) {
		b := append(append(append([]byte(nil), body[:l.At]...), length...), body[l.At+l.Size:]...)
		out = append(out, Lie{l.Field + " " + name, b, must && !l.Maybe})
	}
	left := len(body) - l.At - l.Size
	switch {
	case l.Compact:
		varint := func(v uint64) []byte { return binary.AppendUvarint(nil, v) }
		put("2^31-1", true, varint(1<<31-1)...)
		put("2^31", true, varint(1<<31)...)
		put("2^32-1", true, varint(1<<32-1)...)
		put("2^28", true, varint(1<<28)...)
		put("left+2", true, varint(uint64(left)+2)...)
		put("33 bits", true, varint(1<<33)...)
		put("six bytes", true, 0x81, 0x80, 0x80, 0x80, 0x80, 0x00)
		put("ten bytes", true, varint(1<<63)...)
		put("without end", true, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80)
		put("overlong", false, body[l.At]|0x80, 0)
		put("null", false, 0)
		put("empty", false, 1)
	case l.Size == 2:
		put("2^15-1", true, 0x7f, 0xff)
		put("left+1", true, binary.BigEndian.AppendUint16(nil, uint16(left+1))...)
		put("-2", false, 0xff, 0xfe)
		put("-2^15", false, 0x80, 0)
		put("null", false, 0xff, 0xff)
		put("empty", false, 0, 0)
	default:
		put("2^31-1", true, 0x7f, 0xff, 0xff, 0xff)
		put("left+1", true, binary.BigEndian.AppendUint32(nil, uint32(left+1))...)
		put("2^24", true, 1, 0, 0, 0)
		put("-2", false, 0xff, 0xff, 0xff, 0xfe)
		put("-2^31", false, 0x80, 0, 0, 0)
		put("null", false, 0xff, 0xff, 0xff, 0xff)
		put("empty", false, 0, 0, 0, 0)
	}
	return out
}
