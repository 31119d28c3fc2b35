// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"maps"
	"reflect"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// bodyOf stands in the names of bodies, which do not count as questions.
const bodyOf = " body "

// bodies are requests that no client sends: each version of each API with
// nothing in it, with nulls wherever a null may stand, with one empty element
// in each list, cut short, and with bytes behind it.
func bodies(serves map[int16][2]int16) []exchange {
	var out []exchange
	for _, key := range slices.Sorted(maps.Keys(serves)) {
		versions := serves[key]
		body := func(fill func(v reflect.Value)) func(*side, int16) kmsg.Request {
			return func(_ *side, v int16) kmsg.Request {
				req := kmsg.RequestForKey(key)
				fill(reflect.ValueOf(req).Elem())
				switch req := req.(type) {
				case *kmsg.ProduceRequest:
					req.Acks = 1 // so that there is an answer
				case *kmsg.OffsetFetchRequest:
					if len(req.Groups) == 0 && v >= 8 {
						return nil // asked with the other questions: Kafka never answers it
					}
				}
				return req
			}
		}
		add := func(name string, fill func(v reflect.Value), tamper func([]byte) []byte) {
			out = append(out, exchange{name: kmsg.NameForKey(key) + bodyOf + name, from: versions[0], to: versions[1], ask: body(fill), tamper: tamper})
		}
		add("empty", empty, nil)
		add("null", null, nil)
		add("one of each", oneEach, nil)
		add("with bytes behind it", empty, func(frame []byte) []byte { return append(frame, 0, 1, 2) })
		add("cut", oneEach, func(frame []byte) []byte { return frame[:len(frame)-1] })
	}
	return out
}

// empty makes nothing of what could be null.
func empty(v reflect.Value) {
	each(v, func(f reflect.Value) {
		switch f.Kind() {
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 0, 0))
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		}
	})
}

// null leaves out what may be left out.
func null(v reflect.Value) {
	each(v, func(f reflect.Value) {
		if k := f.Kind(); k == reflect.Slice || k == reflect.Pointer {
			f.SetZero()
		}
	})
}

// oneEach puts one element into each list, the lists in it included.
func oneEach(v reflect.Value) {
	each(v, func(f reflect.Value) {
		if f.Kind() != reflect.Slice || f.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		if e := f.Index(0); e.Kind() == reflect.Struct {
			if d, ok := e.Addr().Interface().(interface{ Default() }); ok {
				d.Default()
			}
			oneEach(e)
		}
	})
}

func each(v reflect.Value, do func(field reflect.Value)) {
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && f.Name != "UnknownTags" {
			do(v.Field(i))
		}
	}
}
