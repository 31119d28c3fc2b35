// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Raw is one connection that sends exactly what a test says, in order.
type Raw struct {
	// ClientID is what the requests say; "raw" by default.
	ClientID string
	// Tamper, when not nil, changes the frames of requests, each without its length.
	Tamper func(frame []byte) []byte
	// Patience is how long an answer is waited for; 0: a minute.
	Patience time.Duration

	conn net.Conn
	in   *bufio.Reader
	out  []byte
	body []byte
	id   int32
}

// Dial connects; the test's cleanup closes.
func Dial(t testing.TB, addr string) *Raw {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &Raw{ClientID: "raw", conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
}

// Call sends a request at its version and waits for the answer.
func (r *Raw) Call(req kmsg.Request) (kmsg.Response, error) {
	if err := r.Send(req); err != nil {
		return nil, err
	}
	return r.Receive(req)
}

// Send writes a request and does not wait.
func (r *Raw) Send(req kmsg.Request) error {
	r.id++
	r.out = kmsg.NewRequestFormatter(kmsg.FormatterClientID(r.ClientID)).AppendRequest(r.out[:0], req, r.id)
	if r.Tamper != nil {
		r.out = append(r.out[:4], r.Tamper(r.out[4:])...)
		binary.BigEndian.PutUint32(r.out, uint32(len(r.out)-4))
	}
	_, err := r.conn.Write(r.out)
	return err
}

// Receive reads the next answer, which must be req's.
func (r *Raw) Receive(req kmsg.Request) (kmsg.Response, error) {
	_ = r.conn.SetReadDeadline(time.Now().Add(cmp.Or(r.Patience, time.Minute)))
	var size [4]byte
	if _, err := io.ReadFull(r.in, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if cap(r.body) < n {
		r.body = make([]byte, n)
	}
	r.body = r.body[:n]
	if _, err := io.ReadFull(r.in, r.body); err != nil {
		return nil, err
	}
	skip := headerSize(req)
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if len(r.body) < skip {
		return nil, fmt.Errorf("an answer of %d bytes", len(r.body))
	}
	return resp, resp.ReadFrom(r.body[skip:])
}

// headerSize is that of an answer's header.
func headerSize(req kmsg.Request) int {
	if req.IsFlexible() && req.Key() != 18 {
		return 5
	}
	return 4
}

// correlation is the correlation id of the reply that was received last.
func (r *Raw) correlation() int32 { return int32(binary.BigEndian.Uint32(r.body)) }

// Batch is one uncompressed v2 record batch with a producer's sequence.
func Batch(producer int64, epoch int16, sequence int32, values ...string) []byte {
	return Compressed(0, func(records []byte) []byte { return records }, producer, epoch, sequence, values...)
}

// Compressed is Batch with its records run through compress, whose codec has
// the number codec in the batch's attributes.
func Compressed(codec uint16, compress func([]byte) []byte, producer int64, epoch int16, sequence int32, values ...string) []byte {
	return batch(time.Now().UnixMilli(), codec, compress, producer, epoch, sequence, values)
}

// BatchAt is a batch without a producer whose records have one timestamp, in ms.
func BatchAt(timestamp int64, values ...string) []byte {
	return batch(timestamp, 0, func(records []byte) []byte { return records }, -1, -1, -1, values)
}

func batch(now int64, codec uint16, compress func([]byte) []byte, producer int64, epoch int16, sequence int32, values []string) []byte {
	var records []byte
	for i, value := range values {
		var r []byte
		r = append(r, 0)                                                    // attributes
		r = binary.AppendVarint(r, 0)                                       // timestamp delta
		r = binary.AppendVarint(r, int64(i))                                // offset delta
		r = binary.AppendVarint(r, -1)                                      // no key
		r = append(binary.AppendVarint(r, int64(len(value))), value...)     // value
		r = binary.AppendVarint(r, 0)                                       // no headers
		records = append(binary.AppendVarint(records, int64(len(r))), r...) // length first
	}
	records = compress(records)
	b := binary.BigEndian.AppendUint16(nil, codec) // attributes: everything from here is under the CRC
	b = binary.BigEndian.AppendUint32(b, uint32(len(values)-1))
	b = binary.BigEndian.AppendUint64(b, uint64(now))
	b = binary.BigEndian.AppendUint64(b, uint64(now))
	b = binary.BigEndian.AppendUint64(b, uint64(producer))
	b = binary.BigEndian.AppendUint16(b, uint16(epoch))
	b = binary.BigEndian.AppendUint32(b, uint32(sequence))
	b = binary.BigEndian.AppendUint32(b, uint32(len(values)))
	b = append(b, records...)
	head := binary.BigEndian.AppendUint64(nil, 0)                    // base offset
	head = binary.BigEndian.AppendUint32(head, uint32(len(b)+4+1+4)) // length: epoch, magic, crc, rest
	head = binary.BigEndian.AppendUint32(head, 0xffffffff)           // leader epoch
	head = append(head, 2)
	head = binary.BigEndian.AppendUint32(head, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return append(head, b...)
}

// ProduceRequest is a Produce v9 of one batch, acks=all.
func ProduceRequest(topic string, partition int32, batch []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 30_000
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition, part.Records = partition, batch
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.ProduceRequestTopicPartition{part}
	req.Topics = []kmsg.ProduceRequestTopic{t}
	return req
}

// FetchRequest is a Fetch v11 of one partition without a session.
func FetchRequest(topic string, partition int32, offset int64, maxBytes int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MinBytes, req.MaxBytes, req.MaxWaitMillis, req.SessionEpoch = 11, 1, maxBytes, 500, -1
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes, part.CurrentLeaderEpoch = partition, offset, maxBytes, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.FetchRequestTopicPartition{part}
	req.Topics = []kmsg.FetchRequestTopic{t}
	return req
}
