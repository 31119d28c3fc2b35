// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/binary"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/controller/meta"
	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/wire/frame"
)

// makeBatch builds a batch with a header of the test's choice.
func makeBatch(t *testing.T, h batch.Header, values ...string) []byte {
	t.Helper()
	var b batch.Builder
	b.Reset(h)
	for _, v := range values {
		b.Append(time.Now().UnixMilli(), []byte("key"), []byte(v))
	}
	out, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(out)
}

var plain = batch.PlainHeader()

// producerHeader is the header of an idempotent producer's batch.
func producerHeader(id int64, sequence int32) batch.Header {
	h := batch.PlainHeader()
	h.ProducerID, h.ProducerEpoch, h.BaseSequence = id, 0, sequence
	return h
}

// produceOne sends one partition's records and returns its result.
func (c *wireClient) produceOne(version int16, q frame.ProduceRequest, topic string, records []byte) frame.ProduceResult {
	c.t.Helper()
	q.TimeoutMs = 5000
	q.Topics = []frame.ProduceTopic{{Name: []byte(topic), End: 1}}
	q.Parts = []frame.ProducePart{{Records: records}}
	c.begin(frame.KeyProduce, version)
	c.out = q.AppendTo(c.out, version)
	header := 4
	if version >= 9 {
		header = 5
	}
	var resp frame.ProduceResponse
	if err := resp.Decode(version, c.call(header)); err != nil {
		c.t.Fatal(err)
	}
	if len(resp.Parts) != 1 || string(resp.Topics[0].Name) != topic {
		c.t.Fatalf("%+v", resp)
	}
	return resp.Parts[0]
}

// What a Produce may not hold is refused with Kafka's code, partition by
// partition, and the connection goes on.
func TestProduceRefusals(t *testing.T) {
	b := newBroker(t, 1, 1)
	if _, err := b.AutoCreate("t"); err != nil {
		t.Fatal(err)
	}
	c := newWireClient(t, b)
	good := makeBatch(t, plain, "v")
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	old := bytes.Clone(good)
	old[16] = 1
	inTxn := producerHeader(7, 0)
	inTxn.Transactional = true
	transactional := makeBatch(t, inTxn, "v")
	zstd := batch.PlainHeader()
	zstd.Codec = batch.CodecZstd
	big := makeBatch(t, plain, string(make([]byte, 2<<20)))
	cut := bytes.Clone(good)
	binary.BigEndian.PutUint32(cut[8:], uint32(len(good)))
	for _, tc := range []struct {
		name    string
		version int16
		req     frame.ProduceRequest
		topic   string
		records []byte
		want    frame.ErrorCode
	}{
		{"good", 3, frame.ProduceRequest{Acks: -1}, "t", good, frame.None},
		{"good, newest version", 11, frame.ProduceRequest{Acks: 1}, "t", good, frame.None},
		{"a batch of v2 in v0", 0, frame.ProduceRequest{Acks: 1}, "t", good, frame.None},
		{"a batch of v2 in v2", 2, frame.ProduceRequest{Acks: 1}, "t", good, frame.None},
		{"acks 2", 9, frame.ProduceRequest{Acks: 2}, "t", good, frame.InvalidRequiredAcks},
		{"acks -2", 9, frame.ProduceRequest{Acks: -2}, "t", good, frame.InvalidRequiredAcks},
		{"transactional id", 9, frame.ProduceRequest{Acks: -1, TransactionalID: []byte("x")}, "t", good, frame.None},
		{"transactional batch", 9, frame.ProduceRequest{Acks: -1, TransactionalID: []byte("x")}, "t", transactional, frame.InvalidTxnState},
		{"transactional batch of nobody", 9, frame.ProduceRequest{Acks: -1}, "t", transactional, frame.TransactionalIDAuthorizationFailed},
		{"bytes behind it", 9, frame.ProduceRequest{Acks: -1}, "t", append(bytes.Clone(good), 1, 2, 3), frame.None},
		{"unknown topic", 9, frame.ProduceRequest{Acks: -1}, "nope", good, frame.UnknownTopicOrPartition},
		{"internal topic", 9, frame.ProduceRequest{Acks: -1}, "__consumer_offsets", good, frame.InvalidTopicException},
		{"null records", 9, frame.ProduceRequest{Acks: -1}, "t", nil, frame.InvalidRecord},
		{"no records", 9, frame.ProduceRequest{Acks: -1}, "t", []byte{}, frame.InvalidRecord},
		{"two batches", 9, frame.ProduceRequest{Acks: -1}, "t", append(bytes.Clone(good), good...), frame.InvalidRecord},
		{"old magic", 9, frame.ProduceRequest{Acks: -1}, "t", old, frame.InvalidRecord},
		{"damaged", 9, frame.ProduceRequest{Acks: -1}, "t", bad, frame.CorruptMessage},
		{"longer than it is", 9, frame.ProduceRequest{Acks: -1}, "t", cut, frame.InvalidRecord},
		{"too large", 9, frame.ProduceRequest{Acks: -1}, "t", big, frame.MessageTooLarge},
		{"zstd too early", 6, frame.ProduceRequest{Acks: -1}, "t", makeBatch(t, zstd, "v"), frame.UnsupportedCompressionType},
	} {
		p := c.produceOne(tc.version, tc.req, tc.topic, bytes.Clone(tc.records))
		if tc.records == nil {
			p = c.produceOne(tc.version, tc.req, tc.topic, nil)
		}
		if p.Code != tc.want || (p.Code == 0) != (p.Base >= 0) {
			t.Errorf("%s: %v at %d, want %v", tc.name, p.Code, p.Base, tc.want)
		}
		if p.Message != "" { // Kafka has words for single records only
			t.Errorf("%s: said %q", tc.name, p.Message)
		}
	}
}

// A record that breaks a rule of the topic is named (v8+), and so is a gap in
// a producer's sequence.
func TestRecordErrors(t *testing.T) {
	b := newBroker(t, 1, 1)
	b.config.AfterMaxMs = 3600_000
	if _, err := b.AutoCreate("t"); err != nil {
		t.Fatal(err)
	}
	c := newWireClient(t, b)
	var late batch.Builder
	late.Reset(plain)
	late.Append(time.Now().UnixMilli(), nil, []byte("a"))
	late.Append(time.Now().Add(48*time.Hour).UnixMilli(), nil, []byte("b"))
	records, err := late.Finish()
	if err != nil {
		t.Fatal(err)
	}
	p := c.produceOne(8, frame.ProduceRequest{Acks: -1}, "t", bytes.Clone(records))
	if p.Code != frame.InvalidTimestamp || len(p.RecordErrors) != 1 || p.RecordErrors[0].Index != 1 || p.RecordErrors[0].Message == "" {
		t.Errorf("%+v", p)
	}
	idempotent := makeBatch(t, producerHeader(9, 0), "a", "b")
	if p := c.produceOne(9, frame.ProduceRequest{Acks: -1}, "t", idempotent); p.Code != 0 || p.Base != 0 {
		t.Errorf("the first: %+v", p)
	}
	gap := makeBatch(t, producerHeader(9, 7), "c")
	if p := c.produceOne(9, frame.ProduceRequest{Acks: -1}, "t", gap); p.Code != frame.OutOfOrderSequenceNumber {
		t.Errorf("a gap: %+v", p)
	}
}

// Log append time, recompression and a large compressed batch, which is opened
// on the pool.
func TestRewrittenBatches(t *testing.T) {
	b := newBroker(t, 1, 1)
	b.config.MessageTimestampType = 1
	b.config.Compression.Producer, b.config.Compression.Codec = false, batch.CodecLZ4
	if _, err := b.AutoCreate("t"); err != nil {
		t.Fatal(err)
	}
	c := newWireClient(t, b)
	random := make([]byte, 100<<10)
	for i := range random {
		random[i] = byte(i * i >> 3)
	}
	for _, codec := range []batch.Codec{batch.CodecNone, batch.CodecGzip, batch.CodecZstd, batch.CodecLZ4} {
		h := plain
		h.Codec = codec
		for _, value := range []string{"small", string(random)} {
			p := c.produceOne(9, frame.ProduceRequest{Acks: -1}, "t", makeBatch(t, h, value))
			if p.Code != 0 || p.AppendTimeMs <= 0 {
				t.Fatalf("codec %v, %d bytes: %+v", codec, len(value), p)
			}
		}
	}
	_, parts := c.fetch(11, frame.FetchRequest{MaxBytes: 10 << 20, SessionEpoch: -1}, "t", 0)
	n := 0
	for rest := parts[0].Bytes; len(rest) > 0; n++ {
		var one batch.Batch
		var err error
		if one, rest, err = batch.Next(rest); err != nil || one.Verify() != nil || one.Codec() != batch.CodecLZ4 || !one.LogAppendTime() {
			t.Fatalf("batch %d: %v, codec %v", n, err, one.Codec())
		}
	}
	if n != 8 {
		t.Errorf("%d batches", n)
	}
}

// acks=0 is silent when it works and closes the connection when it does not.
func TestAcksZero(t *testing.T) {
	b := newBroker(t, 1, 1)
	if _, err := b.AutoCreate("t"); err != nil {
		t.Fatal(err)
	}
	c := newWireClient(t, b)
	send := func(topic string) {
		q := frame.ProduceRequest{Topics: []frame.ProduceTopic{{Name: []byte(topic), End: 1}}, Parts: []frame.ProducePart{{Records: makeBatch(t, plain, "v")}}}
		c.begin(frame.KeyProduce, 9)
		c.out = q.AppendTo(c.out, 9)
		binary.BigEndian.PutUint32(c.out, uint32(len(c.out)-4))
		c.send(c.out)
	}
	for range 20 {
		send("t")
	}
	if p := c.produceOne(9, frame.ProduceRequest{Acks: -1}, "t", makeBatch(t, plain, "v")); p.Base != 20 {
		t.Errorf("behind twenty silent ones: %+v", p)
	}
	send("nope")
	c.expectClosed()
}

// A Produce that waits for a replica that never answers, for as long as its
// client liked, ends with its connection: several of one connection, and the
// connection leaves nothing behind.
func TestProduceEndsWithItsConnection(t *testing.T) {
	b := newBroker(t, 1, 1)
	b.isr = []meta.BrokerID{1, 2} // and 2 does not fetch
	if _, err := b.AutoCreate("short"); err != nil {
		t.Fatal(err)
	}
	c := newWireClient(t, b)
	records := makeBatch(t, plain, "v")
	for range 3 {
		c.begin(frame.KeyProduce, 9)
		req := frame.ProduceRequest{Acks: -1, TimeoutMs: 1<<31 - 1, Topics: []frame.ProduceTopic{{Name: []byte("short"), End: 1}}, Parts: []frame.ProducePart{{Records: records}}}
		c.out = req.AppendTo(c.out, 9)
		binary.BigEndian.PutUint32(c.out, uint32(len(c.out)-4))
		c.send(c.out)
	}
	waits := func(n int) func() bool {
		return func() bool {
			running := make(chan int)
			l := b.server.lanes[0]
			l.loop.Post(task(func() {
				all := 0
				for c := l.conns.head; c != nil; c = c.next {
					for k := c.head; k != nil; k = k.next {
						if k.placed && k.abort != nil {
							all++
						}
					}
				}
				running <- all
			}))
			return <-running == n
		}
	}
	eventually(t, "all three wait", waits(3))
	_ = c.conn.(*net.TCPConn).SetLinger(0)
	_ = c.conn.Close()
	eventually(t, "nothing is left", func() bool { return b.server.Connections() == 0 })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
