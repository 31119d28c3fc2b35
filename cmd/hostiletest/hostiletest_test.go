// SPDX-License-Identifier: Apache-2.0

package hostiletest

import (
	"bytes"
	"math"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The same seed makes the same inputs, another one others, and every kind of
// argument comes out as it went in.
func TestMutatorRepeats(t *testing.T) {
	seeds := [][]any{{[]byte("some bytes"), int16(3), "text", true}, {[]byte{}, int16(-1), "", false}}
	run := func(seed uint64) (all [][]any) {
		m := newMutator(seed, 7, seeds)
		for range 5000 {
			m.next()
			all = append(all, m.shown())
		}
		return all
	}
	one := run(1)
	if !reflect.DeepEqual(one, run(1)) {
		t.Error("the same seed made other inputs")
	}
	if reflect.DeepEqual(one, run(2)) {
		t.Error("another seed made the same inputs")
	}
	different := map[string]bool{}
	for _, args := range one {
		for i, a := range args {
			if reflect.TypeOf(a) != reflect.TypeOf(seeds[0][i]) {
				t.Fatalf("argument %d became a %T", i, a)
			}
		}
		different[string(args[0].([]byte))] = true
	}
	if len(different) < 1000 {
		t.Errorf("%d different inputs of %d", len(different), len(one))
	}
}

// An input that is left in testdata reads back the same, and as the fuzz engine
// writes it.
func TestCorpusText(t *testing.T) {
	target := reflect.TypeOf(func(*testing.T, []byte, string, int16, int, uint64, bool, byte) {})
	args := []any{[]byte("\x00\xff\"x\n"), "é\x80", int16(-7), math.MinInt, uint64(math.MaxUint64), true, byte(200)}
	got, err := decodeCorpus(string(encodeCorpus(args)), target)
	if err != nil || !reflect.DeepEqual(got, args) {
		t.Fatalf("%v, %v", got, err)
	}
	engine := "go test fuzz v1\n[]byte(\"0\\xff\")\nstring(\"a\")\nint16(3)\nint(4)\nuint64(5)\nbool(false)\nbyte('\\x07')\n"
	if got, err = decodeCorpus(engine, target); err != nil || !bytes.Equal(got[0].([]byte), []byte("0\xff")) || got[6] != byte(7) {
		t.Fatalf("%v, %v", got, err)
	}
}

// The lengths of a request are where its bytes say: Metadata v1 and v9.
func TestLengthsAreFound(t *testing.T) {
	for version, want := range map[int16][]Length{
		1: {{Field: ".Topics", At: 0, Size: 4}, {Field: ".Topics.Topic", At: 4, Size: 2}},
		9: {{Field: ".Topics", At: 0, Size: 1, Compact: true}, {Field: ".Topics.Topic", At: 1, Size: 1, Compact: true}},
	} {
		req, body := Request(3, version)
		got := Lengths(req)
		if len(got) < len(want) || !reflect.DeepEqual(got[:len(want)], want) {
			t.Errorf("v%d: %+v in %x", version, got, body)
		}
		if version == 9 && len(got) != 6 { // and count and size of two sets of tags
			t.Errorf("v9: %+v", got)
		}
	}
	if req, _ := Request(-5, 0); req != nil {
		t.Error("an unknown key")
	}
	fields, set := Lists(func() kmsg.Request { r, _ := Request(3, 9); return r }())
	if len(fields) != 2 {
		t.Errorf("%v", fields)
	}
	set(0, -1)
}
