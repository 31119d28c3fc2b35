// SPDX-License-Identifier: Apache-2.0

//go:build linux

package load

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// Produce is a workload of Produce requests with one batch each.
type Produce struct {
	Addr       string
	Topic      string
	Partitions int
	Conns      int
	Window     int   // requests under way on a connection
	Acks       int16 // 1 or -1
	Shape      Shape
	Requests   int     // in all: the work is fixed, its time is measured
	Rate       float64 // requests a second, all connections together; 0: a closed loop
	Seed       uint64
	// Sent is called for each batch that was acknowledged, with the time its
	// request was due; nil: nobody wants to know.
	Sent func(partition int32, base int64, due time.Time)
}

// Result is what a workload did and how long it took.
type Result struct {
	Requests, Records, Bytes int64 // acknowledged; bytes are those of batches
	Took                     time.Duration
	Latency                  *hdrhistogram.Histogram // µs
	CPU                      time.Duration           // of this process
}

// NewLatency makes a histogram of microseconds up to a minute.
func NewLatency() *hdrhistogram.Histogram { return hdrhistogram.New(1, 60_000_000, 3) }

// variants is how many different batches a connection sends to a partition: four,
// fewer where the partitions are very many.
func (p *Produce) variants() int { return min(4, max(1, 4096/p.Partitions)) }

// Run carries the workload out.
func (p Produce) Run(ctx context.Context) (Result, error) {
	var workers []*producer
	defer func() {
		for _, w := range workers {
			w.close()
		}
	}()
	for i := range p.Conns {
		w, err := p.worker(i)
		if err != nil {
			return Result{}, err
		}
		workers = append(workers, w)
	}
	res := Result{Latency: NewLatency()}
	cpu, began := processCPU(), time.Now()
	errs := make([]error, len(workers))
	var all sync.WaitGroup
	for i, w := range workers {
		all.Go(func() { errs[i] = w.run(ctx, began) })
	}
	all.Wait()
	res.Took, res.CPU = time.Since(began), processCPU()-cpu
	for i, w := range workers {
		if errs[i] != nil {
			return res, fmt.Errorf("load: produce to %s: %w", p.Topic, errs[i])
		}
		res.Requests += int64(w.acked)
		res.Latency.Merge(w.latency)
	}
	res.Records = res.Requests * int64(p.Shape.Records)
	res.Bytes = res.Requests * int64(workers[0].batchBytes)
	return res, nil
}

// request is one that lies in the memory file.
type request struct {
	off       int64
	size      int
	partition int32
}

// producer is one connection of a Produce.
type producer struct {
	p          *Produce
	conn       *conn
	memfd      int
	requests   []request
	batchBytes int
	todo       int
	every      time.Duration // between requests of an open loop
	phase      time.Duration // of its first
	latency    *hdrhistogram.Histogram
	slots      chan struct{} // one for each request under way
	flying     chan flight
	topic      []byte          // as an answer names it
	last       map[int32]int64 // base offset last acknowledged
	acked      int
}

// flight is a request under way.
type flight struct {
	due       time.Time
	partition int32
}

// worker connects and writes its requests into a memory file.
func (p *Produce) worker(i int) (*producer, error) {
	w := &producer{p: p, latency: NewLatency(), last: map[int32]int64{}, flying: make(chan flight, max(1, p.Window)),
		slots: make(chan struct{}, max(1, p.Window)), topic: append([]byte{byte(len(p.Topic) + 1)}, p.Topic...)}
	w.todo = p.Requests / p.Conns
	if i < p.Requests%p.Conns {
		w.todo++
	}
	if p.Rate > 0 {
		w.every = time.Duration(float64(p.Conns) / p.Rate * float64(time.Second))
		w.phase = w.every * time.Duration(i) / time.Duration(p.Conns)
	}
	var err error
	if w.memfd, err = unix.MemfdCreate("bench-produce", unix.MFD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("load: memory file: %w", err)
	}
	rng, now := rand.New(rand.NewPCG(p.Seed, uint64(i))), time.Now().UnixMilli()
	off := int64(0)
	for range p.variants() {
		batch := p.Shape.batch(rng, now)
		w.batchBytes = len(batch)
		for part := range p.Partitions {
			frame := produceRequest(p.Topic, int32((part+i)%p.Partitions), p.Acks, batch)
			if _, err := unix.Pwrite(w.memfd, frame, off); err != nil {
				return nil, fmt.Errorf("load: memory file: %w", err)
			}
			w.requests = append(w.requests, request{off, len(frame), int32((part + i) % p.Partitions)})
			off += int64(len(frame))
		}
	}
	w.conn, err = dial(p.Addr)
	return w, err
}

func (w *producer) close() {
	_ = unix.Close(w.memfd)
	if w.conn != nil {
		w.conn.close()
	}
}

// run sends everything and waits for every answer.
func (w *producer) run(ctx context.Context, began time.Time) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, w.conn.close)
	defer stop()
	var sending sync.WaitGroup
	sending.Go(func() {
		if err := w.send(ctx, began); err != nil {
			cancel(err)
		}
	})
	err := w.receive(ctx)
	if err != nil {
		cancel(err)
	}
	sending.Wait()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

func (w *producer) send(ctx context.Context, began time.Time) error {
	for i := range w.todo {
		r := &w.requests[i%len(w.requests)]
		var due time.Time
		if w.every > 0 {
			due = began.Add(w.phase + time.Duration(i)*w.every)
			waitUntil(due)
		}
		select {
		case w.slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		if w.every == 0 {
			due = time.Now()
		}
		w.flying <- flight{due, r.partition} // as long as slots: never waits
		if err := w.conn.sendFile(w.memfd, r.off, r.size); err != nil {
			return err
		}
	}
	return nil
}

// receive takes an answer for each request, in their order.
func (w *producer) receive(ctx context.Context) error {
	for range w.todo {
		n, err := w.conn.frame()
		if err != nil {
			return err
		}
		body, err := w.conn.need(n)
		if err != nil {
			return err
		}
		var f flight
		select {
		case f = <-w.flying:
		case <-ctx.Done():
			return ctx.Err()
		}
		base, err := w.check(body, f.partition)
		if err != nil {
			return err
		}
		w.conn.skip(n)
		<-w.slots
		_ = w.latency.RecordValue(max(1, time.Since(f.due).Microseconds())) // above a minute: kept as nothing, and the slot fails by its time
		w.acked++
		if w.p.Sent != nil {
			w.p.Sent(f.partition, base, f.due)
		}
	}
	return nil
}

// check reads the one partition of a Produce v9 answer.
func (w *producer) check(body []byte, partition int32) (base int64, err error) {
	name := w.p.Topic
	at := 4 + 1 + 1 // correlation id, tags, one topic
	if len(body) < at+len(w.topic)+1+14 || !bytes.Equal(body[at:at+len(w.topic)], w.topic) {
		return 0, fmt.Errorf("%w: a Produce answer of %d bytes that does not name %s", ErrWrong, len(body), name)
	}
	at += len(w.topic) + 1
	index, code := int32(binary.BigEndian.Uint32(body[at:])), int16(binary.BigEndian.Uint16(body[at+4:]))
	base = int64(binary.BigEndian.Uint64(body[at+6:]))
	switch last, seen := w.last[partition]; {
	case index != partition || code != 0:
		return 0, fmt.Errorf("%w: partition %d of %s answers code %d (asked for %d)", ErrWrong, index, name, code, partition)
	case seen && base < last+int64(w.p.Shape.Records):
		return 0, fmt.Errorf("%w: %s-%d: offset %d after %d", ErrWrong, name, index, base, last)
	}
	w.last[partition] = base
	return base, nil
}
