// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
)

// No prefix of a good request is itself taken for a good request, except where
// the rest is only what the last structure says of itself.
func TestTruncatedRequestsAreMalformed(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	var p ProduceRequest
	var f FetchRequest
	for version := int16(MinFetch); version <= MaxFetch; version++ {
		body := kmsgFetchRequest(r, version).AppendTo(nil)
		for n := range body {
			if err := f.Decode(version, body[:n]); !errors.Is(err, ErrMalformed) {
				t.Fatalf("Fetch v%d: %d of %d bytes: %v", version, n, len(body), err)
			}
		}
	}
	for version := int16(MinProduce); version <= MaxProduce; version++ {
		body := kmsgProduceRequest(r, version).AppendTo(nil)
		for n := 0; n < len(body); n += 1 + n/100 {
			if err := p.Decode(version, body[:n]); !errors.Is(err, ErrMalformed) {
				t.Fatalf("Produce v%d: %d of %d bytes: %v", version, n, len(body), err)
			}
		}
	}
}

// A compact length can say more than a string may have; Kafka hangs up then.
func TestStringsAreShort(t *testing.T) {
	for _, n := range []int{MaxString, MaxString + 1} {
		b := append(binary.AppendUvarint(nil, uint64(n+1)), make([]byte, n)...)
		for _, read := range []func(*Reader){
			func(r *Reader) { r.String(true) }, func(r *Reader) { r.NullableString(true) },
		} {
			r := NewReader(b)
			if read(&r); (r.Err() == nil) != (n == MaxString) {
				t.Errorf("a string of %d bytes: %v", n, r.Err())
			}
		}
		if r := NewReader(b); len(r.NullableBytes(true)) != n || r.Err() != nil {
			t.Errorf("%d bytes: %v", n, r.Err())
		}
	}
}

// Counts of 2^31-1 and of everything negative are refused before anything is
// allocated for them.
func TestClaimedCountsAllocateNothing(t *testing.T) {
	produce := []byte{0xff, 0xff, 0, 1, 0, 0, 0, 1} // no transactional id, acks, timeout
	fetch := make([]byte, 17)                       // v4: replica, wait, min, max, isolation
	var p ProduceRequest
	var f FetchRequest
	for _, count := range [][]byte{{0x7f, 0xff, 0xff, 0xff}, {0x80, 0, 0, 0}, {0xff, 0xff, 0xff, 0xfe}} {
		pb, fb := append(bytes.Clone(produce), count...), append(bytes.Clone(fetch), count...)
		if n := testing.AllocsPerRun(10, func() {
			if p.Decode(3, pb) == nil || f.Decode(4, fb) == nil {
				t.Fatal("an impossible count was accepted")
			}
		}); n != 0 {
			t.Errorf("count %x allocated %v times", count, n)
		}
	}
	// The same as compact arrays: the largest varint of 32 bits.
	pb := append([]byte{0, 0, 1, 0, 0, 0, 1}, 0xff, 0xff, 0xff, 0xff, 0x0f)
	if err := p.Decode(9, pb); !errors.Is(err, ErrMalformed) {
		t.Errorf("compact count 2^32-1: %v", err)
	}
	if err := p.Decode(9, append(pb[:7:7], 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a varint of six bytes: %v", err)
	}
}

// A request of very many tiny partitions is refused at the limit, so that what
// it becomes in memory stays bounded.
func TestTooManyPartitions(t *testing.T) {
	const n = MaxPartitions + 1
	body := []byte{0, 0, 1, 0, 0, 0, 1, 2, 2, 0x74}
	body = appendUvarint(body, n+1)
	body = append(body, make([]byte, 6*n)...)
	var p ProduceRequest
	if err := p.Decode(9, append(body, 0, 0)); !errors.Is(err, ErrTooManyPartitions) {
		t.Fatalf("%v", err)
	}
	topics := appendUvarint([]byte{0, 0, 1, 0, 0, 0, 1}, n+1)
	for range n {
		topics = append(topics, 1, 1, 0)
	}
	if err := p.Decode(9, append(topics, 0)); !errors.Is(err, ErrTooManyPartitions) {
		t.Fatalf("topics: %v", err)
	}
}

// Steady state: requests are decoded and responses appended without allocating.
func TestHotCodecsDoNotAllocate(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	preq, freq := kmsgProduceRequest(r, 9), kmsgFetchRequest(r, 12)
	for len(preq.Topics) < 2 || len(freq.Topics) < 2 {
		preq, freq = kmsgProduceRequest(r, 9), kmsgFetchRequest(r, 12)
	}
	pb, fb := preq.AppendTo(nil), freq.AppendTo(nil)
	presp, fresp := randomProduceResponse(r), randomFetchResponse(r)
	var p ProduceRequest
	var f FetchRequest
	out := make([]byte, 0, 1<<20)
	if n := testing.AllocsPerRun(100, func() {
		if p.Decode(9, pb) != nil || f.Decode(12, fb) != nil {
			t.Fatal("malformed")
		}
		out = presp.AppendTo(out[:0], 11)
		out = appendFetch(out[:0], 17, fresp)
	}); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}

// Versions outside the range are an error, not a guess.
func TestVersionsOutside(t *testing.T) {
	var p ProduceRequest
	var f FetchRequest
	for _, v := range []int16{-1, MinProduce - 1, MaxProduce + 1} {
		if err := p.Decode(v, nil); !errors.Is(err, ErrUnsupportedVersion) {
			t.Errorf("Produce v%d: %v", v, err)
		}
	}
	for _, v := range []int16{-1, MinFetch - 1, MaxFetch + 1} {
		if err := f.Decode(v, nil); !errors.Is(err, ErrUnsupportedVersion) {
			t.Errorf("Fetch v%d: %v", v, err)
		}
	}
}

func TestErrorCodeNames(t *testing.T) {
	for code, want := range map[ErrorCode]string{None: "NONE", UnknownServerError: "UNKNOWN_SERVER_ERROR", NotLeaderOrFollower: "NOT_LEADER_OR_FOLLOWER",
		KafkaStorageError: "KAFKA_STORAGE_ERROR", 9999: "9999", -7: "-7"} {
		if code.String() != want {
			t.Errorf("%d is %q, want %q", int16(code), code, want)
		}
	}
}
