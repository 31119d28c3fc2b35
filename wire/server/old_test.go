// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/samsa-broker/samsa/engine/batch"
	"github.com/samsa-broker/samsa/wire/frame"
)

// oldSet makes a message set of magic 0 or 1 of values with one timestamp.
func oldSet(t *testing.T, magic int8, codec batch.Codec, ms int64, values ...string) []byte {
	t.Helper()
	h := batch.PlainHeader()
	h.Codec = codec
	var b batch.Builder
	b.Reset(h)
	for _, v := range values {
		b.Append(ms, []byte("key"), []byte(v))
	}
	v2, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	set, err := batch.Down(nil, v2, magic, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// values reads what a fetch gave, of any magic; a piece at the end is left out.
func values(t *testing.T, b []byte) (list []string) {
	t.Helper()
	add := func(r *batch.Record) error {
		list = append(list, fmt.Sprintf("%d@%d %s=%s", r.Offset, r.Timestamp, r.Key, r.Value))
		return nil
	}
	for {
		size, magic, err := batch.Peek(b)
		if err != nil || size > len(b) {
			return list
		}
		if magic == 2 {
			err = batch.Walk(batch.Batch(b[:size]), nil, add)
		} else if err = batch.Legacy(b[:size]).Verify(); err == nil {
			err = batch.WalkLegacy(batch.Legacy(b[:size]), nil, add)
		}
		if err != nil {
			t.Fatal(err)
		}
		b = b[size:]
	}
}

// What a client of Produce v0 to v2 sends in any codec, clients of every Fetch
// read: with its timestamps where both formats have them, at the same offsets.
func TestOldFormatsThroughTheBroker(t *testing.T) {
	for _, loops := range []int{1, 3} {
		b := newBroker(t, loops, 1)
		for version := int16(0); version <= 2; version++ {
			magic, ms := int8(version/2), int64(-1)
			if magic == 1 {
				ms = 1_500_000_000_000
			}
			for codec := batch.CodecNone; codec <= batch.CodecLZ4; codec++ {
				topic := fmt.Sprintf("v%d-%s", version, codec)
				if _, err := b.AutoCreate(topic); err != nil {
					t.Fatal(err)
				}
				c := newWireClient(t, b)
				for round := range 2 {
					got := c.produceOne(version, frame.ProduceRequest{Acks: -1}, topic, oldSet(t, magic, codec, ms, "one", "two", "three"))
					if got.Code != 0 || got.Base != int64(3*round) || got.AppendTimeMs != -1 {
						t.Fatalf("%s: %+v", topic, got)
					}
				}
				var want []string
				for i := range 6 {
					want = append(want, fmt.Sprintf("%d@%d key=%s", i, ms, []string{"one", "two", "three"}[i%3]))
				}
				for fetch := int16(0); fetch <= 11; fetch++ {
					var list []string
					var parts []frame.FetchedPart
					for at := 0; at < 6; { // an old answer may end before the log does
						_, parts = c.fetch(fetch, frame.FetchRequest{MaxBytes: 1 << 20, MinBytes: 1, SessionEpoch: -1}, topic, int64(at))
						more := values(t, parts[0].Bytes)
						for len(more) > 0 && !strings.HasPrefix(more[0], fmt.Sprint(at, "@")) {
							more = more[1:] // a wrapper is given whole
						}
						if at += len(more); len(more) == 0 {
							break
						}
						list = append(list, more...)
					}
					for i := range list {
						if fetch < 2 && ms >= 0 {
							list[i] = fmt.Sprintf("%d@%d key=%s", i, ms, []string{"one", "two", "three"}[i%3])
						}
					}
					if parts[0].Code != 0 || parts[0].HighWatermark != 6 || fmt.Sprint(list) != fmt.Sprint(want) {
						t.Errorf("%s, Fetch v%d: %v %v\nwant %v", topic, fetch, parts[0].Code, list, want)
					}
					if fetch < 4 && parts[0].Bytes[16] != byte(oldest(fetch)) {
						t.Errorf("%s, Fetch v%d gives magic %d", topic, fetch, parts[0].Bytes[16])
					}
				}
			}
		}
	}
}

func oldest(version int16) int8 { return int8(version / 2) }

// Sets that hold nothing whole are acknowledged and leave nothing; what is wrong
// has Kafka's code; the topic's own settings rule over the conversion.
func TestOldProduceAnswers(t *testing.T) {
	b := newBroker(t, 1, 2)
	b.config.MaxMessageBytes = 100_000
	if _, err := b.AutoCreate("t"); err != nil {
		t.Fatal(err)
	}
	c := newWireClient(t, b)
	good := oldSet(t, 1, batch.CodecNone, 5, "v")
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	short := bytes.Clone(good)
	short[11] = 3
	unreadable := bytes.Clone(good)
	binary.BigEndian.PutUint32(unreadable[26:], 1000)
	binary.BigEndian.PutUint32(unreadable[12:], crc32.ChecksumIEEE(unreadable[16:]))
	v2 := makeBatch(t, plain, "v")
	inTxn := producerHeader(7, 0)
	inTxn.Transactional = true
	noise := make([]byte, 99_960) // just fits as a message of magic 0, and not as a batch
	for _, tc := range []struct {
		name    string
		records []byte
		want    frame.ErrorCode
		base    int64
	}{
		{"good", good, 0, 0},
		{"nothing", []byte{}, 0, -1},
		{"a piece", good[:30], 0, -1},
		{"and a piece", append(bytes.Clone(good), good[:30]...), 0, 1},
		{"null", nil, frame.UnknownServerError, -1},
		{"a batch of v2", v2, 0, 2},
		{"two batches of v2", append(bytes.Clone(v2), v2...), frame.InvalidRecord, -1},
		{"mixed", append(bytes.Clone(good), v2...), frame.InvalidRecord, -1},
		{"transactional", makeBatch(t, inTxn, "v"), frame.TransactionalIDAuthorizationFailed, -1},
		{"checksum", flipped, frame.CorruptMessage, -1},
		{"length", short, frame.CorruptMessage, -1},
		{"unreadable", unreadable, frame.UnknownServerError, -1},
		{"too large", oldSet(t, 0, batch.CodecNone, -1, string(make([]byte, 100_000))), frame.MessageTooLarge, -1},
		{"too large once converted", oldSet(t, 0, batch.CodecNone, -1, string(noise)), frame.MessageTooLarge, -1},
	} {
		p := c.produceOne(1, frame.ProduceRequest{Acks: -1}, "t", tc.records)
		if p.Code != tc.want || p.Base != tc.base {
			t.Errorf("%s: %v at %d, want %v at %d", tc.name, p.Code, p.Base, tc.want, tc.base)
		}
	}
	q := frame.ProduceRequest{Acks: 1, TimeoutMs: 5000, Topics: []frame.ProduceTopic{{Name: []byte("t"), End: 2}}, Parts: []frame.ProducePart{{Index: 0, Records: good}, {Index: 1, Records: short}}}
	c.begin(frame.KeyProduce, 2)
	c.out = q.AppendTo(c.out, 2)
	var resp frame.ProduceResponse
	if err := resp.Decode(2, c.call(4)); err != nil || resp.Parts[0].Code != frame.CorruptMessage || resp.Parts[1].Code != frame.CorruptMessage {
		t.Errorf("an impossible length fails the whole request: %v %+v", err, resp.Parts)
	}
	stamped := *b.config
	stamped.MessageTimestampType, stamped.Compression.Producer, stamped.Compression.Codec = 1, false, batch.CodecZstd
	b.config = &stamped
	if _, err := b.AutoCreate("stamped"); err != nil {
		t.Fatal(err)
	}
	before := time.Now().UnixMilli()
	if p := c.produceOne(2, frame.ProduceRequest{Acks: 1}, "stamped", good); p.Code != 0 || p.AppendTimeMs < before {
		t.Errorf("log append time: %+v", p)
	}
	_, parts := c.fetch(11, frame.FetchRequest{MaxBytes: 1 << 20, MinBytes: 1, SessionEpoch: -1}, "stamped", 0)
	if v := batch.Batch(parts[0].Bytes); v.Codec() != batch.CodecZstd || !v.LogAppendTime() || v.MaxTimestamp() < before || v.BaseTimestamp() != 5 {
		t.Errorf("the topic wants zstd and append time: % x", parts[0].Bytes)
	}
}

// A set that decompresses to far more than sets usually do is converted all
// the same, beside others, and nothing of the memory stays reserved.
func TestOldBombs(t *testing.T) {
	b := newBroker(t, 1, 1)
	b.config.MaxMessageBytes = 64 << 20
	if _, err := b.AutoCreate("t"); err != nil {
		t.Fatal(err)
	}
	set := oldSet(t, 1, batch.CodecGzip, 5, string(make([]byte, 30<<20)))
	done := make(chan frame.ProduceResult)
	for range 4 {
		go func() {
			c := newWireClient(t, b)
			for range 2 {
				done <- c.produceOne(2, frame.ProduceRequest{Acks: 1}, "t", set)
			}
		}()
	}
	for range 8 {
		if p := <-done; p.Code != 0 {
			t.Errorf("%+v", p)
		}
	}
	c := newWireClient(t, b)
	c.in = make([]byte, 64<<20)
	_, parts := c.fetch(1, frame.FetchRequest{MinBytes: 1}, "t", 0)
	if list := values(t, parts[0].Bytes); len(list) == 0 {
		t.Errorf("nothing came of %d bytes", len(parts[0].Bytes))
	}
}

// An old answer is as long as the log's bytes, or the first batch converted; it
// is filled up, keeps to the limits of its version, and leaves zstd out.
func TestOldFetchAnswers(t *testing.T) {
	b := newBroker(t, 1, 1)
	for _, topic := range []string{"t", "zstd", "off"} {
		if topic == "off" {
			config := *b.config
			config.NoDownConversion = true
			b.config = &config
		}
		if _, err := b.AutoCreate(topic); err != nil {
			t.Fatal(err)
		}
	}
	c := newWireClient(t, b)
	random := rand.New(rand.NewPCG(1, 2))
	var wrote []string
	for i := range 60 { // in all more than a piece of an answer
		h := batch.PlainHeader()
		h.Codec = batch.Codec(i % 4)
		value := make([]byte, random.IntN(20_000))
		for k := range value {
			value[k] = byte(random.Uint32())
		}
		wrote = append(wrote, string(value), "small")
		if p := c.produceOne(9, frame.ProduceRequest{Acks: 1}, "t", makeBatch(t, h, string(value), "small")); p.Code != 0 {
			t.Fatal(p.Code)
		}
	}
	var got []string
	for at := int64(0); at < int64(len(wrote)); {
		version := int16(at % 4)
		_, parts := c.fetch(version, frame.FetchRequest{MaxBytes: 1 << 20, MinBytes: 1}, "t", at)
		if parts[0].Code != 0 {
			t.Fatal(parts[0].Code)
		}
		first := at
		for rest := parts[0].Bytes; ; {
			size, _, err := batch.Peek(rest)
			if err != nil || size > len(rest) {
				break
			}
			if err := batch.WalkLegacy(batch.Legacy(rest[:size]), nil, func(r *batch.Record) error {
				if r.Offset == at {
					got, at = append(got, string(r.Value)), at+1
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			rest = rest[size:]
		}
		if at == first {
			t.Fatalf("at %d nothing came in %d bytes", at, len(parts[0].Bytes))
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(wrote) {
		t.Error("other values came than were written")
	}
	limited := func(version int16, max int32) frame.FetchedPart {
		q := frame.FetchRequest{ReplicaID: -1, MaxBytes: 1 << 20, MinBytes: 1, Topics: []frame.FetchTopic{{Name: []byte("t"), End: 1}}}
		q.Parts = []frame.FetchPart{{MaxBytes: max, Offset: 8, LeaderEpoch: -1, LastFetchedEpoch: -1, LogStart: -1}}
		_, parts := c.fetchRaw(version, q)
		return parts[0]
	}
	for version := int16(0); version <= 3; version++ {
		if p := limited(version, 50); p.Code != 0 || (version < 3) != (len(p.Bytes) == 0) {
			t.Errorf("v%d with room for a piece: %v, %d bytes", version, p.Code, len(p.Bytes))
		}
	}
	zstd := batch.PlainHeader()
	zstd.Codec = batch.CodecZstd
	c.produceOne(9, frame.ProduceRequest{Acks: 1}, "zstd", makeBatch(t, plain, "readable"))
	c.produceOne(9, frame.ProduceRequest{Acks: 1}, "zstd", makeBatch(t, zstd, "not"))
	q := frame.FetchRequest{MaxBytes: 1 << 20, MinBytes: 1}
	if _, parts := c.fetch(3, q, "zstd", 0); parts[0].Code != 0 || len(values(t, parts[0].Bytes)) != 1 {
		t.Errorf("before zstd: %+v", parts[0])
	}
	if _, parts := c.fetch(3, q, "zstd", 1); parts[0].Code != frame.UnsupportedCompressionType || parts[0].HighWatermark != -1 || len(parts[0].Bytes) != 0 {
		t.Errorf("at zstd: %+v", parts[0])
	}
	c.produceOne(9, frame.ProduceRequest{Acks: 1}, "off", makeBatch(t, plain, "v"))
	for version := int16(0); version <= 4; version++ {
		_, parts := c.fetch(version, q, "off", 0)
		if want := map[bool]frame.ErrorCode{true: frame.UnsupportedVersion}[version < 4]; parts[0].Code != want {
			t.Errorf("message.downconversion.enable=false, v%d: %v", version, parts[0].Code)
		}
	}
}
