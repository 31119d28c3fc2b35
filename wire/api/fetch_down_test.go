// SPDX-License-Identifier: Apache-2.0

package api

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/samsa-broker/samsa/engine"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/engine/vfs"
)

// logOf opens a log of two segments that holds the batches.
func logOf(t *rapid.T, batches []batch.Batch, second int) *engine.Log {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/log"); err != nil {
		t.Fatal(err)
	}
	for i, part := range [][]batch.Batch{batches[:second], batches[second:]} {
		if i == 1 && len(part) == 0 {
			continue
		}
		base := int64(0)
		if len(part) > 0 {
			base = part[0].BaseOffset()
		}
		f, err := fs.OpenFile(fmt.Sprintf("/log/%020d.log", base), os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		at := int64(0)
		for _, b := range part {
			if _, err := f.WriteAt(b, at); err != nil {
				t.Fatal(err)
			}
			at += int64(len(b))
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l, err := engine.Open("/log", engine.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wanted is what an old answer holds, made at once: Kafka's rules in the plain.
func wanted(t *rapid.T, whole []batch.Batch, bytesOfLog int, magic int8, from int64) (out []byte, refused bool) {
	size, i := -1, 0
	for ; i < len(whole) && size < 0; i++ {
		made, err := batch.Down(nil, whole[i], magic, from, nil)
		if errors.Is(err, batch.ErrUnsupportedCodec) {
			return nil, true
		}
		if len(made) > 0 {
			out, size = made, max(bytesOfLog, len(made))
		}
	}
	if size < 0 && len(whole) > 0 {
		size = batch.OverflowMin
	}
	for ended := false; len(out) < size; {
		var group []byte
		taken := 0
		for first := true; !ended && i < len(whole) && (first || taken+len(whole[i]) <= downGroup); i++ {
			made, err := batch.Down(group, whole[i], magic, from, nil)
			if ended = err != nil; ended {
				group = nil
				break
			}
			group, first, taken = made, false, taken+len(whole[i])
		}
		out = append(out, group...)
		if ended = ended || i >= len(whole); ended && len(out) < size {
			filling := make([]byte, size-len(out))
			batch.Overflow(filling, 0, len(filling))
			out = append(out, filling...)
		}
	}
	return out[:max(size, 0)], false
}

// However an answer is asked for, in pieces of any size and with or without
// room to keep what is left of a conversion, it is the one that Kafka's rules
// make, and nothing stays kept, reserved or pinned.
func TestDownInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var batches []batch.Batch
		next := int64(0)
		for range rapid.IntRange(1, 7).Draw(t, "batches") {
			h := batch.PlainHeader()
			h.BaseOffset, h.Codec = next, batch.Codec(rapid.SampledFrom([]int{0, 0, 0, 1, 2, 3, 3, 4}).Draw(t, "codec"))
			h.Control = rapid.IntRange(0, 5).Draw(t, "control") == 0
			if h.Control {
				h.ProducerID, h.ProducerEpoch, h.Transactional, h.Codec = 1, 0, true, batch.CodecNone
			}
			var b batch.Builder
			b.Reset(h)
			n := rapid.IntRange(1, 4).Draw(t, "records")
			if h.Control {
				b.Append(5, []byte{0, 0, 0, 1}, []byte{0, 0, 0, 0, 0, 0})
				n = 1
			} else {
				size := rapid.SampledFrom([]int{0, 3, 100, 30_000, 90_000}).Draw(t, "bytes")
				for i := range n {
					b.Append(int64(i), []byte("k"), bytes.Repeat([]byte{byte(i)}, size))
				}
			}
			made, err := b.Finish()
			if err != nil {
				t.Fatal(err)
			}
			batches, next = append(batches, bytes.Clone(made)), next+int64(n)
		}
		log := logOf(t, batches, rapid.IntRange(0, len(batches)).Draw(t, "second segment"))
		first := rapid.IntRange(0, len(batches)-1).Draw(t, "first")
		from := batches[first].BaseOffset()
		if batches[first].Count() > 1 && rapid.Bool().Draw(t, "middle") {
			from++
		}
		total := 0
		for _, b := range batches[first:] {
			total += len(b)
		}
		limit := rapid.IntRange(1, total+10).Draw(t, "limit")
		spans, err := log.View().Read(nil, engine.Offset(from), log.End(), limit, rapid.Bool().Draw(t, "min one"))
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for i := range spans {
			got += spans[i].Len()
		}
		var whole []batch.Batch
		for left, rest := got, batches[first:]; len(rest) > 0 && left >= len(rest[0]); rest = rest[1:] {
			whole, left = append(whole, rest[0]), left-len(rest[0])
		}
		magic := rapid.Int8Range(0, 1).Draw(t, "magic")
		want, refused := wanted(t, whole, got, magic, from)
		shared := &downs{convert: batch.DefaultMaxSize, most: rapid.SampledFrom([]int64{0, 20_000, keptBytes}).Draw(t, "room")}
		var d downPart
		err = d.begin(shared, spans, magic, from)
		if refused != errors.Is(err, batch.ErrUnsupportedCodec) || !refused && err != nil {
			t.Fatalf("refused %v: %v", refused, err)
		}
		var out []byte
		for err == nil && len(out) < d.Len() {
			p := make([]byte, min(d.Len()-len(out), rapid.SampledFrom([]int{1, 7, 1000, 60_000, coldPiece}).Draw(t, "piece")*3))
			if err := d.Fill(p); err != nil {
				t.Fatal(err)
			}
			out = append(out, p...)
		}
		if err == nil && !bytes.Equal(out, want) {
			t.Fatalf("%d bytes, want %d: %v", len(out), len(want), bytes.Equal(out[:min(len(out), len(want))], want[:min(len(out), len(want))]))
		}
		d.spans = spans // also where the conversion was refused
		d.Release()
		if kept := shared.kept.Load(); kept != 0 || shared.gate.used != 0 {
			t.Fatalf("%d bytes stay kept, %d reserved", kept, shared.gate.used)
		}
		if err := log.Close(true); err != nil {
			t.Fatal(err)
		}
	})
}

const coldPiece = 256 << 10

// A gate serves in order, lets what is larger than itself in alone, and those
// behind it only afterwards.
func TestGate(t *testing.T) {
	var g gate
	var order []string
	ask := func(name string, n int64) {
		if g.take(n, func() { order = append(order, name) }) {
			order = append(order, name)
		}
	}
	ask("a", convertBytes/2)
	ask("b", convertBytes/2)
	ask("huge", 3*convertBytes)
	ask("c", 1)
	if fmt.Sprint(order) != "[a b]" {
		t.Fatal(order)
	}
	g.give(convertBytes / 2)
	g.give(convertBytes / 2)
	if fmt.Sprint(order) != "[a b huge]" {
		t.Fatal(order)
	}
	g.give(3 * convertBytes)
	if fmt.Sprint(order) != "[a b huge c]" || g.used != 1 {
		t.Fatal(order, g.used)
	}
}
