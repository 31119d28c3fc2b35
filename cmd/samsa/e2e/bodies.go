// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Body is a request that fill has made of what kmsg gives; Produce asks to be answered.
func Body(key, version int16, fill func(v reflect.Value)) kmsg.Request {
	req := kmsg.RequestForKey(key)
	fill(reflect.ValueOf(req).Elem())
	req.SetVersion(version)
	if p, ok := req.(*kmsg.ProduceRequest); ok {
		p.Acks = 1
	}
	return req
}

// EmptyFields makes nothing of what could be null.
func EmptyFields(v reflect.Value) {
	eachField(v, func(f reflect.Value) {
		switch f.Kind() {
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 0, 0))
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		}
	})
}

// NullFields leaves out what may be left out.
func NullFields(v reflect.Value) {
	eachField(v, func(f reflect.Value) {
		if k := f.Kind(); k == reflect.Slice || k == reflect.Pointer {
			f.SetZero()
		}
	})
}

// OneOfEach puts one element into each list, the lists in it included.
func OneOfEach(v reflect.Value) {
	eachField(v, func(f reflect.Value) {
		if f.Kind() != reflect.Slice || f.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		if e := f.Index(0); e.Kind() == reflect.Struct {
			if d, ok := e.Addr().Interface().(interface{ Default() }); ok {
				d.Default()
			}
			OneOfEach(e)
		}
	})
}

func eachField(v reflect.Value, do func(field reflect.Value)) {
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && f.Name != "UnknownTags" {
			do(v.Field(i))
		}
	}
}
