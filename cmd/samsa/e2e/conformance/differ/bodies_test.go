// SPDX-License-Identifier: Apache-2.0

//go:build conformance

package differ

import (
	"maps"
	"reflect"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/samsa-broker/samsa/cmd/samsa/e2e"
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
				req := e2e.Body(key, v, fill)
				if r, ok := req.(*kmsg.OffsetFetchRequest); ok && len(r.Groups) == 0 && v >= 8 {
					return nil // asked with the other questions: Kafka never answers it
				}
				return req
			}
		}
		add := func(name string, fill func(v reflect.Value), tamper func([]byte) []byte) {
			out = append(out, exchange{name: kmsg.NameForKey(key) + bodyOf + name, from: versions[0], to: versions[1], ask: body(fill), tamper: tamper})
		}
		add("empty", e2e.EmptyFields, nil)
		add("null", e2e.NullFields, nil)
		add("one of each", e2e.OneOfEach, nil)
		add("with bytes behind it", e2e.EmptyFields, func(frame []byte) []byte { return append(frame, 0, 1, 2) })
		add("cut", e2e.OneOfEach, func(frame []byte) []byte { return frame[:len(frame)-1] })
	}
	return out
}
