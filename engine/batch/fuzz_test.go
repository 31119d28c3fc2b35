// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/samsa-broker/samsa/cmd/hostiletest"
)

// fuzzLimit keeps bombs from slowing the fuzzers down.
const fuzzLimit = 1 << 20

// seed adds what Kafka wrote and a few batches of our own.
func seed(f *hostiletest.Mill) {
	files, err := filepath.Glob("testdata/kafka/*.bin")
	if err != nil || len(files) == 0 {
		f.Fatal(err, "no seeds")
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		f.Add([]byte(build(f, 3, func(h *Header) { h.Codec = codec })))
	}
	f.Add([]byte{})
}

// Peek, Next and NextLegacy agree about where a batch ends.
func FuzzPeek(tf *testing.F) {
	f := hostiletest.New(tf)
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		size, magic, err := Peek(b)
		batch, rest, nextErr := Next(b)
		message, legacyRest, legacyErr := NextLegacy(b)
		if nextErr == nil && (err != nil || magic != 2 || len(batch) != size || len(batch)+len(rest) != len(b) || batch.Size() != size) {
			t.Fatalf("Peek says %d, %d, %v; Next gives %d and leaves %d", size, magic, err, len(batch), len(rest))
		}
		if legacyErr == nil && (err != nil || magic > 1 || len(message) != size || len(message)+len(legacyRest) != len(b) || message.Size() != size) {
			t.Fatalf("Peek says %d, %d, %v; NextLegacy gives %d", size, magic, err, len(message))
		}
		if nextErr == nil && legacyErr == nil {
			t.Fatal("of both formats")
		}
	})
}

// Walking anything of any magic ends, and gives records within their batch.
func FuzzWalk(tf *testing.F) {
	f := hostiletest.New(tf)
	seed(f)
	scratch := &Scratch{MaxSize: fuzzLimit} // used again, as the broker does
	f.Fuzz(func(t *testing.T, b []byte) {
		each := func(r *Record) error {
			headers := int32(0)
			r.EachHeader(func(_, _ []byte) { headers++ })
			if headers != r.HeaderCount || r.KeyNull != (r.Key == nil) || r.ValueNull != (r.Value == nil) || len(r.Key)+len(r.Value) > r.Size {
				t.Fatalf("%+v", r)
			}
			return nil
		}
		if batch, _, err := Next(b); err == nil {
			n := int32(0)
			if err := Walk(batch, scratch, func(r *Record) error { n++; return each(r) }); err == nil && n != batch.Count() {
				t.Fatalf("%d of %d records", n, batch.Count())
			}
		}
		if message, _, err := NextLegacy(b); err == nil {
			_ = WalkLegacy(message, scratch, each)
		}
	})
}

// What Check accepts is whole, has the right checksum, walks, and is accepted
// again unchanged.
func FuzzCheck(tf *testing.F) {
	f := hostiletest.New(tf)
	files, _ := filepath.Glob("testdata/kafka/magic2*.bin")
	for i, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, int8(i%6-1), i%2 == 0, i%3 == 0)
	}
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		f.Add([]byte(build(f, 3, func(h *Header) { h.Codec = codec })), int8(CodecProducer), false, true)
	}
	scratch := new(Scratch)
	f.Fuzz(func(t *testing.T, b []byte, target int8, stamped, compact bool) {
		rule := Rules{TargetCodec: Codec(target % 5), Level: LevelDefault, Now: now, BeforeMaxMs: 1<<63 - 1, AfterMaxMs: 1<<63 - 1, Compact: compact, MaxSize: fuzzLimit}
		if stamped {
			rule.TimestampType = LogAppendTime
		}
		if len(b) >= HeaderSize { // so that mutations get past the checksum
			clear(b[:8])
			Batch(b).seal()
		}
		got, info, err := Check(b, rule, scratch)
		if err != nil {
			return
		}
		got = append(Batch(nil), got...)
		if got.Size() != len(got) || got.Verify() != nil || info.Count != got.Count() || got.LogAppendTime() != stamped {
			t.Fatalf("accepted %x, %+v", got, info)
		}
		next := int32(0)
		if err := Walk(got, scratch, func(r *Record) error {
			if r.OffsetDelta != next {
				t.Fatalf("offset delta %d at %d", r.OffsetDelta, next)
			}
			next++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		rule.TimestampType = CreateTime
		again, second, err := Check(append(Batch(nil), got...), rule, scratch)
		if err != nil || second.Rewritten || len(again) != len(got) {
			t.Fatalf("again: %v, %+v", err, second)
		}
	})
}

// Every codec decodes anything within its cap, and its own output to what went in.
func FuzzCodec(tf *testing.F) {
	f := hostiletest.New(tf)
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		packed, err := codec.Compress(nil, text(500), LevelDefault, nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed, int8(codec))
	}
	scratch := new(Scratch)
	f.Fuzz(func(t *testing.T, b []byte, c int8) {
		codec := Codec(c)
		plain, err := codec.Decompress(nil, b, fuzzLimit, scratch)
		if len(plain) > fuzzLimit || err != nil && len(plain) > 0 {
			t.Fatalf("%d bytes, %v", len(plain), err)
		}
		if codec == CodecLZ4 {
			_, _ = lz4Decompress(nil, b, fuzzLimit, lz4Lenient)
		}
		packed, err := codec.Compress(nil, b, LevelDefault, scratch)
		if err != nil {
			return
		}
		if again, err := codec.Decompress(nil, packed, len(b), scratch); err != nil || string(again) != string(b) {
			t.Fatalf("%s: %d bytes came back as %d, %v", codec, len(b), len(again), err)
		}
	})
}

// What Up makes of anything is one batch that Check accepts unchanged, goes
// down to the set's magic and comes up the same.
func FuzzUp(tf *testing.F) {
	f := hostiletest.New(tf)
	seed(f)
	f.Add([]byte(append(message(1, 0, 0, []byte("k"), nil), message(1, 1, 0, nil, []byte("v"))...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if size := wholeLegacy(b); size > 0 { // so that mutations get past the checksum
			if b[atMagic] < 2 {
				sealLegacy(b[:size], Legacy(b).Offset())
			}
		}
		set, err := Survey(b, fuzzLimit)
		if err != nil || set.Count == 0 || set.Magic > 1 {
			return
		}
		rules := loose()
		up, info, err := Up(set, rules, nil)
		if err != nil {
			return
		}
		if got, _, err := Check(append(Batch(nil), up...), rules, nil); err != nil || string(got) != string(up) || info.Count != up.Count() {
			t.Fatalf("Check: %v, %+v", err, info)
		}
		down, err := Down(nil, up, set.Magic, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if set, err = Survey(down, 1<<30); err != nil {
			t.Fatal(err)
		}
		again, _, err := Up(set, rules, nil)
		if err != nil || string(again) != string(up) {
			t.Fatalf("up again: %v\n% x\n% x", err, up, again)
		}
	})
}

// Down converts anything or says why not; what it gives are whole old messages.
func FuzzDown(tf *testing.F) {
	f := hostiletest.New(tf)
	files, _ := filepath.Glob("testdata/kafka/*.bin")
	for i, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, i%2 == 0, int64(i))
	}
	f.Fuzz(func(t *testing.T, b []byte, zero bool, from int64) {
		size, _, err := Peek(b)
		if err != nil || size > len(b) {
			return
		}
		magic := int8(1)
		if zero {
			magic = 0
		}
		out, err := Down([]byte("before"), b[:size], magic, from, &Scratch{MaxSize: fuzzLimit})
		if string(out[:6]) != "before" || err != nil && len(out) > 6 {
			t.Fatalf("%q, %v", out, err)
		}
		for rest := out[6:]; err == nil && len(rest) > 0; {
			m, next, err := NextLegacy(rest)
			if err != nil || m.Magic() > magic {
				t.Fatalf("% x: %v", rest, err)
			}
			rest = next
		}
	})
}
