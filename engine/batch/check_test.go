// SPDX-License-Identifier: Apache-2.0

package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
)

const now = int64(1_700_000_000_000)

// rules are a topic's defaults.
func rules() Rules {
	return Rules{TargetCodec: CodecProducer, Level: LevelDefault, Now: now, BeforeMaxMs: 1<<63 - 1, AfterMaxMs: 1<<63 - 1}
}

// build makes a client's batch of n records, stamped now, now+1, ...
func build(t testing.TB, n int, change func(*Header)) Batch {
	t.Helper()
	h := PlainHeader()
	if change != nil {
		change(&h)
	}
	var b Builder
	b.Reset(h)
	for i := range n {
		b.Append(now+int64(i), fmt.Appendf(nil, "key-%d", i), []byte(strings.Repeat("value ", i)), RecordHeader{"h", nil}, RecordHeader{"", []byte("x")})
	}
	batch, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return append(Batch(nil), batch...)
}

// edited writes v at a place and makes the checksum right again.
func edited(b Batch, at int, v ...byte) Batch {
	copy(b[at:], v)
	b.seal()
	return b
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// rawBatch puts hand-made record bytes behind a header that counts them.
func rawBatch(t testing.TB, count int, records []byte) Batch {
	t.Helper()
	b := build(t, 1, nil)[:HeaderSize:HeaderSize]
	b = append(b, records...)
	copy(b[atLength:], be32(uint32(len(b)-HeadSize)))
	copy(b[atCount:], be32(uint32(count)))
	return edited(b, atLastOffsetDelta, be32(uint32(count-1))...)
}

// rawRecord is a record: its body behind its length.
func rawRecord(body ...byte) []byte { return append(appendVarint(nil, int64(len(body))), body...) }

// Each verdict of Kafka's LogValidator that needs no records of its own.
func TestCheckVerdicts(t *testing.T) {
	type row struct {
		name string
		b    Batch
		rule func(*Rules)
		want error
	}
	plain := func() Batch { return build(t, 3, nil) }
	rows := []row{
		{name: "fine", b: plain()},
		{name: "one record", b: build(t, 1, nil)},
		{name: "cut", b: plain()[:70], want: ErrCorrupt},
		{name: "bytes behind it", b: append(plain(), 0), want: ErrCorrupt},
		{name: "shorter than a header", b: plain()[:60], want: ErrCorrupt},
		{name: "checksum", b: func() Batch { b := plain(); b[70] ^= 1; return b }(), want: ErrCorrupt},
		{name: "magic 3", b: edited(plain(), atMagic, 3), want: ErrUnsupportedMagic},
		{name: "base offset", b: edited(plain(), 7, 5), want: ErrInvalidRecord},
		{name: "base offset of a replica", b: edited(plain(), 7, 5), rule: func(r *Rules) { r.Origin = Replica }},
		{name: "unknown codec", b: edited(plain(), atAttributes, 0, 5), want: ErrUnreadable},
		{name: "unused attribute bits", b: edited(plain(), atAttributes, 0x80, 0x80)},
		{name: "count 0", b: edited(plain(), atCount, be32(0)...), want: ErrInvalidRecord},
		{name: "count -1", b: edited(plain(), atCount, be32(1<<32-1)...), want: ErrInvalidRecord},
		{name: "count below the records", b: edited(edited(plain(), atCount, be32(2)...), atLastOffsetDelta, be32(1)...), want: ErrInvalidRecord},
		{name: "count above the records", b: edited(edited(plain(), atCount, be32(4)...), atLastOffsetDelta, be32(3)...), want: ErrInvalidRecord},
		{name: "count 2^31-1", b: edited(edited(plain(), atCount, be32(1<<31-1)...), atLastOffsetDelta, be32(1<<31-2)...), want: ErrInvalidRecord},
		{name: "count against offsets", b: edited(plain(), atLastOffsetDelta, be32(3)...), want: ErrInvalidRecord},
		{name: "last offset delta -1", b: edited(plain(), atLastOffsetDelta, be32(1<<32-1)...), want: ErrInvalidRecord},
		{name: "control", b: edited(plain(), atAttributes, 0, controlBit), want: ErrInvalidRecord},
		{name: "control of a coordinator", b: edited(plain(), atAttributes, 0, controlBit), rule: func(r *Rules) { r.Origin = Coordinator; r.TargetCodec = CodecGzip }},
		{name: "transactional", b: build(t, 2, func(h *Header) { h.Transactional, h.ProducerID, h.ProducerEpoch, h.BaseSequence = true, 7, 0, 0 })},
		{name: "producer without sequence", b: build(t, 2, func(h *Header) { h.ProducerID = 7 }), want: ErrInvalidRecord},
		{name: "sequence without producer", b: build(t, 2, func(h *Header) { h.BaseSequence = 7 })},
		{name: "null key", b: rawBatch(t, 1, rawRecord(0, 0, 0, 1, 0, 0))},
		{name: "null key, compacted", b: rawBatch(t, 1, rawRecord(0, 0, 0, 1, 0, 0)), rule: func(r *Rules) { r.Compact = true }, want: ErrInvalidRecord},
		{name: "empty key, compacted", b: rawBatch(t, 1, rawRecord(0, 0, 0, 0, 1, 0)), rule: func(r *Rules) { r.Compact = true }},
		{name: "too old", b: plain(), rule: func(r *Rules) { r.Now += 1001; r.BeforeMaxMs = 1000 }, want: ErrInvalidTimestamp},
		{name: "old enough", b: build(t, 1, nil), rule: func(r *Rules) { r.Now += 1000; r.BeforeMaxMs = 1000 }},
		{name: "too new", b: plain(), rule: func(r *Rules) { r.AfterMaxMs = 1 }, want: ErrInvalidTimestamp},
		{name: "new, but stamped", b: plain(), rule: func(r *Rules) { r.AfterMaxMs = 1; r.TimestampType = LogAppendTime }},
		{name: "append time twice", b: edited(plain(), atAttributes, 0, logAppendTimeBit), rule: func(r *Rules) { r.TimestampType = LogAppendTime }, want: ErrInvalidTimestamp},
		{name: "append time from a client", b: edited(plain(), atAttributes, 0, logAppendTimeBit)},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			rule := rules()
			if r.rule != nil {
				r.rule(&rule)
			}
			got, _, err := Check(r.b, rule, nil)
			if !errors.Is(err, r.want) || (r.want == nil && err != nil) {
				t.Fatalf("verdict %v, want %v", err, r.want)
			}
			if err == nil {
				if err := got.Verify(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Records that do not fit their own lengths are refused whatever the checksum
// says, plain and compressed.
func TestCheckBrokenRecords(t *testing.T) {
	rows := map[string][]byte{
		"nothing":                 {},
		"length only":             {0x0c},
		"length too long":         {0x80, 0x80, 0x80, 0x80, 0x80, 0x01},
		"negative length":         {0x01},
		"no attributes":           rawRecord(),
		"timestamp cut":           rawRecord(0, 0x80),
		"timestamp of 11 bytes":   rawRecord(0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0),
		"no offset":               rawRecord(0, 0),
		"no key":                  rawRecord(0, 0, 0),
		"key cut":                 rawRecord(0, 0, 0, 20, 1),
		"no value":                rawRecord(0, 0, 0, 1),
		"value cut":               rawRecord(0, 0, 0, 1, 20),
		"no headers":              rawRecord(0, 0, 0, 1, 1),
		"negative header count":   rawRecord(0, 0, 0, 1, 1, 1),
		"headers cut":             rawRecord(0, 0, 0, 1, 1, 4, 0, 0),
		"null header key":         rawRecord(0, 0, 0, 1, 1, 2, 1, 1),
		"bytes after headers":     rawRecord(0, 0, 0, 1, 1, 0, 0),
		"a byte after the last":   append(rawRecord(0, 0, 0, 1, 1, 0), 0),
		"a record after the last": append(rawRecord(0, 0, 0, 1, 1, 0), rawRecord(0, 0, 2, 1, 1, 0)...),
	}
	for name, records := range rows {
		for codec := CodecNone; codec <= CodecZstd; codec++ {
			packed, err := codec.Compress(nil, records, LevelDefault, nil)
			if err != nil {
				t.Fatal(err)
			}
			b := rawBatch(t, 1, packed)
			b = edited(b, atAttributes, 0, byte(codec))
			want := ErrInvalidRecord
			if name == "length too long" { // Kafka fails on it
				want = ErrUnreadable
			}
			if _, _, err := Check(b, rules(), nil); !errors.Is(err, want) {
				t.Errorf("%s, %s: %v", name, codec, err)
			}
		}
	}
}

// The list of refused records names each, and a bad timestamp outweighs a
// missing key.
func TestCheckNamesRecords(t *testing.T) {
	var b Builder
	b.Reset(PlainHeader())
	b.Append(now, nil, []byte("no key"))
	b.Append(now, []byte("k"), nil)
	b.Append(now-10, []byte("k"), []byte("old"))
	batch, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	rule := rules()
	rule.Compact = true
	_, _, err = Check(batch, rule, nil)
	var refused *RecordsError
	if !errors.As(err, &refused) || refused.Total != 1 || refused.Records[0].Index != 0 || !errors.Is(err, ErrInvalidRecord) {
		t.Fatalf("%v", err)
	}
	rule.BeforeMaxMs = 5
	_, _, err = Check(batch, rule, nil)
	if !errors.As(err, &refused) || refused.Total != 2 || refused.Records[1].Index != 2 || !errors.Is(err, ErrInvalidTimestamp) {
		t.Fatalf("%v", err)
	}
}

// A wrong largest timestamp is put right, and log append time is stamped, in
// place; the records stay as they are.
func TestCheckStamps(t *testing.T) {
	b := edited(build(t, 3, nil), atMaxTimestamp, make([]byte, 8)...)
	got, info, err := Check(b, rules(), nil)
	if err != nil || &got[0] != &b[0] || info.Rewritten {
		t.Fatalf("%v, rewritten %v", err, info.Rewritten)
	}
	if got.MaxTimestamp() != now+2 || info.MaxTimestamp != now+2 || info.OffsetOfMax != 2 || info.Count != 3 {
		t.Fatalf("%d, %+v", got.MaxTimestamp(), info)
	}
	rule := rules()
	rule.TimestampType, rule.Now = LogAppendTime, now+77
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		b := build(t, 3, func(h *Header) { h.Codec = codec })
		got, info, err := Check(b, rule, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !got.LogAppendTime() || got.MaxTimestamp() != now+77 || info.MaxTimestamp != now+77 || info.OffsetOfMax != 0 || got.Verify() != nil {
			t.Fatalf("%s: %v %d %+v", codec, got.LogAppendTime(), got.MaxTimestamp(), info)
		}
		if err := Walk(got, nil, func(r *Record) error {
			if r.Timestamp != now+77 {
				return fmt.Errorf("record at %d", r.Timestamp)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// sameRecords walks both and compares everything but places.
func sameRecords(t *testing.T, a, b Batch) {
	t.Helper()
	text := func(b Batch) (s string) {
		if err := Walk(b, nil, func(r *Record) error {
			s += fmt.Sprintf("%d %d %q %q %v %v %q\n", r.Offset, r.Timestamp, r.Key, r.Value, r.KeyNull, r.ValueNull, r.Headers)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	if text(a) != text(b) {
		t.Fatalf("records differ:\n%s\n%s", text(a), text(b))
	}
}

// compression.type of the topic wins over the producer's, in every pairing.
func TestCheckRecompresses(t *testing.T) {
	scratch := new(Scratch)
	for from := CodecNone; from <= CodecZstd; from++ {
		for to := CodecProducer; to <= CodecZstd; to++ {
			b := build(t, 40, func(h *Header) {
				h.Codec, h.ProducerID, h.ProducerEpoch, h.BaseSequence, h.Transactional = from, 9, 1, 5, true
			})
			rule := rules()
			rule.TargetCodec = to
			got, info, err := Check(b, rule, scratch)
			if err != nil {
				t.Fatalf("%s to %s: %v", from, to, err)
			}
			want := to
			if to == CodecProducer {
				want = from
			}
			if got.Codec() != want || info.Rewritten != (want != from) || got.Verify() != nil || got.Size() != len(got) {
				t.Fatalf("%s to %s: %s, rewritten %v", from, to, got.Codec(), info.Rewritten)
			}
			if got.ProducerID() != 9 || got.LastSequence() != 44 || !got.IsTransactional() || got.Count() != 40 || got.LastOffsetDelta() != 39 {
				t.Fatalf("%s to %s: header lost", from, to)
			}
			sameRecords(t, b, got)
		}
	}
}

// A batch that claims log append time on a topic with create time is taken, as
// Kafka takes it: a rewritten one carries that time in every record.
func TestCheckFoldsForeignAppendTime(t *testing.T) {
	b := build(t, 3, func(h *Header) { h.AppendTime = now + 9 })
	rule := rules()
	rule.TargetCodec = CodecGzip
	got, info, err := Check(b, rule, nil)
	if err != nil || got.LogAppendTime() || got.MaxTimestamp() != now+9 || info.MaxTimestamp != now+9 {
		t.Fatal(err, info)
	}
	if err := Walk(got, nil, func(r *Record) error {
		if r.Timestamp != now+9 {
			return fmt.Errorf("record at %d", r.Timestamp)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// Offset deltas that a client got wrong are made dense, as Kafka does; where the
// records are compressed Kafka fails on them.
func TestCheckMakesOffsetsDense(t *testing.T) {
	records := append(rawRecord(0, 0, 4, 1, 2, 'a', 0), rawRecord(0, 2, 4, 1, 2, 'b', 0)...)
	for codec := CodecNone; codec <= CodecZstd; codec++ {
		packed, err := codec.Compress(nil, records, LevelDefault, nil)
		if err != nil {
			t.Fatal(err)
		}
		b := edited(rawBatch(t, 2, packed), atAttributes, 0, byte(codec))
		got, info, err := Check(b, rules(), nil)
		if codec != CodecNone {
			if !errors.Is(err, ErrUnreadable) {
				t.Errorf("%s: %v", codec, err)
			}
			continue
		}
		if err != nil || !info.Rewritten || got.Codec() != codec {
			t.Fatalf("%s: %v, %+v", codec, err, info)
		}
		want := int64(0)
		if err := Walk(got, nil, func(r *Record) error {
			if r.Offset != want || r.Timestamp != now+want || string(r.Value) != string(rune('a'+want)) {
				return fmt.Errorf("offset %d, time %d, value %q", r.Offset, r.Timestamp, r.Value)
			}
			want++
			return nil
		}); err != nil || want != 2 {
			t.Fatalf("%s: %v", codec, err)
		}
	}
}

// The road of today's producers costs no allocation.
func TestUncompressedAllocatesNothing(t *testing.T) {
	b := build(t, 50, func(h *Header) { h.ProducerID, h.ProducerEpoch, h.BaseSequence = 9, 1, 5 })
	scratch := new(Scratch)
	rule := rules()
	stamped := rule
	stamped.TimestampType = LogAppendTime
	count := 0
	fn := func(*Record) error { count++; return nil }
	for name, run := range map[string]func(){
		"Check": func() {
			if _, _, err := Check(b, rule, scratch); err != nil {
				t.Fatal(err)
			}
		},
		"Walk": func() {
			if err := Walk(b, scratch, fn); err != nil {
				t.Fatal(err)
			}
		},
		"Next and accessors": func() {
			next, _, err := Next(b)
			if err != nil || next.Verify() != nil {
				t.Fatal(err)
			}
			next.SetBaseOffset(next.LastOffset())
			next.SetBaseOffset(0)
		},
	} {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	other := build(t, 50, nil)
	if n := testing.AllocsPerRun(100, func() {
		copy(other[atAttributes:], []byte{0, 0})
		other.seal()
		if _, _, err := Check(other, stamped, scratch); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("log append time: %v allocations", n)
	}
}

// Checksums agree with other implementations' tables.
func TestChecksumIsCastagnoli(t *testing.T) {
	b := build(t, 1, nil)
	if b.CRC() != crc32.Checksum(b[21:], crc32.MakeTable(0x82f63b78)) {
		t.Fatal("not CRC-32C")
	}
}
