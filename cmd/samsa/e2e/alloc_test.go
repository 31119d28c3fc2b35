// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const heapObjects = "/gc/heap/allocs:objects"

// Over many Produce and Fetch requests the whole process allocates at most 0.01
// objects each: 8 connections, 6 partitions, idempotent acks=all, uncompressed.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	if raceEnabled {
		return // the detector allocates; the bound is for the binary that ships
	}
	backends := []string{"uring", "epoll"}
	if chosen := os.Getenv("SAMSA_NETPOLL"); chosen == "portable" {
		return // Go's net package allocates; design names it the fallback
	}
	for _, backend := range backends {
		t.Run(backend, func(t *testing.T) {
			b := Start(t, Options{Props: map[string]string{"samsa.netpoll": backend}})
			if !strings.Contains(b.Ready, backend) {
				t.Fatalf("ready line %q does not name %s", b.Ready, backend)
			}
			CreateTopic(t, b.Addr, "steady", 6, nil)
			const connections, warm, measured = 8, 500, 12_500
			var producers, fetchers, lz4s []func()
			for i := range connections {
				producers = append(producers, idempotent(t, b.Addr, int32(i%6), Batch))
				fetchers = append(fetchers, refetch(t, b.Addr, int32(i%6)))
				lz4s = append(lz4s, idempotent(t, b.Addr, int32(i%6), lz4Batch))
			}
			for _, load := range []struct {
				what   string
				work   []func()
				judged bool
			}{{"Produce", producers, true}, {"Fetch", fetchers, true}, {"Produce of lz4", lz4s, false}} {
				round(load.work, warm)
				reading := objects(t, b)
				before := objects(t, b)
				reading = before - reading // what it costs to look
				began := time.Now()
				round(load.work, measured)
				each := (objects(t, b) - before - reading) / (connections * measured)
				t.Logf("%s: %.4f objects a request (%d in %v; a reading is %.0f objects)", load.what, each,
					connections*measured, time.Since(began).Round(time.Millisecond), reading)
				if load.judged && each > 0.01 {
					t.Errorf("%s allocates %.4f objects a request, want at most 0.01", load.what, each)
				}
			}
		})
	}
}

func objects(t *testing.T, b *Broker) float64 {
	t.Helper()
	n, err := b.Runtime(heapObjects)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// round runs each piece of work n times, the pieces beside each other.
func round(work []func(), n int) {
	done := make(chan struct{})
	for _, one := range work {
		go func() {
			for range n {
				one()
			}
			done <- struct{}{}
		}()
	}
	for range work {
		<-done
	}
}

// makeBatch makes a batch of a producer: Batch, or one that compresses.
type makeBatch func(producer int64, epoch int16, sequence int32, values ...string) []byte

// lz4Batch is Batch, its records in an LZ4 frame.
func lz4Batch(producer int64, epoch int16, sequence int32, values ...string) []byte {
	c, err := kgo.DefaultCompressor(kgo.Lz4Compression())
	if err != nil {
		panic(err)
	}
	return Compressed(uint16(kgo.CodecLz4), func(records []byte) []byte {
		frame, codec := c.Compress(new(bytes.Buffer), records)
		if codec != kgo.CodecLz4 {
			panic(fmt.Sprintf("compressed with codec %d", codec))
		}
		return frame
	}, producer, epoch, sequence, values...)
}

// idempotent returns a function that produces one batch with the next sequence.
func idempotent(t *testing.T, addr string, partition int32, batch makeBatch) func() {
	t.Helper()
	r := Dial(t, addr)
	init := kmsg.NewPtrInitProducerIDRequest()
	init.Version = 4
	resp, err := r.Call(init)
	if err != nil {
		t.Fatal(err)
	}
	id := resp.(*kmsg.InitProducerIDResponse)
	sequence := int32(0)
	return func() {
		req := ProduceRequest("steady", partition, batch(id.ProducerID, id.ProducerEpoch, sequence, "a record of some thirty bytes"))
		resp, err := r.Call(req)
		sequence++
		if err != nil {
			panic(err)
		}
		if code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
			panic(fmt.Sprintf("produce answered %d", code))
		}
	}
}

// refetch returns a function that fetches the first records again.
func refetch(t *testing.T, addr string, partition int32) func() {
	t.Helper()
	r := Dial(t, addr)
	return func() {
		resp, err := r.Call(FetchRequest("steady", partition, 0, 4096))
		if err != nil {
			panic(err)
		}
		p := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
			panic(fmt.Sprintf("fetch answered %d with %d bytes", p.ErrorCode, len(p.RecordBatches)))
		}
	}
}

// What a thousand idle connections and a thousand partitions cost, printed.
func TestMemoryOfIdleThings(t *testing.T) {
	b := Start(t, Options{})
	c := Client(t, b.Addr)
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	base := resident(t, b.PID())
	for range 1000 {
		req := kmsg.NewPtrApiVersionsRequest()
		if _, err := Dial(t, b.Addr).Call(req); err != nil {
			t.Fatal(err)
		}
	}
	connected := resident(t, b.PID())
	CreateTopic(t, b.Addr, "many", 1000, nil)
	partitioned := resident(t, b.PID())
	t.Logf("idle broker %d KiB; a connection %.1f KiB; a partition %.1f KiB (resident memory, 1,000 of each)",
		base>>10, float64(connected-base)/1000/1024, float64(partitioned-connected)/1000/1024)
}
