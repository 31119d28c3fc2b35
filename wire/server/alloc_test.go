// SPDX-License-Identifier: Apache-2.0

//go:build !race

// The race detector allocates, so this is not for it.

package server

import (
	"runtime/metrics"
	"testing"

	"github.com/samsa-broker/samsa/wire/frame"
)

func heapObjects() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// Produce and Fetch allocate nothing in steady state, from the socket to the
// log and back: acks=-1 to three partitions, fetches in a session, with and
// without topic ids.
func TestProduceAndFetchDoNotAllocate(t *testing.T) {
	b := newBroker(t, 1, 3)
	if _, err := b.AutoCreate("hot"); err != nil {
		t.Fatal(err)
	}
	c := newWireClient(t, b)
	records := oneBatch(t, "value")
	preq := frame.ProduceRequest{Acks: -1, TimeoutMs: 10_000, Topics: []frame.ProduceTopic{{Name: []byte("hot"), End: 3}}}
	for i := range int32(3) {
		preq.Parts = append(preq.Parts, frame.ProducePart{Index: i, Records: records})
	}
	var presp frame.ProduceResponse
	var fresp frame.FetchResponse
	freq := frame.FetchRequest{ReplicaID: -1, ReplicaEpoch: -1, MaxWaitMs: 10_000, MinBytes: 1, MaxBytes: 1 << 20, Topics: []frame.FetchTopic{{End: 3}}}
	freq.Topics[0].Name = []byte("hot")
	freq.Topics[0].ID = b.store.Load().Topic("hot").ID
	for i := range int32(3) {
		freq.Parts = append(freq.Parts, frame.FetchPart{Index: i, LeaderEpoch: -1, LastFetchedEpoch: -1, LogStart: -1, MaxBytes: 1 << 20})
	}
	round := func() {
		c.begin(frame.KeyProduce, 9)
		c.out = preq.AppendTo(c.out, 9)
		if err := presp.Decode(9, c.call(5)); err != nil || presp.Parts[2].Code != 0 {
			t.Fatalf("%v: %+v", err, presp.Parts)
		}
		c.begin(frame.KeyFetch, 13)
		c.out = freq.AppendTo(c.out, 13)
		if err := fresp.Decode(13, c.call(5)); err != nil || fresp.Code != 0 || len(fresp.Parts) == 0 {
			t.Fatalf("%v: %+v", err, fresp)
		}
		freq.SessionID = fresp.SessionID
		freq.SessionEpoch++
		for _, p := range fresp.Parts {
			if len(p.Bytes) != 0 && len(p.Bytes)%len(records) != 0 {
				t.Fatalf("%d bytes", len(p.Bytes))
			}
			freq.Parts[p.Index].Offset += int64(len(p.Bytes) / len(records))
		}
	}
	for range 300 {
		round()
	}
	// What a request allocates it allocates in every window; a checkpoint of the
	// directory, which is due once in a while, falls into one.
	const windows, rounds = 5, 300
	best := 1e9
	for range windows {
		before := heapObjects()
		for range rounds {
			round()
		}
		best = min(best, float64(heapObjects()-before)/(2*rounds))
	}
	t.Logf("%.4f allocations per request", best)
	if best > 0.01 {
		t.Errorf("%.4f allocations per request, at most 0.01", best)
	}
	for i, p := range freq.Parts {
		if p.Offset != 300+windows*rounds {
			t.Errorf("partition %d was read to %d, want %d", i, p.Offset, 300+windows*rounds)
		}
	}
}
