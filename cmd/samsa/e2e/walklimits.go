// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// lengths are those of names (249), of an offset's metadata (4096) and of
// strings (32767, an int16), and one more each; counts are those of lists.
var (
	lengths = []int{0, 249, 250, 4096, 4097, 32767, 32768}
	counts  = []int{0, 100}
)

// cut is the size of a field in which the request ends.
const cut = 1 << 20

// Limit is what a broker makes of a field of that size in one version.
type Limit struct {
	Key, Version int16
	Field        string
	Size         int    // in bytes, or of a list in elements; cut: the request ends inside of the field
	Outcome      string // as ErrorCodes tells, Closed or Silent
}

// Limits puts texts of every length into each text and many elements into each
// list of each version's valid body, and ends the request within each.
func (w *Walk) Limits() (all []Limit) {
	w.each(func(key, version int16) {
		for _, f := range sizable(w.valid(key, version)) {
			sizes := lengths
			if f.list {
				sizes = counts
			}
			for _, size := range sizes {
				req := w.valid(key, version)
				f.set(req, size)
				all = append(all, w.limit(req, f.path, size, nil))
			}
			all = append(all, w.ends(key, version, f))
		}
		for _, size := range lengths {
			req := w.valid(key, version)
			w.raw.ClientID = padding(version, size)
			all = append(all, w.limit(req, "client id", size, nil))
			w.raw.ClientID = "raw"
		}
	})
	return all
}

// ends asks with a field of which the frame has half. What follows it is
// shorter than that half.
func (w *Walk) ends(key, version int16, f field) Limit {
	req := w.valid(key, version)
	short := len(req.AppendTo(nil))
	f.set(req, map[bool]int{false: 4000, true: 100}[f.list])
	half := (len(req.AppendTo(nil)) - short) / 2
	return w.limit(req, f.path, cut, func(frame []byte) []byte { return frame[:len(frame)-half] })
}

func (w *Walk) limit(req kmsg.Request, field string, size int, tamper func([]byte) []byte) Limit {
	h := w.ask(req, fmt.Sprintf("%s of %d", field, size), tamper)
	return Limit{Key: h.Key, Version: h.Version, Field: field, Size: size, Outcome: h.codes()}
}

// field is one that has a size: a text, bytes or a list.
type field struct {
	path  string
	index []int // of the fields on the way; lists on it have one element
	list  bool
}

// sizable are the fields of a request that its version has.
func sizable(req kmsg.Request) (all []field) {
	collect(reflect.ValueOf(req).Elem(), field{}, &all)
	return slices.DeleteFunc(all, func(f field) bool {
		v := f.in(req)
		old := reflect.New(v.Type()).Elem()
		old.Set(v)
		defer func() { v.Set(old) }()
		was := req.AppendTo(nil)
		f.set(req, 41)
		return bytes.Equal(req.AppendTo(nil), was)
	})
}

func collect(v reflect.Value, at field, all *[]field) {
	for i := range v.NumField() {
		sf, f := v.Type().Field(i), v.Field(i)
		here := field{path: strings.TrimPrefix(at.path+"."+sf.Name, "."), index: append(slices.Clone(at.index), i)}
		switch f.Interface().(type) {
		case string, *string, []string, []byte:
			*all = append(*all, here)
			continue
		}
		if f.Kind() == reflect.Slice && f.Len() > 0 {
			here.list = true
			*all = append(*all, here)
			if f.Type().Elem().Kind() == reflect.Struct {
				collect(f.Index(0), here, all)
			}
		}
	}
}

// in is the field in a request.
func (f field) in(req kmsg.Request) reflect.Value {
	v := reflect.ValueOf(req).Elem()
	for _, i := range f.index {
		if v.Kind() == reflect.Slice {
			v = v.Index(0)
		}
		v = v.Field(i)
	}
	return v
}

// set gives the field its size: a list as many copies of its element, bytes
// what was there with zeros behind it.
func (f field) set(req kmsg.Request, size int) {
	v := f.in(req)
	if f.list {
		many := reflect.MakeSlice(v.Type(), size, size)
		for i := range size {
			many.Index(i).Set(v.Index(0))
		}
		v.Set(many)
	} else if b, ok := v.Interface().([]byte); ok {
		v.SetBytes(append(slices.Clone(b[:min(len(b), size)]), make([]byte, max(0, size-len(b)))...))
	} else {
		setText(v, padding(req.GetVersion(), size))
	}
}

// padding is a text of that length that may stand in any name, another for each version.
func padding(version int16, size int) string {
	return (fmt.Sprintf("v%d", version) + strings.Repeat("x", size))[:size]
}

// FormatLimits writes limits, those of following versions with one outcome in
// one line: API, field, size, versions, outcome.
func FormatLimits(all []Limit) string {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Limit) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Size, b.Size), cmp.Compare(a.Version, b.Version))
	})
	var out strings.Builder
	for i := 0; i < len(all); {
		first, n := all[i], 1
		for i+n < len(all) {
			next := all[i+n]
			next.Version -= int16(n)
			if next != first {
				break
			}
			n++
		}
		size := fmt.Sprint(first.Size)
		if first.Size == cut {
			size = "cut"
		}
		fmt.Fprintf(&out, "%s %s %s v%d-%d: %s\n", kmsg.NameForKey(first.Key), first.Field, size, first.Version, all[i+n-1].Version, first.Outcome)
		i += n
	}
	return out.String()
}
