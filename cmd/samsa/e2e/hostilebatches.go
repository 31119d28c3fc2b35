// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// HostileBatch is what a client may put into the records of a Produce, with the
// error code that Kafka 3.9 answers. Where ours differs, Why says for what
// reason and Ours is our code.
type HostileBatch struct {
	Name    string
	Records []byte
	Kafka   int16
	Ours    int16
	Why     string
}

// WantIn is the code we answer in a version of Produce.
func (h *HostileBatch) WantIn(version int16) int16 {
	if h.Why != "" && h.KafkaIn(version) == h.Kafka {
		return h.Ours
	}
	return h.KafkaIn(version)
}

// KafkaIn is the code Kafka answers in a version of Produce: zstd is refused
// unseen below 7.
func (h *HostileBatch) KafkaIn(version int16) int16 {
	if strings.HasPrefix(h.Name, "zstd") && version < 7 {
		return unsupportedCodec
	}
	return h.Kafka
}

// The error codes of the table.
const (
	fine                   = 0
	unknownServerError     = -1
	corruptMessage         = 2
	messageTooLarge        = 10
	outOfOrderSequence     = 45
	invalidEpoch           = 47
	transactionalIDRefused = 53
	unsupportedCodec       = 76
	invalidRecord          = 87
)

// spec is a batch of magic 2, every field as it goes out. Zero values of the
// pointers are what would be right.
type spec struct {
	baseOffset      int64
	length          *int32
	leaderEpoch     int32
	magic           byte
	crc             *uint32
	attributes      uint16
	lastOffsetDelta int32
	baseTime        int64
	maxTime         int64
	producer        int64
	epoch           int16
	sequence        int32
	count           int32
	records         []byte
}

// good is a batch of the records, each one made by rec, without a fault.
func good(records ...[]byte) spec {
	now := time.Now().UnixMilli()
	n := int32(len(records))
	return spec{leaderEpoch: -1, magic: 2, lastOffsetDelta: n - 1, baseTime: now, maxTime: now, producer: -1, epoch: -1, sequence: -1,
		count: n, records: bytes.Join(records, nil)}
}

func (s spec) bytes() []byte {
	b := binary.BigEndian.AppendUint16(nil, s.attributes)
	b = binary.BigEndian.AppendUint32(b, uint32(s.lastOffsetDelta))
	b = binary.BigEndian.AppendUint64(b, uint64(s.baseTime))
	b = binary.BigEndian.AppendUint64(b, uint64(s.maxTime))
	b = binary.BigEndian.AppendUint64(b, uint64(s.producer))
	b = binary.BigEndian.AppendUint16(b, uint16(s.epoch))
	b = binary.BigEndian.AppendUint32(b, uint32(s.sequence))
	b = binary.BigEndian.AppendUint32(b, uint32(s.count))
	b = append(b, s.records...)
	length, crc := int32(len(b)+9), crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	if s.length != nil {
		length = *s.length
	}
	if s.crc != nil {
		crc = *s.crc
	}
	head := binary.BigEndian.AppendUint64(nil, uint64(s.baseOffset))
	head = binary.BigEndian.AppendUint32(head, uint32(length))
	head = binary.BigEndian.AppendUint32(head, uint32(s.leaderEpoch))
	head = append(head, s.magic)
	return append(binary.BigEndian.AppendUint32(head, crc), b...)
}

// rec is a record with a key and a value at an offset delta; body may change
// what stands behind its length.
func rec(delta int64, body ...byte) []byte {
	if body == nil {
		body = binary.AppendVarint([]byte{0, 0}, delta)
		body = append(body, 2, 'k', 2, 'v', 0)
	}
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

// with is a good batch of two records, changed.
func with(change func(*spec)) []byte {
	s := good(rec(0), rec(1))
	change(&s)
	return s.bytes()
}

// alone is a batch of one record with the bytes that follow its length.
func alone(body ...byte) []byte { return good(rec(0, body...)).bytes() }

// raw is a batch whose record bytes are all the test's own.
func raw(records ...byte) []byte {
	s := good(nil)
	s.records = records
	return s.bytes()
}

func ptr[T any](v T) *T { return &v }

// packed is a good batch with its records run through pack, under a codec.
func packed(codec uint16, pack func([]byte) []byte) []byte {
	return with(func(s *spec) { s.attributes, s.records = codec, pack(s.records) })
}

// HostileBatches lie in everything but their checksum, for Produce v3 and later.
func HostileBatches() []HostileBatch {
	out := append(headerLies(), recordLies()...)
	return append(out, codecLies()...)
}

func headerLies() []HostileBatch {
	whole := with(func(*spec) {})
	size := int32(len(whole))
	return []HostileBatch{
		{Name: "good", Records: whole},
		{Name: "empty", Records: []byte{}, Kafka: invalidRecord},
		{Name: "one byte", Records: []byte{0}, Kafka: invalidRecord},
		{Name: "a header cut", Records: whole[:60], Kafka: invalidRecord},
		{Name: "a batch cut", Records: whole[:size-1], Kafka: invalidRecord},
		{Name: "a byte behind it", Records: append(whole[:size:size], 0)},
		{Name: "twenty bytes behind it", Records: append(whole[:size:size], make([]byte, 20)...), Kafka: corruptMessage},
		{Name: "two batches", Records: append(whole[:size:size], whole...), Kafka: invalidRecord},
		{Name: "checksum", Records: with(func(s *spec) { s.crc = ptr(uint32(1)) }), Kafka: corruptMessage},
		{Name: "magic 3", Records: with(func(s *spec) { s.magic = 3 }), Kafka: corruptMessage},
		{Name: "magic -1", Records: with(func(s *spec) { s.magic = 255 }), Kafka: corruptMessage},
		{Name: "magic 1 on a batch of magic 2", Records: with(func(s *spec) { s.magic = 1 }), Kafka: invalidRecord},
		{Name: "magic 0 on a batch of magic 2", Records: with(func(s *spec) { s.magic = 0 }), Kafka: invalidRecord},
		{Name: "length 0", Records: with(func(s *spec) { s.length = ptr(int32(0)) }), Kafka: corruptMessage},
		{Name: "length -1", Records: with(func(s *spec) { s.length = ptr(int32(-1)) }), Kafka: corruptMessage},
		{Name: "length 48", Records: with(func(s *spec) { s.length = ptr(int32(48)) }), Kafka: corruptMessage},
		{Name: "length 49", Records: with(func(s *spec) { s.length = ptr(int32(49)) }), Kafka: corruptMessage},
		{Name: "length one short", Records: with(func(s *spec) { s.length = ptr(size - 13) }), Kafka: corruptMessage},
		{Name: "length one past", Records: with(func(s *spec) { s.length = ptr(size - 11) }), Kafka: invalidRecord},
		{Name: "length 2^31-1", Records: with(func(s *spec) { s.length = ptr(int32(1<<31 - 1)) }), Kafka: unknownServerError},
		{Name: "base offset 5", Records: with(func(s *spec) { s.baseOffset = 5 }), Kafka: invalidRecord},
		{Name: "base offset -1", Records: with(func(s *spec) { s.baseOffset = -1 }), Kafka: invalidRecord},
		{Name: "base offset 2^63-1", Records: with(func(s *spec) { s.baseOffset = 1<<63 - 1 }), Kafka: invalidRecord},
		{Name: "leader epoch 99", Records: with(func(s *spec) { s.leaderEpoch = 99 })},
		{Name: "count 0", Records: with(func(s *spec) { s.count = 0 }), Kafka: invalidRecord},
		{Name: "no records, count 0", Records: with(func(s *spec) { s.count, s.lastOffsetDelta, s.records = 0, 0, nil }), Kafka: invalidRecord},
		{Name: "no records, delta -1", Records: with(func(s *spec) { s.count, s.lastOffsetDelta, s.records = 0, -1, nil }), Kafka: invalidRecord},
		{Name: "count -1", Records: with(func(s *spec) { s.count = -1 }), Kafka: invalidRecord},
		{Name: "count 1 of 2", Records: with(func(s *spec) { s.count = 1 }), Kafka: invalidRecord},
		{Name: "count 1 of 2, delta 0", Records: with(func(s *spec) { s.count, s.lastOffsetDelta = 1, 0 }), Kafka: invalidRecord},
		{Name: "count 3 of 2, delta 2", Records: with(func(s *spec) { s.count, s.lastOffsetDelta = 3, 2 }), Kafka: invalidRecord},
		{Name: "count 2^31-1", Records: with(func(s *spec) { s.count, s.lastOffsetDelta = 1<<31-1, 1<<31-2 }), Kafka: invalidRecord},
		{Name: "last offset delta 0", Records: with(func(s *spec) { s.lastOffsetDelta = 0 }), Kafka: invalidRecord},
		{Name: "last offset delta 9", Records: with(func(s *spec) { s.lastOffsetDelta = 9 }), Kafka: invalidRecord},
		{Name: "last offset delta -1", Records: with(func(s *spec) { s.lastOffsetDelta = -1 }), Kafka: invalidRecord},
		{Name: "last offset delta 2^31-1", Records: with(func(s *spec) { s.lastOffsetDelta = 1<<31 - 1 }), Kafka: invalidRecord},
		{Name: "max timestamp 0", Records: with(func(s *spec) { s.maxTime = 0 })},
		{Name: "max timestamp 2^63-1", Records: with(func(s *spec) { s.maxTime = 1<<63 - 1 })},
		{Name: "timestamps -1", Records: with(func(s *spec) { s.baseTime, s.maxTime = -1, -1 })},
		{Name: "base timestamp -2^63", Records: with(func(s *spec) { s.baseTime = -1 << 63 })},
		{Name: "base timestamp 2^63-1", Records: with(func(s *spec) { s.baseTime = 1<<63 - 1 })},
		{Name: "append time from a client", Records: with(func(s *spec) { s.attributes = 8 })},
		{Name: "control", Records: with(func(s *spec) { s.attributes = 0x20 }), Kafka: invalidRecord},
		{Name: "control and transactional", Records: with(func(s *spec) { s.attributes, s.producer, s.epoch, s.sequence = 0x30, 901, 0, 0 }), Kafka: transactionalIDRefused},
		{Name: "transactional without producer", Records: with(func(s *spec) { s.attributes = 0x10 }), Kafka: transactionalIDRefused},
		{Name: "delete horizon", Records: with(func(s *spec) { s.attributes = 0x40 })},
		{Name: "unknown attributes", Records: with(func(s *spec) { s.attributes = 0xff80 })},
		{Name: "codec 5", Records: with(func(s *spec) { s.attributes = 5 }), Kafka: unknownServerError},
		{Name: "codec 6", Records: with(func(s *spec) { s.attributes = 6 }), Kafka: unknownServerError},
		{Name: "codec 7", Records: with(func(s *spec) { s.attributes = 7 }), Kafka: unknownServerError},
		{Name: "producer without sequence", Records: with(func(s *spec) { s.producer, s.epoch = 902, 0 }), Kafka: invalidRecord},
		{Name: "producer without epoch", Records: with(func(s *spec) { s.producer, s.sequence = 903, 0 })},
		{Name: "sequence without producer", Records: with(func(s *spec) { s.sequence = 5 })},
		{Name: "sequence -2", Records: with(func(s *spec) { s.producer, s.epoch, s.sequence = 904, 0, -2 }), Kafka: invalidRecord},
		{Name: "producer -2", Records: with(func(s *spec) { s.producer, s.epoch, s.sequence = -2, 0, 0 })},
		{Name: "epoch -5", Records: with(func(s *spec) { s.producer, s.epoch, s.sequence = 905, -5, 0 }), Kafka: invalidEpoch},
		{Name: "sequence 2^31-1 and over", Records: with(func(s *spec) { s.producer, s.epoch, s.sequence = 906, 0, 1<<31-1 })},
		{Name: "a first sequence of 7", Records: with(func(s *spec) { s.producer, s.epoch, s.sequence = 907, 0, 7 })},
		{Name: "a sequence after a gap", Records: with(func(s *spec) { s.producer, s.epoch, s.sequence = 907, 0, 20 }), Kafka: outOfOrderSequence},
	}
}

func recordLies() []HostileBatch {
	pair := func(a, b []byte) []byte { return good(a, b).bytes() }
	return []HostileBatch{
		{Name: "offset deltas with a gap", Records: pair(rec(0), rec(5))},
		{Name: "offset deltas twice", Records: pair(rec(0), rec(0))},
		{Name: "offset deltas falling", Records: pair(rec(1), rec(0))},
		{Name: "offset delta negative", Records: pair(rec(-1), rec(0))},
		{Name: "offset delta 2^31-1", Records: pair(rec(0), rec(1<<31-1))},
		{Name: "record length 0", Records: raw(0), Kafka: invalidRecord},
		{Name: "record length -1", Records: raw(1), Kafka: invalidRecord},
		{Name: "record length past the batch", Records: raw(200, 1, 0, 0, 0, 1, 1, 0), Kafka: invalidRecord},
		{Name: "record length one short", Records: raw(10, 0, 0, 0, 1, 1, 0), Kafka: invalidRecord},
		{Name: "record length 2^31-1", Records: raw(0xfe, 0xff, 0xff, 0xff, 0x0f, 0), Kafka: invalidRecord},
		{Name: "record length of six bytes", Records: raw(0x8c, 0x80, 0x80, 0x80, 0x80, 0, 0, 0, 0, 1, 1, 0), Kafka: unknownServerError},
		{Name: "record length overlong", Records: raw(0x8c, 0, 0, 0, 0, 1, 1, 0)},
		{Name: "a byte behind the last record", Records: raw(12, 0, 0, 0, 1, 1, 0, 0), Kafka: invalidRecord},
		{Name: "a record behind the last", Records: raw(append(rec(0), rec(1)...)...), Kafka: invalidRecord},
		{Name: "record attributes", Records: alone(0xff, 0, 0, 1, 1, 0)},
		{Name: "timestamp delta of eleven bytes", Records: alone(0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0, 1, 1, 0), Kafka: invalidRecord},
		{Name: "timestamp delta 2^63-1", Records: alone(0, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 1, 1, 0)},
		{Name: "timestamp delta -2^63", Records: alone(0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 1, 1, 0)},
		{Name: "key past the record", Records: alone(0, 0, 0, 40, 1, 0), Kafka: invalidRecord},
		{Name: "key 2^31-1", Records: alone(0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f, 1, 0), Kafka: invalidRecord},
		{Name: "key -2", Records: alone(0, 0, 0, 3, 1, 0)},
		{Name: "value past the record", Records: alone(0, 0, 0, 1, 40, 0), Kafka: invalidRecord},
		{Name: "value -2", Records: alone(0, 0, 0, 1, 3, 0)},
		{Name: "header count -1", Records: alone(0, 0, 0, 1, 1, 1), Kafka: invalidRecord},
		{Name: "header count past the record", Records: alone(0, 0, 0, 1, 1, 40, 0), Kafka: invalidRecord},
		{Name: "header count 2^31-1", Records: alone(0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f), Kafka: invalidRecord},
		{Name: "header key null", Records: alone(0, 0, 0, 1, 1, 2, 1, 1), Kafka: invalidRecord},
		{Name: "header key past the record", Records: alone(0, 0, 0, 1, 1, 2, 40, 1), Kafka: invalidRecord},
		{Name: "header value past the record", Records: alone(0, 0, 0, 1, 1, 2, 2, 'h', 40), Kafka: invalidRecord},
		{Name: "header value -2", Records: alone(0, 0, 0, 1, 1, 2, 2, 'h', 3)},
		{Name: "bytes behind the headers", Records: alone(0, 0, 0, 1, 1, 0, 9, 9), Kafka: invalidRecord},
		{Name: "header key not UTF-8", Records: alone(0, 0, 0, 1, 1, 2, 2, 0xff, 1)},
	}
}

func codecLies() []HostileBatch {
	plain := append(rec(0), rec(1)...)
	broken := HostileBatch{Kafka: unknownServerError}
	gap := HostileBatch{Kafka: unknownServerError}
	var out []HostileBatch
	for codec, pack := range map[uint16]func([]byte) []byte{1: Gzip, 2: snappyRaw, 3: LZ4, 4: Zstd} {
		name := [...]string{"", "gzip", "snappy", "lz4", "zstd"}[codec]
		whole := pack(plain)
		behind := HostileBatch{} // an lz4 frame says where it ends
		nothing := broken
		switch codec {
		case 4: // no frame is no bytes
			behind, nothing = broken, HostileBatch{Kafka: invalidRecord}
		case 1:
			behind = HostileBatch{Kafka: fine}
		case 2:
			behind = broken
		}
		add := func(what string, b []byte, h HostileBatch) {
			h.Name, h.Records = name+" "+what, packed(codec, func([]byte) []byte { return b })
			out = append(out, h)
		}
		add("good", whole, HostileBatch{})
		add("of nothing", pack(nil), HostileBatch{Kafka: invalidRecord})
		add("no bytes", nil, nothing)
		add("cut", whole[:len(whole)/2], broken)
		add("of other bytes", bytes.Repeat([]byte{0xa5}, 30), broken)
		add("of one record too many", pack(append(plain[:len(plain):len(plain)], rec(2)...)), HostileBatch{Kafka: invalidRecord})
		add("of one record too few", pack(rec(0)), HostileBatch{Kafka: invalidRecord})
		add("and bytes behind", append(whole[:len(whole):len(whole)], 1, 2, 3), behind)
		add("of records that fall", pack(append(rec(1), rec(0)...)), gap)
		add("of a gap", pack(append(rec(0), rec(5)...)), gap)
		add("of a key past the record", pack(append(rec(0), rec(1, 0, 0, 2, 40, 1, 0)...)), HostileBatch{Kafka: invalidRecord})
		add("of itself", pack(with(func(s *spec) { s.attributes, s.records = codec, whole })), HostileBatch{Kafka: invalidRecord})
	}
	return append(out,
		HostileBatch{Name: "snappy claims 2^32-1", Kafka: unknownServerError, Records: packed(2, func([]byte) []byte { return []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 'x'} })},
		HostileBatch{Name: "xerial chunk of 2^31-1", Kafka: unknownServerError, Records: packed(2, func([]byte) []byte { return xerial([]byte{0x7f, 0xff, 0xff, 0xff, 0}) })},
		HostileBatch{Name: "xerial chunk of -1", Kafka: unknownServerError, Records: packed(2, func([]byte) []byte { return xerial([]byte{0xff, 0xff, 0xff, 0xff, 0}) })},
		HostileBatch{Name: "zstd with a window of 2 GiB", Kafka: unknownServerError, Records: packed(4, func([]byte) []byte { return []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0xa8, 1, 0, 0} })},
		HostileBatch{Name: "zstd claims 2^60", Kafka: unknownServerError, Records: packed(4, func([]byte) []byte {
			return []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0, 0}
		})},
	)
}

// xerial puts chunks behind the header of snappy-java's framing.
func xerial(chunks []byte) []byte {
	return append([]byte("\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"), chunks...)
}

// Gzip is one member.
func Gzip(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// LZ4 is one frame of independent blocks.
func LZ4(b []byte) []byte { return compressed(kgo.Lz4Compression(), b) }

// Zstd is one frame.
func Zstd(b []byte) []byte { return compressed(kgo.ZstdCompression(), b) }

func snappyRaw(b []byte) []byte { return compressed(kgo.SnappyCompression(), b) }

// compressed is b as franz-go's producers compress it.
func compressed(codec kgo.CompressionCodec, b []byte) []byte {
	c, err := kgo.DefaultCompressor(codec)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	out, _ := c.Compress(new(bytes.Buffer), b)
	return bytes.Clone(out)
}
