// SPDX-License-Identifier: Apache-2.0

//go:build linux

package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Fetch is a workload of consumers, each on a connection of its own, which read
// the partitions given from From up to Until.
type Fetch struct {
	Addr           string
	Topic          string
	Consumers      int
	From, Until    map[int32]int64 // offsets; the same partitions in both
	Shape          Shape           // of every batch there
	PartitionBytes int32           // max.partition.fetch.bytes (1 MiB)
	MaxBytes       int32           // fetch.max.bytes (50 MiB)
	Wait           time.Duration   // fetch.max.wait.ms, with fetch.min.bytes 1 (500 ms)
	// Seen is called for each run of whole batches that came, in order, with the
	// offset of the first and the number of records; nil: nobody wants to know.
	Seen func(partition int32, base, records int64, at time.Time)
}

// readEvery: so many responses with data, and one of them is read and checked.
const readEvery = 64

// Run reads until every consumer has everything, or ctx ends: then it returns
// what was read with ctx's error.
func (f Fetch) Run(ctx context.Context) (Result, error) {
	f.PartitionBytes = orElse(f.PartitionBytes, 1<<20)
	f.MaxBytes = orElse(f.MaxBytes, 50<<20)
	if f.Wait == 0 {
		f.Wait = 500 * time.Millisecond
	}
	res := Result{Latency: NewLatency()}
	consumers := make([]*consumer, f.Consumers)
	for i := range consumers {
		c, err := dial(f.Addr)
		if err != nil {
			return res, err
		}
		defer c.close()
		consumers[i] = &consumer{f: &f, conn: c, next: map[int32]int64{}, latency: NewLatency(), batchBytes: f.Shape.BatchBytes()}
		for p, at := range f.From {
			consumers[i].next[p] = at
		}
	}
	cpu, began := processCPU(), time.Now()
	errs := make([]error, len(consumers))
	var all sync.WaitGroup
	for i, c := range consumers {
		all.Go(func() { errs[i] = c.run(ctx) })
	}
	all.Wait()
	res.Took, res.CPU = time.Since(began), processCPU()-cpu
	var failed error
	for i, c := range consumers {
		if errs[i] != nil && failed == nil {
			failed = fmt.Errorf("load: fetch from %s: %w", f.Topic, errs[i])
		}
		res.Requests += c.requests
		res.Records += c.records
		res.Bytes += c.bytes
		res.Latency.Merge(c.latency)
	}
	return res, failed
}

func orElse(v, other int32) int32 {
	if v == 0 {
		return other
	}
	return v
}

// consumer is one connection of a Fetch.
type consumer struct {
	f          *Fetch
	conn       *conn
	next       map[int32]int64
	latency    *hdrhistogram.Histogram
	batchBytes int
	full       []byte // memory for responses that are read

	requests, records, bytes, withData int64
}

func (c *consumer) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, c.conn.close)
	defer stop()
	for c.behind() {
		began := time.Now()
		if _, err := c.conn.net.Write(c.request()); err != nil {
			return first(ctx.Err(), err)
		}
		if err := c.response(); err != nil {
			return first(ctx.Err(), err)
		}
		c.requests++
		_ = c.latency.RecordValue(max(1, time.Since(began).Microseconds())) // above a minute: kept as nothing, and the slot fails by its time
	}
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// behind tells whether there is more to read.
func (c *consumer) behind() bool {
	for p, until := range c.f.Until {
		if c.next[p] < until {
			return true
		}
	}
	return false
}

func (c *consumer) request() []byte {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MinBytes, req.MaxBytes = 12, -1, 1, c.f.MaxBytes
	req.MaxWaitMillis, req.SessionEpoch = int32(c.f.Wait.Milliseconds()), -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = c.f.Topic
	for p, until := range c.f.Until {
		if c.next[p] >= until {
			continue
		}
		one := kmsg.NewFetchRequestTopicPartition()
		one.Partition, one.FetchOffset, one.PartitionMaxBytes = p, c.next[p], c.f.PartitionBytes
		one.CurrentLeaderEpoch = -1
		t.Partitions = append(t.Partitions, one)
	}
	req.Topics = []kmsg.FetchRequestTopic{t}
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("bench")).AppendRequest(nil, req, 1)
}

// response takes one answer: its heads are read, its records dropped in the
// kernel or, now and then, read and checked.
func (c *consumer) response() error {
	left, err := c.conn.frame()
	if err != nil {
		return err
	}
	s := scanner{c: c.conn, left: left}
	s.skip(4 + 1 + 4) // correlation id, tags, throttle time
	if code := s.int16(); code != 0 {
		return fmt.Errorf("%w: fetch answers code %d", ErrWrong, code)
	}
	s.skip(4) // session
	for range s.count() {
		s.skip(s.count()) // name
		for range s.count() {
			if err := c.partition(&s); err != nil {
				return err
			}
		}
		s.skip(1)
	}
	s.skip(1)
	if s.err == nil && s.left != 0 {
		return fmt.Errorf("%w: %d bytes behind a fetch answer", ErrWrong, s.left)
	}
	return s.err
}

// partition takes one partition's head and records.
func (c *consumer) partition(s *scanner) error {
	index := int32(s.int32())
	code := s.int16()
	s.skip(8 + 8 + 8) // high watermark, last stable offset, log start
	for range s.count() {
		s.skip(8 + 8 + 1) // aborted transaction
	}
	s.skip(4) // preferred replica
	n := s.count()
	if s.err != nil {
		return s.err
	}
	if code != 0 {
		return fmt.Errorf("%w: fetch of %s-%d answers code %d", ErrWrong, c.f.Topic, index, code)
	}
	whole := n / c.batchBytes
	if n > 0 {
		c.withData++
		if c.withData%readEvery == 1 {
			if err := c.verify(s, index, n, whole); err != nil {
				return err
			}
		} else if err := s.drop(n); err != nil {
			return err
		}
	}
	s.skip(1)
	if whole > 0 {
		records := int64(whole * c.f.Shape.Records)
		if c.f.Seen != nil {
			c.f.Seen(index, c.next[index], records, time.Now())
		}
		c.next[index] += records
		c.records += records
		c.bytes += int64(n)
	}
	return s.err
}

// verify reads n bytes of records: offsets contiguous, checksums right.
func (c *consumer) verify(s *scanner, index int32, n, whole int) error {
	if cap(c.full) < n {
		c.full = make([]byte, n)
	}
	b := c.full[:n]
	if err := s.read(b); err != nil {
		return err
	}
	for i := range whole {
		one := b[i*c.batchBytes : (i+1)*c.batchBytes]
		at := c.next[index] + int64(i*c.f.Shape.Records)
		base, size := int64(binary.BigEndian.Uint64(one)), int(binary.BigEndian.Uint32(one[8:]))+12
		sum := crc32.Checksum(one[21:], castagnoli)
		if base != at || size != c.batchBytes || sum != binary.BigEndian.Uint32(one[17:]) {
			return fmt.Errorf("%w: %s-%d at offset %d: batch of %d bytes at %d, checksum %08x of %08x", ErrWrong, c.f.Topic, index, at, size, base,
				binary.BigEndian.Uint32(one[17:]), sum)
		}
	}
	return nil
}
