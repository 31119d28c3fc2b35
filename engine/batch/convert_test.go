// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"testing"

	"pgregory.net/rapid"
)

// at is message with a timestamp.
func at(ms int64, m Legacy) Legacy {
	binary.BigEndian.PutUint64(m[18:], uint64(ms))
	sealLegacy(m, m.Offset())
	return m
}

// loose are the rules of a topic that asks nothing.
func loose() Rules {
	return Rules{TargetCodec: CodecProducer, Level: LevelDefault, Now: now, BeforeMaxMs: 1<<63 - 1, AfterMaxMs: 1<<63 - 1, MaxSize: fuzzLimit}
}

// raise surveys and converts a set, as Produce does.
func raise(set []byte, rules Rules) (Batch, Info, error) {
	s, err := Survey(set, 1<<20)
	if err != nil {
		return nil, Info{}, err
	}
	return Up(s, rules, nil)
}

// told is what a record holds, in words.
func told(r *Record) string {
	return fmt.Sprintf("%d at %d: %q null %v, %q null %v", r.OffsetDelta, r.Timestamp, r.Key, r.KeyNull, r.Value, r.ValueNull)
}

func records(t interface{ Fatal(...any) }, b Batch) (list []string) {
	if err := b.Verify(); err != nil {
		t.Fatal(err)
	}
	if err := Walk(b, nil, func(r *Record) error { list = append(list, told(r)); return nil }); err != nil {
		t.Fatal(err)
	}
	return list
}

// A set of either magic, plain or wrapped by any codec, becomes one batch with
// the records, codec and timestamps it had; the topic's own codec and append
// time rule over them.
func TestUp(t *testing.T) {
	plain := func(magic int8) []byte {
		return append(message(magic, 5, 0, []byte("k"), []byte("one")), message(magic, 5, 0, nil, nil)...)
	}
	for codec := CodecNone; codec <= CodecLZ4; codec++ {
		for magic := int8(0); magic <= 1; magic++ {
			set, ms := plain(magic), int64(7)
			if codec != CodecNone {
				set = wrap(t, magic, 1, codec, message(magic, 0, 0, []byte("k"), []byte("one")), message(magic, 1, 0, nil, nil))
			}
			if magic == 0 {
				ms = NoTimestamp
			}
			for target := CodecProducer; target <= CodecZstd; target++ {
				rules := loose()
				rules.TargetCodec = target
				b, info, err := raise(append(bytes.Clone(set), 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 99, 1), rules) // and a piece of a third
				if err != nil {
					t.Fatalf("magic %d %s to %s: %v", magic, codec, target, err)
				}
				want := []string{fmt.Sprintf(`0 at %d: "k" null false, "one" null false`, ms), fmt.Sprintf(`1 at %d: "" null true, "" null true`, ms)}
				if got := records(t, b); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("magic %d %s to %s: %v", magic, codec, target, got)
				}
				wanted := target
				if target == CodecProducer {
					wanted = codec
				}
				if b.Codec() != wanted || b.BaseTimestamp() != ms || b.MaxTimestamp() != ms || b.LogAppendTime() || info.Count != 2 || info.MaxTimestamp != ms || !info.Rewritten ||
					b.ProducerID() != NoProducerID || b.BaseOffset() != 0 || b.Count() != 2 || b.LastOffsetDelta() != 1 {
					t.Errorf("magic %d %s: %+v, header % x", magic, codec, info, []byte(b[:HeaderSize]))
				}
				rules.TimestampType = LogAppendTime
				if b, info, err = raise(set, rules); err != nil || !b.LogAppendTime() || b.MaxTimestamp() != now || b.BaseTimestamp() != ms || info.MaxTimestamp != now {
					t.Errorf("magic %d %s with append time: %v, %+v", magic, codec, err, info)
				}
			}
		}
	}
}

// Each thing that can be wrong with a set has Kafka's answer.
func TestUpRefusals(t *testing.T) {
	good, zero := message(1, 0, 0, []byte("k"), []byte("v")), message(0, 0, 0, []byte("k"), []byte("v"))
	v2 := []byte(build(t, 1, nil))
	stamped := message(1, 0, logAppendTimeBit, []byte("k"), []byte("v"))
	flipped := func(m Legacy) Legacy { m = bytes.Clone(m); m[len(m)-1] ^= 1; return m }
	long := bytes.Clone(good)
	binary.BigEndian.PutUint32(long[26:], 1000)
	sealLegacy(long, 0)
	stub := Legacy(append(make([]byte, 16), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)) // magic 1 in the length of magic 0
	sealLegacy(stub, 0)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	odd := bytes.Clone(good)
	odd[16] = 3
	short := bytes.Clone(good)
	short[11] = 13
	shifted := bytes.Clone(v2)
	shifted[7] = 1
	compact := func(r *Rules) { r.Compact = true }
	bounded := func(r *Rules) { r.BeforeMaxMs = 1000 }
	gzip := func(r *Rules) { r.TargetCodec = CodecGzip }
	for name, c := range map[string]struct {
		set   []byte
		rules func(*Rules)
		want  error
	}{
		"checksum":                        {flipped(good), nil, ErrCorrupt},
		"checksum of the second":          {join(good, flipped(good)), nil, ErrCorrupt},
		"checksum of a batch":             {flipped(v2), nil, ErrCorrupt},
		"checksum inside":                 {wrap(t, 1, 1, CodecGzip, good, flipped(good)), nil, ErrCorrupt},
		"length":                          {short, nil, ErrCorrupt},
		"length inside":                   {wrap(t, 1, 1, CodecGzip, good, short), nil, ErrCorrupt},
		"magic 3":                         {odd, nil, ErrCorrupt},
		"a batch away from 0":             {shifted, nil, ErrInvalidRecord},
		"too large":                       {message(1, 0, 0, nil, make([]byte, 1<<20)), nil, ErrTooLarge},
		"bomb":                            {wrap(t, 1, 0, CodecGzip, message(1, 0, 0, nil, make([]byte, fuzzLimit))), nil, ErrTooLarge},
		"mixed magics":                    {join(good, zero), nil, ErrInvalidRecord},
		"a batch behind a message":        {join(good, v2), nil, ErrInvalidRecord},
		"a wrapper beside others":         {join(good, wrap(t, 1, 0, CodecGzip, good)), nil, ErrInvalidRecord},
		"two wrappers":                    {join(wrap(t, 1, 0, CodecGzip, good), wrap(t, 1, 0, CodecGzip, good)), nil, ErrInvalidRecord},
		"other magic inside":              {wrap(t, 1, 0, CodecGzip, zero), nil, ErrInvalidRecord},
		"wrapper inside":                  {wrap(t, 1, 0, CodecGzip, wrap(t, 1, 0, CodecGzip, good)), nil, ErrInvalidRecord},
		"unknown codec inside":            {wrap(t, 1, 0, CodecGzip, message(1, 0, 6, nil, nil)), nil, ErrUnreadable},
		"nothing inside":                  {wrap(t, 1, 0, CodecSnappy), nil, ErrInvalidRecord},
		"null wrapper":                    {message(1, 0, byte(CodecLZ4), nil, nil), nil, ErrInvalidRecord},
		"wrapper's offset below":          {wrap(t, 1, 1, CodecGzip, message(1, 2, 0, nil, nil)), nil, ErrInvalidRecord},
		"zstd":                            {wrap(t, 1, 0, CodecZstd, good), nil, ErrInvalidRecord},
		"codec 5":                         {message(1, 0, 5, nil, []byte("x")), nil, ErrUnreadable},
		"not gzip":                        {message(1, 0, byte(CodecGzip), nil, []byte("plain")), nil, ErrUnreadable},
		"key over the end":                {long, nil, ErrUnreadable},
		"key over the end, to gzip":       {long, gzip, ErrUnreadable},
		"ends before its key":             {stub, nil, ErrUnreadable},
		"no key in a compacted topic":     {message(1, 0, 0, nil, nil), compact, ErrInvalidRecord},
		"no key inside":                   {wrap(t, 0, 0, CodecLZ4, message(0, 0, 0, nil, nil)), compact, ErrInvalidRecord},
		"too old":                         {at(now-1001, bytes.Clone(good)), bounded, ErrInvalidTimestamp},
		"too old inside":                  {wrap(t, 1, 1, CodecGzip, at(now, bytes.Clone(good)), at(now-1001, message(1, 1, 0, nil, nil))), bounded, ErrInvalidTimestamp},
		"a stamp without time":            {at(-1, bytes.Clone(stamped)), nil, ErrInvalidTimestamp},
		"a stamp for append time":         {stamped, func(r *Rules) { r.TimestampType = LogAppendTime }, ErrInvalidTimestamp},
		"before 1970":                     {at(-5, bytes.Clone(good)), nil, ErrUnreadable},
		"before 1970, to gzip":            {at(-5, bytes.Clone(good)), gzip, ErrUnreadable},
		"unreadable beats an early error": {join(at(now-5000, bytes.Clone(good)), long), bounded, ErrUnreadable},
		"but not on the way to gzip":      {join(at(now-5000, bytes.Clone(good)), long), func(r *Rules) { bounded(r); gzip(r) }, ErrInvalidTimestamp},
	} {
		rules := loose()
		if c.rules != nil {
			c.rules(&rules)
		}
		if _, _, err := raise(c.set, rules); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var refused *RecordsError
	_, _, err := raise(wrap(t, 1, 2, CodecGzip, good, message(1, 1, 0, nil, nil), message(1, 2, 0, nil, nil)), Rules{Compact: true, TargetCodec: CodecProducer, BeforeMaxMs: 1 << 62, AfterMaxMs: 1 << 62, Now: now})
	if !errors.As(err, &refused) || refused.Total != 2 || refused.Records[0].Index != 1 || refused.Records[1].Index != 2 {
		t.Errorf("records refused: %v", err)
	}
	for name, set := range map[string][]byte{"nothing": {}, "a piece": good[:20], "half": good[:len(good)-1]} {
		if s, err := Survey(set, 1000); err != nil || s.Count != 0 || len(s.Bytes) != 0 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

// lower converts every batch of b.
func lower(t interface{ Fatal(...any) }, b []byte, magic int8, from int64) (out []byte) {
	for len(b) > 0 {
		size, _, err := Peek(b)
		if err != nil {
			t.Fatal(err)
		}
		if out, err = Down(out, b[:size], magic, from, nil); err != nil {
			t.Fatal(err)
		}
		b = b[size:]
	}
	return out
}

// legacyRecords walks messages of magic 0 and 1, every checksum verified.
func legacyRecords(t interface{ Fatal(...any) }, set []byte) (list []string, offsets []int64) {
	for len(set) > 0 {
		m, rest, err := NextLegacy(set)
		if err == nil {
			err = m.Verify()
		}
		if err == nil {
			err = WalkLegacy(m, nil, func(r *Record) error {
				r.OffsetDelta = int32(len(list))
				list, offsets = append(list, told(r)), append(offsets, r.Offset)
				return nil
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		set = rest
	}
	return list, offsets
}

// Up, down and up again: the records stay what they are, with their offsets,
// codec and, where the format has one, timestamps.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := PlainHeader()
		h.BaseOffset = rapid.Int64Range(0, 1<<40).Draw(t, "base")
		h.Codec = Codec(rapid.IntRange(0, int(CodecLZ4)).Draw(t, "codec"))
		if rapid.Bool().Draw(t, "append time") {
			h.AppendTime = now
		}
		var builder Builder
		builder.Reset(h)
		delta := int32(-1)
		value := rapid.Ptr(rapid.SliceOfN(rapid.Byte(), 0, 40), true)
		draw := func(name string) []byte {
			if v := value.Draw(t, name); v != nil {
				return append([]byte{}, *v...)
			}
			return nil
		}
		for range rapid.IntRange(1, 8).Draw(t, "records") {
			delta += rapid.Int32Range(1, 3).Draw(t, "gap")
			builder.AppendAt(delta, rapid.Int64Range(-1, 1<<42).Draw(t, "time"), draw("key"), draw("value"), RecordHeader{Key: "h", Value: []byte("lost")})
		}
		b, err := builder.Finish()
		if err != nil {
			t.Fatal(err)
		}
		magic := rapid.Int8Range(0, 1).Draw(t, "magic")
		var want []string
		var wantAt []int64
		if err := Walk(b, nil, func(r *Record) error {
			if r.OffsetDelta = int32(len(want)); magic == 0 {
				r.Timestamp = NoTimestamp
			}
			want, wantAt = append(want, told(r)), append(wantAt, r.Offset)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		set := lower(t, b, magic, 0)
		if got, at := legacyRecords(t, set); fmt.Sprint(got, at) != fmt.Sprint(want, wantAt) {
			t.Fatalf("down: %v %v\nwant %v %v", got, at, want, wantAt)
		}
		if again := lower(t, set, magic, 0); !bytes.Equal(again, set) {
			t.Fatal("what is old enough was changed")
		}
		rules := loose()
		up, _, err := raise(set, rules)
		if err != nil {
			t.Fatal(err)
		}
		if got := records(t, up); fmt.Sprint(got) != fmt.Sprint(want) || up.Codec() != h.Codec {
			t.Fatalf("up again: %v in %s\nwant %v", got, up.Codec(), want)
		}
	})
}

// Records below the fetched offset are left out only where each is a message of
// its own; control batches vanish, zstd cannot be said, and LZ4 of magic 0 has
// the header checksum that its clients expect.
func TestDown(t *testing.T) {
	for magic := int8(0); magic <= 1; magic++ {
		plain := build(t, 4, func(h *Header) { h.BaseOffset = 100 })
		if _, at := legacyRecords(t, lower(t, plain, magic, 102)); fmt.Sprint(at) != "[102 103]" {
			t.Error("from the middle:", at)
		}
		packed := build(t, 4, func(h *Header) { h.BaseOffset, h.Codec = 100, CodecLZ4 })
		set := lower(t, packed, magic, 102)
		if _, at := legacyRecords(t, set); fmt.Sprint(at) != "[100 101 102 103]" {
			t.Error("from the middle of a compressed one:", at)
		}
		value := set[len(set)-int(binary.BigEndian.Uint32(set[Legacy(set).keyAt()+4:])):]
		if strict := value[6] == lz4Head[6]; strict != (magic == 1) {
			t.Errorf("magic %d: LZ4 header checksum %x", magic, value[6])
		}
		if out, err := Down(nil, build(t, 1, func(h *Header) { h.Codec = CodecZstd }), magic, 0, nil); !errors.Is(err, ErrUnsupportedCodec) || out != nil {
			t.Error("zstd:", err)
		}
		if out, err := Down(nil, build(t, 1, func(h *Header) { h.Control = true }), magic, 0, nil); err != nil || out != nil {
			t.Error("control:", out, err)
		}
		var early Builder
		early.Reset(PlainHeader())
		early.Append(-5, nil, nil)
		b, _ := early.Finish()
		if _, err := Down(nil, b, magic, 0, nil); !errors.Is(err, ErrUnreadable) {
			t.Error("before 1970:", err)
		}
	}
	one := wrap(t, 1, 105, CodecGzip, message(1, 0, 0, nil, nil), message(1, 5, 0, []byte("k"), nil))
	if got, at := legacyRecords(t, lower(t, one, 0, 103)); fmt.Sprint(at) != "[100 105]" || got[0] != `0 at -1: "" null true, "" null true` {
		t.Error("magic 1 to 0:", got, at)
	}
}

// The filling is one message for those who read on and never a whole one, in
// whatever pieces it is asked for.
func TestOverflow(t *testing.T) {
	for _, total := range []int{1, 11, 12, 60, 61, 1000, OverflowStep - 1, OverflowStep + 5, 2*OverflowStep + 12} {
		whole := make([]byte, total)
		Overflow(whole, 0, total)
		if total >= HeadSize {
			if size := binary.BigEndian.Uint32(whole[8:]); int(size) < total-HeadSize+1 || int64(binary.BigEndian.Uint64(whole)) != -1 {
				t.Errorf("%d bytes: length %d", total, size)
			}
		}
		pieces := make([]byte, total)
		for done := 0; done < total; {
			n := min(7001, total-done)
			Overflow(pieces[done:done+n], done, total-done)
			done += n
		}
		if !bytes.Equal(whole, pieces) {
			t.Errorf("%d bytes: in pieces it is another", total)
		}
	}
}

// What Kafka wrote goes down and up again.
func TestConvertKafkas(t *testing.T) {
	for _, name := range []string{"magic2-none", "magic2-gzip", "magic2-snappy", "magic2-lz4", "magic1-gzip", "magic1-none", "magic0-lz4", "magic0-none", "magic1-lz4-appendtime", "magic2-gzip-appendtime"} {
		b, err := os.ReadFile("testdata/kafka/" + name + ".bin")
		if err != nil {
			t.Fatal(err)
		}
		for magic := int8(0); magic <= 1; magic++ {
			set := lower(t, b, magic, 0)
			if list, _ := legacyRecords(t, set); len(list) == 0 {
				t.Errorf("%s to magic %d: nothing", name, magic)
			}
		}
	}
}
