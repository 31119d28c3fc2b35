// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// old is a message of magic 0 or 1, every field as it goes out. Nil pointers
// are what would be right.
type old struct {
	offset     int64
	size       *int32
	crc        *uint32
	magic      byte
	attributes byte
	time       int64 // of magic 1
	keySize    *int32
	key        []byte
	valueSize  *int32
	value      []byte
}

func (o old) bytes() []byte {
	b := []byte{o.magic, o.attributes}
	if o.magic == 1 {
		b = binary.BigEndian.AppendUint64(b, uint64(o.time))
	}
	put := func(size *int32, v []byte) {
		n := int32(len(v))
		if v == nil {
			n = -1
		}
		if size != nil {
			n = *size
		}
		b = append(binary.BigEndian.AppendUint32(b, uint32(n)), v...)
	}
	put(o.keySize, o.key)
	put(o.valueSize, o.value)
	size, crc := int32(len(b)+4), crc32.ChecksumIEEE(b)
	if o.size != nil {
		size = *o.size
	}
	if o.crc != nil {
		crc = *o.crc
	}
	head := binary.BigEndian.AppendUint64(nil, uint64(o.offset))
	head = binary.BigEndian.AppendUint32(head, uint32(size))
	return append(binary.BigEndian.AppendUint32(head, crc), b...)
}

// OldMessage makes a message of magic 0 or 1; magic 0 has no use for ms.
func OldMessage(magic int8, offset, ms int64, attributes byte, key, value []byte) []byte {
	return old{offset: offset, magic: byte(magic), attributes: attributes, time: ms, key: key, value: value}.bytes()
}

// message is a good message, changed.
func message(magic byte, change func(*old)) []byte {
	o := old{magic: magic, time: 1_700_000_000_000, key: []byte("k"), value: []byte("v")}
	if change != nil {
		change(&o)
	}
	return o.bytes()
}

// wrapper is a message whose value is inner, packed.
func wrapper(magic, codec byte, pack func([]byte) []byte, inner ...[]byte) []byte {
	return message(magic, func(o *old) { o.attributes, o.key, o.value = codec, nil, pack(bytes.Join(inner, nil)) })
}

// HostileSets are message sets of magic 0 and 1 that lie, for Produce v0 to v2.
func HostileSets() (out []HostileBatch) {
	for _, magic := range []byte{0, 1} {
		add := func(name string, records []byte) {
			out = append(out, HostileBatch{Name: "magic " + string('0'+magic) + " " + name, Records: records})
		}
		msg := func(change func(*old)) []byte { return message(magic, change) }
		one := msg(nil)
		at := func(offset int64) []byte { return msg(func(o *old) { o.offset = offset }) }
		add("good", one)
		add("three", bytes.Join([][]byte{at(0), at(1), at(2)}, nil))
		add("offsets falling", bytes.Join([][]byte{at(5), at(3)}, nil))
		add("offset -1", at(-1))
		add("checksum", msg(func(o *old) { o.crc = ptr(uint32(1)) }))
		add("size 0", msg(func(o *old) { o.size = ptr(int32(0)) }))
		add("size -1", msg(func(o *old) { o.size = ptr(int32(-1)) }))
		add("size 13", msg(func(o *old) { o.size = ptr(int32(13)) }))
		add("size one short", msg(func(o *old) { o.size = ptr(int32(len(one) - 13)) }))
		add("size one past", msg(func(o *old) { o.size = ptr(int32(len(one) - 11)) }))
		add("size 2^31-1", msg(func(o *old) { o.size = ptr(int32(1<<31 - 1)) }))
		add("key past the message", msg(func(o *old) { o.keySize = ptr(int32(100)) }))
		add("key 2^31-1", msg(func(o *old) { o.keySize = ptr(int32(1<<31 - 1)) }))
		add("key -2", msg(func(o *old) { o.keySize = ptr(int32(-2)) }))
		add("value past the message", msg(func(o *old) { o.valueSize = ptr(int32(100)) }))
		add("value one short", msg(func(o *old) { o.valueSize = ptr(int32(0)) }))
		add("nulls", msg(func(o *old) { o.key, o.value = nil, nil }))
		add("append time", msg(func(o *old) { o.attributes = 8 }))
		add("unknown attributes", msg(func(o *old) { o.attributes = 0xf0 }))
		add("codec 4", msg(func(o *old) { o.attributes = 4 }))
		add("codec 5", msg(func(o *old) { o.attributes = 5 }))
		add("timestamp -1", msg(func(o *old) { o.time = -1 }))
		add("timestamp -2^63", msg(func(o *old) { o.time = -1 << 63 }))
		add("cut", one[:len(one)-1])
		add("a message and a byte", append(bytes.Clone(one), 0))
		add("a message and half of one", append(bytes.Clone(one), one[:20]...))
		add("two magics", append(bytes.Clone(one), message(1-magic, nil)...))
		add("empty", []byte{})
		packers := []func([]byte) []byte{1: Gzip, 2: snappyRaw, 3: LZ4}
		for codec := byte(1); codec <= 2; codec++ { // magic 0 had a framing of its own for lz4
			name, pack := [...]string{"", "gzip ", "snappy "}[codec], packers[codec]
			wrap := func(inner ...[]byte) []byte { return wrapper(magic, codec, pack, inner...) }
			add(name+"good", wrap(at(0), at(1)))
			add(name+"of nothing", wrap())
			add(name+"without a value", msg(func(o *old) { o.attributes, o.value = codec, nil }))
			add(name+"of other bytes", msg(func(o *old) { o.attributes = codec }))
			add(name+"of a cut message", wrap(one[:len(one)-1]))
			add(name+"of a message with a wrong checksum", wrap(msg(func(o *old) { o.crc = ptr(uint32(1)) })))
			add(name+"of the other magic", wrap(message(1-magic, nil)))
			add(name+"in itself", wrap(wrap(at(0))))
			add(name+"of offsets that fall", wrap(at(5), at(3)))
			add(name+"of offsets with gaps", wrap(at(0), at(7)))
			add(name+"of offset -1", wrap(at(-1)))
			add(name+"two wrappers", append(wrap(at(0)), wrap(at(0))...))
			add(name+"wrapper and a plain one", append(wrap(at(0)), one...))
		}
	}
	add := func(name string, records []byte) { out = append(out, HostileBatch{Name: name, Records: records}) }
	add("a batch of magic 2", with(func(*spec) {}))
	add("a message and a batch of magic 2", append(message(1, nil), with(func(*spec) {})...))
	for i := range out {
		if code, ok := setCodes[out[i].Name]; ok {
			out[i].Kafka = code
		}
		if strings.HasSuffix(out[i].Name, "size 2^31-1") {
			out[i].Ours, out[i].Why = fine, "Kafka computes an end before the beginning; a message that is not all there is left out, as any other"
		}
	}
	return out
}

// setCodes are what Kafka answers to those it does not take.
var setCodes = map[string]int16{
	"magic 0 checksum":                                  corruptMessage,
	"magic 0 size 0":                                    corruptMessage,
	"magic 0 size -1":                                   corruptMessage,
	"magic 0 size 13":                                   corruptMessage,
	"magic 0 size one short":                            corruptMessage,
	"magic 0 size 2^31-1":                               unknownServerError,
	"magic 0 key past the message":                      unknownServerError,
	"magic 0 key 2^31-1":                                unknownServerError,
	"magic 0 key -2":                                    unknownServerError,
	"magic 0 value past the message":                    unknownServerError,
	"magic 0 codec 4":                                   invalidRecord,
	"magic 0 codec 5":                                   unknownServerError,
	"magic 0 two magics":                                invalidRecord,
	"magic 0 gzip of nothing":                           invalidRecord,
	"magic 0 gzip without a value":                      invalidRecord,
	"magic 0 gzip of other bytes":                       unknownServerError,
	"magic 0 gzip of a cut message":                     invalidRecord,
	"magic 0 gzip of a message with a wrong checksum":   corruptMessage,
	"magic 0 gzip of the other magic":                   invalidRecord,
	"magic 0 gzip in itself":                            invalidRecord,
	"magic 0 gzip two wrappers":                         invalidRecord,
	"magic 0 gzip wrapper and a plain one":              invalidRecord,
	"magic 0 snappy of nothing":                         invalidRecord,
	"magic 0 snappy without a value":                    invalidRecord,
	"magic 0 snappy of other bytes":                     unknownServerError,
	"magic 0 snappy of a cut message":                   invalidRecord,
	"magic 0 snappy of a message with a wrong checksum": corruptMessage,
	"magic 0 snappy of the other magic":                 invalidRecord,
	"magic 0 snappy in itself":                          invalidRecord,
	"magic 0 snappy two wrappers":                       invalidRecord,
	"magic 0 snappy wrapper and a plain one":            invalidRecord,
	"magic 1 checksum":                                  corruptMessage,
	"magic 1 size 0":                                    corruptMessage,
	"magic 1 size -1":                                   corruptMessage,
	"magic 1 size 13":                                   corruptMessage,
	"magic 1 size one short":                            corruptMessage,
	"magic 1 size 2^31-1":                               unknownServerError,
	"magic 1 key past the message":                      unknownServerError,
	"magic 1 key 2^31-1":                                unknownServerError,
	"magic 1 key -2":                                    unknownServerError,
	"magic 1 value past the message":                    unknownServerError,
	"magic 1 codec 4":                                   invalidRecord,
	"magic 1 codec 5":                                   unknownServerError,
	"magic 1 timestamp -2^63":                           unknownServerError,
	"magic 1 two magics":                                invalidRecord,
	"magic 1 gzip of nothing":                           invalidRecord,
	"magic 1 gzip without a value":                      invalidRecord,
	"magic 1 gzip of other bytes":                       unknownServerError,
	"magic 1 gzip of a cut message":                     invalidRecord,
	"magic 1 gzip of a message with a wrong checksum":   corruptMessage,
	"magic 1 gzip of the other magic":                   invalidRecord,
	"magic 1 gzip in itself":                            invalidRecord,
	"magic 1 gzip two wrappers":                         invalidRecord,
	"magic 1 gzip wrapper and a plain one":              invalidRecord,
	"magic 1 snappy of nothing":                         invalidRecord,
	"magic 1 snappy without a value":                    invalidRecord,
	"magic 1 snappy of other bytes":                     unknownServerError,
	"magic 1 snappy of a cut message":                   invalidRecord,
	"magic 1 snappy of a message with a wrong checksum": corruptMessage,
	"magic 1 snappy of the other magic":                 invalidRecord,
	"magic 1 snappy in itself":                          invalidRecord,
	"magic 1 snappy two wrappers":                       invalidRecord,
	"magic 1 snappy wrapper and a plain one":            invalidRecord,
	"a message and a batch of magic 2":                  invalidRecord,
}
