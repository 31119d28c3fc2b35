// SPDX-License-Identifier: Apache-2.0

//go:build linux

package load

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Shape says what the batches of a workload look like.
type Shape struct {
	Records     int // in a batch
	RecordBytes int // of a record's value
	Codec       Codec
}

// Codec compresses the records of a batch; its values are those of a batch's
// attributes.
type Codec int16

// The codecs of workloads. With one, three quarters of a value repeat, so that
// it shrinks to about a quarter.
const (
	None Codec = 0
	LZ4  Codec = 3
	Zstd Codec = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch builds one batch of format v2 whose values are noise, and whose records all carry the time now (ms): old ones would be deleted, future
// ones refused.
func (s Shape) batch(rng *rand.Rand, now int64) []byte {
	var records []byte
	value := make([]byte, s.RecordBytes)
	for i := range s.Records {
		for j := range value {
			if s.Codec == None || j < len(value)/4 {
				value[j] = byte(rng.Uint32())
			}
		}
		body := []byte{0} // attributes
		body = binary.AppendVarint(body, 0)
		body = binary.AppendVarint(body, int64(i))
		body = binary.AppendVarint(body, -1) // no key
		body = binary.AppendVarint(body, int64(len(value)))
		body = append(body, value...)
		body = binary.AppendVarint(body, 0) // no headers
		records = binary.AppendVarint(records, int64(len(body)))
		records = append(records, body...)
	}
	records = s.Codec.compress(records)
	b := kmsg.RecordBatch{
		Attributes:           int16(s.Codec),
		PartitionLeaderEpoch: -1, Magic: 2, LastOffsetDelta: int32(s.Records - 1), FirstTimestamp: now, MaxTimestamp: now,
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: int32(s.Records), Records: records,
	}
	b.Length = int32(49 + len(records))
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[17:], crc32.Checksum(out[21:], castagnoli))
	return out
}

func (c Codec) compress(b []byte) []byte {
	switch c {
	case LZ4:
		var out bytes.Buffer
		w := lz4.NewWriter(&out)
		_, err := w.Write(b)
		if err = errors.Join(err, w.Close()); err != nil {
			panic("BUG: load: lz4 into memory: " + err.Error())
		}
		return out.Bytes()
	case Zstd:
		w, err := zstd.NewWriter(nil)
		if err != nil {
			panic("BUG: load: zstd without options: " + err.Error())
		}
		return w.EncodeAll(b, nil)
	}
	return b
}

// BatchBytes is the size of a batch of this shape, which without a codec is the
// same for all.
func (s Shape) BatchBytes() int { return len(s.batch(rand.New(rand.NewPCG(1, 1)), 0)) }

// produceRequest is a whole request frame with one batch for one partition.
func produceRequest(topic string, partition int32, acks int16, batch []byte) []byte {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, acks, 30_000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.ProduceRequestTopicPartition{p}
	req.Topics = []kmsg.ProduceRequestTopic{t}
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench")).AppendRequest(nil, req, 1)
}
