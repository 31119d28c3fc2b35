// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// OldTopics and OldFetches are what the directories in testdata/logs/old hold,
// and the versions of Fetch their records were read with.
var (
	OldTopics  = []string{"java", "stamped", "compacted"}
	OldFetches = []int16{1, 2, 4, 11}
)

// OldIndexBytes is log.index.size.max.bytes there: a broker that is killed leaves
// its active indexes preallocated.
const OldIndexBytes = "4096"

// ReadThrough reads partition 0 of a topic in one version of Fetch as its
// consumers would, on from the last record that came: old answers end before
// the log's bytes do. It gives a line for each record, with the shape of the
// batch it came in, and one for how it ended.
func ReadThrough(r *Raw, topic string, version int16) (list []string) {
	next, opening := int64(0), 0
	for {
		req := FetchRequest(topic, 0, next, 1<<20)
		req.Version, req.MaxWaitMillis = version, 0
		if opening > 0 {
			req.MaxWaitMillis = 100
		}
		resp, err := r.Call(req)
		if err != nil {
			return append(list, err.Error())
		}
		part := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if part.ErrorCode != 0 {
			return append(list, fmt.Sprint("code ", part.ErrorCode))
		}
		records, err := deepRecords(part.RecordBatches)
		if err != nil {
			return append(list, err.Error())
		}
		if part.HighWatermark < 0 && opening < 100 { // the log is still being opened
			opening++
			continue
		}
		before := next
		for _, rec := range records {
			if rec.offset >= next {
				list, next = append(list, rec.text), rec.offset+1
			}
		}
		if next == before {
			return append(list, fmt.Sprint("high ", part.HighWatermark))
		}
	}
}

// deepRecord is a record in words.
type deepRecord struct {
	offset int64
	text   string
}

// deepRecords walks an answer of any format, checksums verified; a message cut
// short ends it, as it does for consumers. Append times are each broker's own.
func deepRecords(b []byte) (records []deepRecord, err error) {
	for len(b) > 17 {
		size := 12 + int(binary.BigEndian.Uint32(b[8:]))
		if size > len(b) {
			return records, nil
		}
		if b[16] == 2 {
			records, err = deepBatch(records, b[:size:size])
		} else {
			records, err = deepMessage(records, b[:size:size])
		}
		if err != nil {
			return records, err
		}
		b = b[size:]
	}
	return records, nil
}

// stamp hides when a broker stamped records.
func stamp(stamped bool, ms int64) int64 {
	if stamped {
		return min(ms, 1)
	}
	return ms
}

// deepBatch walks a batch of magic 2.
func deepBatch(records []deepRecord, b []byte) ([]deepRecord, error) {
	var v kmsg.RecordBatch
	if err := v.ReadFrom(b); err != nil {
		return records, err
	}
	if sum := crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)); sum != uint32(v.CRC) {
		return records, fmt.Errorf("checksum %08x, computed %08x", uint32(v.CRC), sum)
	}
	plain, err := Unpack(int8(v.Attributes&7), v.Records)
	if err != nil {
		return records, err
	}
	stamped := v.Attributes&8 != 0
	shape := fmt.Sprintf("magic 2 attributes %x base %d count %d delta %d", v.Attributes, v.FirstOffset, v.NumRecords, v.LastOffsetDelta)
	for range v.NumRecords {
		length, n := binary.Varint(plain)
		if n <= 0 || int(length) > len(plain)-n {
			return records, errors.New("a record does not fit")
		}
		var r kmsg.Record
		if err := r.ReadFrom(plain[:n+int(length)]); err != nil {
			return records, err
		}
		plain = plain[n+int(length):]
		ms := v.FirstTimestamp + r.TimestampDelta64
		if stamped {
			ms = v.MaxTimestamp
		}
		offset := v.FirstOffset + int64(r.OffsetDelta)
		records = append(records, deepRecord{offset, words(offset, stamp(stamped, ms), r.Key, r.Value, len(r.Headers), shape)})
	}
	return records, nil
}

func words(offset, ms int64, key, value []byte, headers int, shape string) string {
	return fmt.Sprintf("%d@%d key %q %v value %q %v, %d headers, %s", offset, ms, key, key == nil, value, value == nil, headers, shape)
}

// oldMessage is a message of magic 0 or 1.
type oldMessage struct {
	offset, ms int64
	attributes byte
	key, value []byte
}

// readOld reads the message that b is.
func readOld(b []byte) (m oldMessage, err error) {
	if sum := crc32.ChecksumIEEE(b[16:]); sum != binary.BigEndian.Uint32(b[12:]) {
		return m, fmt.Errorf("checksum of the message at %d", int64(binary.BigEndian.Uint64(b)))
	}
	if b[16] == 0 {
		var v kmsg.MessageV0
		err = v.ReadFrom(b)
		return oldMessage{v.Offset, -1, byte(v.Attributes), v.Key, v.Value}, err
	}
	var v kmsg.MessageV1
	err = v.ReadFrom(b)
	return oldMessage{v.Offset, v.Timestamp, byte(v.Attributes), v.Key, v.Value}, err
}

// deepMessage walks a message of magic 0 or 1, or those that it wraps.
func deepMessage(records []deepRecord, b []byte) ([]deepRecord, error) {
	m, err := readOld(b)
	if err != nil {
		return records, err
	}
	stamped := b[16] == 1 && m.attributes&8 != 0
	shape := fmt.Sprintf("magic %d attributes %x at %d", b[16], m.attributes, m.offset)
	if !stamped {
		shape += fmt.Sprint(" time ", m.ms)
	}
	codec := int8(m.attributes & 7)
	if codec == 0 {
		return append(records, deepRecord{m.offset, words(m.offset, stamp(stamped, m.ms), m.key, m.value, 0, shape)}), nil
	}
	if codec == 3 {
		shape += fmt.Sprintf(" frame % x", m.value[:7])
		if b[16] == 0 && m.value[4] == 0x60 && m.value[5] == 0x40 { // the checksum that clients of magic 0 expect; readers of today want the true one
			m.value[6] = 0x82
		}
	}
	plain, err := Unpack(codec, m.value)
	if err != nil {
		return records, err
	}
	var inside []oldMessage
	for len(plain) >= 12 {
		size := 12 + int(binary.BigEndian.Uint32(plain[8:]))
		if size > len(plain) {
			return records, errors.New("a message inside does not fit")
		}
		one, err := readOld(plain[:size])
		if err != nil {
			return records, err
		}
		inside, plain = append(inside, one), plain[size:]
	}
	base := int64(0)
	if n := len(inside); b[16] == 1 && m.offset > 0 && n > 0 {
		base = m.offset - inside[n-1].offset
	}
	for _, one := range inside {
		if stamped {
			one.ms = m.ms
		}
		offset := base + one.offset
		records = append(records, deepRecord{offset, words(offset, stamp(stamped, one.ms), one.key, one.value, 0, shape)})
	}
	return records, nil
}

// Pack compresses with the codec of that number in Kafka's attributes.
func Pack(codec int8, src []byte) []byte {
	if codec == 0 {
		return src
	}
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	c, err := kgo.DefaultCompressor(codecs[codec])
	if err != nil {
		panic(err)
	}
	var buf bytes.Buffer
	out, got := c.Compress(&buf, src)
	if int8(got) != codec {
		panic(fmt.Sprintf("codec %d made codec %d", codec, got))
	}
	return bytes.Clone(out)
}

// Unpack undoes Pack.
func Unpack(codec int8, src []byte) ([]byte, error) {
	return kgo.DefaultDecompressor().Decompress(src, kgo.CompressionCodecType(codec))
}
